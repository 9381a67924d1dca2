"""`Detached`: what the gateway keeps of a detached call while it is not forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field

from easyremote.gateway.records import ClientLink
from easyremote.protocol.answers import OutstandingCall
from easyremote.protocol.detached import DetachedEvent, DetachedState, advance
from easyremote.protocol.messages import Keep, Submit
from easyremote.protocol.streams import Buffer


@dataclass(slots=True, frozen=True)
class Ending:
    """How a detached call ended: a value (code empty) or an error."""

    code: str
    encoding: str
    size: int
    #: Until when it is kept, in seconds since 1970.
    keep_until: float
    #: The bytes, until the disk has them.
    body: Buffer = b""


@dataclass(slots=True, eq=False)
class Detached:
    """One detached call."""

    #: As the client sent it; its payload is empty here.
    submit: Submit
    #: The key that it belongs to, and the encoding and size of its arguments.
    owner: str
    encoding: str
    size: int
    #: When it came, and when it has to be over (0 for no limit), in seconds since 1970.
    accepted: float
    deadline: float = 0.0
    state: DetachedState = DetachedState.ARRIVING
    #: The node that runs, or ran it; empty while that is not known.
    node_id: str = ""
    #: Whether the disk says that a node may have the present attempt.
    is_given: bool = False
    #: The present attempt; None where it is not under way.
    attempt: OutstandingCall | None = None
    ending: Ending | None = None
    #: When the outcome is forgotten, on the monotonic clock.
    forget_at: float = 0.0
    #: Who waits until it is accepted: clients, and their numbers for it.
    accepting: list[tuple[ClientLink, int]] = field(default_factory=list)
    #: Who waits for the outcome: clients, and their numbers for the question.
    asking: dict[tuple[ClientLink, int], None] = field(default_factory=dict)

    @property
    def call_id(self) -> bytes:
        return self.submit.call_id

    @property
    def keep(self) -> Keep:
        """For how long its outcome is kept, and when it is tried again."""
        assert self.submit.keep is not None, "it is a detached call"
        return self.submit.keep

    @property
    def attempt_id(self) -> bytes:
        """The id of its present attempt, by which nodes and the call table know it."""
        return self.attempt.call_id if self.attempt is not None else self.call_id

    @property
    def kept_size(self) -> int:
        """How many bytes of the disk it takes, about."""
        return ROW + (self.ending.size if self.ending is not None else self.size)

    def advance(self, event: DetachedEvent) -> None:
        """The one door by which its state changes."""
        self.state = advance(self.state, event)


#: Bytes that a detached call takes on the disk beside its arguments, or its outcome.
ROW = 1024
