"""A class keeps its identity across payloads and on its way back."""

from __future__ import annotations

import enum
import gc
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from easyremote.serialize.values import dump, load
from tests.processes import REPOSITORY

from .conftest import run

HERE = sys.version_info[:2]


def round_trip(value: Any, python: tuple[int, int] | None = HERE) -> Any:
    return load(b"".join(dump(value, python=python).parts))


@dataclass
class Point:
    x: int


class Kind(enum.Enum):
    A = 1


@pytest.mark.parametrize("python", [HERE, None])
def test_an_instance_that_comes_back_is_of_the_class_that_left(
    python: tuple[int, int] | None,
) -> None:
    before = Point.__init__
    assert type(round_trip(Point(1), python)) is Point
    assert round_trip(Point, python) is Point and round_trip(Kind.A, python) is Kind.A
    assert Point.__init__ is before


def test_a_class_survives_a_second_process_and_is_one_class_there(tmp_path: Path) -> None:
    """Here -> there -> here, and two payloads that carry the same class."""
    first, second = (b"".join(dump(Point(n), python=HERE).parts).hex() for n in (1, 2))
    there = """
import json, sys
from easyremote.serialize.values import dump, load
one, two = (load(bytes.fromhex(each)) for each in json.load(sys.stdin))
assert type(one) is type(two) and one != two and type(one).__module__.endswith("test_classes")
one.x = 10
print(b"".join(dump([one, type(two)], python=sys.version_info[:2]).parts).hex())
"""
    script = tmp_path / "there.py"
    script.write_text(there)
    back = run(sys.executable, str(script), stdin=json.dumps([first, second]), cwd=tmp_path)
    point, cls = load(bytes.fromhex(back))
    assert cls is Point and point == Point(10)


def test_a_class_that_changed_is_changed_on_the_other_side_too(tmp_path: Path) -> None:
    script = tmp_path / "changes.py"
    script.write_text(
        """
import json, sys
from easyremote.serialize.values import dump
class C:
    def m(self): return 1
def payload(): return b"".join(dump(C(), python=sys.version_info[:2]).parts).hex()
first = payload()
C.m = lambda self: 2
print(json.dumps([first, payload()]))
"""
    )
    first, second = (bytes.fromhex(each) for each in json.loads(run(sys.executable, str(script))))
    old = load(first)
    assert old.m() == 1
    new = load(second)
    assert type(new) is type(old) and old.m() == new.m() == 2


def test_a_class_made_here_is_not_kept_alive() -> None:
    def ship() -> int:
        made = type("Made", (), {"__module__": "__main__"})
        round_trip(made)
        return id(made)

    ship()
    gc.collect()
    assert not [each for each in object.__subclasses__() if each.__name__ == "Made"]


def test_the_class_of_an_instance_deep_in_a_container_goes_along() -> None:
    code = """if True:
        import sys
        from easyremote.serialize.values import load
        point = load(sys.stdin.buffer.read())["a"][0][1]
        print(point.x, type(point).__name__)
    """
    payload = b"".join(dump({"a": [(0, Point(5))]}, python=HERE).parts)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, input=payload, capture_output=True, timeout=60
    )
    assert done.stdout.split() == [b"5", b"Point"], done.stderr


class Settings:
    debug = True
    level = 1


def test_an_attribute_that_was_deleted_here_is_deleted_there(tmp_path: Path) -> None:
    first = b"".join(dump(Settings(), python=HERE).parts).hex()
    debug = Settings.debug
    del Settings.debug
    try:
        second = b"".join(dump(Settings(), python=HERE).parts).hex()
    finally:
        Settings.debug = debug
    script = tmp_path / "there.py"
    script.write_text("""
import json, sys
from easyremote.serialize.values import load
one, two = (load(bytes.fromhex(each)) for each in json.load(sys.stdin))
print(type(one) is type(two), hasattr(one, "debug"), one.level)
""")
    told = run(sys.executable, str(script), stdin=json.dumps([first, second]), cwd=tmp_path)
    assert told.split() == ["True", "False", "1"]
