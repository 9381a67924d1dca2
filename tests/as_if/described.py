"""A namespace as plain data, by which two processes compare what they have.

`described` makes a graph of it: a node for each object that has an identity, and a leaf for each
plain value. `compared` walks two such graphs from the names: values, types, classes and who shares
which object must be the same. ``tests/as_if/test_described.py`` proves it.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

__all__ = ["cleaned", "compared", "described"]

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}|(?<= at )[0-9a-f]{9,}")
#: How IPython and Python call a cell's file, with the folder in front of it.
_CELL_FILE = re.compile(
    r"Cell In\[\d+\]|[\w./-]*<ipython-input-[^>]*>|[\w./-]*ipykernel_\d+/\d+\.py"
)
#: A file that Python has frozen, as IPython names it: in the folder where the process runs.
_FROZEN = re.compile(r"[\w./-]*(?=<frozen )")
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
#: Ids that a library makes at random: of a table's style, of a widget.
_RANDOM_ID = re.compile(r"\bT_[0-9a-f]{5}(?![0-9a-f])|\b[0-9a-f]{32}\b")
_THREAD = re.compile(r"\bThread-\d+")
_TIME = re.compile(
    r"\b\d[\d.e+]* (?:ns|μs|us|ms|s)\b|\d\d:\d\d<\d\d:\d\d, +\S+it/s"
    r"|(?<=elapsed:) +[\d.]+(?:s|min)\b"
)
#: What tqdm writes over a longer text.
_PADDING = re.compile(r"(?<=\[TIME\]) +$", re.M)
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Values that are compared as they are; whether two variables share one, nobody can rely on.
_LEAVES = (bool, int, float, complex, str, bytes, type(None), type(...), type(NotImplemented))
#: What a class statement and its decorators make anew in every class, and caches of the library's.
_GENERATED = frozenset(
    "__dict__ __weakref__ __module__ __qualname__ __static_attributes__ __firstlineno__ "
    "__abstractmethods__ _abc_impl __annotations__ __orig_bases__ __parameters__ __slotnames__ "
    "__dataclass_fields__ __dataclass_params__ __match_args__ __signature__ __attrs_attrs__ "
    "__non_callable_proto_members__ __protocol_attrs__ __subclasshook__".split()
)
#: Modules that put functions of their own making into classes.
_GENERATORS = ("dataclasses", "typing", "enum", "abc", "collections", "functools")
#: Objects of one description, after which it stops: what comes after is not compared.
_NODES_MAX = 4_000
#: Differences that are named.
_NAMED_MAX = 6

Node = dict[str, Any]


def cleaned(text: str) -> str:
    """A text without what differs between two processes: addresses, file names of cells."""
    text = _CELL_FILE.sub("CELL", _ADDRESS.sub("0xADDRESS", _ESCAPE.sub("", text)))
    text = _THREAD.sub("Thread-N", _FROZEN.sub("", text))
    text = _PADDING.sub("", _TIME.sub("TIME", _RANDOM_ID.sub("RANDOM", text)))
    # What a notebook shows of text that can't be encoded.
    return _SURROGATE.sub("\ufffd", text)


def described(space: Mapping[str, object]) -> dict[str, Any]:
    """Describe variables by name."""
    walk = _Walk()
    names = {name: walk.of(value) for name, value in space.items()}
    walk.finish()
    return {"names": names, "nodes": walk.nodes}


class _Memory:
    """What arrays are views of: the same one or another one, that is all."""


def _short(text: str) -> str:
    return text if len(text) < 1000 else f"{text[:500]} {hashlib.sha1(text.encode()).hexdigest()}"


class _Walk:
    """One description: which objects it has met."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._met: dict[int, int] = {}
        self._memories: dict[int, _Memory] = {}
        #: Every object that was met. An id is that of one object only while the object lives.
        self._kept: list[object] = []
        self._roots: list[object] = []

    def of(self, value: Any) -> str | int:
        """A leaf as text, or the number of a node."""
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"
        if type(value) in _LEAVES:
            return f"{type(value).__name__} {_short(cleaned(repr(value)))}"
        if isinstance(value, types.FunctionType) and not _is_made_here(value):
            return f"function {_name_of(value)}"
        if isinstance(value, type) and not _is_made_here(value):
            return f"class {_name_of(value)}{'' if _is_found(value) else ' (a copy)'}"
        if id(value) not in self._met:
            self._met[id(value)] = len(self._kept)
            self._kept.append(value)
        return self._met[id(value)]

    def finish(self) -> None:
        """Make the nodes of all that was met, and of all that these reach."""
        while len(self.nodes) < min(len(self._kept), _NODES_MAX):
            value = self._kept[len(self.nodes)]
            parts = {label: self.of(part) for label, part in self._parts(value)}
            kind = "an error" if isinstance(value, BaseException) else self.of(type(value))
            self.nodes.append({"type": kind, "parts": parts})

    def _parts(self, value: Any) -> Iterator[tuple[str, object]]:
        if isinstance(value, type):
            return self._of_class(value)
        if _is_of("numpy", "ndarray", value):
            return self._of_array(value)
        for module, name, parts in _PARTS:
            if _is_of(module, name, value):
                return iter(parts(value))
        return _of_object(value)

    def _of_class(self, cls: Any) -> Iterator[tuple[str, object]]:
        yield "name", _name_of(cls)
        yield "bases", list(cls.__bases__)
        if issubclass(cls, enum.Enum):
            yield from ((name, member) for name, member in cls.__members__.items())
            return
        for name, member in sorted(vars(cls).items()):
            if name not in _GENERATED and not _is_generated(member):
                yield f".{name}", _unwrapped(member)

    def _of_array(self, array: Any) -> Iterator[tuple[str, object]]:
        root = array
        while isinstance(root.base, type(array)):
            root = root.base
        self._roots.append(root)
        yield "dtype", str(array.dtype)
        yield "shape", str(array.shape)
        yield "memory", self._memories.setdefault(id(root), _Memory())
        if array.dtype.hasobject:
            yield "items", list(array.flat)
        else:
            yield "content", f"{array!r} {hashlib.sha1(array.tobytes()).hexdigest()}"


