"""An exception as plain values, and an exception made again of them.

`described` runs where the exception was raised, `rebuilt` where it is caught. What travels is the
name of its class and of the bases, its arguments and its fields, as far as these are plain values.
Nothing is unpickled and no module is imported: a class is used where it is loaded here by its name,
a builtin one or the user's own, and none of its code is run.
``tests/test_raised.py`` proves it.
"""

from __future__ import annotations

import builtins
import functools
import pathlib
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

__all__ = ["NotSent", "described", "is_odd", "rebuilt", "text_in", "text_of"]

#: Bytes of arguments and fields that travel, all together; what comes after is shown as text only.
SIZE_MAX = 1_000_000
#: Characters of what is shown as text only.
_SHOWN_MAX = 500
#: Characters of a message.
_TEXT_MAX = 100_000
#: Values in values, and causes of causes, that are followed.
_DEPTH_MAX = 12
#: Characters of the name of a class that is made here, and how many such classes are kept.
_NAME_MAX = 200
_CLASSES_KEPT = 256
_INT_MAX = 2**63
_PLAIN = (bool, float, bytes)
_CONTAINERS: dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}
_MAKERS: dict[str, Any] = {
    **{name: kind for kind, name in _CONTAINERS.items()},
    "bytearray": bytearray,
    "path": pathlib.Path,
    "complex": lambda parts: complex(*parts),
    "int": lambda text: int(text, 16),
    "text": lambda data: data.decode("utf-8", "surrogatepass"),
}
_ALL = slice(None)
#: The plain value of an instance of a subclass, past the methods of that class.
_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: lambda value: str.__getitem__(value, _ALL),
    bytes: lambda value: bytes.__getitem__(value, _ALL),
}
_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)
#: What every exception has, and what refers to the frames.
_NOT_FIELDS = frozenset("args obj message exceptions __weakref__ __dict__".split())


class NotSent:
    """Stands for an argument of a remote exception that is no plain value; it shows its repr."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NotSent) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def text_of(error: BaseException) -> str:
    """The message of an error of the user's; never fails."""
    try:
        return str(error)
    except Exception as second:  # the user's __str__ raised; its error must not hide this one
        return f"(its message can't be shown: __str__ raised {type(second).__name__})"


def described(error: BaseException) -> dict[str, Any]:
    """Describe an exception with its causes and members; never fails."""
    return _Describing().error(error, 0)


