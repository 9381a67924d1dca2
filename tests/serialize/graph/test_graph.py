"""Two sides that share objects: what one changes, the other changes in place."""

from __future__ import annotations

import collections
import gc
import itertools
import logging
import random
import sys
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easyremote.errors import CannotShip
from easyremote.serialize.files import file
from easyremote.serialize.graph.graph import Graph, Stale
from tests.serialize.graph.two import Side, sides, travel


class Net:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class CountsReaders:
    """Its state is another one whenever it is asked for; matplotlib has such a class."""

    def __init__(self) -> None:
        self.readers, self.others = 0, [1]

    def __getstate__(self) -> dict[str, Any]:
        self.readers += 1
        return dict(vars(self))


class Copies:
    """It copies what it is made of, as the managers of pandas do."""

    def __init__(self, first: list[Any], second: dict[str, Any], third: list[Any]) -> None:
        self.parts = [*first], dict(second), [*third]

    def __reduce__(self) -> Any:
        return Copies, self.parts


class Restores:
    def __init__(self) -> None:
        self.first: list[Any] = []
        self.second: list[Any] = []

    def __getstate__(self) -> Any:
        return {"first": self.first, "inner": Copies([], {}, []), "second": self.second}

    def __setstate__(self, state: Any) -> None:
        self.first, self.second = [*state["first"]], [*state["second"]]


class Slots:
    __slots__ = ("__dict__", "x", "y")


@pytest.fixture
def here() -> Side:
    return sides()[0]


@pytest.fixture
def there(here: Side) -> Side:
    return Side(Graph(here.graph.key))


def test_what_was_one_object_is_one_object(here: Side, there: Side) -> None:
    shared = [1]
    here.space.update(a=shared, table=[shared, {"in": shared}], pair=(shared,))
    here.sync(there)
    space = there.space
    assert space["table"][0] is space["table"][1]["in"] is space["pair"][0] is space["a"]


def test_nothing_is_told_twice(here: Side, there: Side) -> None:
    here.space.update(a=[1], b=Net(x={1}), c=lambda: here, d=np.zeros(2000), e="text" * 5000)
    del here.space["c"]
    here.sync(there)
    for _ in range(2):
        here.sync(there)
        assert here.size == 0
        there.sync(here)
        assert there.size == 0


def test_a_new_variable_refers_to_what_is_there(here: Side, there: Side) -> None:
    net = Net(w=np.zeros(1000))
    here.space["net"] = net
    here.sync(there)
    there.space["net"].trained = True  # not told: the other side doesn't ask
    here.space["opt"] = Net(net=net)
    here.sync(there)
    assert there.space["opt"].net is there.space["net"]
    assert there.space["net"].trained
    assert here.size < 500


def test_what_an_object_has_copied_changes_with_its_own(here: Side, there: Side) -> None:
    here.space.update(a=Copies([], {}, []), b=Copies([], {}, []), c=Restores(), d=[[], []])
    here.sync(there)
    for side, other in ((here, there), (there, here)) * 2:
        space = side.space
        space["a"].parts[0].append(1)
        space["a"].parts[1]["k"] = space["d"]
        space["b"].parts[2].append("b")
        space["c"].second.append(2)
        before = {name: id(value) for name, value in other.space.items()}
        side.sync(other)
        assert other.space["a"].parts == space["a"].parts
        assert other.space["a"].parts[1]["k"] is other.space["d"]
        assert other.space["b"].parts == space["b"].parts
        assert (other.space["c"].first, other.space["c"].second) == ([], space["c"].second)
        assert before == {name: id(value) for name, value in other.space.items()}


