"""Classes by value: first an empty class, then its attributes, so that these can refer to it.

A class keeps its identity. It gets an id when it is first sent, and a side that knows the id uses
the class that it has. So an instance that comes back from a node is an instance of the class in
the notebook, and two calls in one session see one class. Methods that the standard library
generates (of a dataclass, a named tuple, an enum) are generated again on the other side: they have
no source, and they differ between Python versions.
``tests/serialize/test_classes.py`` proves it.
"""

from __future__ import annotations

import abc
import collections
import dataclasses
import enum
import functools
import numbers
import threading
import types
import typing
import uuid
import weakref
from collections.abc import Callable
from typing import Any

from easyremote.guarded import attribute
from easyremote.serialize import enums
from easyremote.serialize.hooks import hooks_off
from easyremote.serialize.modules import travels_by_reference

_lock = threading.Lock()
#: Packages whose source is on both sides, each with the function that returns a module of it. Their
#: classes are looked up by name, so that an instance that arrives has the module's own class.
_shared: dict[str, Callable[[str], types.ModuleType | None]] = {}
_ids: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()
_classes: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()
#: Classes that came from the other side; their attributes are set anew with every payload.
_came: weakref.WeakSet[type] = weakref.WeakSet()
#: The attributes that each of these got from its sender.
_filled: weakref.WeakKeyDictionary[type, frozenset[str]] = weakref.WeakKeyDictionary()
_home: dict[str, Any] | None = None

#: Attributes that every class statement makes.
_MADE_BY_PYTHON = frozenset(
    "__dict__ __weakref__ __module__ __qualname__ __slots__ __static_attributes__ "
    "__firstlineno__ __classdictcell__ __annotate_func__ __annotations_cache__ "
    "__abstractmethods__ _abc_impl __orig_bases__".split()
)
_MADE_BY_DATACLASS = frozenset({"__dataclass_fields__", "__dataclass_params__"})
#: Python 3.13 gives every dataclass one; it is a function of `dataclasses`, unknown to older ones.
_REPLACE = getattr(dataclasses, "_replace", None)
#: The name that `dataclasses` gives to the function around the text that it compiles.
_DATACLASS_MAKER = "__create_fn__."
#: What a base adds to a TypedDict; its own fields alone don't tell.
_OF_A_TYPED_DICT = frozenset(
    "__required_keys__ __optional_keys__ __readonly_keys__ __mutable_keys__ __total__".split()
)
_FIELD_OPTIONS = ("init", "repr", "hash", "compare", "metadata", "kw_only")


def reduce_class(cls: type) -> Any:
    """How a pickler stores a class by value."""
    with _lock:
        class_id = _ids.setdefault(cls, uuid.uuid4().hex)
        _classes[class_id] = cls
    made_from = (class_id, cls.__name__, *_skeleton(cls))
    return make_class, made_from, _state(cls), None, None, fill_class


def _skeleton(cls: Any) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """What `make_class` needs: the kind of class, its bases, and what cannot be set afterwards."""
    own = vars(cls)
    options: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    if issubclass(cls, enum.Enum):
        return "enum", cls.__bases__, {"names": options, **enums.skeleton(cls)}
    if _is_named_tuple(cls):
        defaults = tuple(cls._field_defaults.values())
        return (
            "namedtuple",
            own.get("__orig_bases__", ())[1:],  # NamedTuple is the first, if it is there
            {"names": options, "fields": cls._fields, "defaults": defaults},
        )
    if typing.is_typeddict(cls):
        fields = dict(cls.__annotations__)
        return "typeddict", (), {"names": options, "fields": fields, "total": cls.__total__}
    if "__slots__" in own:
        slots = own["__slots__"]
        options["__slots__"] = (slots,) if isinstance(slots, str) else tuple(slots)
    bases = own.get("__orig_bases__", cls.__bases__)  # Generic[T], not Generic
    return "class", bases, {"metaclass": type(cls), "names": options}


def _is_named_tuple(cls: Any) -> bool:
    is_one = cls.__bases__ in ((tuple,), (tuple, typing.Generic))
    return bool(is_one and hasattr(cls, "_fields") and hasattr(cls, "_make"))


@functools.cache
def _abstract_classes() -> list[type]:
    """The classes of the standard library with which people register their own."""
    found = [*vars(numbers).values(), *vars(collections.abc).values()]
    return [each for each in found if isinstance(each, abc.ABCMeta)]


