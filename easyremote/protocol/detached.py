"""The states of a detached call at the gateway, and the one table of its transitions.

A detached call has no client that waits: the gateway is its client, and its journal holds what a
client would hold. While it is `ACCEPTED`, its present attempt is a call like any other, with a
state of ``call.py``. ``tests/protocol/test_detached.py`` walks every pair.
"""

from __future__ import annotations

from enum import Enum, auto

from easyremote.errors import InternalError


class DetachedState(Enum):
    """Where a detached call stands."""

    __hash__ = object.__hash__  # as in ``call.py``: members are single objects

    #: It is being written to the disk. Nobody has been told that it is accepted, and it can't run.
    ARRIVING = "arriving"
    #: The disk has it: it waits, runs, or waits for its next attempt.
    ACCEPTED = "accepted"
    #: It is over, and its outcome is being written. Its node goes on holding the outcome.
    ENDED = "ended"
    #: The disk has its outcome: it can be collected, and its node may forget it.
    KEPT = "kept"
    #: It could not be written: it never ran.
    REFUSED = "refused"
    #: Its outcome is forgotten: somebody released it, or its time is over.
    RELEASED = "released"


class DetachedEvent(Enum):
    """What can happen to a detached call."""

    __hash__ = object.__hash__

    WRITTEN = auto()
    NOT_WRITTEN = auto()
    ENDED = auto()
    RELEASED = auto()


_S, _E = DetachedState, DetachedEvent

TRANSITIONS: dict[tuple[DetachedState, DetachedEvent], DetachedState] = {
    (_S.ARRIVING, _E.WRITTEN): _S.ACCEPTED,
    (_S.ARRIVING, _E.NOT_WRITTEN): _S.REFUSED,
    (_S.ACCEPTED, _E.ENDED): _S.ENDED,
    (_S.ENDED, _E.WRITTEN): _S.KEPT,
    # It is written again until it is there: an outcome that was computed is not dropped.
    (_S.ENDED, _E.NOT_WRITTEN): _S.ENDED,
    (_S.KEPT, _E.RELEASED): _S.RELEASED,
}

#: Those without a way out.
OVER = frozenset({DetachedState.REFUSED, DetachedState.RELEASED})


def advance(state: DetachedState, event: DetachedEvent) -> DetachedState:
    """The state after ``event``.

    Raises
    ------
    InternalError
        The table has no such transition; nothing changed.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise InternalError(
            f"a detached call that is {state.value} can't be {event.name}"
        ) from None
