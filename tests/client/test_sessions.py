"""What sessions there are, and what is in them, for who must not unpickle: real processes."""

from __future__ import annotations

from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

from easyremote.client.client import Client
from easyremote.client.session import Session, ask_for_sessions
from easyremote.errors import CallTimeout, NotFound, ProtocolError
from easyremote.protocol.requests import DeleteVariable, ListVariables, SessionInfo, VariablesAnswer
from easyremote.serialize.calls import pack_call
from tests.processes import Gateway, until_there, wait_until

REQUEST: dict[str, Any] = {"count": 1, "writes": ["x", "a"], "modules": {}}


def test_variables_are_listed_and_deleted_without_a_pickle(client: Client) -> None:
    session = Session(client, "gpu-node", "plain")
    code = "class Range:\n    shape = (2, 3)\n    nbytes = 48\na = Range(); x = 'text'"
    session.submit_cell(REQUEST | {"code": code}).result()
    [mine] = [each for each in sessions_on(client, "gpu-node") if each.session == "plain"]
    assert (mine.busy, mine.waiting) == (False, 0)
    variables = session.ask_plainly(ListVariables(), queue_timeout=30).variables
    assert variables["x"].type == "str"
    assert (variables["a"].shape, variables["a"].size) == ((2, 3), 48)
    session.ask_plainly(DeleteVariable("x"), queue_timeout=30)
    assert "x" not in session.ask_plainly(ListVariables(), queue_timeout=30).variables
    with pytest.raises(NotFound, match="'x'"):
        session.ask_plainly(DeleteVariable("x"), queue_timeout=30)


def test_a_session_that_is_busy_says_so_and_its_variables_wait(
    client: Client, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = f"import pathlib, time\n{until_there(gate)}"
    session = Session(client, "gpu-node", "busy")
    job = session.submit_cell(REQUEST | {"code": code})

    def is_busy() -> bool:
        return any(s.session == "busy" and s.busy for s in sessions_on(client, "gpu-node"))

    wait_until(is_busy)
    with pytest.raises(CallTimeout):
        session.ask_plainly(ListVariables(), queue_timeout=0.3)
    gate.touch()
    job.result()
    session.ask_plainly(ListVariables(), queue_timeout=30)


def test_a_look_at_a_session_is_no_use_of_it(client: Client) -> None:
    session = Session(client, "gpu-node", "looked-at")
    session.submit_cell(REQUEST | {"code": "1"}, origin="kernel/cell").result()
    wait_until(lambda: described(client, "looked-at").idle > 0.3)
    session.ask_plainly(ListVariables(), queue_timeout=30)
    told = described(client, "looked-at")
    assert (told.idle > 0.3, told.origin) == (True, "kernel/cell")
    jobs = next(iter(client.watch()))
    assert "variables" not in {job["function"] for job in (*jobs["jobs"], *jobs["ended"])}


def test_a_session_is_restarted_empty_and_stays_whose_it_is(client: Client) -> None:
    session = Session(client, "gpu-node", "restarted")
    assert not session.restart()
    session.submit_cell(REQUEST | {"code": "x = 1"}, origin="kernel/cell").result()
    assert session.restart()
    assert described(client, "restarted").origin == "kernel/cell"
    assert session.ask_plainly(ListVariables(), queue_timeout=30) == VariablesAnswer({})


def sessions_on(client: Client, node_id: str) -> tuple[SessionInfo, ...]:
    return ask_for_sessions(client, node_id).result().sessions


def described(client: Client, name: str) -> SessionInfo:
    [told] = [each for each in sessions_on(client, "gpu-node") if each.session == name]
    return told


def test_who_looks_on_starts_no_session(client: Client) -> None:
    with pytest.raises(NotFound, match="no such session"):
        Session(client, "gpu-node", "never").ask_plainly(ListVariables(), queue_timeout=30)
    assert "never" not in {each.session for each in sessions_on(client, "gpu-node")}


def test_another_key_sees_none_of_them(client: Client, gateway: Gateway) -> None:
    from easyremote.gateway.keys import KeyStore

    Session(client, "gpu-node", "private").submit_cell(REQUEST | {"code": "1"}).result()
    store = KeyStore(gateway.home / "gateway.sqlite3")
    key = store.create("client", "somebody else")
    store.close()
    with Client(gateway.address, str(key)) as other:
        assert sessions_on(other, "gpu-node") == ()


def test_a_pickle_that_answers_a_plain_question_is_not_opened(client: Client) -> None:
    dumped = pack_call(_one, (), {}, python=None).dumped()
    job = client.start("$call", dumped, node_id="gpu-node", timeout=60)
    wait([job], 60)
    job.function = "$sessions"  # it answers in a pickle, as a node that lies would
    with pytest.raises(ProtocolError, match="not opened"):
        job.result()


def _one() -> int:
    return 1