def test_what_an_object_has_made_of_it_is_sent_anew(here: Side, there: Side) -> None:
    here.space["a"] = [Copies([[1]], {}, [])]
    here.sync(there)
    there.space["a"][0].parts[0][:] = [[2], [3]]
    there.sync(here)
    assert here.space["a"][0].parts[0] == [[2], [3]]


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "append": (lambda: [1, 2], lambda v: v.append(3)),
    "insert": (lambda: [1, 2], lambda v: v.insert(0, [])),
    "clear": (lambda: [1, 2], lambda v: v.clear()),
    "a key": (lambda: {"a": 1}, lambda v: v.update(b=2)),
    "no key": (lambda: {"a": 1, "b": 2}, lambda v: v.pop("a")),
    "the order of keys": (lambda: {"a": 1, "b": 2}, lambda v: v.update(a=v.pop("a"))),
    "True is not 1": (lambda: [1, 0.0], lambda v: v.__setitem__(slice(None), [True, -0.0])),
    "a set": (lambda: {1, 2}, lambda v: v.add(3)),
    "a bytearray": (lambda: bytearray(b"ab"), lambda v: v.append(3)),
    "a deque": (lambda: collections.deque([1, 2], 3), lambda v: v.extend([3, 4])),
    "a counter": (lambda: collections.Counter("aab"), lambda v: v.update("z")),
    "a default dict": (lambda: collections.defaultdict(list), lambda v: v["k"].append(1)),
    "an ordered dict": (
        lambda: collections.OrderedDict(a=1, b=2),
        lambda v: v.move_to_end("a"),
    ),
    "an attribute": (lambda: Net(x=1, y=[2]), lambda v: v.y.append(setattr(v, "x", 2))),
    "no attribute": (lambda: Net(x=1), lambda v: delattr(v, "x")),
    "slots": (Slots, lambda v: [setattr(v, name, name) for name in "xyz"]),
    "an array": (lambda: np.arange(2000), lambda v: v.__setitem__(3, 0)),
    "an array's shape": (lambda: np.arange(4), lambda v: v.resize((2, 2))),
    "an array of objects": (lambda: np.array([1, "a"], object), lambda v: v.__setitem__(0, [2])),
    "an array of times": (
        lambda: np.array(["2020-01-01"], "M8[D]"),
        lambda v: v.__setitem__(0, np.datetime64("2021-01-01")),
    ),
    "a masked array": (lambda: np.ma.array([1, 2]), lambda v: v.__setitem__(0, np.ma.masked)),
    "a generator of numbers": (lambda: random.Random(1), lambda v: v.random()),
    "a generator of NumPy's": (lambda: np.random.default_rng(1), lambda v: v.random(3)),
    "an iterator": (lambda: iter([1, 2, 3]), next),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_made_in_place_and_back(here: Side, there: Side, name: str) -> None:
    make, change = CHANGES[name]
    value, plain = make(), make()
    here.space.update(value=value, alias=[value])
    here.sync(there)
    change(there.space["value"])
    change(plain)
    assert there.sync(here).overwritten == []
    assert here.space["value"] is here.space["alias"][0] is value
    assert state_of(value) == state_of(plain)
    assert [each.sync(other).bound for each, other in ((here, there), (there, here))] == [{}, {}]
    assert (here.size, there.size) == (0, 0)


def state_of(value: Any) -> str:
    """How a value looks, with all that it holds."""
    if isinstance(value, types.GeneratorType) or type(value).__name__ == "list_iterator":
        return repr(value.__reduce__())
    if isinstance(value, random.Random):
        return repr(value.getstate())
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    parts = [repr(value)] if not isinstance(value, Net | Slots) else []
    if isinstance(value, Net | Slots):
        names = [*vars(value), *(n for n in ("x", "y") if hasattr(value, n))]
        parts += [f"{name}={getattr(value, name)!r}" for name in dict.fromkeys(names)]
    return " ".join(parts)


def test_what_can_not_change_in_place_is_sent_anew_to_all_that_hold_it(
    here: Side, there: Side
) -> None:
    array = np.zeros(3)
    here.space.update(a=array, b=[array], c=Net(array=array), d=(array,))
    here.sync(there)
    array.resize(5, refcheck=False)
    here.sync(there, "a")
    space = there.space
    assert space["a"].shape == (5,)
    assert space["b"][0] is space["c"].array is space["d"][0] is space["a"]


@pytest.mark.parametrize("is_shared", [True, False], ids=["another variable", "new"])
def test_another_object_of_the_same_content_is_another_object(
    here: Side, there: Side, is_shared: bool
) -> None:
    here.space.update(a=[1], b=[1], deep={"in": [0]}, net=Net(), unseen=[[2]])
    here.space["deep"]["in"] = here.space["net"].held = here.space["a"]
    here.sync(there)
    there.sync(here)
    space = there.space
    assert space["deep"]["in"] is space["net"].held is space["a"]
    new = space["b"] if is_shared else [1]
    space["deep"]["in"] = space["net"].held = new
    space["unseen"][0] = [2]
    there.sync(here, "deep", "net")
    assert here.space["deep"]["in"] is here.space["net"].held is not here.space["a"]
    assert (here.space["deep"]["in"] is here.space["b"]) is is_shared
    there.sync(here, "deep", "net")
    assert there.size == 0
    inner = here.space["unseen"][0]
    there.sync(here)
    assert here.space["unseen"][0] is not inner, "it was told late, but it was"


