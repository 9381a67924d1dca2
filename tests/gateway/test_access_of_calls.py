"""A call goes only to nodes whose own registration lets its caller call the function."""

from __future__ import annotations

import pytest

from easyremote.errors import NotFound
from easyremote.gateway.callers import Access
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.records import LOST_AFTER
from easyremote.protocol.messages import Dispatch, Function, HandBack
from tests.gateway.desk import Desk

PRIVATE = Function("wipe")
PUBLIC = Function("wipe", public=True)
WITH_KEY = Function("wipe", public=True, auth_required=True)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("function", "allowed"),
    [
        (PRIVATE, {Access.LINK}),
        (WITH_KEY, {Access.LINK, Access.HTTP}),
        (PUBLIC, {Access.LINK, Access.HTTP, Access.PUBLIC}),
    ],
)
def test_who_may_call_what_a_node_registers(function: Function, allowed: set[Access]) -> None:
    assert {access for access in Access if access.allows(function)} == allowed


@pytest.mark.parametrize(
    ("closed", "access"),
    [(PRIVATE, Access.PUBLIC), (PRIVATE, Access.HTTP), (WITH_KEY, Access.PUBLIC)],
)
def test_a_call_runs_only_where_its_caller_is_allowed_even_if_that_node_is_busy(
    desk: Desk, closed: Function, access: Access
) -> None:
    a, b = desk.node("a", closed), desk.node("b", PUBLIC, slots=1)
    visitor = desk.client("visitor", access)
    for _ in range(5):
        visitor.submit("wipe", "")
    (first,) = b.heard(Dispatch)
    a.register(closed)  # what waits is looked at anew, in each of these ways
    a.resume()
    desk.pass_time(1.0)
    b.finish(first)
    assert a.heard(Dispatch) == []
    assert b.heard(Dispatch)


def test_a_call_waits_for_the_node_that_allows_it_and_comes_to_no_other(desk: Desk) -> None:
    a, b = desk.node("a", PRIVATE), desk.node("b", PUBLIC)
    visitor = desk.client("visitor", Access.PUBLIC)
    number = visitor.submit("wipe", "")
    b.say(HandBack((b.only(Dispatch).call,)))
    assert visitor.only(HandBack) == HandBack((number,))
    b.leave()
    visitor.submit("wipe", "")
    again = desk.node("b", PUBLIC)
    assert len(again.heard(Dispatch)) == 1
    assert a.heard(Dispatch) == []


def test_a_call_that_no_node_allows_any_more_is_refused_and_told_no_private_name(
    desk: Desk,
) -> None:
    desk.node("a", PRIVATE, "secret_name")
    b = desk.node("b", PUBLIC)
    visitor = desk.client("visitor", Access.PUBLIC)
    b.leave()
    visitor.submit("wipe", "")
    desk.pass_time(LOST_AFTER + 1)
    code, text, _ = visitor.error()
    assert code in ("not-found", "offline")
    assert "secret_name" not in text


def test_who_may_call_less_holds_up_nobody(desk: Desk) -> None:
    a, visitor = desk.node("a", PRIVATE, slots=1), desk.client("visitor", Access.PUBLIC)
    desk.node("b", PUBLIC).leave()
    visitor.submit("wipe", "")  # waits for b
    desk.client().submit("wipe", "")
    assert a.only(Dispatch).owner == "alice"


def test_who_may_not_know_a_function_is_told_the_same_as_where_there_is_none() -> None:
    error = Nodes(0.0).no_such_function("wipe", None, Access.PUBLIC)
    assert isinstance(error, NotFound)
    assert error.message == "There is no public function 'wipe' here."
