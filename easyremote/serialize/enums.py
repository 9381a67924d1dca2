"""Enums by value: members as they are, made without the code that made them the first time.

A member's value need not be what its class statement says: a ``__new__`` of the user's may set
another one, a dataclass beside `enum.Enum` makes an instance of it. So each member travels as what
it became: its value, the arguments of its data type (`int`, `str`, ...), its attributes. The class
is made by `enum` itself, with a ``__new__`` that hands those out.
``tests/serialize/test_classes.py`` proves it.
"""

from __future__ import annotations

import enum
from typing import Any

from easyremote.serialize.hooks import hooks_off
from easyremote.serialize.modules import travels_by_reference

_OF_A_MEMBER = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_"})
#: What `enum` puts into a class by itself.
_MACHINERY = frozenset(
    "__new__ _new_member_ __new_member__ _generate_next_value_ _member_type_ _use_args_".split()
)
#: How the data of a member is had, whatever the enum's own ``__str__`` or ``__int__`` say.
_DATA: dict[type, Any] = {
    int: int.__int__,
    float: float.__float__,
    str: lambda member: str.__getitem__(member, slice(None)),
    bytes: lambda member: bytes.__getitem__(member, slice(None)),
    tuple: lambda member: tuple.__getitem__(member, slice(None)),
}


def skeleton(cls: Any) -> dict[str, Any]:
    """What must be known when the class is created."""
    data_type = cls._member_type_
    members = {
        name: (member._value_, _data(member, data_type)) for name, member in cls.__members__.items()
    }
    boundary = cls._boundary_ if issubclass(cls, enum.Flag) else None
    return {"metaclass": type(cls), "data": data_type, "members": members, "boundary": boundary}


def _data(member: Any, data_type: Any) -> tuple[Any, ...]:
    """The arguments with which the data type makes a member."""
    if data_type.__new__ is object.__new__:
        return ()
    for kind, plain in _DATA.items():
        if issubclass(data_type, kind):
            return (plain(member),)
    return tuple(data_type.__reduce_ex__(member, 2)[1])


def state(cls: Any, own: dict[str, Any]) -> dict[str, Any]:
    """What is filled in when the class is there; ``own`` are its attributes."""
    inherited = [base.__dict__ for base in cls.__mro__[1:]]
    return {
        "attributes": {
            name: value
            for name, value in own.items()
            if name not in cls.__members__
            and name not in _MACHINERY
            and (not (name.startswith("_") and name.endswith("_")) or callable(getattr(cls, name)))
            and not any(each.get(name) is value for each in inherited)
        },
        "members": {
            name: {key: vars(member)[key] for key in vars(member).keys() - _OF_A_MEMBER}
            for name, member in cls.__members__.items()
            if hasattr(member, "__dict__")
        },
        "new": (cls._new_member_, cls._use_args_, "__new_member__" in own),
    }


def make(name: str, bases: tuple[Any, ...], options: dict[str, Any]) -> type:
    """The class, with its members."""
    metaclass, data_type = options["metaclass"], options["data"]
    made_from = list(options["members"].values())

    def new(cls: Any, index: Any) -> Any:
        # Of an enum of tuples the index comes as one.
        value, data = made_from[index[0] if isinstance(index, tuple) else index]
        base: Any = object if data_type.__new__ is object.__new__ else data_type
        member = base.__new__(cls, *data)
        member._value_ = value
        return member

    boundary = {} if options["boundary"] is None else {"boundary": options["boundary"]}
    namespace: Any = enum.EnumType.__prepare__(name, bases)
    for key, value in options["names"].items():
        namespace[key] = value
    namespace["__new__"] = new
    namespace["__init__"] = lambda member, index: None
    for index, key in enumerate(options["members"]):
        namespace[key] = index
    # What a metaclass of the user's does has been done where the class was defined.
    maker: Any = next(kind for kind in metaclass.__mro__ if travels_by_reference(kind))
    with hooks_off(bases):
        made: type = maker.__new__(metaclass, name, bases, namespace, **boundary)
    type.__delattr__(made, "__init__")
    return made


def fill(cls: Any, state: dict[str, Any]) -> None:
    """Give the class what `state` has for it."""
    for name, attributes in state["members"].items():
        vars(cls.__members__[name]).update(attributes)
    new, use_args, is_own = state["new"]
    names = {"_new_member_": new, "_use_args_": use_args} | (
        {"__new_member__": new} if is_own else {}
    )
    for name, value in names.items():
        type.__setattr__(cls, name, value)
