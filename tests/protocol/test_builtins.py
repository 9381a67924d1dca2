"""The table of builtins is the only place that knows their names, and all of it is answered."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from easyremote.errors import ProtocolError
from easyremote.gateway.feed import GatewayFeed
from easyremote.protocol import builtins
from easyremote.protocol.builtins import (
    BUILTINS,
    MARK,
    OF_NODES,
    Answerer,
    Builtin,
    UserPickle,
    is_builtin,
    job_name,
    open_request,
)
from easyremote.protocol.messages import Payload, Submit
from tests.gateway.desk import Desk
from tests.processes import REPOSITORY

TABLE = REPOSITORY / "easyremote/protocol/builtins.py"
SOURCES = [
    path
    for folder in ("easyremote", "jupyter_extension/easyremote_jupyter")
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
    if path != TABLE
]
#: The constant of each builtin: CELL is "$cell".
CONSTANTS = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, str) and value in BUILTINS
}
#: Whose code answers.
ANSWERED_IN = {
    Answerer.GATEWAY: "easyremote/gateway",
    Answerer.SUPERVISOR: "easyremote/node/processes",
    Answerer.SESSION: "easyremote/node/worker",
    Answerer.POOL: "easyremote/node/worker",
    Answerer.BESIDE: "easyremote/node/worker",
}
#: What a worker runs where nothing else is asked: no code has to compare its name.
BY_DEFAULT = {builtins.CALL}


def literals(path: Path) -> Iterator[str]:
    """Every text in a module's code; documentation is not compared with anything."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def used_in(folder: str) -> set[str]:
    """The builtins whose constants the code of a folder uses."""
    names = {
        node.id
        for path in SOURCES
        if path.is_relative_to(REPOSITORY / folder)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name)
    }
    return {value for name, value in CONSTANTS.items() if name in names}


def test_no_other_module_writes_a_builtins_name() -> None:
    assert len(SOURCES) > 150, "nothing was read"
    found = {
        str(path.relative_to(REPOSITORY)): text
        for path in SOURCES
        for text in literals(path)
        if text in BUILTINS
    }
    assert not found, "import its constant from easyremote.protocol.builtins"


def test_each_constant_is_a_row_and_each_row_has_a_constant() -> None:
    assert set(CONSTANTS.values()) == set(BUILTINS)
    assert all(name == value[1:].upper() for name, value in CONSTANTS.items())


@pytest.mark.parametrize("row", BUILTINS.values(), ids=lambda row: row.name)
def test_a_row_says_what_a_reader_of_the_wire_needs(row: Builtin) -> None:
    assert is_builtin(row.name)
    assert row.doc[0].isupper()
    assert row.doc.endswith(".")
    # The outcome of a detached call is the user's, and what asks for it is not.
    is_outcome = row.name == builtins.COLLECT
    assert (row.takes is UserPickle or is_outcome) == (row.answers is UserPickle)
    if row.answered_by in (Answerer.GATEWAY, Answerer.SUPERVISOR):
        assert row.encoding == "msgpack" or is_outcome, "only user code is pickled"
    for kind in (row.takes, row.answers, row.shows):
        if kind is not UserPickle:
            msgspec.msgpack.Decoder(kind)  # it is a type that can be read


@pytest.mark.parametrize(
    "row",
    [row for row in BUILTINS.values() if row.takes not in (None, UserPickle)],
    ids=lambda row: row.name,
)
def test_what_is_no_request_of_a_row_is_refused(row: Builtin) -> None:
    for bad in (b"", b"\xc1", b"\xc0", b"\x07", b"\x91\x01", b"\xa1\xff"):
        with pytest.raises(ProtocolError, match="can't be read"):
            open_request(row.name, bad)


def test_a_name_that_this_version_does_not_know_is_a_builtins_all_the_same() -> None:
    assert is_builtin(MARK + "of a newer version")
    assert not is_builtin("cell")


def test_functions_and_cells_start_something_new_and_questions_do_not() -> None:
    assert builtins.starts_work("train")
    assert builtins.starts_work(builtins.CELL)
    assert not builtins.starts_work(builtins.OUTPUT)


def test_a_node_offers_all_that_the_gateway_does_not_answer() -> None:
    by_gateway = {row.name for row in BUILTINS.values() if row.answered_by is Answerer.GATEWAY}
    assert set(OF_NODES) == set(BUILTINS) - by_gateway


@pytest.mark.parametrize("row", BUILTINS.values(), ids=lambda row: row.name)
def test_the_gateway_answers_its_own_rows_and_passes_on_the_others(row: Builtin) -> None:
    desk = Desk()
    feed = GatewayFeed(desk.calls)
    peer = desk.client()
    submit = Submit(1, bytes(16), "n", row.name, Payload("msgpack", 1, b"\xc0"))
    assert feed.receive(peer.client, submit) is (row.answered_by is Answerer.GATEWAY)


@pytest.mark.parametrize("row", BUILTINS.values(), ids=lambda row: row.name)
def test_the_code_that_answers_a_row_is_where_the_row_says(row: Builtin) -> None:
    assert row.name in used_in(ANSWERED_IN[row.answered_by]) | BY_DEFAULT


def test_a_node_does_not_know_what_the_gateway_answers() -> None:
    by_gateway = {row.name for row in BUILTINS.values() if row.answered_by is Answerer.GATEWAY}
    assert not used_in("easyremote/node") & by_gateway


def test_work_is_named_as_people_call_it() -> None:
    assert [job_name(each) for each in (builtins.CELL, builtins.CALL)] == ["cell", "shipped"]
    assert job_name("train") == "train()"