def _registered(cls: type) -> list[type]:
    """The classes that were registered with an abstract one."""
    registry: Any = abc._get_dump(cls)[0]  # type: ignore[attr-defined]  # cloudpickle reads it, too
    return [each() for each in registry if each() is not None]


def _state(cls: Any) -> dict[str, Any]:
    own = {
        name: value
        for name, value in vars(cls).items()
        if name not in _MADE_BY_PYTHON and not isinstance(value, types.MemberDescriptorType)
    }
    if "__annotations__" in own or "__annotate_func__" in vars(cls):
        own["__annotations__"] = dict(cls.__annotations__)
    state: dict[str, Any] = {"attributes": own}
    if isinstance(cls, abc.ABCMeta):
        state["registered"] = _registered(cls)
    if abstract := [each for each in _abstract_classes() if cls in _registered(each)]:
        state["is_registered"] = abstract
    if issubclass(cls, enum.Enum):
        state |= enums.state(cls, own)
    elif _is_named_tuple(cls):
        bare = vars(collections.namedtuple("bare", cls._fields)).keys()
        bare -= {"__doc__", "__orig_bases__", "__parameters__"}
        state["attributes"] = {name: value for name, value in own.items() if name not in bare}
        state["attributes"].pop("__class_getitem__", None)
    elif typing.is_typeddict(cls):
        state["attributes"] = {name: own[name] for name in _OF_A_TYPED_DICT & own.keys()}
    elif "__dataclass_fields__" in own:
        state["dataclass"] = _dataclass_options(cls, own)
        state["attributes"] = _without_generated(own)
    return state


def _without_generated(own: dict[str, Any]) -> dict[str, Any]:
    def is_generated(name: str, value: Any) -> bool:
        code = attribute(attribute(value, "__wrapped__", value), "__code__")
        if name in _MADE_BY_DATACLASS or (name == "__replace__" and value is _REPLACE):
            return True
        return isinstance(code, types.CodeType) and code.co_qualname.startswith(_DATACLASS_MAKER)

    return {name: value for name, value in own.items() if not is_generated(name, value)}


def _dataclass_options(cls: type, own: dict[str, Any]) -> dict[str, Any]:
    params = own["__dataclass_params__"]
    accepted = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
    fields: dict[str, Any] = {}
    for name in own.get("__annotations__", {}):
        field = own["__dataclass_fields__"].get(name)
        if field is None:  # the KW_ONLY mark
            continue
        options = {key: getattr(field, key) for key in _FIELD_OPTIONS}
        options["metadata"] = dict(field.metadata)
        for key in ("default", "default_factory"):
            if getattr(field, key) is not dataclasses.MISSING:
                options[key] = getattr(field, key)
        kind = field._field_type.name.removeprefix("_FIELD").removeprefix("_")
        fields[name] = (kind, options)
    return {
        "params": {key: getattr(params, key) for key in accepted},
        "match_args": "__match_args__" in own,
        "fields": fields,
    }


# The loading side. Payloads hold the names of these functions.


def make_class(
    class_id: str, name: str, kind: str, bases: tuple[Any, ...], options: dict[str, Any]
) -> type:
    """The class of this id: the one that this side has, else a new one without attributes."""
    with _lock:
        known = _classes.get(class_id)
    if known is not None:
        return known
    if (shared := _shared_class(options["names"])) is not None:
        with _lock:
            _ids.setdefault(shared, class_id)
            return _classes.setdefault(class_id, shared)
    made = _MAKERS[kind](name, bases, options)
    with _lock:  # two threads may load it at once; one wins
        known = _classes.setdefault(class_id, made)
        if known is made:
            _ids[made] = class_id
            _came.add(made)
    return known


def share(package: str, module: Callable[[str], types.ModuleType | None]) -> None:
    """Say that the other side has a package's source, too; `module` returns a module of it."""
    _shared[package] = module


def forget_shared(package: str) -> None:
    """Forget the classes of a package whose source has changed."""
    with _lock:
        for class_id, cls in list(_classes.items()):
            if cls not in _came and cls.__module__.partition(".")[0] == package:
                del _classes[class_id]


def _shared_class(names: dict[str, Any]) -> type | None:
    module = _shared.get(names["__module__"].partition(".")[0])
    if module is None:
        return None
    try:
        found: Any = module(names["__module__"])
    except Exception:  # an import by name tells the user why
        return None
    for part in names["__qualname__"].split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


