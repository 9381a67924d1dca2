"""What can't travel is named: which argument, where in it, why, and what to do."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from easyremote.errors import CannotShip
from easyremote.serialize.values import dump, dump_call, dump_names


def train(data: Any, rate: float = 0.1, *more: Any, log: Any = None) -> None: ...


def refused(attempt: Callable[[], Any]) -> CannotShip:
    with pytest.raises(CannotShip) as caught:
        attempt()
    assert not caught.value.may_have_run
    return caught.value


@pytest.fixture
def file(tmp_path: Path) -> Any:
    with open(tmp_path / "x.txt", "w") as opened:
        yield opened


def test_an_argument_is_named_with_its_function_reason_and_hint(file: Any) -> None:
    error = refused(lambda: dump_call((1,), {"log": file}, function=train))
    assert str(error) == (
        f"argument 'log' of train() can't travel: _io.TextIOWrapper {file.name!r} (cannot pickle "
        "'_io.TextIOWrapper' object). Open the file on the node instead, and pass its path or its "
        "contents."
    )
    named = {"name": "log", "path": "log", "type": "_io.TextIOWrapper"}
    assert error.details.items() >= named.items()
    assert error.details["hint"].startswith("Open the file on the node")


def test_a_positional_argument_gets_the_name_of_its_parameter(file: Any) -> None:
    assert "argument 'data' of train()" in str(
        refused(lambda: dump_call((file,), {}, function=train))
    )
    assert "argument 'more[0]' of train()" in str(
        refused(lambda: dump_call((1, 2, file), {}, function=train))
    )
    assert "argument 2 of fit()" in str(refused(lambda: dump_call((1, file), {}, name="fit")))
    assert str(refused(lambda: dump_call((1, file), {}))).startswith("argument 2 can't travel")


def test_the_path_inside_containers_and_objects_is_shown(file: Any) -> None:
    class Model:
        def __init__(self) -> None:
            self.parts = {"log": [1, 2, 3, file]}

    error = refused(lambda: dump_call(({"log": [1, 2, 3, file]},), {}, function=train))
    assert "data['log'][3] is _io.TextIOWrapper" in str(error)
    error = refused(lambda: dump_call(((0, Model()),), {}, function=train))
    assert "data[1].parts['log'][3] is _io.TextIOWrapper" in str(error)


def test_a_variable_is_named(file: Any) -> None:
    error = refused(lambda: dump_names({"good": 1, "handle": file}))
    assert str(error).startswith("variable 'handle' can't travel: _io.TextIOWrapper")


def test_what_a_function_uses_is_named(file: Any) -> None:
    def save() -> None:
        file.write("x")

    assert "file (a variable around save()) is _io.TextIOWrapper" in str(
        refused(lambda: dump(save))
    )


def generator() -> Any:
    yield 1


async def coroutine() -> None: ...


UNUSABLE: dict[str, tuple[Callable[[], Any], str]] = {
    "socket": (socket.socket, "Open the connection on the node"),
    "lock": (threading.Lock, "Make the lock on the node"),
    "rlock": (threading.RLock, "Make the lock on the node"),
    "event": (threading.Event, "Make it on the node"),
    "thread": (lambda: threading.Thread(target=print), "Make it on the node"),
    "generator": (generator, "Pass list(...) of it"),
    "database": (lambda: sqlite3.connect(":memory:"), "Connect to the database on the node"),
    "frame": (lambda: __import__("sys")._getframe(), "Take out of the frame what you need"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_the_usual_suspects_come_with_a_hint(name: str) -> None:
    make, hint = UNUSABLE[name]
    made = make()
    try:
        assert hint in str(refused(lambda: dump_call(([made],), {}, function=train)))
    finally:
        getattr(made, "close", lambda: None)()


def test_a_coroutine_is_to_be_awaited_first() -> None:
    waiting = coroutine()
    try:
        assert "Await it first" in str(refused(lambda: dump(waiting)))
    finally:
        asyncio.run(asyncio.wait_for(waiting, 5))


class Raises:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


class ReducesTo:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return self.value


@pytest.mark.parametrize("error", [ValueError("no"), ZeroDivisionError(), AttributeError("x")])
def test_a_reduce_that_raises_is_reported(error: Exception) -> None:
    text = str(refused(lambda: dump_call(([Raises(error)],), {}, function=train)))
    assert "data[0] is" in text and type(error).__name__ in text


def test_running_out_of_memory_and_an_interrupt_are_not_the_values_fault() -> None:
    for error in (MemoryError, KeyboardInterrupt):
        with pytest.raises(error):
            dump(Raises(error()))


@pytest.mark.parametrize("garbage", [42, (), (1,), ("not callable", ()), (list, 3), "NoSuchName"])
def test_a_reduce_that_returns_garbage_is_reported(garbage: Any) -> None:
    refused(lambda: dump(ReducesTo(garbage)))


class BadState:
    def __getstate__(self) -> Any:
        return threading.Lock()


def test_a_state_that_cannot_travel_is_reported() -> None:
    assert "Make the lock on the node" in str(refused(lambda: dump(BadState())))


def test_too_deep_a_nesting_is_reported() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    error = refused(lambda: dump_call((deep,), {}, function=train))
    assert "argument 'data' of train()" in str(error) and "nested too deeply" in str(error)


def test_a_module_travels() -> None:
    dump_call((threading, Path), {})
