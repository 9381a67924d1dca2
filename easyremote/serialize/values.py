"""Values <-> payloads: pickle protocol 5, with big buffers beside the pickle, never copied.

A payload is a bare pickle, which starts with ``0x80``, where there are no big buffers; else it is::

    tag 0x01, 3 zero bytes, buffer count (u32), pickle size (u64)     little endian
    for each buffer: size << 1 | writable (u64)
    the pickle
    each buffer, at the next multiple of 64 bytes from the start of the payload

so that arrays lie aligned in a payload that was mapped into memory, and are used where they lie.
The C pickler does the work; `by_value` tells it how to store what the other side can't import
(``__main__``, the user's own modules). Never used by the gateway: loading a payload runs code.
``tests/serialize/test_values.py`` proves all this.
"""

from __future__ import annotations

import contextlib
import pickle
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from easyremote.errors import CannotShip, EasyRemoteError, ProtocolError
from easyremote.serialize import by_value
from easyremote.serialize.memory import plain_view, reduce_memoryview

__all__ = ["Buffer", "Dumped", "dump", "dump_call", "dump_names", "is_atom", "joined", "load"]
__all__ += ["load_call", "pickle_call", "pickle_names", "pickle_with", "rebuilt", "refusal"]
__all__ += ["shielded", "split", "unpickle"]

Buffer = bytes | bytearray | memoryview
Version = tuple[int, int]

#: Smaller buffers stay inside the pickle: for less than a page, a copy is cheaper than padding,
#: header and one more part to write; and a small array does not keep a whole payload alive.
OUT_OF_BAND_MIN = 4096
#: A cache line; NumPy and Arrow need this alignment for vector instructions.
ALIGNMENT = 64

#: What needs nothing of `by_value`, and how many items of an argument list are looked at for that.
_PLAIN = frozenset({type(None), bool, int, float, complex, str})
_ATOMS = _PLAIN | {bytes}
_HOLDERS = frozenset({tuple, list, dict})
_LOOKED_INTO = 32
_DEEP = 4

_TAG = 0x01
_HEADER = struct.Struct("<B3xIQ")
_PICKLE_START = 0x80
_PADDING = bytes(ALIGNMENT)


class Dumped(NamedTuple):
    """A payload in parts, which are sent without being joined."""

    #: In the order of the wire. A big part is a memoryview of the value's own memory, and keeps it
    #: alive: send it before the value changes.
    parts: list[Buffer]
    #: The sum of their lengths, in bytes.
    size: int


def dump(value: object, *, python: Version | None = None) -> Dumped:
    """Turn a value into a payload.

    Parameters
    ----------
    value
        Anything that pickle can take, and functions, classes and instances of classes of
        ``__main__`` and of the user's own modules, which travel by value.
    python
        The other side's ``(major, minor)``. Where it is the same as ours, code travels as bytecode;
        where it differs, as source, which works on every version; where it is None (unknown), as
        both, if there is a source.

    Raises
    ------
    CannotShip
        Something in it can't travel; the message says what, where and why.
    """
    try:
        return _dump(shielded(value, {}), python)
    except Exception as error:  # any: a __reduce__ is the user's code
        raise refusal([("the value", "value", value)], python, error) from error


def dump_call(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    function: Callable[..., Any] | None = None,
    name: str | None = None,
    python: Version | None = None,
) -> Dumped:
    """Turn the arguments of a call into a payload for `load_call`.

    Parameters
    ----------
    args, kwargs
        The arguments.
    function
        The called function, so that an error names the parameter; None where it is not known.
    name
        The function's name for the error; None for ``function.__name__``.
    python
        As for `dump`.

    Raises
    ------
    CannotShip
        An argument can't travel; the message names it.
    """
    data, buffers = pickle_call(args, kwargs, function=function, name=name, python=python)
    return joined(data, buffers) if buffers else Dumped([data], len(data))