def test_arrays_share_their_memory(here: Side, there: Side) -> None:
    grid = np.arange(12.0).reshape(3, 4)
    here.space.update(corner=grid[:2, :2], grid=grid, turned=grid.T, back=grid[::-1])
    here.sync(there)
    space = there.space
    space["corner"][0, 0] = 99
    assert (space["grid"][0, 0], space["turned"][0, 0], space["back"][2, 0]) == (99, 99, 99)
    space["row"] = space["grid"][1]
    there.sync(here, "corner", "row")
    assert (grid[0, 0], here.size < 1000) == (99, True)
    here.space["row"][0] = 7
    assert grid[1, 0] == 7
    here.sync(there)
    assert (space["row"][0], space["grid"][1, 0]) == (7, 7)
    assert there.sync(here).overwritten == []


def test_a_part_of_a_large_array_travels_alone(here: Side, there: Side) -> None:
    here.space["part"] = np.zeros(1_000_000)[:10]
    here.sync(there)
    assert here.size < 1000


def test_a_whole_array_that_comes_later_has_its_parts_on_its_memory(
    here: Side, there: Side
) -> None:
    grid = np.arange(12.0).reshape(3, 4)  # on the memory of another array, as reshape has it
    here.space.update(row=grid[0], held={"corner": grid[:2, :2]})
    here.sync(there)
    there.space["row"][0] = 5
    there.sync(here)
    here.space["outer"] = [grid]
    here.sync(there)
    space = there.space
    space["row"][1], space["held"]["corner"][1, 1] = 6, 7
    assert space["outer"][0].tolist() == [[5, 6, 2, 3], [4, 7, 6, 7], [8, 9, 10, 11]]
    assert there.sync(here).overwritten == []
    assert grid.tolist() == space["outer"][0].tolist()
    here.sync(there)
    assert here.size == 0, "they are sent anew once"


@pytest.mark.parametrize("new", [[7], 7], ids=["means another object", "means an atom"])
def test_what_a_variable_meant_before_has_changed_for_those_who_still_refer_to_it(
    here: Side, there: Side, new: object
) -> None:
    here.space.update(a=[1], b=[2])
    holder = {"a": here.space["a"], "b": here.space["b"]}  # the other side doesn't know it
    here.sync(there)
    there.space["a"].append(0)
    there.space["b"].append(0)
    there.space["a"] = new
    del there.space["b"]
    there.sync(here, gone=("b",))
    assert (holder["a"], holder["b"], here.space["a"]) == ([1, 0], [2, 0], new)
    del here.space["b"]
    here.sync(there)
    assert here.size == 0


def test_what_changes_when_it_is_looked_at_has_not_changed(here: Side, there: Side) -> None:
    here.space["counting"] = CountsReaders()
    here.sync(there)
    there.sync(here)
    assert there.size == 0
    assert there.sync(here).overwritten == here.sync(there).overwritten == []
    there.space["counting"].others = [2]
    assert there.sync(here).overwritten == []
    assert here.space["counting"].others == [2]


