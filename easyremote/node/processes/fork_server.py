"""`ForkServer`: starts the processes of a node, by a process that forks itself for each of them.

The forked process has imported all that it needs already, IPython too, so it is ready some forty
milliseconds later. The fork server is started when the first process is needed, or before, and
again when it has died: its processes die with it. It signals them for the node: only their parent
knows for sure that a process id still stands for the process that is meant.
``node/worker/forks.py`` is what runs inside it, ``node/forking.py`` what both say to each other.
``tests/node/processes/test_fork_server.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

import msgspec

from easyremote.config import GATEWAY_VARIABLE, KEY_VARIABLE
from easyremote.node.forking import SIZE, Kind, Said, Start
from easyremote.node.ledger import memory_file_of
from easyremote.options import notify, seed_words

__all__ = ["Child", "ForkServer", "Handed"]

#: Seconds that a fork server has to start a process, its own start included.
START_TIMEOUT = 60.0
#: Seconds that a fork server has to end, after which it is killed.
END_TIMEOUT = 2.0
#: Errors that say something of the system, not of the fork server.
_TOO_MUCH = (errno.EMFILE, errno.ETOOMANYREFS, errno.ENOMEM, errno.ENOBUFS)

_log = logging.getLogger("easyremote.node")


class Child:
    """A process that a fork server has started.

    Attributes
    ----------
    pid
        Its process id.
    """

    def __init__(self, pid: int, server: _Running) -> None:
        self.pid = pid
        self._server = server
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def signal(self, number: int) -> None:
        """Signal the process (INTERRUPT) or its group (the rest), unless it has ended."""
        if not self._ended.done():
            self._server.send(Said(Kind.SIGNAL, self.pid, number))

    async def wait(self) -> int:
        """Wait until it has ended; its exit code, negative: the signal that ended it."""
        return await asyncio.shield(self._ended)

    def ended(self, exit_code: int) -> None:
        """The process has ended."""
        if not self._ended.done():
            self._ended.set_result(exit_code)


class Handed(NamedTuple):
    """A fork server that is handed over to another program in the same process.

    Attributes
    ----------
    pid, descriptor
        Its process id, and the link to it.
    received
        The start of a message whose end has not come.
    children
        The processes that it has started and that have not ended, by their ids.
    """

    pid: int
    descriptor: int
    received: bytes
    children: list[int]


class ForkServer:
    """The fork server of one node; see the module."""

    def __init__(self) -> None:
        self._running: _Running | None = None
        #: Those of the programs before this one, until the last process of each has ended.
        self._former: list[_Running] = []
        self._starting = asyncio.Lock()

    async def start(
        self, arguments: Sequence[str], descriptors: Sequence[int], environment: Mapping[str, str]
    ) -> Child:
        """Start a process for code.

        Parameters
        ----------
        arguments
            What stands behind the descriptors on its command line; see ``node/worker/__main__.py``.
        descriptors
            What it gets; they may be closed afterwards.
        environment
            Variables beside those of the node.

        Raises
        ------
        OSError, RuntimeError
            The system has no process, memory or descriptor left for it.
        """
        variables = {**_environment(), **environment}
        start = Start(
            list(arguments),
            [(os.fsencode(name), os.fsencode(value)) for name, value in variables.items()],
            _folder(),
        )
        file = memory_file_of(msgspec.msgpack.encode(start))
        try:
            for last in (False, True):
                server = await self.ready()
                try:
                    async with asyncio.timeout(START_TIMEOUT):
                        return await server.start([file, *descriptors])
                except ChildProcessError:  # the server has died; the next one can do it
                    if last:
                        raise
                except TimeoutError:
                    server.kill()
                    raise RuntimeError(f"no process within {START_TIMEOUT:g} s") from None
        finally:
            os.close(file)
        raise AssertionError("unreachable")

    async def ready(self) -> _Running:
        """Have the fork server started, so that the first process takes no longer than the others.

        Raises
        ------
        OSError, RuntimeError
            The system has no process or descriptor left for it.
        """
        async with self._starting:
            if self._running is None or self._running.is_dead:
                self._running = _started()
            return self._running

    def hand_over(self) -> list[Handed]:
        """All that another program needs to take over what runs."""
        every = [*self._former, *([self._running] if self._running is not None else [])]
        return [each.handed for each in every if not each.is_dead]

    def take_over(self, handed: Iterable[Handed]) -> dict[int, Child]:
        """Take over what runs; the processes by their ids. New ones come from a new fork server."""
        self._former = [_Running.taken_over(each) for each in handed]
        return {pid: child for each in self._former for pid, child in each.children.items()}

    async def close(self) -> None:
        """End the fork server; its processes that still run end with it."""
        async with self._starting:
            for each in (*self._former, self._running):
                if each is not None:
                    await each.close()


class _Server(Protocol):
    """The process of a fork server."""

    @property
    def pid(self) -> int: ...

    def wait(self) -> int: ...

    def kill(self) -> None: ...


class _Inherited:
    """A process that the program before this one has started: also to be waited for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class _Running:
    """One fork server, from its start to its end; made on the loop that it serves."""

    def __init__(self, process: _Server, sock: socket.socket) -> None:
        self._process, self._socket = process, sock
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[Child]] = deque()
        self.children: dict[int, Child] = {}
        self._received = b""
        self.is_dead = False
        #: Whether it starts no process any more, and ends with the last one.
        self._is_retired = False
        #: Waits until it has ended, once it is known to be dying; its exit code then is collected.
        self._reaping: asyncio.Task[int] | None = None
        sock.setblocking(False)
        self._loop.add_reader(sock, self._receive)

    @classmethod
    def taken_over(cls, handed: Handed) -> _Running:
        """A fork server that the program before this one has started."""
        os.set_inheritable(handed.descriptor, False)
        running = cls(_Inherited(handed.pid), socket.socket(fileno=handed.descriptor))
        running._received, running._is_retired = handed.received, True
        running.children = {pid: Child(pid, running) for pid in handed.children}
        if not running.children:
            running._died()
        return running

    @property
    def handed(self) -> Handed:
        """What a program needs that takes it over."""
        return Handed(self._process.pid, self._socket.fileno(), self._received, list(self.children))

    async def start(self, descriptors: Sequence[int]) -> Child:
        """Start a process.

        Raises
        ------
        ChildProcessError
            The fork server has died.
        OSError
            The system has no process or descriptor left.
        """
        waiting: asyncio.Future[Child] = self._loop.create_future()
        self._waiting.append(waiting)
        try:
            self.send(Said(Kind.START, len(descriptors)), descriptors)
        except OSError:
            self._waiting.pop()
            raise
        return await waiting

    def send(self, said: Said, descriptors: Sequence[int] = ()) -> None:
        """Send a message. A fork server that has stopped reading is ended.

        Raises
        ------
        OSError
            The system can't take so many descriptors now; the fork server goes on.
        """
        if self.is_dead:
            self._fail_waiting()
            return
        try:
            sent = socket.send_fds(self._socket, [said.packed()], descriptors)
        except OSError as error:
            if descriptors and error.errno in _TOO_MUCH:
                raise
            sent = 0
        if sent != SIZE:
            self.kill()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._died()
            return
        data = self._received + data
        whole = len(data) - len(data) % SIZE
        self._received = data[whole:]
        for begin in range(0, whole, SIZE):
            self._handle(Said.unpacked(data[begin : begin + SIZE]))

    def _handle(self, said: Said) -> None:
        if said.kind is Kind.ENDED:
            child = self.children.pop(said.first, None)
            if child is not None:
                child.ended(said.second)
            if self._is_retired and not self.children:
                self._died()
            return
        waiting = self._waiting.popleft()
        if said.kind is Kind.NOT_STARTED:
            error = OSError(said.first, os.strerror(said.first))
            if not waiting.done():
                waiting.set_exception(error)
            return
        child = self.children[said.first] = Child(said.first, self)
        if waiting.done():  # nobody waits any more
            child.signal(signal.SIGKILL)
        else:
            waiting.set_result(child)

    def _died(self) -> None:
        """The fork server is gone, and its processes with it."""
        if self.is_dead:
            return
        self.is_dead = True
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._reaping = asyncio.create_task(asyncio.to_thread(self._process.wait))
        self._fail_waiting()
        for child in self.children.values():
            with suppress(ProcessLookupError):  # Linux ends them by itself
                os.killpg(child.pid, signal.SIGKILL)
            child.ended(-signal.SIGKILL)
        self.children.clear()

    def _fail_waiting(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(ChildProcessError("the process that starts others has died"))

    def kill(self) -> None:
        """End a fork server that does not do what it should."""
        _log.error("The process that starts those for code does not answer: it is ended.")
        self._process.kill()
        self._died()

    async def close(self) -> None:
        """End the fork server."""
        self._died()
        assert self._reaping is not None, "it is dying"
        if not (await asyncio.wait([self._reaping], timeout=END_TIMEOUT))[0]:
            self._process.kill()
            await self._reaping


def _started() -> _Running:
    ours, theirs = socket.socketpair()
    try:
        # Not in another thread: Linux ends it with the thread that has started it, and a handover
        # ends all threads but the main one. It takes a few milliseconds.
        popen = subprocess.Popen(
            [sys.executable, "-m", "easyremote.node.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=_environment(),  # the system shows this one of the forked processes, too
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return _Running(popen, ours)


def _environment() -> dict[str, str]:
    """What code that is shipped here may see of the node's environment: not its owner's secrets."""
    hidden = (KEY_VARIABLE, GATEWAY_VARIABLE, seed_words.GATEWAY_VARIABLE, notify.VARIABLE)
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


def _folder() -> bytes:
    try:
        return os.getcwdb()
    except FileNotFoundError:  # it was removed
        return b""