def pickle_call(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    function: Callable[..., Any] | None = None,
    name: str | None = None,
    python: Version | None = None,
) -> tuple[bytes, list[memoryview]]:
    """Turn the arguments of a call into a pickle and its big buffers, as `dump_call` does."""
    try:
        if _PLAIN.issuperset(map(type, args)) and _PLAIN.issuperset(map(type, kwargs.values())):
            return pickle.dumps((args, kwargs), 5), []  # most calls: quick
        known: dict[int, Any] = {}
        if not _SHIELDED.isdisjoint(map(type, args)):
            args = tuple([shielded(value, known) for value in args])
        if kwargs and not _SHIELDED.isdisjoint(map(type, kwargs.values())):
            kwargs = {key: shielded(value, known) for key, value in kwargs.items()}
        return _pickled((args, kwargs), python)
    except Exception as error:  # any: a __reduce__ is the user's code
        from easyremote.serialize.culprits import arguments

        raise refusal(arguments(args, kwargs, function, name), python, error) from error


def dump_names(variables: Mapping[str, object], *, python: Version | None = None) -> Dumped:
    """Turn variables into a payload; `load` gives the dict back.

    Two names for one object are two names for one object on the other side, too.

    Raises
    ------
    CannotShip
        A variable can't travel; the message names it.
    """
    parts = pickle_names(variables, python=python)
    return joined(*parts) if parts[1] else Dumped([parts[0]], len(parts[0]))


def pickle_names(
    variables: Mapping[str, object], *, python: Version | None = None
) -> tuple[bytes, list[memoryview]]:
    """Turn variables into a pickle and its big buffers; `unpickle` gives the dict back.

    Raises
    ------
    CannotShip
        A variable can't travel; the message names it.
    """
    with shielded_names(variables, python) as values:
        return _pickled(values, python)


@contextlib.contextmanager
def shielded_names(
    variables: Mapping[str, object], python: Version | None
) -> Iterator[dict[str, Any]]:
    """Give variables as pickle should take them in this block; its error names the culprit.

    Raises
    ------
    CannotShip
        A variable can't travel; the message names it.
    """
    known: dict[int, Any] = {}
    try:
        yield {name: shielded(value, known) for name, value in variables.items()}
    except Exception as error:  # any: a __reduce__ is the user's code
        suspects = [(f"variable {name!r}", name, value) for name, value in variables.items()]
        raise refusal(suspects, python, error) from error


def load(data: Buffer) -> Any:
    """Make the value again.

    Big arrays are views into `data`, which they keep alive. Arrays that were writable at the source
    are writable here; where `data` is read-only, as ``bytes`` is, these arrays are copied.

    Raises
    ------
    CannotShip
        The payload is whole, but a class in it could not be rebuilt here.
    ModuleNotFoundError
        It needs a module that isn't installed here.
    ProtocolError
        The bytes are no payload, or not a whole one.
    """
    return unpickle(*split(data))


def load_call(data: Buffer) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The ``(args, kwargs)`` of a payload that `dump_call` has made."""
    match load(data):
        case (tuple() as args, dict() as kwargs):
            return args, kwargs
    raise ProtocolError("A call's payload doesn't hold arguments; the peer that sent it is broken.")


def refusal(
    suspects: list[tuple[str, str, Any]], python: Version | None, error: Exception
) -> CannotShip:
    """The error that names what can't travel: one of these texts, names and values."""
    if isinstance(error, MemoryError):
        raise error  # the machine's trouble, not the value's
    from easyremote.serialize.culprits import cannot_ship

    def attempt(value: Any) -> None:
        _dump(shielded(value, {}), python)

    return cannot_ship(suspects, attempt, error)


def _dump(value: Any, python: Version | None) -> Dumped:
    data, buffers = _pickled(value, python)
    if not buffers:
        return Dumped([data], len(data))
    return joined(data, buffers)


def _pickled(value: Any, python: Version | None) -> tuple[bytes, list[memoryview]]:
    if _is_flat(value):
        return pickle.dumps(value, 5), []
    return pickle_with(value, python, None)[:2]


def pickle_with(
    value: Any, python: Version | None, known: by_value.Known | None
) -> tuple[bytes, list[memoryview], by_value.ByValuePickler]:
    """The pickle of a value, its big buffers, and the pickler, whose memo has what it has met."""
    buffers: list[memoryview] = []

    def stays_in_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND_MIN:
            return True
        buffers.append(plain_view(raw))
        return False

    try:
        data, pickler = by_value.dumps(value, stays_in_band, python, known=known)
    except (TypeError, AttributeError, pickle.PicklingError):
        buffers.clear()
        data, pickler = by_value.dumps(value, stays_in_band, python, with_dill=True, known=known)
    return data, buffers, pickler


