"""Memoryviews, buffers and arrays that share memory, as pickle needs them.

``tests/serialize/test_values.py`` proves it.
"""

from __future__ import annotations

import itertools
import pickle
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["Memories", "as_no_owner", "block_of", "is_array", "make_array_view", "make_memoryview"]
__all__ += ["Owners", "memory_of", "place_in", "plain_view", "reduce_memoryview"]


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


def is_array(value: object) -> bool:
    """Whether a value is a NumPy array, and of no subclass."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def as_no_owner(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """What NumPy reduces an array to, with a mark that the array does not own its memory.

    The mark is that the shape is a list, which NumPy takes as well: so a peer of another version
    can read it.
    """
    match reduced:
        case (make, (buffer, dtype, tuple() as shape, *more)):
            return make, (buffer, dtype, list(shape), *more)
    return reduced


class Owners:
    """Makes arrays that own their memory, as they did at the source.

    Only so they can be resized, have no `base`, and can be made writable.

    Parameters
    ----------
    most
        Bytes that are copied at the most, for all of them. An array for which too few are left
        stays in the memory of its payload: its bytes would be in memory twice.
    """

    def __init__(self, most: int) -> None:
        self._left = most

    def make(self, make: Callable[..., Any], *arguments: Any) -> Any:
        """Make an array as NumPy does."""
        array = make(*arguments)
        if isinstance(arguments[2], list) or array.nbytes > self._left:
            return array
        self._left -= array.nbytes
        own = array.copy("K")
        own.flags.writeable = array.flags.writeable
        return own


def memory_of(array: Any) -> Any:
    """What owns the memory of an array, or of a view on one; of anything else, the thing itself."""
    while is_array(array) and array.base is not None:
        array = array.base
    return array


def block_of(array: Any) -> memoryview:
    """The bytes of an array, in the order of C; its own memory where it lies so."""
    block = array if array.flags.c_contiguous else array.copy("C")
    return memoryview(block.reshape(-1).view("u1"))


class Memories:
    """The memories of arrays that travel, each with one array that has the whole of it."""

    def __init__(self) -> None:
        #: By the id of the array that owns a memory: itself, or one that stands for it.
        self._whole: dict[int, Any] = {}
        #: The arrays on the memory of another one, by id, each with the one on which it travelled;
        #: None for a memory of its own.
        self._parts: dict[int, tuple[Any, Any]] = {}
        #: Whether an array was added here: a copy begins without.
        self._has_more = False

    def copy(self) -> Memories:
        made = Memories()
        made._whole, made._parts = dict(self._whole), dict(self._parts)
        return made

    def add(self, array: Any) -> None:
        """Note an array that travels."""
        self._has_more = True
        self._whole[id(array)] = array
        if is_array(array.base):
            if array.base.nbytes == array.nbytes and _is_contiguous(array):
                self._whole.setdefault(id(array.base), array)
            self._parts.setdefault(id(array), (array, self.whole(array)))

    def torn(self) -> dict[int, Any]:
        """The arrays that the other side has on another memory, each with the one for them all.

        That one came after them; or it is not among what travels, and they overlap.
        """
        torn: dict[int, Any] = {}
        if not self._has_more:  # as in most variables
            return torn
        alone: dict[int, list[Any]] = {}
        for key, (array, before) in self._parts.items():
            whole = self.whole(array)
            if whole is not None and whole is not before:
                torn[key] = whole
            elif whole is None and id(array.base) not in self._whole:
                alone.setdefault(id(array.base), []).append(array)
        for arrays in alone.values():
            if len(arrays) > 1 and _are_better_together(arrays):
                torn |= {id(array): array.base for array in arrays}
        return torn

    def whole(self, array: Any) -> Any:
        """The array on whose memory an array lies; None for its own, or one that is not known."""
        found = self._whole.get(id(array.base))
        if found is None or found is array or array.dtype.hasobject or not array.size:
            return None
        return found if _is_contiguous(found) else None


def _are_better_together(arrays: list[Any]) -> bool:
    """Whether parts of one array overlap, and the whole is not much more to send than they are."""
    whole = arrays[0].base
    if whole.nbytes > 2 * sum(each.nbytes for each in arrays) or not _is_contiguous(whole):
        return False
    if any(each.dtype.hasobject or not each.size for each in [whole, *arrays]):
        return False
    arrays = sorted(arrays, key=lambda each: each.__array_interface__["data"][0])
    overlap: Any = sys.modules["numpy"].may_share_memory
    return any(overlap(one, other) for one, other in itertools.pairwise(arrays))


def _is_contiguous(array: Any) -> bool:
    return bool(array.flags.c_contiguous or array.flags.f_contiguous)


def place_in(whole: Any, array: Any) -> tuple[Any, ...]:
    """Where an array lies in another one's memory."""
    offset = array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return array.dtype, array.shape, offset, array.strides, array.flags.writeable


def make_array_view(
    whole: Any,
    dtype: Any,
    shape: tuple[int, ...],
    offset: int,
    strides: tuple[int, ...],
    is_writable: bool,
) -> Any:
    """Make an array on another one's memory. Payloads hold this function's name."""
    block = (whole if whole.flags.c_contiguous else whole.T).reshape(-1).view("u1")
    made = type(whole)(shape, dtype, block, offset, strides)
    if not is_writable:
        made.flags.writeable = False
    return made
