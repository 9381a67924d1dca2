"""The variables of a session: what arrives, what goes back, what stays. Without processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from easyremote.errors import CannotReturn, NotFound, RemoteError
from easyremote.node.worker.variables import Limits, Variables
from easyremote.serialize.blobs import Wire, pack, unpack
from easyremote.serialize.refs import HELD
from easyremote.serialize.values import dump, load


@pytest.fixture
def variables() -> Iterator[Variables]:
    yield Variables({"__name__": "__main__", "In": []}, "p")
    HELD.clear()


def travel(wire: Wire) -> Wire:
    arrived: Wire = load(b"".join(dump(wire).parts))
    return arrived


def send(variables: Variables, **values: Any) -> list[str]:
    return variables.receive(travel(pack(values).wire()))


def ask(variables: Variables, operation: str, *args: Any) -> dict[str, Any]:
    answer = variables.serve((operation, "p", travel(pack({"args": args}).plain_wire())))
    assert answer.pop("process") == "p"
    return answer


def values_of(answer: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = unpack(travel(answer["packed"]))
    return values


def test_what_arrives_is_set(variables: Variables) -> None:
    shared = [1]
    assert send(variables, a=shared, b={"in": shared}) == []
    assert variables.space["b"]["in"] is variables.space["a"]


def test_a_value_that_changed_here_unseen_is_told_when_it_is_overwritten(
    variables: Variables,
) -> None:
    send(variables, log=[], same=[1], array=np.zeros(5))
    variables.space["log"].append(1)
    variables.space["made_here"] = 2
    assert send(variables, log=[2], same=[3], array=np.ones(5), made_here=4) == ["log", "made_here"]


def test_a_value_that_went_back_is_known(variables: Variables) -> None:
    variables.space.update(small=[1], large=bytes(100))
    variables.offer(["small", "large"], Limits(50, 500)).answer()
    assert send(variables, small=[2], large=3) == []
    variables.space["small"].append(1)
    assert send(variables, small=[3]) == ["small"]


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
        variables.bring(["items"])


def test_a_number_is_of_use_until_it_is_released(variables: Variables) -> None:
    number = variables.hold([1, 2, 3])["number"]
    assert values_of(ask(variables, "get_held", number))[""] == [1, 2, 3]
    assert values_of(ask(variables, "call", number, "index", (2,), {}))[""] == 1
    assert values_of(ask(variables, "call", number, sum, (10,), {}))[""] == 16
    assert values_of(ask(variables, "eval", number, "_[0] + len(_)"))[""] == 4
    variables.receive(travel(pack({}).wire()), [number])
    with pytest.raises(NotFound, match="no longer held"):
        ask(variables, "get_held", number)


def test_an_error_in_a_call_has_none_of_our_frames(variables: Variables) -> None:
    number = variables.hold([])["number"]
    with pytest.raises(RemoteError) as caught:
        ask(variables, "eval", number, "1 / len(_)")
    assert caught.value.type_name == "ZeroDivisionError"
    assert "variables.py" not in caught.value.remote_traceback


def test_variables_are_listed_put_got_and_deleted(variables: Variables) -> None:
    ask(variables, "put", travel(pack({"a": [1], "b": np.zeros(10)}).wire()))
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