def _make_plain(name: str, bases: tuple[Any, ...], options: dict[str, Any]) -> type:
    metaclass = options["metaclass"]
    resolved = types.resolve_bases(bases)
    namespace = dict(options["names"])
    if resolved is not bases:
        namespace["__orig_bases__"] = bases
    with hooks_off(resolved):
        if travels_by_reference(metaclass):
            made: type = metaclass(name, resolved, namespace)
            return made
        # What a metaclass of the user's does has been done where the class was defined.
        maker = next(kind for kind in metaclass.__mro__ if travels_by_reference(kind))
        made = maker.__new__(metaclass, name, resolved, namespace)
        return made


def _make_named_tuple(name: str, bases: tuple[Any, ...], options: dict[str, Any]) -> type:
    names = options["names"]
    factory: Any = collections.namedtuple  # mypy wants the fields spelled out
    made: type = factory(
        name, options["fields"], defaults=options["defaults"], module=names["__module__"]
    )
    made.__qualname__ = names["__qualname__"]
    if bases:  # class Pair(NamedTuple, Generic[T])
        made.__bases__ = (tuple, typing.Generic)
        generic: Any = vars(typing.Generic)["__class_getitem__"]
        type.__setattr__(made, "__class_getitem__", generic)
    return made


def _make_typed_dict(name: str, bases: tuple[Any, ...], options: dict[str, Any]) -> type:
    made: Any = typing.TypedDict(name, options["fields"], total=options["total"])  # type: ignore[misc]  # its fields are only known now
    made.__module__ = options["names"]["__module__"]
    made.__qualname__ = options["names"]["__qualname__"]
    return made


_MAKERS = {
    "class": _make_plain,
    "enum": enums.make,
    "namedtuple": _make_named_tuple,
    "typeddict": _make_typed_dict,
}


def fill_class(cls: type, state: dict[str, Any]) -> None:
    """Set a class's attributes. A class that was defined on this side keeps its own."""
    if cls not in _came:
        return
    attributes = state["attributes"]
    for name in _filled.get(cls, frozenset()) - attributes.keys() & vars(cls).keys():
        type.__delattr__(cls, name)  # deleted where the class was defined
    for name, value in attributes.items():
        # `type.__setattr__`, because a metaclass of the user's may forbid it or react to it.
        type.__setattr__(cls, name, value)
    _filled[cls] = frozenset(attributes)
    if issubclass(cls, enum.Enum):
        enums.fill(cls, state)
    if "dataclass" in state and "__dataclass_fields__" not in vars(cls):
        _make_dataclass(cls, state["dataclass"])
    abc.update_abstractmethods(cls)
    for abstract in state.get("is_registered", ()):
        abstract.register(cls)
    for registered in state.get("registered", ()):
        abc.ABCMeta.register(cls, registered)  # type: ignore[arg-type]  # it has the metaclass
    _live_at_home(cls)


def _live_at_home(cls: type) -> None:
    """Let pickle find a class of ``__main__`` by its name, as where it was defined."""
    if _home is None or cls.__module__ != "__main__" or "." in cls.__qualname__:
        return
    there = _home.get(cls.__name__, cls)
    if isinstance(there, type) and (there is cls or there in _came):
        _home[cls.__name__] = cls


def live_in(namespace: dict[str, Any]) -> None:
    """Let the classes of ``__main__`` that arrive live in this namespace: the session's own."""
    global _home
    _home = namespace


def _make_dataclass(cls: Any, options: dict[str, Any]) -> None:
    annotations = vars(cls).get("__annotations__", {})
    slots = {name: vars(cls)[name] for name in vars(cls).get("__slots__", ()) if name in vars(cls)}
    marks = {"CLASSVAR": typing.ClassVar, "INITVAR": dataclasses.InitVar[object], "": object}
    # Only its kind: a string annotation would be looked up in a module that isn't here.
    cls.__annotations__ = {name: marks[kind] for name, (kind, _) in options["fields"].items()}
    for name, (kind, field) in options["fields"].items():
        if kind != "CLASSVAR":
            setattr(cls, name, dataclasses.field(**field))
    dataclasses.dataclass(cls, match_args=options["match_args"], **options["params"])
    cls.__annotations__ = annotations
    for name in options["fields"]:
        cls.__dataclass_fields__[name].type = annotations[name]
    for name, descriptor in slots.items():  # the defaults of fields were put in their place
        setattr(cls, name, descriptor)