def _of_function(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    code = function.__code__
    yield "name", f"{function.__module__}.{function.__qualname__}"
    yield "code", hashlib.sha1(code.co_code).hexdigest()
    yield "constants", repr([each for each in code.co_consts if type(each) in _LEAVES])
    yield "defaults", function.__defaults__
    yield "keyword defaults", function.__kwdefaults__
    yield from ((f".{name}", part) for name, part in sorted(vars(function).items()))
    yield from zip(code.co_freevars, function.__closure__ or (), strict=True)


def _of_cell(cell: types.CellType) -> Iterator[tuple[str, object]]:
    try:
        yield "content", cell.cell_contents
    except ValueError:
        yield "empty", True


def _of_error(error: BaseException) -> Iterator[tuple[str, object]]:
    """What `except` clauses and their bodies can ask of an exception."""
    yield "class", type(error).__name__
    yield "text", str(error)
    builtins = sys.modules["builtins"]
    bases = [c.__name__ for c in type(error).__mro__ if getattr(builtins, c.__name__, None) is c]
    yield "caught by", " ".join(sorted(bases))
    yield from ((f"args[{n}]", part) for n, part in enumerate(error.args))
    yield "notes", list(getattr(error, "__notes__", ()))
    for name in sorted(_FIELDS_OF_ERRORS):
        for base in type(error).__mro__:
            if getattr(builtins, base.__name__, None) is base and name in vars(base):
                yield f".{name}", getattr(error, name)
    for name, part in sorted(vars(error).items()):
        if name not in _OURS and name not in _FIELDS_OF_ERRORS:
            yield f".{name}", part
    yield from ((f"members[{n}]", e) for n, e in enumerate(getattr(error, "exceptions", ())))
    yield "cause", error.__cause__
    yield "context", None if error.__suppress_context__ else error.__context__


#: The fields of builtin exceptions, and those that RemoteError has besides.
_FIELDS_OF_ERRORS = frozenset(
    "errno strerror filename filename2 name path value code encoding start end reason object "
    "lineno offset text msg end_lineno end_offset".split()
)
_OURS = frozenset(
    "__notes__ message details type_name remote_traceback node_id error_id may_have_run "
    "name_from obj _render_traceback_ _lines _text exception".split()
)


def _of_object(value: Any) -> Iterator[tuple[str, object]]:
    count = 0
    if isinstance(value, dict):
        for key, item in list(value.items()):
            yield f"key {count}", key
            yield f"[{cleaned(repr(key))[:60]}]#{count}", item
            count += 1
    elif isinstance(value, list | tuple):
        yield "length", len(value)
        yield from ((f"[{n}]", item) for n, item in enumerate(value))
        count = 1
    elif isinstance(value, set | frozenset):
        yield "items", sorted(cleaned(repr(item)) for item in value)
        count = 1
    elif isinstance(value, int | float | str | bytes | bytearray):
        yield "value", cleaned(repr(value))
        count = 1
    for name, part in _state(value):
        if name in ("_cache", "_accessors"):  # pandas keeps there what it has been asked for
            continue
        yield f".{name}", part
        count += 1
    if not count and not isinstance(value, dict):
        yield from _reduced(value)


def _state(value: object) -> Iterator[tuple[str, object]]:
    """The attributes of an instance, in `__dict__` and in slots."""
    found = dict(getattr(value, "__dict__", None) or {})
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ()) if _is_made_here(cls) else ()
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            mangled = f"_{cls.__name__.lstrip('_')}{name}" if name.startswith("__") else name
            if name not in ("__dict__", "__weakref__") and hasattr(value, mangled):
                found[name] = getattr(value, mangled)
    return iter(sorted(((str(name), part) for name, part in found.items()), key=lambda i: i[0]))


