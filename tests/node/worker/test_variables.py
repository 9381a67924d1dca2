"""The variables of a session: what arrives, what goes back, what stays. Without processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from easyremote.errors import CannotReturn, NotFound, RemoteError
from easyremote.node.worker.variables import Variables
from easyremote.serialize.blobs import pack, unpack
from easyremote.serialize.graph.graph import Graph, Stale
from easyremote.serialize.graph.limits import Limits
from easyremote.serialize.refs import HELD
from tests.serialize.graph.two import Side, travel


@pytest.fixture
def variables() -> Iterator[Variables]:
    yield Variables({"__name__": "__main__", "In": []}, "p")
    HELD.clear()


class Caller(Side):
    """A caller of the session."""

    def __init__(self) -> None:
        super().__init__(Graph())

    def send(self, variables: Variables, **values: Any) -> list[str]:
        self.space.update(values)
        look = self.graph.look(values)
        told = self.graph.tell(look, look.names())
        self.graph = told.after
        return variables.receive(travel(told.packed.wire()), told.beside)

    def take(self, answer: dict[str, Any]) -> None:
        self.space.update(self.graph.hear(travel(answer["packed"]), answer["shared"]).bound)


@pytest.fixture
def caller() -> Caller:
    return Caller()


def ask(variables: Variables, operation: str, *args: Any) -> dict[str, Any]:
    answer = variables.serve((operation, "p", travel(pack({"args": args}).plain_wire())))
    assert answer.pop("process") == "p"
    return answer


def values_of(answer: dict[str, Any]) -> dict[str, Any]:
    if "shared" not in answer:
        values: dict[str, Any] = unpack(travel(answer["packed"]))
        return values
    beside = answer["shared"]
    return Graph(beside["key"]).hear(travel(answer["packed"]), beside).bound


def test_what_arrives_is_set(variables: Variables, caller: Caller) -> None:
    shared = [1]
    assert caller.send(variables, a=shared, b={"in": shared}) == []
    assert variables.space["b"]["in"] is variables.space["a"]


def test_variables_alone_are_set(variables: Variables) -> None:
    assert variables.receive(travel(pack({"a": 1}).wire())) == []
    assert variables.space["a"] == 1


def test_a_value_that_changed_here_unseen_is_told_when_it_is_overwritten(
    variables: Variables, caller: Caller
) -> None:
    log, same, array = [0], [1], np.zeros(5)
    caller.send(variables, log=log, same=same, array=array)
    variables.space["log"].append(1)
    variables.space["made_here"] = 2
    log.append(2)
    array += 1
    overwritten = caller.send(variables, log=log, same=[3], array=array, made_here=4)
    assert overwritten == ["made_here", "log", "array"]
    assert variables.space["log"] == [0, 2]


def test_a_change_goes_back_in_place(variables: Variables, caller: Caller) -> None:
    log: list[int] = []
    caller.send(variables, log=log, table={"log": log}, other=[5])
    variables.space["log"].append(1)
    key = caller.graph.key
    answer = variables.offer(["log", "other", "table"], Limits(), key).answer()
    caller.take(answer)
    assert (log, caller.space["table"]["log"] is log) == ([1], True)
    assert caller.send(variables, log=log) == []
    quiet = variables.offer(["log", "other", "table"], Limits(), key).answer()
    assert quiet["kept"] == {} and values_of_known(caller, quiet) == {}


def values_of_known(caller: Caller, answer: dict[str, Any]) -> dict[str, Any]:
    return caller.graph.hear(travel(answer["packed"]), answer["shared"]).bound


def test_a_change_above_the_limit_stays(variables: Variables, caller: Caller) -> None:
    caller.send(variables, small=[], large=[])
    variables.space["small"].append(1)
    variables.space["large"].append(bytes(1000))
    answer = variables.offer(["small", "large"], Limits(500, 900), caller.graph.key).answer()
    assert list(answer["kept"]) == ["large"]
    caller.take(answer)
    assert caller.space["small"] == [1]
    assert values_of(ask(variables, "get_held", answer["kept"]["large"]["number"])) == {
        "": [bytes(1000)]
    }


def test_a_caller_that_missed_an_answer_is_stale(variables: Variables, caller: Caller) -> None:
    caller.send(variables, a=[1])
    variables.offer(["a"], Limits(), caller.graph.key).answer()  # it is lost
    with pytest.raises(Stale):
        caller.send(variables, a=[2])
    assert variables.space["a"] == [1]


def test_each_value_and_all_of_them_have_a_limit(variables: Variables) -> None:
    variables.space.update(a=bytes(400), b=bytes(400), c=bytes(400), d=bytes(600))
    answer = variables.offer("abcd", Limits(500, 1000)).answer()
    assert sorted(values_of(answer)) == ["a", "b"]
    assert sorted(answer["kept"]) == ["c", "d"]
    assert HELD[answer["kept"]["d"]["number"]] == bytes(600)


def test_what_can_not_travel_is_kept_or_is_an_error(variables: Variables) -> None:
    variables.space["items"] = (i for i in "a")
    kept = variables.offer(["items"], Limits()).answer()["kept"]["items"]
    assert (kept["type"], kept["size"]) == ("generator", 0)
    with pytest.raises(CannotReturn, match="'items' stays"):
        variables.bring(["items"]).answer()


def test_a_number_is_of_use_until_it_is_released(variables: Variables) -> None:
    number = variables.hold([1, 2, 3])["number"]
    assert values_of(ask(variables, "get_held", number))[""] == [1, 2, 3]
    assert values_of(ask(variables, "call", number, "index", (2,), {}))[""] == 1
    assert values_of(ask(variables, "call", number, sum, (10,), {}))[""] == 16
    assert values_of(ask(variables, "eval", number, "_[0] + len(_)"))[""] == 4
    variables.receive(travel(pack({}).wire()), None, [number])
    with pytest.raises(NotFound, match="no longer held"):
        ask(variables, "get_held", number)


def test_an_error_in_a_call_has_none_of_our_frames(variables: Variables) -> None:
    number = variables.hold([])["number"]
    with pytest.raises(RemoteError) as caught:
        ask(variables, "eval", number, "1 / len(_)")
    assert caught.value.type_name == "ZeroDivisionError"
    assert "variables.py" not in caught.value.remote_traceback


def test_variables_are_listed_put_got_and_deleted(variables: Variables) -> None:
    graph = Graph()
    told = graph.tell(graph.look({"a": [1], "b": np.zeros(10)}), ["a", "b"])
    ask(variables, "put", travel(told.packed.wire()), told.beside)
    variables.space.update(_private=1, module=np)
    listed = ask(variables, "list")["variables"]
    assert {name: what["type"] for name, what in listed.items()} == {"a": "list", "b": "ndarray"}
    assert listed["b"]["size"] == 80
    assert values_of(ask(variables, "get", ["a"])) == {"a": [1]}
    ask(variables, "delete", ["a"])
    for operation in ("get", "delete"):
        with pytest.raises(NotFound, match="no variable 'a'"):
            ask(variables, operation, ["a"])
        with pytest.raises(NotFound, match="no variable 'In'"):
            ask(variables, operation, ["In"])


def test_what_could_not_be_rebuilt_there_is_kept_afterwards(variables: Variables) -> None:
    variables.space["x"] = [5]
    variables.offer(["x"], Limits()).answer()
    kept = ask(variables, "keep")["kept"]
    assert values_of(ask(variables, "get_held", kept["x"]["number"]))[""] == [5]


def test_another_process_is_told_by_its_name_alone(variables: Variables) -> None:
    request = ("list", "q", pack({"args": ()}).plain_wire())
    assert variables.serve(request) == {"process": "p"}


def test_a_value_is_shown_cut_and_never_fails(variables: Variables) -> None:
    class Bad:
        def __repr__(self) -> str:
            raise ValueError

    assert variables.hold("x" * 10_000)["text"].endswith("... 9,500 more")
    assert variables.hold(list(range(1000)))["text"].endswith("characters more")
    assert variables.hold(Bad())["text"] == "(its repr raised ValueError)"