def _is_flat(value: Any, deep: int = 0) -> bool:
    """Whether nothing in a value can need `by_value`; only what is small is looked into."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind not in _HOLDERS or len(value) > _LOOKED_INTO or deep > _DEEP:
        return False
    if kind is dict:
        return _ATOMS.issuperset(map(type, value)) and _is_flat([*value.values()], deep)
    for each in value:
        if type(each) not in _ATOMS and not _is_flat(each, deep + 1):
            return False
    return True


def is_atom(value: Any) -> bool:
    """Whether a value needs nothing of `by_value`, and shares nothing with any other."""
    if type(value) is tuple and len(value) <= _LOOKED_INTO:
        return all(map(is_atom, value))
    return type(value) in _ATOMS


def joined(data: Buffer, buffers: list[memoryview]) -> Dumped:
    """The payload of a pickle and its big buffers."""
    sizes = [raw.nbytes << 1 | (not raw.readonly) for raw in buffers]
    head = _HEADER.pack(_TAG, len(buffers), len(data)) + struct.pack(f"<{len(sizes)}Q", *sizes)
    parts: list[Buffer] = [head, data]
    position = len(head) + len(data)
    for raw in buffers:
        if gap := -position % ALIGNMENT:
            parts.append(_PADDING[:gap])
        parts.append(raw)
        position += gap + raw.nbytes
    return Dumped(parts, position)


def split(data: Buffer) -> tuple[memoryview, list[Buffer]]:
    """The pickle of a payload, and its big buffers.

    Raises
    ------
    ProtocolError
        The bytes are no payload, or not a whole one.
    """
    view = memoryview(data).cast("B")
    if not len(view):
        raise ProtocolError("A payload is empty; the peer that sent it is broken.")
    if view[0] == _PICKLE_START:
        return view, []
    try:
        tag, count, pickled = _HEADER.unpack_from(view)
        sizes = struct.unpack_from(f"<{count}Q", view, _HEADER.size) if tag == _TAG else ()
    except struct.error:
        raise ProtocolError("A payload is cut short; the peer that sent it is broken.") from None
    if tag != _TAG:
        raise ProtocolError(f"A payload starts with {tag:#04x}, which this version does not know.")
    start = _HEADER.size + 8 * count
    position = start + pickled
    buffers: list[Buffer] = []
    for size in sizes:
        position += -position % ALIGNMENT
        raw = view[position : position + (size >> 1)]
        position += size >> 1
        # What was writable at the source is writable here.
        buffers.append(bytearray(raw) if size & 1 and raw.readonly else raw)
    if position != len(view):
        raise ProtocolError(f"A payload of {len(view)} bytes should have {position}.")
    return view[start : start + pickled], buffers


def unpickle(body: Buffer, buffers: Sequence[Buffer]) -> Any:
    """Make a value again from a pickle and its big buffers; raises as `load` does."""
    return rebuilt(lambda: pickle.loads(body, buffers=buffers))


def rebuilt(make: Callable[[], Any]) -> Any:
    """What a pickle makes; its errors as those of `load`."""
    try:
        return make()
    except (EasyRemoteError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        error.add_note(f"The value needs the module {error.name!r}; install it on this side.")
        raise
    except Exception as error:  # a class's own __setstate__ or __init__: the user's code
        raise CannotShip(
            f"a value came across, but can't be rebuilt on this side: {type(error).__name__}: "
            f"{error}. Look at __reduce__, __getstate__ and __setstate__ of its classes, and at "
            "the versions of the packages on both sides."
        ) from error


class _Bytes:
    """Stands for bytes, which pickle would copy, and for memoryviews, which it would refuse."""

    __slots__ = ("value",)

    def __init__(self, value: bytes | memoryview) -> None:
        self.value = value

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if isinstance(self.value, memoryview):
            return reduce_memoryview(self.value)
        return bytes, (pickle.PickleBuffer(self.value),)


#: Not bytearray: it can change, so two names for one bytearray must stay one object, and only
#: pickle sees all of its holders.
_SHIELDED = frozenset({bytes, memoryview})


def shielded(value: Any, known: dict[int, Any]) -> Any:
    """What stands for a variable's value in a pickle; known ones by id."""
    kind = type(value)
    if kind is memoryview or (kind is bytes and len(value) >= OUT_OF_BAND_MIN):
        return known.setdefault(id(value), _Bytes(value))  # the same bytes twice are sent once
    return value