def _reduced(value: Any) -> Iterator[tuple[str, object]]:
    """What pickle would keep of an object whose insides can't be seen."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # it can't be pickled
        yield "text", cleaned(repr(value))
        return
    if isinstance(reduced, str):
        yield "name", reduced
        return
    function, arguments, *rest = reduced
    yield "made by", _name_of(function)
    yield "arguments", list(arguments)
    yield "state", rest[0] if rest else None
    yield "items", [list(each) for each in rest[1:3] if each is not None]


def _name_of(value: Any) -> str:
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
    return f"{getattr(value, '__module__', '')}.{name}" if name else cleaned(repr(value))


def _is_made_here(value: type | types.FunctionType) -> bool:
    return value.__module__ in ("__main__", "__mp_main__", None)


def _is_found(cls: type) -> bool:
    """Whether its module has it by its name, or nothing by that name: else it is a copy."""
    found: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls or found is None


def _is_of(module: str, name: str, value: object) -> bool:
    cls = getattr(sys.modules.get(module), name, None)
    return isinstance(cls, type) and isinstance(value, cls)


def _is_generated(member: Any) -> bool:
    if isinstance(member, types.MemberDescriptorType | types.WrapperDescriptorType):
        return True
    function = getattr(member, "__func__", member)
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    file = getattr(code, "co_filename", "")
    return getattr(function, "__module__", "") in _GENERATORS or file.startswith(
        ("<string>", "<attr")
    )


def _unwrapped(member: object) -> object:
    if isinstance(member, staticmethod | classmethod):
        return [type(member).__name__, member.__func__]
    if isinstance(member, property):
        return ["property", member.fget, member.fset, member.fdel]
    if isinstance(member, functools.cached_property):
        return ["cached_property", member.func]
    return member


#: The parts of objects of special types, the first that fits.
_PARTS: list[tuple[str, str, Callable[[Any], Iterable[tuple[str, object]]]]] = [
    ("types", "FunctionType", _of_function),
    ("types", "MethodType", lambda it: (("function", it.__func__), ("self", it.__self__))),
    ("types", "CellType", _of_cell),
    ("builtins", "BaseException", _of_error),
    ("enum", "Enum", lambda it: (("name", it.name), ("value", it.value))),
    ("logging", "Logger", lambda it: (("text", repr(it)),)),
    ("IPython.core.interactiveshell", "InteractiveShell", lambda it: (("text", repr(it)),)),
    ("pandas", "DataFrame", lambda it: (("data", repr(it.to_dict("split"))), ("text", repr(it)))),
    ("pandas", "Series", lambda it: (("data", repr(list(it))), ("text", repr(it)))),
    ("pandas", "Index", lambda it: (("data", repr(list(it))), ("text", repr(it)))),
    ("matplotlib.artist", "Artist", lambda it: (("text", repr(it)), ("children", _children(it)))),
    # What stays on the node is told by its type; its own state is no part of the notebook.
    ("easyremote.client.refs", "RemoteRef", lambda it: ()),
    (__name__, "_Memory", lambda it: ()),
]


def _children(artist: Any) -> str:
    return repr(artist.get_children())


def compared(remote: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """The first differences of two descriptions, each with the way to it from a variable."""
    found: list[str] = []
    pairs: dict[int, int] = {}
    back: dict[int, int] = {}
    names = sorted(remote["names"].keys() | here["names"].keys())
    todo = [
        (n, remote["names"].get(n, "(missing)"), here["names"].get(n, "(missing)")) for n in names
    ]
    todo.reverse()
    while todo and len(found) < _NAMED_MAX:
        way, there, plainly = todo.pop()
        if isinstance(there, str) or isinstance(plainly, str):
            if there != plainly:
                found.append(
                    f"{way}: {_text(there, remote)} on the node, {_text(plainly, here)} here"
                )
            continue
        if there in pairs or plainly in back:
            if pairs.get(there) != plainly:
                found.append(f"{way}: it is shared with others in another way than here")
            continue
        pairs[there], back[plainly] = plainly, there
        if max(there, plainly) >= _NODES_MAX - 1:
            continue
        one, other = remote["nodes"][there], here["nodes"][plainly]
        if isinstance(one["type"], str) and one["type"] != other["type"]:
            found.append(
                f"type({way}): {one['type']} on the node, {_text(other['type'], here)} here"
            )
            continue
        todo.append((f"type({way})", one["type"], other["type"]))
        labels = list(dict.fromkeys([*one["parts"], *other["parts"]]))
        todo += [
            (
                f"{way}{_step(each)}",
                one["parts"].get(each, "(missing)"),
                other["parts"].get(each, "(missing)"),
            )
            for each in reversed(labels)
        ]
    return found


def _step(label: str) -> str:
    return label if label[0] in ".[" else f" {label}"


def _text(reference: str | int, graph: Mapping[str, Any]) -> str:
    if isinstance(reference, str):
        return reference
    if reference >= len(graph["nodes"]):
        return "(not described)"
    node = graph["nodes"][reference]
    kind = node["type"] if isinstance(node["type"], str) else "an instance of an own class"
    return f"{kind} {node['parts']}"[:300]
