"""Registered functions that run in processes: packed, and opened as a process does it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from easyremote import Scaling
from easyremote.errors import RemoteError, UsageError
from easyremote.node.functions import Functions
from easyremote.node.registered.opened import OpenedFunctions
from easyremote.node.registered.packed import pooled
from easyremote.serialize.values import dump_call

LOCK = threading.Lock()
RATE = 3


def scaled(x: int) -> int:
    return x * RATE


def locked() -> bool:
    return LOCK.locked()


class Model:
    def __init__(self) -> None:
        self.calls = 0

    def predict(self, x: int) -> int:
        self.calls += 1
        return x + self.calls

    def items(self, n: int) -> Iterator[int]:
        yield from range(n)

    @staticmethod
    def twice(x: int) -> int:
        return 2 * x


def registered(*functions: Any, **options: Any) -> Functions:
    made = Functions()
    for function in functions:
        made.register(function, **{"scaling": "auto", **options})
    return made


def called(opened: OpenedFunctions, name: str, *args: Any) -> Any:
    body = b"".join(bytes(part) for part in dump_call(args, {}).parts)
    function, given, named = opened.open(name, "pickle5", body)
    return function(*given, **named)


def test_only_what_has_a_scaling_is_packed_and_a_class_is_one_pool() -> None:
    functions = registered(scaled, Model)
    functions.register(locked)
    (one, model) = pooled(functions, has_gpus=False)
    assert (one.name, one.functions, one.scaling) == ("scaled", ("scaled",), Scaling())
    assert model.name == "Model"
    assert set(model.functions) == {"Model.predict", "Model.items", "Model.twice"}


def test_a_function_brings_what_it_uses() -> None:
    (packed,) = pooled(registered(scaled, name="triple"), has_gpus=False)
    assert called(OpenedFunctions(packed.body), "triple", 2) == 6


def test_a_class_is_made_once_in_each_process() -> None:
    (packed,) = pooled(registered(Model), has_gpus=False)
    first, second = OpenedFunctions(packed.body), OpenedFunctions(packed.body)
    assert [called(first, "Model.predict", 0) for _ in range(3)] == [1, 2, 3]
    assert called(second, "Model.predict", 0) == 1
    assert called(first, "Model.twice", 4) == 8
    assert list(called(first, "Model.items", 3)) == [0, 1, 2]


def test_what_a_plain_function_returns_is_iterated_where_it_is_registered_as_a_stream() -> None:
    (packed,) = pooled(
        registered(lambda n: list(range(n)), name="listed", stream=True), has_gpus=False
    )
    items = called(OpenedFunctions(packed.body), "listed", 3)
    assert iter(items) is items and list(items) == [0, 1, 2]


def test_arguments_by_name_that_do_not_fit_are_refused_as_in_a_thread() -> None:
    (packed,) = pooled(registered(Model), has_gpus=False)
    with pytest.raises(RemoteError, match=r"predict\(\): missing a required .* 'x'") as refused:
        OpenedFunctions(packed.body).open("Model.predict", "json", b'{"y": 1}')
    assert refused.value.details["bad_arguments"] is True
    assert refused.value.may_have_run is False


def test_a_function_that_can_not_travel_is_refused_with_what_holds_it_back() -> None:
    with pytest.raises(UsageError, match=r"locked\(\) can't run in processes .*LOCK.* without"):
        pooled(registered(locked), has_gpus=False)
