"""`Process`: one process that runs shipped code, from its start to its end, with its link.

`RelayedCall` is a call that such a process has, or waits for. Which call a process gets, and when,
is decided in ``sessions.py``; what runs inside a process is in ``node/worker/``.
``tests/node/processes/test_process.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from easyremote.errors import EasyRemoteError
from easyremote.node.forking import INTERRUPT
from easyremote.node.ledger import SLOTS, Ledger, memory_file, memory_file_of
from easyremote.node.processes.fork_server import Child, ForkServer
from easyremote.protocol.builtins import VARIABLES
from easyremote.protocol.call import HeldCall
from easyremote.protocol.held import Outcome
from easyremote.protocol.link import Link, Standing
from easyremote.protocol.messages import Message
from easyremote.protocol.streams import Buffer
from easyremote.transport.connection import Connection
from easyremote.transport.pipe import PipeChannel

#: Seconds between SIGTERM and SIGKILL.
TERMINATE_TIMEOUT = 2.0
#: Seconds that a process may take to act on a signal while all others stand still.
AWAKE = 5.0
#: Seconds in which what a process said before it ended is read, where its link stays open.
LAST_WORDS = 0.2

_log = logging.getLogger("easyremote.node")


@dataclass(slots=True, eq=False)
class RelayedCall(HeldCall):
    """One call that a node passes on to a process."""

    #: The arguments, from when they are whole until a process has them.
    encoding: str = ""
    arguments: Buffer = b""
    #: The process in whose queue it stands, or which has it.
    process: Process | None = None
    #: Its number on the process's link; 0 until the process has it.
    inner: int = 0
    #: Whether the process has said FINISHED, and how many seconds the call ran.
    is_done: bool = False
    seconds: float = 0.0
    #: Why it has to stop: its outcome, instead of the interrupt that the process reports.
    stopping: Outcome | None = None
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    @property
    def is_use(self) -> bool:
        """Whether its session is used by it, and not only looked at."""
        return self.function != VARIABLES

    @property
    def has_turn(self) -> bool:
        """Whether it is the call that its process runs now."""
        process = self.process
        return bool(self.inner and process and process.queue and process.queue[0] is self)

    @property
    def has_begun(self) -> bool:
        """Whether its process has begun it, as the ledger says; for functions only."""
        ledger = self.process.ledger if self.process is not None else None
        return ledger is not None and ledger.has_begun(self.inner)

    @property
    def runs(self) -> bool:
        """Whether an interrupt of its process meets it; for functions only."""
        ledger = self.process.ledger if self.process is not None else None
        return self.has_turn if ledger is None else bool(self.inner) and ledger.runs(self.inner)


class Process:
    """One process that runs shipped code, and its link.

    Parameters
    ----------
    owner, session
        Whose it is, and of which session; without one it is for shipped functions.
    environment
        Variables beside those of the node.
    has_shell
        Whether it gets ready for cells when it starts.
    functions
        The registered functions that it runs, packed; empty for one that runs shipped code.
    """

    def __init__(
        self,
        owner: str,
        session: str,
        environment: Mapping[str, str],
        *,
        has_shell: bool = False,
        functions: bytes = b"",
    ) -> None:
        self.owner, self.session = owner, session
        self._environment = environment
        self._functions = functions
        self._arguments = ["shell"] if has_shell else []
        self.link = Link(time.monotonic())
        self.child: Child | None = None
        self.task: asyncio.Task[None] | None = None
        #: The call that runs, then the calls that wait for their turn.
        self.queue: deque[RelayedCall] = deque()
        self.calls: dict[int, RelayedCall] = {}
        #: The number of the call that was sent to the process last.
        self.last = 0
        #: The numbers of the calls that were taken back, until the process has said so, too.
        self.withdrawn: set[int] = set()
        #: What the process has begun and done; None until it is started.
        self.ledger: Ledger | None = None
        #: Whether the call that runs takes long: nothing is sent ahead behind it.
        self.is_slow = False
        #: Looks whether it does, while calls were sent ahead.
        self.watched: asyncio.TimerHandle | None = None
        self.last_used = time.monotonic()
        #: The origin of the newest call that named one.
        self.origin = ""
        self.is_dead = False
        #: Whether it was told to end: no call is given to it any more.
        self.is_ending = False
        #: The GPUs that it sees, by UUID; none where it sees all of them.
        self.devices: tuple[str, ...] = ()
        #: The most memory that a call of it has asked for, in bytes.
        self.promised = 0
        #: Until when it may act on a signal.
        self._awake_until = 0.0
        #: Signals that came while it was being started.
        self._early: list[int] = []
        #: Calls that were interrupted, and are not marked so in its ledger yet.
        self._interrupted: list[int] = []
        #: Whether it was started by the node's program before this one: it ends with its last call.
        self.is_retired = False
        self._socket: socket.socket | None = None
        #: The descriptor of the ledger's file.
        self._file = -1
        self._channel: PipeChannel | None = None

    @property
    def pid(self) -> int:
        """Its process id; 0 before it is started."""
        return self.child.pid if self.child is not None else 0

    @property
    def is_busy(self) -> bool:
        return bool(self.queue)

    @property
    def has_slot(self) -> bool:
        """Whether its ledger can tell the next call from all that it may still come upon."""
        oldest = min(self.withdrawn, default=self.last + 1)
        if self.queue:
            oldest = min(oldest, self.queue[0].inner)
        return self.last + 1 - oldest < SLOTS

    @property
    def is_free(self) -> bool:
        """Whether a call can be sent to it to run at once."""
        return not self.queue and self.has_slot and not self.is_ending and not self.is_retired

    @property
    def has_room_ahead(self) -> bool:
        """Whether one more call may be sent to it behind the one that runs."""
        if not self.queue or self.ledger is None or self.is_slow or self.is_dead:
            return False
        if self.is_ending or self.is_retired:
            return False
        first = self.queue[0]  # a durable one may not be sent yet
        return first.inner != 0 and first.stopping is None and self.has_slot

    def note_use(self, call: RelayedCall) -> None:
        """Start its idle time anew, unless the call only looks at it."""
        if call.is_use:
            self.last_used = time.monotonic()

    @property
    def is_paused(self) -> bool:
        """Whether it was stopped where it was, with all that it has started."""
        return self.link.is_excused

    def pause(self) -> None:
        """Stop it where it is, once it has been started and acts on no signal. Safe to repeat."""
        is_awake = time.monotonic() < self._awake_until
        if self.child is not None and not self.is_paused and not is_awake:
            self.child.signal(signal.SIGSTOP)
            self.link.is_excused = True

    def go_on(self) -> None:
        """End a pause. Safe to repeat."""
        if self.child is not None and self.is_paused:
            self.link.is_excused = False
            self.child.signal(signal.SIGCONT)

    @property
    def runs_registered(self) -> bool:
        """Whether it runs a registered function, and no code that is sent here."""
        return bool(self._functions)

    @property
    def title(self) -> str:
        """What to call it in a message."""
        if self.session:
            return f"session {self.session!r}"
        if self.runs_registered:
            return self.owner
        return "shipped functions"

    def signal(self, number: int) -> None:
        """Signal the process (INTERRUPT) or its group (the rest), as soon as it is there."""
        self.is_ending = self.is_ending or number in (signal.SIGTERM, signal.SIGKILL)
        if self.child is None:
            self._early.append(number)
            return
        self.child.signal(number)
        self._awake_until = time.monotonic() + AWAKE
        self.go_on()  # a process that is stopped takes no signal but SIGKILL

    def interrupt(self, call: RelayedCall) -> None:
        """Interrupt a call that it runs. An interrupt that comes late meets no other call."""
        self._interrupted.append(call.inner)
        self._mark_interrupted()
        self.signal(INTERRUPT)

    def _mark_interrupted(self) -> None:
        if self.ledger is not None:
            for number in self._interrupted:
                self.ledger.interrupt(number)
            self._interrupted.clear()

    async def start(self, forks: ForkServer) -> None:
        """Start the process.

        Raises
        ------
        OSError, RuntimeError
            The system has no process, descriptor or thread left for it.
        """
        with ExitStack() as if_it_fails, ExitStack() as given:
            ours, theirs = socket.socketpair()
            if_it_fails.callback(ours.close)
            given.callback(theirs.close)
            file = memory_file()
            if_it_fails.callback(os.close, file)
            ledger = Ledger(file)
            if_it_fails.callback(ledger.close)
            descriptors = [theirs.fileno(), file]
            if self._functions:
                descriptors.append(memory_file_of(self._functions))
                given.callback(os.close, descriptors[-1])
            self.child = await forks.start(self._arguments, descriptors, self._environment)
            if_it_fails.pop_all()
        self._socket, self._file, self.ledger = ours, file, ledger
        self._mark_interrupted()
        for number in self._early:
            self.signal(number)
        self.link.open(time.monotonic())

    # -- handing over ------------------------------------------------------------------------------

    @property
    def descriptors(self) -> tuple[int, int]:
        """The descriptors of its link and of its ledger, for the program that takes it over."""
        assert self._socket is not None, "it was started"
        return self._socket.fileno(), self._file

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way on its link that would be lost with this program."""
        return self._channel is not None and self.link.is_quiet and self._channel.is_flushed

    def hold(self) -> None:
        """Read nothing more of what it says. Safe to repeat."""
        if self._channel is not None:
            self._channel.pause()

    def release(self) -> None:
        """Read on. Safe to repeat."""
        if self._channel is not None:
            self._channel.go_on()

    def take_over(
        self, child: Child, descriptors: tuple[int, int], standing: Standing, *, is_paused: bool
    ) -> None:
        """Take over a process that the program before this one has started."""
        number, self._file = descriptors
        for each in descriptors:
            os.set_inheritable(each, False)
        self.child, self._socket = child, socket.socket(fileno=number)
        self.ledger = Ledger(self._file)
        self.link.open(time.monotonic())
        self.link.go_on(standing)
        self.link.is_excused = is_paused

    # -- its life ----------------------------------------------------------------------------------

    async def serve(self, receive: Callable[[Process, Message], None]) -> int:
        """Serve the link of the process that was started until it has ended; its exit code."""
        assert self._socket is not None, "start() comes first"
        watch: asyncio.Task[None] | None = None
        try:
            self._channel = channel = await PipeChannel.open(self._socket)
            connection = Connection(self.link, channel, lambda message, now: receive(self, message))
            watch = asyncio.create_task(self._end_with_it(connection))
            await connection.run()
        except EasyRemoteError as error:
            _log.warning("The process of %s broke the protocol: %s", self.title, error)
        except Exception:
            _log.exception("The link to the process of %s broke down.", self.title)
        finally:
            if watch is not None:
                watch.cancel()
            exit_code = await self._reap()
        return exit_code

    def close(self) -> None:
        """Let go of the ledger of a process that has ended."""
        if self.ledger is not None:
            self.ledger.close()
            os.close(self._file)

    async def _end_with_it(self, connection: Connection) -> None:
        """End the link when the process has ended: processes that it has forked keep it open."""
        assert self.child is not None, "it was started"
        await self.child.wait()
        await asyncio.sleep(LAST_WORDS)
        connection.end("its process has ended")

    async def _reap(self) -> int:
        assert self.child is not None, "it was started"
        try:
            return await asyncio.wait_for(self.child.wait(), TERMINATE_TIMEOUT)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.child.wait()


def memory_of(call: RelayedCall) -> int:
    """How many bytes of memory a call has asked for; 0 for no limit."""
    return call.needs.memory if call.needs is not None else 0
