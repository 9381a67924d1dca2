"""Who may do what with which call: own calls only, and what the scopes of a key are good for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from easyremote.gateway.callers import Access
from easyremote.gateway.permissions import CODE, FUNCTIONS, PUBLIC, Action, may, principal_of
from easyremote.gateway.records import GatewayCall
from easyremote.protocol.builtins import BUILTINS, is_builtin
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.messages import Dispatch, Finished
from tests.gateway.desk import Desk

ALICE = principal_of("alice", "Alice", "client")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def call_of(owner: str, function: str = "f") -> GatewayCall:
    target = "", function, Access.LINK
    return GatewayCall(1, bytes(16), owner, target, is_code=is_builtin(function))


@pytest.mark.parametrize("action", [Action.SEE, Action.STOP, Action.CLAIM])
def test_a_key_sees_stops_and_claims_its_own_calls_only(action: Action) -> None:
    assert may(ALICE, action, call_of("alice"))
    assert not may(ALICE, action, call_of("bob"))
    assert not may(ALICE, action, call_of(""))
    assert not may(PUBLIC, action, call_of("alice"))
    assert not may(ALICE, action, call_of("public"))


@pytest.mark.parametrize("function", ["f", *BUILTINS, "$of_a_newer_version"])
def test_cells_and_shipped_functions_need_the_scope_of_code(function: str) -> None:
    call = call_of("alice", function)
    assert may(ALICE, Action.START, call)
    assert not may(principal_of("n", "", "node"), Action.START, call)
    assert may(PUBLIC, Action.START, call) == (function == "f")
    assert may(replace(ALICE, scopes=frozenset({CODE})), Action.START, call) == (function != "f")


@pytest.mark.parametrize(("function", "code"), [("$cell", "not-authorized"), ("f", "")])
def test_a_call_that_its_key_may_not_start_reaches_no_node(
    desk: Desk, function: str, code: str
) -> None:
    client, node = desk.client("alice"), desk.node("n", "f", "$cell")
    client.client.principal = replace(ALICE, scopes=frozenset({FUNCTIONS}))
    client.submit(function)
    assert len(node.heard(Dispatch)) == (not code)
    if code:
        found, text, details = client.error()
        assert (found, details["may_have_run"]) == (code, False)
        assert "The key alice may not run the cell." in text


def test_a_key_that_is_revoked_with_500_calls_waiting_holds_up_nobody(desk: Desk) -> None:
    node, alice, bob = desk.node(slots=1), desk.client("alice"), desk.client("bob")
    away = desk.client("alice")
    alice.submit()
    running = node.only(Dispatch)
    for number in range(500):
        (alice if number % 2 else away).submit()
    bob.submit()
    away.leave()  # its calls wait for its return
    desk.calls.key_is_over("alice", desk.now)
    refused = alice.heard(Finished)
    assert {each.code for each in refused} == {"not-authorized"}
    assert len(refused) == 250
    code, text, details = unpack_error(refused[0].payload.data)
    assert "The key alice was revoked, or has expired, while f() waited" in text
    assert details["may_have_run"] is False
    node.finish(running)
    assert alice.heard(Finished), "what ran goes on"
    assert node.only(Dispatch).owner == "bob"
    assert desk.calls.table.queues.waiting.keys() == set()


@pytest.mark.parametrize("age", [0.0, 30.0])
@pytest.mark.parametrize(("name", "is_owner"), [("alice", True), ("bob", False), ("", False)])
def test_the_rules_of_a_node_are_for_its_owner_alone(
    desk: Desk, age: float, name: str, is_owner: bool
) -> None:
    node = desk.node("n", "$rules")
    node.node.owner = "alice"
    client = desk.client(name)
    client.submit("$rules", age=age)
    desk.pass_time(61)
    assert len(node.heard(Dispatch)) == is_owner
    if not is_owner:
        code, text, _ = client.error()
        assert code == ("lost" if age else "not-authorized")
        assert age or f"belongs to the key 'alice', and yours is called {name!r}" in text


@pytest.mark.parametrize("named", ["", "any", "gone"])
def test_rules_are_those_of_one_node(desk: Desk, named: str) -> None:
    node, client = desk.node("n", "$rules"), desk.client("alice")
    client.submit("$rules", named)
    assert node.heard(Dispatch) == []
    assert client.error()[0] == "not-found"
