"""What was used, asked of a real gateway: its sums are the calls that were made."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.errors import CallError, NotFound, UsageError
from easyremote.gateway.server import Server
from easyremote.identity import read_private
from tests.cli.command import easyremote
from tests.processes import LIMIT, Gateway, get, wait_until


def test_the_sums_are_the_calls(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    for number in range(3):
        assert client.execute("add", number, 1) == number + 1
    with pytest.raises(CallError):
        client.execute("divide", 1, 0)
    with pytest.raises(NotFound):
        client.execute("no_such_function")
    assert list(client.call("count", (4,), stream=True)) == [0, 1, 2, 3]  # type: ignore[call-overload]
    assert client.submit(pow, 2, 5).result(LIMIT) == 32
    cell = {"count": 1, "writes": [], "modules": {}, "code": "print('x' * 500)"}
    Session(client, "gpu-node", "used").submit_cell(cell).result(LIMIT)
    begun, never = tmp_path / "begun", tmp_path / "never"
    cancelled = client.call("wait_for", (str(never), str(begun)))
    wait_until(begun.exists)
    cancelled.cancel()
    wait_until(lambda: any(row.cancelled for row in client.usage()))  # its node has stopped it
    assert get(f"http://{gateway.address}/api/square?x=3") == {"x": 3, "square": 9}
    rows = {row.name: row for row in client.usage("function")}
    assert (rows["add"].calls, rows["add"].values) == (3, 3)
    assert (rows["divide"].calls, rows["divide"].errors) == (1, 1)
    assert (rows["other"].calls, rows["other"].refused) == (1, 1)
    for name in ("count", "$call", "$cell", "square"):
        assert (rows[name].calls, rows[name].values) == (1, 1), name
    assert (rows["wait_for"].calls, rows["wait_for"].cancelled) == (1, 1)
    assert rows["$cell"].result_bytes > 500, "what it has shown"
    assert rows["wait_for"].run_seconds > 0
    assert rows["count"].result_bytes > 4
    assert 0 < rows["add"].argument_bytes < 1000
    made = 3 + 1 + 1 + 1 + 1 + 1 + 1 + 1
    for by in ("key", "node", "function"):
        assert sum(row.calls for row in client.usage(by)) == made
        assert sum(row.calls for row in client.usage(by, since="1h")) == made


def test_the_owner_sees_all_of_it_and_others_what_is_theirs(
    gateway: Gateway, client: Client
) -> None:
    before = {row.name: row.calls for row in client.usage()}
    made = easyremote(gateway.home, "key", "create", "--name", "bob").out.strip()
    with contextlib.closing(Client(gateway.address, made)) as other:
        assert other.usage() == []
        assert other.execute("add", 1, 2) == 3
        (own,) = other.usage()
        assert (own.title, own.calls, own.values) == ("bob", 1, 1)
        assert [row.name for row in other.usage("function")] == ["add"]
    after = {row.name: row.calls for row in client.usage()}
    assert after == {**before, own.name: 1}


def test_what_is_asked_wrongly_is_refused_where_it_is_written(client: Client) -> None:
    with pytest.raises(UsageError, match="by 'key', 'node', 'function', not by 'day'"):
        client.usage("day")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="as 7d, not 'yesterday'"):
        client.usage(since="yesterday")


def test_the_command_shows_a_table(gateway: Gateway, client: Client) -> None:
    client.execute("add", 1, 2)
    done = easyremote(gateway.home, "usage", "--by", "function", "--since", "7d")
    lines = done.out.splitlines()
    assert lines[0].split()[:2] == ["FUNCTION", "CALLS"]
    (line,) = (line for line in lines if line.startswith("add "))
    (row,) = (row for row in client.usage("function") if row.name == "add")
    assert line.split()[1] == str(row.calls)


def test_it_is_kept_over_a_restart_of_the_gateway(tmp_path: Path) -> None:
    with served(tmp_path) as client, pytest.raises(NotFound):
        client.execute("no_such_function")
    with contextlib.closing(sqlite3.connect(tmp_path / "gateway.sqlite3")) as database:
        assert database.execute("SELECT function, refused FROM usage").fetchall() == [("other", 1)]
    with served(tmp_path) as client:
        assert [row.refused for row in client.usage()] == [1]


@contextlib.contextmanager
def served(home: Path) -> Iterator[Client]:
    """A gateway in a thread, and a client of its owner."""
    with Server(port=0, home=home) as server:
        key = read_private(home / "local.json")["keys"]["client"]
        with contextlib.closing(Client(server.address, key)) as client:
            yield client