PARTS: dict[str, Callable[[Any], Any]] = {
    "some": lambda whole: whole[1:],
    "all": lambda whole: whole[:],
    "all, turned": lambda whole: whole[::-1],
    "other items": lambda whole: whole.view("u1"),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("is_later", [False, True], ids=["together", "later"])
def test_a_part_that_travels_before_its_whole_array_is_on_its_memory(
    here: Side, there: Side, part: str, is_later: bool
) -> None:
    array = np.arange(4)
    here.space["first"] = {"part": PARTS[part](array), "once more": PARTS[part](array)}
    if is_later:
        here.sync(there)
    here.space["second"] = [array]
    here.sync(there)
    held, whole = there.space["first"], there.space["second"][0]
    assert all(np.shares_memory(whole, each) for each in held.values())
    held["part"][-1] = 9
    expected = whole.tolist()
    assert held["once more"].tolist() == held["part"].tolist()
    there.sync(here)
    assert array.tolist() == expected != [0, 1, 2, 3]
    here.sync(there)
    assert here.size == 0


@pytest.mark.parametrize("is_later", [False, True], ids=["together", "later"])
def test_parts_that_overlap_share_their_memory_without_the_whole(
    here: Side, there: Side, is_later: bool
) -> None:
    array = np.arange(1000)
    here.space["before"] = array[:-1]
    if is_later:
        here.sync(there)
    here.space["after"] = array[1:]
    here.sync(there)
    there.space["before"][5] = -1
    assert there.space["after"][4] == -1
    there.sync(here)
    assert array[5] == -1
    here.sync(there)
    assert here.size == 0


def test_parts_that_do_not_overlap_travel_without_what_lies_between(
    here: Side, there: Side
) -> None:
    array = np.zeros(1_000_000)
    here.space.update(first=array[:10], last=array[-10:], all_but_much=array[5:15])
    here.sync(there)
    assert here.size < 2000


def test_closures_share_a_cell(here: Side, there: Side) -> None:
    def pair() -> tuple[Callable[[], None], Callable[[], int]]:
        n = 0

        def up() -> None:
            nonlocal n
            n += 1

        return up, lambda: n

    up, get = pair()
    here.space["up"] = up
    here.sync(there)
    there.space["up"]()
    here.space["get"] = get
    here.sync(there, "get")
    assert there.space["get"]() == 1
    there.sync(here)
    assert get() == 1


def test_a_class_is_changed_in_place() -> None:
    here, there = sides()
    made: dict[str, Any] = {"__name__": "__main__"}
    exec("class G:\n    debug = True\n    def f(self): return 1", made)
    here.space.update(G=made["G"], g=made["G"]())
    here.sync(there)
    del here.space["G"].debug
    here.space["G"].level = 3
    here.sync(there, "g")
    assert (hasattr(there.space["G"], "debug"), there.space["g"].level) == (False, 3)


def test_a_cached_property_that_is_read_here_leaves_the_state_there() -> None:
    here, there = sides()
    net = Net(w=1)
    here.space["net"] = net
    here.sync(there)
    there.space["net"].fitted = 5  # the other side will hear of it later
    net.cached = 2
    here.sync(there)
    assert vars(there.space["net"]) == {"w": 1, "fitted": 5, "cached": 2}


def test_a_change_on_both_sides_is_told_once(here: Side, there: Side) -> None:
    here.space.update(a=[1], b=[2])
    here.sync(there)
    there.space["a"].append(5)
    here.space["a"].append(6)
    here.space["b"].append(7)
    assert here.sync(there).overwritten == ["a", "b"]
    assert there.space["a"] == [1, 6]
    assert here.sync(there).overwritten == []


def test_a_message_that_was_lost_makes_the_next_one_stale(here: Side, there: Side) -> None:
    here.space["a"] = [1]
    here.sync(there)
    look = here.graph.look(here.space)
    here.graph = here.graph.tell(look, look.names()).after  # nobody hears it
    here.space["a"].append(2)
    with pytest.raises(Stale):
        here.sync(there)
    assert there.space["a"] == [1]


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_message_of_no_change_leaves_both_sides_as_they_were(
    here: Side, there: Side, is_heard: bool
) -> None:
    here.space["a"] = [1]
    here.sync(there)
    before = here.graph
    look = before.look(here.space)
    told = before.tell(look, look.names())
    assert (told.packed.size, told.beside["dropped"]) == (0, b"")
    if is_heard:
        here.graph = told.after
        assert there.graph.hear(told.packed.wire(), told.beside).bound == {}
    here.space["b"] = [here.space["a"]]  # else the message was never sent: the graph before goes on
    here.sync(there)
    there.space["b"][0].append(2)
    there.sync(here)
    assert here.space["a"] == [1, 2] and here.space["b"][0] is here.space["a"]
    del here.space["a"], here.space["b"]
    here.sync(there, gone=("a", "b"))
    assert len(here.graph) == len(there.graph) == 0


def test_what_can_not_travel_is_named(here: Side, there: Side) -> None:
    here.space.update(a=[1], b=Net(x=1))
    here.sync(there)
    here.space["b"].file = sys.stdout
    look = here.graph.look(here.space)
    with pytest.raises(CannotShip):
        here.graph.tell(look, look.names())
    here.space["a"].append(2)
    look = here.graph.look(here.space)
    here.graph = here.graph.tell(look, ["a"]).after  # the other one can still go


@pytest.mark.parametrize("how", ["deleted", "rebound", "released"])
def test_what_nobody_reaches_is_not_kept(here: Side, there: Side, how: str) -> None:
    here.space.update(a=Net(parts=[Net() for _ in range(10)]), b=[Net()])
    here.sync(there)
    gone = weakref.ref(here.space["a"].parts[3])
    gone_there = weakref.ref(there.space.pop("a").parts[3])
    if how == "rebound":
        here.space["a"] = 5
        here.sync(there)
    else:
        del here.space["a"]
        if how == "released":
            here.graph.release(here.space)
            gc.collect()
            assert gone() is None
        here.sync(there, gone=("a",))
    gc.collect()
    assert (gone(), gone_there()) == (None, None)
    assert len(here.graph) == len(there.graph)
    there.space["b"][0].x = 1
    there.sync(here, "b")
    assert here.space["b"][0].x == 1


def test_what_another_variable_reaches_stays_shared(here: Side, there: Side) -> None:
    inner = [1]
    here.space.update(a=inner, b=[inner])
    here.sync(there)
    del here.space["a"]
    here.sync(there, gone=("a",))
    inner.append(2)
    here.sync(there)
    assert there.space["b"][0] is there.space["a"]
    assert there.space["a"] == [1, 2]


def test_two_copies_that_are_one_object_on_the_other_side(here: Side, there: Side) -> None:
    here.space.update(a=Single(), b=Single(), c=[1])
    here.sync(there)
    assert there.space["a"] is there.space["b"]
    there.space["c"].append(there.space["a"])
    there.sync(here)
    assert here.space["c"] == [1, here.space["a"]]
    here.sync(there)
    assert there.space["c"][1] is there.space["a"]


class Single:
    """All of them are one, where they arrive."""

    def __reduce__(self) -> Any:
        return logging.getLogger, ("tests.single",)


@pytest.mark.parametrize("seed", range(60))
def test_any_program_on_any_side_leaves_the_same(seed: int) -> None:
    """Small programs over shared objects; each step runs on one of the sides, or plainly."""
    numbers = random.Random(seed)
    here, there = sides()
    plain: dict[str, Any] = {"x": [1], "y": {"k": [2]}, "z": Net(a=1)}
    here.space.update({"x": [1], "y": {"k": [2]}, "z": Net(a=1)})
    here.sync(there)
    for _ in range(12):
        step = numbers.choice(STEPS)
        names = [*plain]
        a, b = numbers.choice(names), numbers.choice(names)
        side, other = (here, there) if numbers.random() < 0.5 else (there, here)
        step(side.space, a, b)
        step(plain, a, b)
        assert side.sync(other).overwritten == []
        for space in (here.space, there.space):
            assert form(space) == form(plain), (seed, step)
    assert len(here.graph) == len(there.graph)


def _put(space: dict[str, Any], a: str, b: str) -> None:
    target, value = space[a], space[b]
    match target:
        case list():
            target.append(value)
        case dict():
            target[f"k{len(target)}"] = value
        case np.ndarray():
            target[0] += 1
        case Net():
            target.other = value


def _take(space: dict[str, Any], a: str, b: str) -> None:
    match space[a]:
        case list() as found if found:
            found.pop(0)
        case dict() as found if found:
            del found[next(iter(found))]
        case Net() as found:
            vars(found).clear()


def _name(space: dict[str, Any], a: str, b: str) -> None:
    space[f"n{len(space) % 5}"] = space[a]


def _pair(space: dict[str, Any], a: str, b: str) -> None:
    space["pair"] = (space[a], space[b])


def _fresh(space: dict[str, Any], a: str, b: str) -> None:
    space["fresh"] = Net(held=[space[a], {"b": space[b]}], array=np.arange(3.0))


def _array(space: dict[str, Any], a: str, b: str) -> None:
    space["array"] = np.arange(6.0).reshape(2, 3)
    space["row"] = space["array"][1]


def _write(space: dict[str, Any], a: str, b: str) -> None:
    if "row" in space:
        space["row"][1] += 5


STEPS = [_put, _put, _put, _take, _name, _pair, _fresh, _array, _write]


def form(space: dict[str, Any]) -> dict[str, Any]:
    """The variables as a plain text in which each object has a number: values and identities."""
    numbers: dict[int, int] = {}
    kept: list[object] = []

    def shown(value: Any) -> str:
        if isinstance(value, int | float | str):
            return repr(value)
        if isinstance(value, tuple):
            return f"({', '.join(map(shown, value))})"
        if id(value) in numbers:
            return f"#{numbers[id(value)]}"
        kept.append(value)
        numbers[id(value)] = number = len(numbers)
        match value:
            case list():
                inner = ", ".join(map(shown, value))
            case dict():
                inner = ", ".join(f"{k}: {shown(v)}" for k, v in value.items())
            case np.ndarray():
                inner = str(value.tolist())
            case _:
                inner = ", ".join(f"{k}={shown(v)}" for k, v in vars(value).items())
        return f"{type(value).__name__}{number}<{inner}>"

    return {name: shown(value) for name, value in sorted(space.items())}


class Stubborn:
    """Refuses a state once it has one."""

    def __init__(self) -> None:
        self.state: int | None = 1

    def __getstate__(self) -> object:
        return (self.state,)

    def __setstate__(self, state: tuple[int]) -> None:
        if hasattr(self, "state"):
            raise ValueError("no other state, please")
        (self.state,) = state


def test_a_change_that_can_not_be_made_lets_both_sides_begin_anew(here: Side, there: Side) -> None:
    here.space |= {"stubborn": Stubborn(), "items": [1]}
    here.sync(there)
    key = here.graph.key
    there.space["stubborn"].state = 2
    there.space["items"].append(2)
    with pytest.raises(CannotShip, match="no other state, please"):
        there.sync(here)
    here.graph.release(here.space)
    assert here.graph.key != key
    assert len(here.graph) == 0
    other = Side(Graph(here.graph.key))
    here.sync(other)
    assert other.space["items"] == here.space["items"]


def test_an_iterator_that_has_come_to_its_end_is_sent_anew(here: Side, there: Side) -> None:
    here.space["chain"] = itertools.chain([1], [2])
    here.sync(there)
    assert list(there.space["chain"]) == [1, 2]
    there.sync(here)
    assert list(here.space["chain"]) == []


class OneLogger:
    """Is one logger where it is made again."""

    def __reduce__(self) -> Any:
        return logging.getLogger, ("one",)


def test_an_object_with_two_numbers_is_released_with_both(here: Side, there: Side) -> None:
    here.space |= {"a": OneLogger(), "b": OneLogger()}
    here.sync(there)
    assert there.space["a"] is there.space["b"]
    there.space.clear()
    there.graph.release(there.space)
    there.space["c"] = [3]
    there.sync(here)
    assert here.space["c"] == [3]


@pytest.mark.parametrize("how", ["rebound", "rebound to a constant", "deleted"])
def test_what_a_variable_meant_before_has_changed_too(here: Side, there: Side, how: str) -> None:
    here.space |= {"a": [1], "d": {}}
    here.space["d"]["a"] = here.space["a"]
    here.sync(there)
    there.space["a"].append(2)
    if how == "deleted":
        del there.space["a"]
    else:
        there.space["a"] = [3] if how == "rebound" else 3
    gone = ("a",) if how == "deleted" else ()
    look = there.graph.look({n: there.space[n] for n in ("a",) if n in there.space}, gone)
    told = there.graph.tell(look, look.names(), gone)
    here.graph.hear(travel(told.packed.wire()), told.beside)
    assert here.space["d"] == {"a": [1, 2]}


def test_a_file_that_was_written_to_is_sent_anew(here: Side, there: Side, tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("one")
    here.space |= {"train": file(path), "held": [file(path)]}
    here.sync(there)
    assert not here.graph.look(here.space).names()
    path.write_text("two, and longer")
    look = here.graph.look(here.space)
    assert {"train", "held"} <= {*look.names()}
    content = here.space["train"].content
    told = here.graph.tell(look, look.names())
    assert content.digest in {each.content.digest for each in told.packed.files}


def test_what_is_changed_and_then_dropped_is_told_once(here: Side, there: Side) -> None:
    here.space |= {"a": [1], "b": [2]}
    here.sync(there)
    there.space["a"].append(2)
    del there.space["a"]
    there.sync(here, gone=("a",))
    assert (here.space["a"], here.space["b"]) == ([1, 2], [2])
    del here.space["a"]
    here.sync(there, gone=("a",))
    there.space["b"].append(3)
    there.space["c"] = there.space.pop("b")
    there.sync(here, gone=("b",))
    assert len(here.graph) == len(there.graph) == 1
