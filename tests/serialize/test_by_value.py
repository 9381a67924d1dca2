"""What only dill or our own reducers can pickle; with arrays beside the pickle here too."""

from __future__ import annotations

import functools
import json
import random
import sys
import textwrap
import types
import weakref
from pathlib import Path
from typing import Any, NewType, TypeVar

import numpy as np
import pytest

from easyremote.errors import CannotShip
from easyremote.serialize.values import dump, load

from .conftest import run

HERE = sys.version_info[:2]
Width = NewType("Width", int)
T = TypeVar("T", bound=int)


class Holder:
    def __init__(self, array: Any) -> None:
        self.array = array


class Sub(np.ndarray):
    pass


def round_trip(value: Any) -> Any:
    return load(bytearray(b"".join(dump(value, python=HERE).parts)))


def test_an_array_inside_an_own_instance_is_not_copied() -> None:
    holder = Holder(np.arange(100_000.0))
    dumped = dump(holder, python=HERE)
    views = [part for part in dumped.parts if isinstance(part, memoryview)]
    assert len(views) == 1 and np.shares_memory(np.frombuffer(views[0]), holder.array)
    back = round_trip(holder)
    np.testing.assert_array_equal(back.array, holder.array)


def test_an_array_of_an_own_subclass_keeps_its_class() -> None:
    array = np.arange(10_000.0).view(Sub)
    back = round_trip(array)
    assert type(back) is Sub and back.flags.writeable
    np.testing.assert_array_equal(back, array)


def test_a_dict_of_arrays_is_not_compared_with_main() -> None:
    names = {name: np.arange(3) for name in vars(sys.modules["__main__"])}
    back = round_trip({"names": names, "own": Holder(1)})
    assert list(back["names"]) == list(names)


@pytest.mark.parametrize(
    "value",
    [
        property(lambda self: 1),
        types.MappingProxyType({"a": 1}),
        {"a": 1}.keys(),
        functools.lru_cache(lambda x: x),
        (lambda: lambda x: x)(),
        slice(1, 2),
        ...,
        NotImplemented,
        type(None),
        types.FunctionType,
        types.SimpleNamespace(a=1),
        functools.singledispatch,
        memoryview(b"abc"),
        str.join,
    ],
    ids=lambda value: type(value).__name__,
)
def test_odd_types_travel_beside_an_own_class(value: Any) -> None:
    back, _ = round_trip((value, Holder(1)))
    assert type(back) is type(value)


def test_type_variables_and_new_types_travel() -> None:
    kind, variable = round_trip((Width, T))
    assert kind(3) == 3 and kind.__name__ == "Width"
    assert (variable.__name__, variable.__bound__) == ("T", int)


def test_empty_read_only_buffers_travel_twice() -> None:
    empty = np.zeros(0)
    empty.flags.writeable = False
    back = round_trip([empty, memoryview(b""), memoryview(b""), empty.copy(), Holder(1)])
    assert back[0].size == 0 and not back[0].flags.writeable and back[3].flags.writeable


def test_a_thing_known_by_its_name_only_is_refused() -> None:
    class Sentinel:
        def __reduce__(self) -> str:
            return "SENTINEL"

    Sentinel.__module__ = "__main__"
    sentinel = Sentinel()
    vars(sys.modules["__main__"])["SENTINEL"] = sentinel
    try:
        with pytest.raises(CannotShip, match="SENTINEL is known by its name only"):
            dump(sentinel)
    finally:
        del vars(sys.modules["__main__"])["SENTINEL"]


def test_a_weak_reference_does_not_bring_dill_down() -> None:
    holder = Holder(1)
    reference, back = round_trip((weakref.ref(holder), holder))
    assert reference() is back


class Link:
    def __init__(self, after: Any) -> None:
        self.after = after


def test_own_instances_nest_as_deep_as_pickle_goes() -> None:
    chain = None
    for _ in range(250):
        chain = Link(chain)
    back, depth = round_trip(chain), 0
    while back is not None:
        back, depth = back.after, depth + 1
    assert depth == 250


@pytest.mark.parametrize(("method", "name"), [(random.random, "random"), (random.choice, "choice")])
def test_a_bound_method_that_can_be_imported_goes_by_its_name(method: Any, name: str) -> None:
    dumped = dump((method, Holder(1)), python=HERE)
    assert round_trip((method, Holder(1)))[0].__self__ is random.random.__self__
    assert dumped.size < 2500, f"the state of the generator goes along with {name}"


def test_a_bound_method_of_an_own_generator_takes_it_along() -> None:
    mine = random.Random(7)
    there, _ = round_trip((mine.random, Holder(1)))
    assert there() == mine.random()


@pytest.mark.parametrize("value", [Link.__init__.__code__, int.real, vars(dict)["fromkeys"]])
def test_what_only_dill_knows_travels_beside_what_is_shared(value: Any) -> None:
    shared = [Holder(1)]
    back, first, second = round_trip((value, shared, shared))
    assert type(back) is type(value) and first is second


class Proxy:
    __slots__ = ("__dict__", "_target")

    def __init__(self, target: Any) -> None:
        self._target = target
        self.name = "proxy"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class AttrDict(dict[str, Any]):
    __getattr__ = dict.__getitem__


def test_an_instance_that_answers_for_any_attribute_travels() -> None:
    back = round_trip(Proxy([1, 1]))
    assert (back.count(1), back.name) == (2, "proxy")
    settings = AttrDict(lr=0.1)
    vars(settings)["kept"] = 1
    there = round_trip(settings)
    assert (there, there.lr, vars(there)) == ({"lr": 0.1}, 0.1, {"kept": 1})


CELLS = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
def cell(code):
    shell.run_cell(code, store_history=True).raise_error()
cell("import enum, math\\nfrom dataclasses import dataclass, field")
cell("big = bytes(10**6)\\nK = 4")
cell('''@dataclass
class P:
    x: int
    tags: list = field(default_factory=list)
class Color(enum.Enum):
    RED = 1''')
cell('''def area(p: P, *, scale=K):
    _ = 1
    assert "In" not in globals() and "get_ipython" not in globals() and "big" not in globals()
    assert Color.RED.name == "RED"
    return math.prod([p.x, scale, K])''')
cell('''from easyremote.serialize.values import dump
import sys, json
def shipped(value, python):
    return b"".join(dump(value, python=python).parts)
def uses_shell():
    return [get_ipython, In, Out, area]''')
cell('''payloads = []
for python in (sys.version_info[:2], None):
    for value in [(area, P(3)), (uses_shell, None)]:
        payload = shipped(value, python)
        assert len(payload) < 10000, len(payload)
        payloads.append(payload.hex())
import builtins
builtins.PAYLOADS = payloads''')
print(json.dumps(PAYLOADS))
"""

THERE = """
import json, sys
from easyremote.serialize.values import load
for payload in json.load(sys.stdin):
    function, argument = load(bytes.fromhex(payload))
    if argument is None:
        assert not {"In", "Out", "get_ipython"} & set(function.__globals__)
    else:
        print(function(argument))
"""


def test_notebook_cells_ship_without_ipythons_own_names(tmp_path: Path) -> None:
    notebook, there = tmp_path / "notebook.py", tmp_path / "there.py"
    notebook.write_text(textwrap.dedent(CELLS))
    there.write_text(THERE)
    payloads = run(sys.executable, str(notebook), cwd=tmp_path).splitlines()[-1]
    assert len(json.loads(payloads)) == 4
    assert run(sys.executable, str(there), stdin=payloads, cwd=tmp_path).split() == ["48", "48"]
