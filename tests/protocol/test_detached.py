"""The table of a detached call's transitions, every pair of it."""

from __future__ import annotations

import itertools

import pytest

from easyremote.errors import InternalError
from easyremote.protocol.detached import (
    OVER,
    TRANSITIONS,
    DetachedEvent,
    DetachedState,
    advance,
)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(DetachedState, DetachedEvent)))
def test_a_pair_is_in_the_table_or_refused(state: DetachedState, event: DetachedEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(InternalError, match=f"that is {state.value} can't be {event.name}"):
            advance(state, event)


def test_only_what_is_over_has_no_way_out() -> None:
    assert {state for state, _ in TRANSITIONS} == set(DetachedState) - OVER


def test_every_state_is_reached() -> None:
    assert {DetachedState.ARRIVING, *TRANSITIONS.values()} == set(DetachedState)
