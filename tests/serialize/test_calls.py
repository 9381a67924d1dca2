"""Calls of shipped functions as payloads: what is packed and opened once, and what anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from easyremote.errors import CannotShip, ProtocolError
from easyremote.serialize import calls
from easyremote.serialize.blobs import BLOB_MIN
from easyremote.serialize.calls import Functions, pack_call
from easyremote.serialize.sources import HERE
from easyremote.serialize.values import Buffer, dump

step = 1
table = {"a": 1}


class Own:
    def __init__(self, value: int) -> None:
        self.value = value


def add(x: int, y: int = 0) -> int:
    return x + y + step


def look_up(key: str) -> int:
    return table[key]


def add_again(x: int, y: int = 0) -> int:
    return x + y + step


class Sent:
    """A node's process, and the payloads that it got."""

    def __init__(self) -> None:
        self.functions = Functions()
        self.sizes: list[int] = []
        self.blobs: dict[bytes, bytes] = {}

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        made, given, named = self.open(function, *args, **kwargs)
        return made(*given, **named)

    def open(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        packed = pack_call(function, args, kwargs, python=HERE)
        data = b"".join(bytes(part) for part in packed.dumped().parts)
        self.sizes.append(len(data))
        return self.functions.open(data, self.blob)

    def blob(self, hash_: bytes, piece: Buffer | None) -> Buffer:
        return self.blobs[hash_]


@pytest.fixture
def sent() -> Sent:
    return Sent()


def packings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is packed from now on."""
    found: list[Any] = []

    def noting(value: Any, **how: Any) -> Any:
        found.append(value)
        return dump(value, **how)

    monkeypatch.setattr(calls, "dump", noting)
    return found


def test_a_function_is_packed_once_and_opened_once(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls._kept.clear()
    sent.open(add_again)  # a module that is imported later may be one that a function names
    packed = packings(monkeypatch)
    made = {sent.open(add, number, y=2)[0] for number in range(5)}
    assert len(made) == 1
    assert packed == [add]
    assert sent.call(add, 3, y=4) == 8


def test_a_change_is_packed_anew_and_what_was_before_is_known_again(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sent.open(add)[0]
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "step", 100)
        assert sent.call(add, 1) == 101
    assert sent.call(add, 1) == 2
    assert sent.open(add)[0] is first  # by its content


def test_equal_functions_of_two_names_are_two(sent: Sent) -> None:
    assert sent.open(add)[0] is not sent.open(add_again)[0]


def test_what_a_call_can_change_is_packed_once_and_opened_for_each_call(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = packings(monkeypatch)
    one, two = (sent.open(look_up)[0] for _ in range(2))
    assert one is not two
    assert one.__globals__["table"] is not two.__globals__["table"]
    assert packed == [look_up]
    table["b"] = 2
    try:
        assert sent.call(look_up, "b") == 2
    finally:
        del table["b"]


def test_arguments_share_the_functions_that_a_function_reaches(sent: Sent) -> None:
    def is_add(given: object) -> bool:
        return given is add

    assert sent.call(is_add, add)
    assert sent.call(lambda given: given[0] is given[1], [add, add])


def test_arguments_share_the_containers_that_a_function_reaches(sent: Sent) -> None:
    empty: dict[str, int] = {}

    def is_reached(given: object, *, named: object = 0) -> bool:
        return given is table or given is empty or named is table

    assert sent.call(is_reached, table)
    assert sent.call(is_reached, empty)
    assert sent.call(is_reached, 1, named=table)
    assert not sent.call(is_reached, 1, named=2)


def test_what_can_change_unseen_is_packed_for_each_call(sent: Sent) -> None:
    own = Own(1)

    def value() -> int:
        return own.value

    assert sent.call(value) == 1
    own.value = 2
    assert sent.call(value) == 2


def test_arguments_of_any_kind_arrive(sent: Sent) -> None:
    def same(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    args = (1, "a", [1, {"b": (2,)}], b"x" * 5000, np.arange(3), None)
    (got, named) = sent.call(same, *args, key={"c": 1})
    assert got[:4] == args[:4]
    assert (got[4] == args[4]).all()
    assert named == {"key": {"c": 1}}
    assert sent.call(lambda own: own.value, Own(7)) == 7


def test_functions_that_are_imported_by_name_and_other_callables_go_too(sent: Sent) -> None:
    assert sent.call(pow, 2, 5) == 32
    assert sent.call("-".join, ["a", "b"]) == "a-b"
    assert sent.call(Own, 3).value == 3


def test_only_so_many_are_remembered(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "REMEMBERED", 3)
    calls._kept.clear()

    def made(number: int) -> Callable[[], int]:
        def inner() -> int:
            return number

        return inner

    functions = [made(number) for number in range(6)]
    assert [sent.call(function) for function in functions] == list(range(6))
    assert len(sent.functions._made) == 3
    assert len(calls._kept) == 3


def test_a_large_function_is_not_remembered(sent: Sent) -> None:
    text = "x" * (2 * calls.KEPT_MAX)

    def size() -> int:
        return len(text)

    assert sent.call(size) == len(text)
    assert all(function is not size for function, _ in calls._kept)


def test_a_large_piece_can_be_left_out_and_is_what_it_was(sent: Sent) -> None:
    def sums(array: Any, fixed: Any) -> tuple[int, int, bool, bool]:
        flags = array.flags.writeable, fixed.flags.writeable
        return int(array.sum()), int(fixed.sum()), *flags

    array = np.ones(BLOB_MIN, np.uint8)
    fixed = np.full(BLOB_MIN, 2, np.uint8)
    fixed.flags.writeable = False
    packed = pack_call(sums, (array, fixed), {}, python=HERE)
    sent.blobs = {hash_: bytearray(piece) for hash_, piece in packed.by_hash().items()}  # type: ignore[misc]
    assert len(sent.blobs) == 2
    dumped = dump(packed.wire(packed.blobs))
    assert dumped.size < 10_000
    made, args, kwargs = sent.functions.open(b"".join(map(bytes, dumped.parts)), sent.blob)
    assert made(*args, **kwargs) == (BLOB_MIN, 2 * BLOB_MIN, True, False)


def test_an_argument_that_can_not_travel_is_named() -> None:
    with pytest.raises(CannotShip, match="argument 'x'"):
        pack_call(add, (open(__file__),), {}, python=HERE)


def test_a_function_that_can_not_travel_is_named() -> None:
    file = open(__file__)

    def reads() -> str:
        return file.read()

    with file, pytest.raises(CannotShip, match="file"):
        pack_call(reads, (), {}, python=HERE)


def test_what_is_no_call_is_refused(sent: Sent) -> None:
    data = b"".join(map(bytes, dump(("neither", 1)).parts))
    with pytest.raises(ProtocolError):
        sent.functions.open(data, sent.blob)
