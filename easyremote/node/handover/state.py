"""What the program of a node leaves to the program that takes its place, as plain data. Pure.

It is written in msgpack, by field names: a field that is added later needs a default, and one that
is not known is ignored. Whatever else changes here, or in what a process and its supervisor share
(``ledger.py``, ``forking.py``, the messages on their link), needs a new `VERSION`: then the newer
code refuses, and the older one goes on. ``tests/node/handover/test_state.py`` proves it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

import easyremote
from easyremote.errors import UsageError
from easyremote.node.processes.fork_server import Handed
from easyremote.options.requirements import Requirements
from easyremote.protocol.call import CallState, HeldCall
from easyremote.protocol.callee import LocalCall
from easyremote.protocol.held import Outcome
from easyremote.protocol.link import Standing

__all__ = ["VERSION", "Call", "Ending", "LocalCallLeft", "ProcessLeft", "RelayedCallLeft", "State"]
__all__ += ["blank", "common", "read", "written"]

#: Of this layout.
VERSION = 1

C = TypeVar("C", bound=HeldCall)


class Ending(msgspec.Struct, frozen=True):
    """An `Outcome`, in one piece."""

    body: bytes
    encoding: str
    code: str
    may_have_run: bool
    seconds: float

    @classmethod
    def of(cls, outcome: Outcome | None) -> Ending | None:
        if outcome is None:
            return None
        body = b"".join(outcome.parts)
        return cls(body, outcome.encoding, outcome.code, outcome.may_have_run, outcome.seconds)

    def outcome(self) -> Outcome:
        body = self.body
        return Outcome(
            *((body,), len(body), self.encoding, self.code, self.may_have_run, self.seconds)
        )


class Call(msgspec.Struct, kw_only=True):
    """What is left of each call; the fields are those of `HeldCall`."""

    call_id: bytes
    fence: int
    function: str
    session: str
    owner: str
    timeout: float
    queue_timeout: float
    run_timeout: float
    origin: str
    trace: str
    needs: Requirements | None
    gpus: tuple[str, ...]
    is_durable: bool
    is_kept: bool
    state: CallState
    has_arguments: bool
    last_event: int
    ending: Ending | None

    def restore(self, held: HeldCall) -> None:
        """Make a call what it was."""
        for name in _SAME:
            setattr(held, name, getattr(self, name))
        held.outcome = self.ending.outcome() if self.ending is not None else None


class LocalCallLeft(Call, kw_only=True):
    """A call of a registered function that has ended, and whose outcome is not delivered."""

    #: The events that were not seen: number, body and encoding.
    unseen: list[tuple[int, bytes, str]]

    @classmethod
    def of(cls, held: LocalCall) -> LocalCallLeft:
        unseen = [(seq, b"".join(parts), encoding) for seq, parts, _, encoding in held.unseen]
        return cls(**common(held), unseen=unseen)

    def local(self) -> LocalCall:
        held = blank(LocalCall)
        self.restore(held)
        held.unseen.extend((seq, (body,), len(body), how) for seq, body, how in self.unseen)
        held.unseen_bytes = sum(size for _, _, size, _ in held.unseen)
        return held


class RelayedCallLeft(Call, kw_only=True):
    """A call that is passed on to a process; the fields are those of `RelayedCall`."""

    encoding: str
    arguments: bytes
    inner: int
    is_done: bool
    seconds: float
    stopping: Ending | None
    #: The seconds that are left of its time to wait, or to run; None without a limit.
    left: float | None
    #: Whether the gateway may ask for it; else its process runs it, and nobody wants it any more.
    is_held: bool


class ProcessLeft(msgspec.Struct, kw_only=True):
    """A process that runs code; the fields are those of `Process`."""

    pid: int
    #: The descriptors of its link and its ledger.
    descriptors: tuple[int, int]
    standing: Standing
    owner: str
    session: str
    #: Its calls, by their places among all calls: those with their turns in order, and all.
    queue: list[int]
    calls: list[int]
    last: int
    withdrawn: list[int]
    last_used: float
    origin: str
    devices: tuple[str, ...]
    promised: int
    is_paused: bool


class State(msgspec.Struct, kw_only=True):
    """All that is left."""

    version: int = VERSION
    #: Whether it is only to be read: the program that wrote it goes on.
    is_trial: bool
    #: Of the program before.
    easyremote: str = easyremote.__version__
    instance: bytes
    #: When the node was started, on the monotonic clock.
    started: float
    #: When the node began to take nothing new, on the monotonic clock.
    began: float
    #: The descriptor of the connection to who asked for the handover.
    asker: int
    rules: dict[str, object]
    forks: list[Handed]
    processes: list[ProcessLeft]
    relayed: list[RelayedCallLeft]
    relayed_before: bytes
    registered: list[LocalCallLeft]
    registered_before: bytes
    #: Owner, call and the place of its process, of each call that OUTPUT may ask for.
    known: list[tuple[str, str, int]]
    #: The GPUs that were promised: call, place of its process, UUIDs.
    promises: list[tuple[bytes, int, tuple[str, ...]]]

    @property
    def descriptors(self) -> list[int]:
        """All descriptors that the next program needs."""
        links = [each for process in self.processes for each in process.descriptors]
        return [self.asker, *(each.descriptor for each in self.forks), *links]


#: The fields of `Call` that have the names, and the types, of those of `HeldCall`.
_SAME = tuple(name for name in Call.__struct_fields__ if name != "ending")


def common(held: HeldCall) -> dict[str, Any]:
    """What is left of every call."""
    same = {name: getattr(held, name) for name in _SAME}
    return {**same, "ending": Ending.of(held.outcome)}


def blank(kind: type[C]) -> C:
    """A call to be restored."""
    return kind(0, b"", 0, "", "", "", 0.0, 0.0, 0.0, "")


class _Head(msgspec.Struct):
    """What can be read of a state of any version."""

    version: int
    easyremote: str


def written(state: State) -> bytes:
    """A state as bytes."""
    return msgspec.msgpack.encode(state)


def read(data: bytes) -> State:
    """The state that the program before this one has written.

    Raises
    ------
    UsageError
        It is of another version.
    """
    head = msgspec.msgpack.decode(data, type=_Head)
    if head.version != VERSION:
        raise UsageError(
            f"easyremote {easyremote.__version__} can't go on from what easyremote "
            f"{head.easyremote} leaves (layout {head.version}; it reads {VERSION}). Stop the node "
            "when its sessions are no longer needed, and start it again."
        )
    return msgspec.msgpack.decode(data, type=State)
