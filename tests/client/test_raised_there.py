"""What a function raises on a node is caught here as if it had run here."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from easyremote import remote
from easyremote.client.client import Client
from easyremote.errors import RemoteError
from tests.processes import LIMIT, Gateway


class TooHot(ValueError):
    def __init__(self, degrees: int, *, place: str) -> None:
        super().__init__(degrees)
        self.place = place


def no_file() -> None:
    open("/no/such/file")


def no_key() -> None:
    {}[("a", 1)]  # type: ignore[index]  # raises


def bad_json() -> None:
    json.loads("[1,")


def too_hot() -> None:
    raise TooHot(99, place="oven")


def leaves() -> None:
    sys.exit(3)


def group() -> None:
    raise ExceptionGroup("two", [ValueError(1), KeyError("k")])


def chained() -> None:
    try:
        no_key()
    except KeyError as error:
        error.add_note("a note")
        raise RuntimeError("outer") from error


def stops() -> None:
    raise StopIteration("done")


def counts() -> Iterator[int]:
    yield 1
    raise OSError(28, "No space", "f.txt")


def failed_command() -> None:
    subprocess.run([sys.executable, "-c", "raise SystemExit(4)"], check=True)


@pytest.fixture
def raises(client: Client) -> Callable[[Callable[[], object]], Any]:
    def run(function: Callable[[], object]) -> Any:
        with pytest.raises(RemoteError) as caught:
            client.on("gpu-node").submit(function).result(LIMIT)
        return caught.value

    return run


def test_builtin_errors_have_their_class_arguments_and_fields(
    raises: Callable[[Callable[[], object]], Any],
) -> None:
    error = raises(no_file)
    assert isinstance(error, FileNotFoundError)
    assert (error.errno, error.filename, error.args) == (
        2,
        "/no/such/file",
        (2, "No such file or directory"),
    )
    assert raises(no_key).args == (("a", 1),)
    error = raises(bad_json)
    assert isinstance(error, json.JSONDecodeError) and (error.pos, error.doc) == (3, "[1,")
    error = raises(leaves)
    assert isinstance(error, SystemExit) and error.code == 3
    error = raises(failed_command)
    assert isinstance(error, subprocess.CalledProcessError) and error.returncode == 4


def test_an_own_class_is_caught_by_that_class(
    raises: Callable[[Callable[[], object]], Any],
) -> None:
    error = raises(too_hot)
    assert isinstance(error, TooHot)
    assert (error.args, error.place) == ((99,), "oven")
    assert "raise TooHot" in error.remote_traceback


def test_members_causes_and_notes_arrive(raises: Callable[[Callable[[], object]], Any]) -> None:
    error = raises(group)
    assert isinstance(error, ExceptionGroup)
    assert [each.args for each in error.exceptions] == [(1,), ("k",)]
    cause = raises(chained).__cause__
    assert isinstance(cause, KeyError) and cause.__notes__ == ["a note"]


def test_a_generator_that_fails_raises_the_same_after_its_items(
    client: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))
    stream = remote(node_id="gpu-node")(counts)()
    assert next(stream) == 1
    with pytest.raises(OSError) as caught:
        next(stream)
    assert (caught.value.errno, caught.value.filename) == (28, "f.txt")


def test_a_stop_iteration_ends_no_loop_and_no_await_here(client: Client) -> None:
    there = client.on("gpu-node")

    async def main() -> object:
        return await there.submit(stops)

    with pytest.raises(RuntimeError, match="StopIteration"):  # as of a coroutine that raises it
        asyncio.run(asyncio.wait_for(main(), LIMIT))
    with pytest.raises(RuntimeError, match="StopIteration"):  # as of a generator that raises it
        list(there.map(lambda x: stops(), [1]))
