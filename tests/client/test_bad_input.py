"""What people get told when they ask for what can't be; three real processes.

Faults of processes and connections are in ``tests/gateway/test_faults.py``, and what answers
instead of a gateway in ``tests/transport/test_dial.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from easyremote import remote
from easyremote.client.client import Client
from easyremote.errors import (
    CannotReturn,
    CannotShip,
    EasyRemoteError,
    NotFound,
    RemoteError,
    UsageError,
)
from tests.processes import LIMIT, Gateway, end, end_node, online, start_gateway, wait_until

PROGRAM = str(Path(__file__).with_name("bad_program.py"))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    started = start_gateway(tmp_path_factory.mktemp("home"))
    yield started
    end(started.process)


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    process = gateway.start_node("gpu-node", PROGRAM)
    yield process
    end_node(process)


@pytest.fixture(autouse=True)
def node_lives(client: Client) -> Iterator[None]:
    before = client.on(timeout=LIMIT).execute("pid")
    yield
    assert client.on(timeout=LIMIT).execute("pid") == before


# -- names and options -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nosuchthing", r"^No node online has a function 'nosuchthing'. There are: .*raises, "),
        ("rises", r"^No node online has a function 'rises'. Did you mean 'raises'\? There are"),
        ("", r"^No node online has a function ''."),
    ],
)
def test_a_function_that_nobody_has_is_told_with_those_that_there_are(
    client: Client, name: str, text: str
) -> None:
    with pytest.raises(NotFound, match=text) as caught:
        client.execute(name)
    assert not caught.value.may_have_run


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"function": 3}, "called by its name, a text, not by 3"),
        ({"function": len}, "To send a function itself: client.submit"),
        ({"function": "\ud800"}, r"'\\ud800' can't be a function's name"),
        ({"function": "a" * 5000}, "'a{40}' can't be a function's name"),
        ({"function": "pid", "node_id": 3}, "node_id is a text, not 3"),
        ({"function": "pid", "node_id": "a\nb"}, r"'a\\nb' can't be a node's id"),
    ],
)
def test_what_can_be_no_name_is_refused_before_anything_is_sent(
    client: Client, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        client.call(**arguments)


def test_where_no_node_runs_code_a_body_is_refused(own_gateway: Gateway) -> None:
    client = own_gateway.client()
    with pytest.raises(NotFound, match="No node online runs cells or shipped functions. Start"):
        client.submit(os.getpid).result(LIMIT)
    careful = own_gateway.start_node("careful", "--no-code")
    try:
        with pytest.raises(NotFound, match="'careful' runs only the functions that it registered"):
            client.ship(os.getpid, (), {}, node_id="careful").result(LIMIT)
    finally:
        client.close()
        end(careful)


@pytest.fixture
def own_gateway(tmp_path: Path) -> Iterator[Gateway]:
    started = start_gateway(tmp_path / "home")
    yield started
    end(started.process)


# -- arguments and results -------------------------------------------------------------------------


def test_the_argument_that_cannot_travel_is_named_with_its_place(client: Client) -> None:
    with pytest.raises(
        CannotShip, match=r"argument 1 of echo\(\) .*: args\[0\]\['model'\]\[1\] is _thread.lock"
    ):
        client.execute("echo", {"model": [1, threading.Lock()]})
    with (
        open(__file__) as file,
        pytest.raises(CannotShip, match="argument 'value' of echo.*its pa"),
    ):
        client.execute("echo", value=file)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("lock", r"returns\(\) ran, but what it returned can't travel: value\['a'\]\[1\] is _thr"),
        ("generator", r"the generator returns.* Return list\(\.\.\.\) of it, or yield its items"),
        ("connection", r"sqlite3.Connection .* Return plain data that is made from it"),
    ],
)
def test_a_result_that_cannot_travel_is_told_by_who_wrote_the_function(
    client: Client, what: str, text: str
) -> None:
    with pytest.raises(CannotReturn, match=text) as caught:
        client.execute("returns", what)
    assert caught.value.may_have_run
    assert "on the node instead" not in str(caught.value)


def test_a_shipped_function_whose_result_cannot_travel_is_named(client: Client) -> None:
    def locked() -> object:
        return threading.Lock()

    with pytest.raises(CannotReturn, match=r"^locked\(\) ran, but what it returned can't travel"):
        client.submit(locked).result(LIMIT)


def test_an_item_that_cannot_travel_ends_the_stream_after_those_that_could(client: Client) -> None:
    stream = client.call("yields", ("lock",), stream=True)
    assert next(iter(stream)) == 1
    with pytest.raises(CannotReturn, match=r"yields\(\) runs, but what it yielded can't travel"):
        stream.result(LIMIT)
    failing = client.call("yields", ("error",), stream=True)
    with pytest.raises(ValueError, match="after one"):
        list(failing)


def test_a_generator_called_as_a_function_is_stopped_and_told(client: Client) -> None:
    with pytest.raises(UsageError, match=r"numbers\(\) is a generator, but was called as a plain"):
        client.call("numbers", (10**9,)).result(LIMIT)

    def returns_a_generator() -> object:
        return (i for i in range(10**9))

    with pytest.raises(UsageError, match="The function is a generator"):
        client.submit(returns_a_generator).result(LIMIT)


def test_a_function_called_as_a_generator_is_told(client: Client) -> None:
    with pytest.raises(UsageError, match=r"add\(\) is no generator: it returned a value"):
        list(client.call("add", (1, 2), stream=True))


# -- what functions raise and do -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "type_name", "text"),
    [
        ("reduce", "BrokenReduce", "^what was wrong$"),
        ("str", "BrokenStr", "its message can't be shown: __str__ raised RuntimeError"),
        ("group", "ExceptionGroup", "many"),
        ("interrupt", "KeyboardInterrupt", "^$"),
        ("cancelled", "CancelledError", "^$"),
        ("surrogate", "ValueError", "^file \ud800$"),
        ("long", "ValueError", "800000 characters left out"),
    ],
)
def test_whatever_a_function_raises_arrives(
    client: Client, what: str, type_name: str, text: str
) -> None:
    with pytest.raises(RemoteError, match=text) as caught:
        client.on(timeout=LIMIT).execute("raises", what)
    assert caught.value.type_name == type_name
    assert type_name in caught.value.remote_traceback or what == "long"


def test_fifty_megabytes_printed_by_a_function_harm_nobody(
    own_gateway: Gateway, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "easyremote.node", "--node-id", "loud", PROGRAM],
            env=own_gateway.environment(),
            stdout=file,
            stderr=file,
            text=True,
        )
    client = own_gateway.client()
    try:
        wait_until(lambda: "loud" in online(client))
        assert client.execute("prints", 50) == 50
        assert output.stat().st_size > 50_000_000
    finally:
        client.close()
        end(process)


def test_fifty_megabytes_printed_by_shipped_code_are_cut_and_said_to_be(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    def loud() -> int:
        for _ in range(50):
            print("x" * 1_000_000)
        return 50

    assert client.submit(loud).result(LIMIT) == 50
    printed = capsys.readouterr().out
    assert 0 < len(printed) < 60_000_000


def test_a_shipped_generator_may_print(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    def talks(n: int) -> Iterator[int]:
        for i in range(n):
            print("about to yield", i)
            yield i

    stream = client.ship(talks, (3,), {}, stream=True)
    assert list(stream) == [0, 1, 2]
    assert capsys.readouterr().out == "".join(f"about to yield {i}\n" for i in range(3))


# -- odd values ------------------------------------------------------------------------------------


def test_unicode_passes_everywhere(client: Client, own_gateway: Gateway) -> None:
    assert client.execute("grüße 🚀", "你好", zusatz="é\u0301") == {"Grüß dich, 你好": "é\u0301"}
    with pytest.raises(ValueError, match="^ünï 🚀$"):
        client.execute("raises", "ünï 🚀")

    @remote(node_id="gpu-node", gateway=client.settings.gateway, api_key=client.settings.api_key)
    def größe(wörter: list[str]) -> dict[str, int]:
        return {wort: len(wort) for wort in wörter}

    assert größe(["🚀", "naïve"]) == {"🚀": 1, "naïve": 5}
    node = own_gateway.start_node("knoten-ß-🚀", PROGRAM)
    other = own_gateway.client()
    try:
        assert other.on("knoten-ß-🚀").execute("add", 1, 2) == 3
        with pytest.raises(NotFound, match="Did you mean 'knoten-ß-🚀'"):
            other.on("knoten-ss-🚀").execute("add", 1, 2)
    finally:
        other.close()
        end(node)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(0),
        np.zeros((3, 0, 2), dtype="complex64"),
        np.array(5.5),
        np.array(["a", "bcd"]),
        np.array([b"x", b"yz"]),
        np.array(["2024-01-01", "NaT"], dtype="datetime64[D]"),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        np.arange(12.0).reshape(3, 4).T,
        np.arange(100_000.0).reshape(100, 1000)[::-1, ::7],
        np.broadcast_to(np.arange(1000.0), (100, 1000)),
        np.ma.masked_array([1, 2, 3], [False, True, False]),
        np.array([{"a": 1}, [2], None], dtype=object),
        np.arange(10, dtype=">i4"),
        np.arange(100_000, dtype="float16"),
    ],
    ids=lambda array: f"{array.dtype.str if array.dtype.names is None else 'record'}{array.shape}",
)
def test_arrays_of_every_shape_and_type_come_back(
    client: Client, array: np.ndarray[Any, Any]
) -> None:
    back = client.execute("echo", array)
    np.testing.assert_array_equal(back, array)
    assert (type(back), back.dtype, back.shape) == (type(array), array.dtype, array.shape)


@pytest.mark.parametrize(
    "view",
    [
        memoryview(b""),
        memoryview(bytearray(b"abc" * 100_000)),
        memoryview(np.arange(12.0).reshape(3, 4)),
        memoryview(b"abcdef")[::2],
    ],
    ids=["empty", "writable", "2-d", "strided"],
)
def test_memoryviews_come_back(client: Client, view: memoryview) -> None:
    back = client.execute("echo", view)
    assert (back.tolist(), back.format, back.readonly) == (
        view.tolist(),
        view.format,
        view.readonly,
    )


def test_a_frame_of_every_dtype_comes_back(client: Client) -> None:
    frame = pd.DataFrame(
        {
            "int8": pd.Series([1, 2], dtype="int8"),
            "uint64": pd.Series([1, 2**64 - 1], dtype="uint64"),
            "float32": pd.Series([0.5, np.nan], dtype="float32"),
            "complex": pd.Series([1j, 2.0]),
            "bool": [True, False],
            "object": [{"a": 1}, [2]],
            "text": pd.Series(["ä", None], dtype="string"),
            "time": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Zurich"),
            "delta": pd.to_timedelta([1, None], unit="s"),
            "period": pd.period_range("2024-01", periods=2, freq="M"),
            "interval": pd.interval_range(0, 2),
            "category": pd.Categorical(["x", None], categories=["x", "y"], ordered=True),
            "Int64": pd.array([1, None], dtype="Int64"),
            "boolean": pd.array([True, None], dtype="boolean"),
            "Float64": pd.array([0.1, None], dtype="Float64"),
            "sparse": pd.arrays.SparseArray([0.0, 1.0]),
        },
        index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["erster", None]),
    )
    back = client.execute("echo", frame)
    pd.testing.assert_frame_equal(back, frame)
    assert list(back.dtypes) == list(frame.dtypes)
    empty = frame.iloc[:0]
    pd.testing.assert_frame_equal(client.execute("echo", empty), empty)


def test_an_error_of_ours_survives_the_trip_through_a_function(client: Client) -> None:
    def asks_for_too_much() -> None:
        raise UsageError("not so")

    with pytest.raises(EasyRemoteError, match="not so"):
        client.submit(asks_for_too_much).result(LIMIT)
