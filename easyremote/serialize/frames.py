"""Frames and series of pandas that lie on the same memory.

pandas copies that memory before one of them is written to (always since pandas 3), so that the
others stay as they are. Who lies on it is not pickled: without it a write to a column that was
taken from a frame would change the frame.
``tests/as_if/cases/science.cells`` proves it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

from easyremote.serialize.memory import is_array, memory_of

__all__ = ["note_shared_memory"]


def note_shared_memory(objects: Collection[object]) -> None:
    """Have the frames, series and indexes among these know who lies on the same memory."""
    index = getattr(sys.modules.get("pandas"), "Index", None)
    managers = sys.modules.get("pandas.core.internals.managers")
    if index is None or managers is None:
        return
    kinds = managers.BaseBlockManager, index
    there = {kind for kind in set(map(type, objects)) if issubclass(kind, kinds)}
    first: dict[int, Any] = {}
    for value in objects if there else ():
        if type(value) in there:
            for values, references in _held(value):
                _join(first.setdefault(id(_memory_of(values)), references), references)


def _held(value: Any) -> list[tuple[Any, Any]]:
    """What a manager of blocks or an index lies on, each with who else is known to lie there."""
    if hasattr(value, "blocks"):
        found = [(block.values, getattr(block, "refs", None)) for block in value.blocks]
    else:  # an index of several levels, or of a range, has no such memory
        found = [(vars(value).get("_data"), getattr(value, "_references", None))]
    # pandas before 2 has no such references.
    return [each for each in found if each[0] is not None and each[1] is not None]


def _memory_of(values: Any) -> Any:
    for name in ("_ndarray", "_data", "_pa_array"):  # of dates, of numbers with gaps, of Arrow
        values = getattr(values, name, values)
    if is_array(values) and values.dtype.hasobject:
        return object  # they come without their common memory: any two may have one at the source
    return memory_of(values)


def _join(references: Any, others: Any) -> None:
    """Put all that `others` knows of into `references`."""
    if others is references:
        return
    for holder in [reference() for reference in others.referenced_blocks]:
        if hasattr(holder, "_references"):
            holder._references = references
            references.add_index_reference(holder)
        elif holder is not None:
            holder.refs = references
            references.add_reference(holder)
