"""What was used, asked of a real gateway: its sums are the calls that were made."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.errors import CallError, NotFound, UsageError
from easyremote.gateway.server import Server
from easyremote.identity import read_private
from tests.cli.command import easyremote
from tests.processes import LIMIT, Gateway, get


def test_the_sums_are_the_calls(client: Client, gateway: Gateway, tmp_path: Path) -> None:
    for number in range(3):
        assert client.execute("add", number, 1) == number + 1
    with pytest.raises(CallError):
        client.execute("divide", 1, 0)
    with pytest.raises(NotFound):
        client.execute("no_such_function")
    assert list(client.call("count", (4,), stream=True)) == [0, 1, 2, 3]  # type: ignore[call-overload]
    assert client.submit(pow, 2, 5).result(LIMIT) == 32
    rows = {row.name: row for row in client.usage("function")}
    assert (rows["add"].calls, rows["add"].values) == (3, 3)
    assert (rows["divide"].calls, rows["divide"].errors) == (1, 1)
    assert (rows["other"].calls, rows["other"].refused) == (1, 1)
    assert rows["count"].values == rows["$call"].values == 1
    assert rows["count"].result_bytes > 4
    assert 0 < rows["add"].argument_bytes < 1000
    made = 3 + 1 + 1 + 1 + 1
    for by in ("key", "node", "function"):
        assert sum(row.calls for row in client.usage(by)) == made
        assert sum(row.calls for row in client.usage(by, since="1h")) == made


def test_by_http_as_well_and_the_owner_sees_all_of_it(gateway: Gateway, client: Client) -> None:
    before = {row.name: row.calls for row in client.usage()}
    assert get(f"http://{gateway.address}/api/square?x=3") == {"x": 3, "square": 9}
    made = easyremote(gateway.home, "key", "create", "--name", "bob").out.strip()
    with contextlib.closing(Client(gateway.address, made)) as other:
        assert other.usage() == []
        assert other.execute("add", 1, 2) == 3
        (own,) = other.usage()
        assert (own.title, own.calls, own.values) == ("bob", 1, 1)
        assert [row.name for row in other.usage("function")] == ["add"]
    after = {row.name: row.calls for row in client.usage()}
    assert after == {**before, "public": 1, own.name: 1}


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