class _Describing:
    """One description: how much of it may still be said."""

    def __init__(self) -> None:
        self._left = SIZE_MAX

    def error(self, error: BaseException, depth: int) -> dict[str, Any]:
        args = BaseException.__dict__["args"].__get__(error)
        found = {
            "class": [[each.__module__, each.__qualname__] for each in _classes(type(error))],
            "text": self.value(_shortened(text_of(error), _TEXT_MAX), depth),
            "args": [self.value(each, depth) for each in args],
            "fields": {n: self.value(v, depth) for n, v in _fields(error) if type(n) is str},
            "notes": [self.value(each, depth) for each in _notes(error)],
            "is_alone": error.__suppress_context__,
        }
        for name in ("cause", "context"):
            chained = getattr(error, f"__{name}__")
            if chained is not None and depth < _DEPTH_MAX:
                found[name] = self.error(chained, depth + 1)
        return found

    def value(self, value: Any, depth: int) -> Any:
        """A value as msgpack takes it; all but the plainest are a list: a kind and its content."""
        kind = type(value)
        if value is None or kind in _PLAIN or kind is str or kind is int:
            return self._plain(value)
        try:
            return self._special(value, kind, depth)
        except Exception:  # the user's __repr__ or __iter__, whatever it raises
            return ["not sent", f"<{kind.__name__} object>"]

    def _plain(self, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return value if -_INT_MAX <= value < _INT_MAX else ["int", hex(value)]
        if not isinstance(value, str | bytes):
            return value
        if len(value) > self._left:
            return ["not sent", f"{value[:_SHOWN_MAX]!r}..."]
        self._left -= len(value)
        if isinstance(value, str) and not _is_utf8(value):
            return ["text", value.encode("utf-8", "surrogatepass")]
        return value

    def _special(self, value: Any, kind: type, depth: int) -> Any:
        if depth < _DEPTH_MAX and (found := self._compound(value, kind, depth + 1)):
            return found
        if kind is complex:
            return ["complex", [value.real, value.imag]]
        if kind is bytearray:
            return ["bytearray", self._plain(bytes(value))]
        if isinstance(value, type):
            return ["class", [value.__module__, value.__qualname__]]
        if isinstance(value, pathlib.Path):
            return ["path", self._plain(str(value))]
        if kind.__module__ == "numpy" and hasattr(value, "item") and not value.ndim:
            return self.value(value.item(), depth + 1)  # a number of numpy's equals Python's
        for plain, convert in _CONVERTERS.items():
            if isinstance(value, plain):  # a member of an IntEnum, say
                return self._plain(convert(value))
        return ["not sent", _shortened(repr(value), _SHOWN_MAX)]

    def _compound(self, value: Any, kind: type, depth: int) -> list[Any] | None:
        if isinstance(value, BaseException):
            return ["error", self.error(value, depth)]
        if kind is dict:
            pairs = [[self.value(part, depth) for part in pair] for pair in value.items()]
            return ["dict", pairs]
        if kind in _CONTAINERS:
            return [_CONTAINERS[kind], [self.value(each, depth) for each in value]]
        return None


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _classes(cls: type) -> Iterator[type]:
    return (each for each in cls.__mro__ if each is not object)


def _fields(error: BaseException) -> Iterator[tuple[str, Any]]:
    """The attributes of an exception: those of builtin ones, of slots, and of its own."""
    for cls in type(error).__mro__:
        for name, member in vars(cls).items():
            if isinstance(member, _DESCRIPTORS) and name not in _NOT_FIELDS:
                if name.startswith("__") and name.endswith("__"):
                    continue
                try:
                    value = member.__get__(error)
                except (AttributeError, TypeError):
                    continue  # it was never set
                if value is not None:
                    yield name, value
    for name, value in vars(error).items():
        if name != "__notes__":
            yield name, value


def _notes(error: BaseException) -> list[Any]:
    notes = vars(error).get("__notes__")
    return list(notes) if isinstance(notes, list | tuple) else []


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- on the other side -----------------------------------------------------------------------------


Record = Mapping[str, Any]
Make = Callable[[Record], Exception]


def rebuilt(root: type[Exception], record: Record, make: Make) -> Exception:
    """Make an exception of its description.

    Parameters
    ----------
    root
        The class that it has besides its own.
    record
        What `described` returned. It comes from elsewhere and may be anything.
    make
        Makes those that it refers to: its causes, its members.

    Raises
    ------
    Exception
        The record is no description.
    """
    names = tuple((str(module), str(name)) for module, name in record["class"])
    args = [_value(make, each) for each in record.get("args", ())]
    text = text_in(record)
    first: type = root
    error = _made(_class(first, names, _bases(root, names)), args, text)
    if error is None:
        error = _made(_class(first, names, ()), args, text)
    assert error is not None, "a plain exception takes any arguments"
    for name, value in record.get("fields", {}).items():
        _set(error, name, _value(make, value))
    for note in record.get("notes", ()):
        error.add_note(str(_value(make, note)))
    if "cause" in record:
        error.__cause__ = make(record["cause"])
    if "context" in record:
        error.__context__ = make(record["context"])
    error.__suppress_context__ = bool(record.get("is_alone"))
    return error


def text_in(record: Record) -> str:
    """The message of what was described."""
    text = record.get("text", "")
    return str(_MAKERS["text"](text[1]) if isinstance(text, list) else text)


def is_odd(record: Record) -> bool:
    """Whether its message has no form in UTF-8: what travelled beside it is not quite the same."""
    return isinstance(record.get("text"), list)


def _value(make: Make, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind, content = value
    match kind:
        case "error":
            return make(content)
        case "not sent":
            return NotSent(str(content))
        case "class":
            module, name = content
            return _loaded(module, name) or NotSent(f"<class '{module}.{name}'>")
        case "dict":
            return {_value(make, key): _value(make, each) for key, each in content}
    if kind in _CONTAINERS.values():
        content = [_value(make, each) for each in content]
    return _MAKERS[kind](content)


def _loaded(module: str, name: str) -> type | None:
    """The class of that name, if it is loaded here; no code of its module's runs."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) else None


def _bases(root: type[Exception], names: tuple[tuple[str, str], ...]) -> tuple[type, ...]:
    """The nearest of its classes that are loaded here, without those that the root has."""
    found: list[type] = []
    for module, name in names:
        cls = _loaded(module, name)
        if cls is None or not issubclass(cls, BaseException):
            continue
        if not any(issubclass(each, cls) for each in (root, *found)):
            found.append(cls)
    return tuple(found)


@functools.lru_cache(maxsize=_CLASSES_KEPT)
def _class(
    root: type,
    names: tuple[tuple[str, str], ...],
    bases: tuple[type, ...],
) -> type:
    """A class of that name, with the root and these bases."""
    module, qualname = names[0] if names else ("builtins", "Exception")
    name = qualname.rpartition(".")[2]
    if not name.isidentifier() or len(qualname) > _NAME_MAX or len(module) > _NAME_MAX:
        return root
    members = {"__module__": module, "__qualname__": qualname, "__doc__": root.__doc__}
    for taken in (bases, bases[:1], ()):
        for base in (each for each in _all_bases(taken) if "code" in vars(each)):
            members.setdefault("code", vars(base)["code"])  # not the root's: SystemExit has one
        metaclass = next((type(each) for each in taken if type(each) is not type), type)
        try:
            # Not `metaclass(...)`: that would run the code of the user's metaclass once more.
            return type.__new__(metaclass, name, (root, *taken), dict(members))
        except TypeError:
            continue  # their memory layouts can't be combined
    return root


def _all_bases(classes: Iterable[type]) -> Iterator[type]:
    return (base for cls in classes for base in cls.__mro__)


def _made(cls: type, args: list[Any], text: str) -> Exception | None:
    """An instance, made by the builtin class that its memory belongs to, past all other `__init__`.

    None where that class refuses both the arguments and the text.
    """
    builtin = cls
    while getattr(builtins, builtin.__name__, None) is not builtin:
        assert builtin.__base__ is not None, "every exception class has a builtin base"
        builtin = builtin.__base__
    for given in (args, [text]):
        try:
            error: Exception = builtin.__new__(cls, *given)
        except (TypeError, ValueError):
            continue
        try:
            builtin.__init__(error, *given)
        except (TypeError, ValueError):
            error.args = tuple(args)  # UnicodeDecodeError, with another object than bytes
        return error
    return None


def _set(error: Exception, name: str, value: Any) -> None:
    for cls in type(error).__mro__:
        member = vars(cls).get(name)
        if isinstance(member, _DESCRIPTORS):
            try:
                member.__set__(error, value)
            except (AttributeError, TypeError):
                pass  # it can only be read; its builtin's __init__ has set it
            return
    if name.startswith("__") and name.endswith("__"):
        return
    vars(error)[name] = value
