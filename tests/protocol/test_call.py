"""The table of a call's transitions, every pair of it."""

from __future__ import annotations

import itertools

import pytest

from easyremote.errors import InternalError
from easyremote.protocol.call import TERMINAL, TRANSITIONS, CallEvent, CallState, advance


@pytest.mark.parametrize(("state", "event"), list(itertools.product(CallState, CallEvent)))
def test_a_pair_is_in_the_table_or_refused(state: CallState, event: CallEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(InternalError, match=f"a call that is {state.value} can't be"):
            advance(state, event)


@pytest.mark.parametrize("state", sorted(TERMINAL, key=str))
def test_a_terminal_state_has_no_way_out(state: CallState) -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] is state]


def test_every_state_is_reached_from_those_in_which_a_call_begins() -> None:
    reached = {CallState.QUEUED, CallState.EXPECTED}
    while True:
        more = {to for (start, _), to in TRANSITIONS.items() if start in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(CallState)
