"""`HeldCall`: one call, as the side that runs it holds it; and `Spool`, which keeps its outcome.

What happens to a call is in ``held.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from easyremote.options.requirements import Requirements
from easyremote.protocol.builtins import CALL, is_builtin
from easyremote.protocol.call import CallState

if TYPE_CHECKING:
    from easyremote.protocol.held import Outcome


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
