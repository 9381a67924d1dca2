"""Memoryviews and buffers, as pickle needs them: a memoryview arrives as one, without a copy.

``tests/serialize/test_values.py`` proves it.
"""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["make_memoryview", "plain_view", "reduce_memoryview"]


def plain_view(raw: memoryview) -> memoryview:
    """A view of the same memory that does not depend on another memoryview.

    CPython (3.11) crashes when the garbage collector finds both in one cycle.
    """
    inner = raw.obj
    if not isinstance(inner, memoryview) or not inner.c_contiguous:
        return raw
    raw.release()
    return inner.cast("B")


def reduce_memoryview(view: memoryview) -> tuple[Any, ...]:
    """A memoryview arrives as a memoryview: same format, shape and read-onliness, own memory."""
    raw = view if view.c_contiguous else memoryview(view.tobytes("C"))
    return make_memoryview, (pickle.PickleBuffer(raw), view.format, view.shape, view.readonly)


def make_memoryview(
    buffer: Any, format_: str, shape: tuple[int, ...], readonly: bool
) -> memoryview:
    """Make a memoryview again. Payloads hold this function's name."""
    view = memoryview(buffer).cast("B")
    if view.readonly and not readonly:
        view = memoryview(bytearray(view))
    if 0 not in shape:  # casting an empty one is refused; it has no elements to address
        view = view.cast(format_, shape)  # type: ignore[call-overload]  # its stub wants literals
    return view.toreadonly() if readonly else view
