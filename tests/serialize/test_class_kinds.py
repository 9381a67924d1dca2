"""Kinds of classes: what is asked of each has the same answer here and in another process.

Each case is a piece of a script and an expression. The script runs as ``__main__``, answers the
expression, and ships a function that asks it; a fresh process answers that.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from .conftest import run

CASES = {
    "enum of ints with an own __new__": (
        """
        class Planet(int, enum.Enum):
            def __new__(cls, code, mass):
                member = int.__new__(cls, code)
                member._value_ = f"p{code}"
                member.mass = mass
                return member
            EARTH = 3, 5.97
            MARS = 4, 0.64
            THIRD = 3, 5.97
        """,
        "[(m.name, m.value, int(m), m.mass) for m in Planet], Planet('p4').name, Planet.THIRD.name",
    ),
    "enum of texts with an own __new__": (
        """
        class Unit(str, enum.Enum):
            def __new__(cls, word, factor):
                member = str.__new__(cls, word)
                member._value_ = word.upper()
                member.factor = factor
                return member
            def __str__(self):
                return f"unit {self.value}"
            KM = "km", 1000
        """,
        "str(Unit.KM), Unit.KM.value, Unit.KM.factor, Unit.KM == 'km', Unit('KM') is Unit.KM",
    ),
    "enum of bytes with an own __new__": (
        """
        class Coordinate(bytes, enum.Enum):
            def __new__(cls, value, label):
                member = bytes.__new__(cls, [value])
                member._value_ = value
                member.label = label
                return member
            PX = 0, "P.X"
            PY = 1, "P.Y"
        """,
        "[(m.name, m.value, bytes(m), m.label) for m in Coordinate], Coordinate(1).name",
    ),
    "enum of tuples": (
        """
        class Corner(tuple, enum.Enum):
            NW = (0, 0)
            SE = (1, 1)
        """,
        "[(m.name, m.value, tuple(m)) for m in Corner], Corner((1, 1)) is Corner.SE",
    ),
    "enum without data and an own __new__": (
        """
        class Auto(enum.Enum):
            def __new__(cls, *args):
                member = object.__new__(cls)
                member._value_ = len(cls.__members__) + 1
                return member
            def __init__(self, text):
                self.text = text
            A = "first"
            B = "second"
        """,
        "[(m.name, m.value, m.text) for m in Auto], Auto(2).name",
    ),
    "enum of a dataclass": (
        """
        @dataclass
        class Size:
            width: int
            height: int = 1
        class Paper(Size, enum.Enum):
            A4 = 210, 297
            STRIP = 10
        """,
        "[(m.name, m.width, m.height) for m in Paper], repr(Paper.A4)",
    ),
    "enum with members and non-members by mark": (
        """
        class Operation(enum.Enum):
            @enum.member
            def double(x):
                return 2 * x
            @enum.nonmember
            class Helper:
                answer = 42
        """,
        "Operation.double.value(4), Operation.Helper.answer, list(Operation.__members__)",
    ),
    "enum with a way for missing values, aliases and automatic values": (
        """
        class Level(enum.IntEnum):
            def _generate_next_value_(name, start, count, last):
                return 10 * (count + 1)
            LOW = enum.auto()
            HIGH = enum.auto()
            TOP = HIGH
            @classmethod
            def _missing_(cls, value):
                return cls.HIGH
        """,
        "[(m.name, m.value) for m in Level], Level(999).name, Level.TOP.name, Level.LOW < Level(0)",
    ),
    "flags with a boundary": (
        """
        class Strict(enum.Flag, boundary=enum.STRICT):
            R = enum.auto()
            W = enum.auto()
            RW = R | W
        class Kept(enum.IntFlag, boundary=enum.KEEP):
            A = 1
            B = 4
        def refused():
            try:
                return Strict(8)
            except ValueError as error:
                return type(error).__name__
        """,
        "Strict.RW.name, (Strict.R | Strict.W) is Strict.RW, refused(), Kept(3).value, ~Strict.R",
    ),
    "a named tuple that is generic": (
        """
        class Pair(NamedTuple, Generic[T]):
            left: T
            right: T = None
            def swapped(self):
                return Pair(self.right, self.left)
        """,
        "Pair(1, 2).swapped(), Pair[int](3), Pair._field_defaults, Pair.__bases__",
    ),
    "typed dicts whose bases differ in what they require": (
        """
        class Base(TypedDict):
            name: str
        class Movie(Base, total=False):
            year: int
        """,
        "sorted(Movie.__required_keys__), sorted(Movie.__optional_keys__), Movie(name='x')",
    ),
    "classes that are registered with an abstract one": (
        """
        class Shape(abc.ABC):
            pass
        class Duck:
            pass
        Shape.register(Duck)
        """,
        "isinstance(Duck(), Shape), issubclass(Duck, Shape), issubclass(int, Shape)",
    ),
    "a base that counts its subclasses": (
        """
        class Plugin:
            known = []
            def __init_subclass__(cls, *, tag, **keywords):
                super().__init_subclass__(**keywords)
                cls.tag = tag
                Plugin.known.append(cls.__name__)
        class Csv(Plugin, tag="csv"):
            pass
        class Tsv(Csv, tag="tsv"):
            pass
        """,
        "Plugin.known, Csv.tag, Tsv.tag",
    ),
    "a metaclass that counts its classes and wants a keyword": (
        """
        class Meta(type):
            made = []
            def __new__(mcls, name, bases, namespace, *, unit):
                cls = super().__new__(mcls, name, bases, namespace)
                cls.unit = unit
                return cls
            def __init__(cls, name, bases, namespace, *, unit):
                super().__init__(name, bases, namespace)
                Meta.made.append(name)
            def __call__(cls, *args):
                return (cls.unit, super().__call__(*args).value)
        class Metre(metaclass=Meta, unit="m"):
            def __init__(self, value):
                self.value = value
        """,
        "Metre(3), Meta.made, type(Metre) is Meta",
    ),
    "an abstract base whose subclass hooks in": (
        """
        class Sized(abc.ABC):
            @classmethod
            def __subclasshook__(cls, other):
                return True if hasattr(other, "size") else NotImplemented
        class Box:
            size = 1
        """,
        "issubclass(Box, Sized), issubclass(int, Sized)",
    ),
}

HEAD = """
import abc, enum, inspect, json, sys, textwrap
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar
T = TypeVar("T")
"""
ASKS = """
import linecache
from easyremote.serialize.values import dump
answers = {}
for name, (script, question) in json.load(sys.stdin).items():
    code = textwrap.dedent(script) + f"\\ndef ask():\\n    return repr(({question},))\\n"
    # As in a notebook: each cell has its source.
    linecache.cache[f"<{name}>"] = len(code), None, code.splitlines(True), f"<{name}>"
    exec(compile(code, f"<{name}>", "exec"))
    answers[name] = ask(), b"".join(dump(ask, python=sys.version_info[:2]).parts).hex()
print(json.dumps(answers))
"""
ANSWERS = """
import json, sys
from easyremote.serialize.values import load
answers = {}
for name, payload in json.load(sys.stdin).items():
    try:
        answers[name] = load(bytes.fromhex(payload))()
    except Exception as error:
        answers[name] = repr(error)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """To each case: the answer here and the answer there."""
    folder = tmp_path_factory.mktemp("kinds")
    here, there = folder / "here.py", folder / "there.py"
    here.write_text(HEAD + ASKS)
    there.write_text(ANSWERS)
    asked: dict[str, Any] = json.loads(
        run(sys.executable, str(here), stdin=json.dumps(CASES), cwd=folder)
    )
    payloads = json.dumps({name: payload for name, (_, payload) in asked.items()})
    answered = json.loads(run(sys.executable, str(there), stdin=payloads, cwd=folder))
    return {name: (asked[name][0], answered[name]) for name in CASES}


@pytest.mark.parametrize("case", CASES)
def test_a_class_means_the_same_there(case: str, answers: dict[str, tuple[str, str]]) -> None:
    here, there = answers[case]
    assert there == here
