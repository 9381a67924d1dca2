"""The states of a call, the one table of its transitions, and a call as who runs it holds it.

A call moves ``queued -> dispatched -> running -> finished -> delivered``. Beside these it can be
``suspect`` (its node is out of reach; it may be running, or done) or ``expected`` (it is from
before this gateway started, and its node may come back with it), and it can end without a value:
``cancelled``, ``expired``, ``lost``, ``rejected``. All three roles keep their calls with this
table; what is not in it raises and changes nothing. The first terminal state wins, because no
terminal state has a way out. ``tests/protocol/test_call.py`` walks every pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from easyremote.errors import InternalError
from easyremote.options.requirements import Requirements
from easyremote.protocol.builtins import CALL, is_builtin

if TYPE_CHECKING:
    from easyremote.protocol.held import Outcome


class CallState(Enum):
    """Where a call stands."""

    # Members are single objects; Enum's own hash is Python code, and `advance` is on the hot path.
    __hash__ = object.__hash__

    QUEUED = "queued"
    EXPECTED = "expected"
    DISPATCHED = "dispatched"
    RUNNING = "running"
    SUSPECT = "suspect"
    FINISHED = "finished"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOST = "lost"
    REJECTED = "rejected"


class CallEvent(Enum):
    """What can happen to a call."""

    __hash__ = object.__hash__

    DISPATCHED = auto()
    STARTED = auto()
    FINISHED = auto()
    DELIVERED = auto()
    HANDED_BACK = auto()
    NODE_LOST = auto()
    NODE_RESUMED = auto()
    CANCELLED = auto()
    EXPIRED = auto()
    GIVEN_UP = auto()
    REJECTED = auto()


#: Not on a node, as far as this side knows.
WAITING = frozenset({CallState.QUEUED, CallState.EXPECTED})

TERMINAL = frozenset(
    {
        CallState.DELIVERED,
        CallState.CANCELLED,
        CallState.EXPIRED,
        CallState.LOST,
        CallState.REJECTED,
    }
)

_S, _E = CallState, CallEvent

TRANSITIONS: dict[tuple[CallState, CallEvent], CallState] = {
    (_S.QUEUED, _E.DISPATCHED): _S.DISPATCHED,
    (_S.QUEUED, _E.CANCELLED): _S.CANCELLED,
    (_S.QUEUED, _E.EXPIRED): _S.EXPIRED,
    (_S.QUEUED, _E.GIVEN_UP): _S.LOST,
    (_S.QUEUED, _E.REJECTED): _S.REJECTED,
    # A node comes back with a call that this gateway did not dispatch itself.
    (_S.QUEUED, _E.NODE_RESUMED): _S.RUNNING,
    (_S.EXPECTED, _E.NODE_RESUMED): _S.RUNNING,
    # The node says that it does not hold the call, so that it runs nowhere.
    (_S.EXPECTED, _E.DISPATCHED): _S.DISPATCHED,
    # Every node that may hold it says that it does not.
    (_S.EXPECTED, _E.HANDED_BACK): _S.QUEUED,
    (_S.EXPECTED, _E.CANCELLED): _S.CANCELLED,
    (_S.EXPECTED, _E.GIVEN_UP): _S.LOST,
    (_S.DISPATCHED, _E.STARTED): _S.RUNNING,
    (_S.DISPATCHED, _E.FINISHED): _S.FINISHED,
    (_S.DISPATCHED, _E.HANDED_BACK): _S.QUEUED,
    (_S.DISPATCHED, _E.NODE_LOST): _S.SUSPECT,
    (_S.DISPATCHED, _E.GIVEN_UP): _S.LOST,
    (_S.RUNNING, _E.STARTED): _S.RUNNING,
    (_S.RUNNING, _E.FINISHED): _S.FINISHED,
    # It came back with its node, which had not begun it and does not want to any more.
    (_S.RUNNING, _E.HANDED_BACK): _S.QUEUED,
    (_S.RUNNING, _E.NODE_LOST): _S.SUSPECT,
    (_S.RUNNING, _E.GIVEN_UP): _S.LOST,
    (_S.SUSPECT, _E.NODE_RESUMED): _S.RUNNING,
    (_S.SUSPECT, _E.HANDED_BACK): _S.QUEUED,
    (_S.SUSPECT, _E.GIVEN_UP): _S.LOST,
    # Its client has the outcome, which came before the node was lost.
    (_S.SUSPECT, _E.DELIVERED): _S.DELIVERED,
    # The outcome is at the node, or on its way; the node goes on holding it until it is delivered.
    (_S.FINISHED, _E.FINISHED): _S.FINISHED,
    (_S.FINISHED, _E.STARTED): _S.FINISHED,
    (_S.FINISHED, _E.NODE_LOST): _S.SUSPECT,
    (_S.FINISHED, _E.DELIVERED): _S.DELIVERED,
    (_S.FINISHED, _E.GIVEN_UP): _S.LOST,
}


def advance(state: CallState, event: CallEvent) -> CallState:
    """The state after ``event``.

    Raises
    ------
    InternalError
        The table has no such transition; nothing changed.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise InternalError(f"a call that is {state.value} can't be {event.name}") from None


@dataclass(slots=True, eq=False)
class HeldCall:
    """One call, as the side that runs it holds it."""

    #: The gateway's number of the call, on the link on which it was given.
    call: int
    call_id: bytes
    fence: int
    function: str
    session: str
    owner: str
    #: Seconds that are left of the caller's time, 0 for no limit.
    timeout: float
    #: Seconds that it may wait here for its turn, and seconds that it may run; 0 for no limit.
    queue_timeout: float
    run_timeout: float
    #: By which people find where it came from.
    origin: str
    #: Its ``traceparent``; empty where its caller traces nothing.
    trace: str = ""
    #: What it needs of the machine, where its caller said so.
    needs: Requirements | None = None
    #: The GPUs that its session gets with it, by UUID; none where it has them already.
    gpus: tuple[str, ...] = ()
    #: Whether its outcome is on the disk before it is said; and whether it is there.
    is_durable: bool = False
    is_kept: bool = False
    #: DISPATCHED (the arguments may still be on their way), RUNNING or FINISHED.
    state: CallState = CallState.DISPATCHED
    #: Whether the arguments are whole: the call has a place, or runs.
    has_arguments: bool = False
    #: How many events the call has made; its outcome is shown after the last of them.
    last_event: int = 0
    #: How the call ended, where this side keeps that.
    outcome: Outcome | None = None

    @property
    def is_function(self) -> bool:
        """Whether it is a function, shipped or registered, and no cell and no question."""
        return self.function == CALL or not is_builtin(self.function)

    @property
    def is_finished(self) -> bool:
        return self.state is CallState.FINISHED


class Spool(Protocol):
    """Keeps the outcomes of durable calls while the gateway has not said DELIVERED.

    A process of a session has none: its node keeps them. All methods are called on the thread that
    owns the Link.
    """

    def keep(self, held: HeldCall, outcome: Outcome, then: Callable[[], None]) -> None:
        """Keep the outcome of a call, and call ``then`` when it is kept, or can't be."""

    def forget(self, held: HeldCall) -> None:
        """Forget all of a call."""


class _NoSpool:
    """Keeps nothing."""

    def keep(self, held: HeldCall, outcome: Outcome, then: Callable[[], None]) -> None:
        then()

    def forget(self, held: HeldCall) -> None:
        """Nothing was kept."""


NO_SPOOL: Spool = _NoSpool()
