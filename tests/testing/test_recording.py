"""`record` and `replay`: real answers, again from a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from easyremote import CallError, remote
from easyremote.errors import UsageError
from easyremote.testing import fake_gateway, record, replay
from tests.processes import LIMIT, Gateway


@remote
def divide(a: int, b: int) -> float: ...  # type: ignore[empty-body]


@remote
def count(n: int) -> Iterator[int]:
    yield  # type: ignore[misc]


def total(array: np.ndarray[tuple[int], np.dtype[np.float64]], plus: int = 0) -> float:
    print("on the node")
    return float(array.sum()) + plus


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recording of a few calls of a fake gateway."""
    gateway = fake_gateway()
    answers = iter([1.0, 2.0, 3.0])

    @gateway.register(name="divide")
    def divided(a: int, b: int) -> float:
        return a / b + next(answers)

    @gateway.register(name="count")
    def counted(n: int) -> Iterator[int]:
        yield from range(n)

    path = tmp_path / "calls.json"
    with gateway, record(path) as client:
        assert divide(1, 1) == 2.0
        assert divide(1, 1) == 3.0
        assert list(count(3)) == [0, 1, 2]
        assert client.execute("divide", 1, b=1) == 4.0
        with pytest.raises(ZeroDivisionError):
            divide(1, 0)
    return path


def test_calls_are_answered_as_they_were_in_their_order(recorded: Path) -> None:
    with replay(recorded) as client:
        with pytest.raises(ZeroDivisionError) as caught:
            divide(1, 0)
        assert isinstance(caught.value, CallError)
        assert divide.submit(1, 1).result(LIMIT) == 2.0
        assert list(count(3)) == [0, 1, 2]
        assert asyncio.run(divide.aio(1, 1)) == 3.0
        assert client.execute("divide", 1, b=1) == 4.0


def test_a_call_that_was_not_made_then_is_refused_and_named(recorded: Path) -> None:
    with replay(recorded):
        with pytest.raises(UsageError, match=r"calls\.json has no answer of divide\(\)"):
            divide(2, 1)
        assert list(count(3)) == [0, 1, 2]
        with pytest.raises(UsageError, match="not so many"):
            list(count(3))


def test_a_recording_is_json_that_names_its_functions(recorded: Path) -> None:
    calls = json.loads(recorded.read_text())["calls"]
    assert [call["function"] for call in calls] == [
        "divide",
        "divide",
        "count",
        "divide",
        "divide",
    ]
    recorded.write_text("{}")
    with pytest.raises(UsageError, match="no recording"), replay(recorded):
        pass


def test_a_block_that_raises_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), fake_gateway(), record(tmp_path / "calls.json"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_sent_functions_with_large_arguments_are_replayed_without_their_node(
    gateway: Gateway,
    node: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))
    large, small = np.arange(200_000.0), np.arange(3.0)

    def asked() -> list[float]:
        at_node = remote(node_id="gpu-node")(total)
        return [at_node(large), at_node(small, plus=1), remote(total)(large)]

    with record(tmp_path / "calls.json"):
        answers = asked()
    shown = capsys.readouterr().out
    assert answers[1] == 4.0
    monkeypatch.setenv("EASYREMOTE_HOME", str(tmp_path))  # no gateway is configured there
    with replay(tmp_path / "calls.json"):
        assert asked() == answers
    assert capsys.readouterr().out == shown == "on the node\n" * 3
