"""The inside of a fork server: it forks itself for each process that its node wants.

It has one thread and no loop, because a fork copies only the thread that makes it.
``tests/node/processes/test_fork_server.py`` proves it with real processes.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress

import msgspec

from easyremote.node.forking import DESCRIPTORS_MAX, INTERRUPT, SIZE, Kind, Said, Start

__all__ = ["serve"]

#: What a process for code imports when it gets ready. Not `tqdm.notebook`: it imports ipywidgets,
#: which must find the session's comms.
_IMPORTS = (
    "bdb",
    "email.parser",
    "tqdm",
    "unicodedata",
    "uvloop",
    "IPython.core.application",
    "IPython.core.completerlib",
    "IPython.core.crashhandler",
    "IPython.core.magics",
    "IPython.core.oinspect",
    "easyremote.node.registered.opened",
    "easyremote.node.worker.interactive",
    "easyremote.node.worker.shell",
)


def serve(sock: socket.socket) -> tuple[list[int], list[str]]:
    """Serve a node until it is gone; then this process ends.

    Returns
    -------
    The descriptors and arguments of a new process. It returns only there.
    """
    _die_with_parent(os.getppid())
    # An interrupt of a new process waits until the process is ready for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, INTERRUPT})
    for name in _IMPORTS:
        try:
            importlib.import_module(name)
        except Exception:  # whoever needs it meets it again, and is told
            traceback.print_exc(file=sys.__stderr__)
    return _Forks(sock).serve()


class _Forks:
    """The fork server.

    Parameters
    ----------
    sock
        The link to the node.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._folder = os.getcwd()
        self._children: set[int] = set()
        self._ended, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._ended, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> tuple[list[int], list[str]]:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._ended, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._ended in ready:
                os.read(self._ended, 4096)
                self._reap()
            if self._socket.fileno() in ready:
                new = self._receive()
                if new is not None:
                    return new

    def _receive(self) -> tuple[list[int], list[str]] | None:
        """Do what the node says; what a new process is to be, in that process."""
        data, descriptors, _, _ = socket.recv_fds(self._socket, SIZE, DESCRIPTORS_MAX)
        if len(data) < SIZE:
            sys.exit()  # the node is gone
        said = Said.unpacked(data)
        if said.kind is Kind.SIGNAL:
            self._signal(said.first, said.second)
            return None
        try:
            return self._fork(descriptors, said.first)
        except OSError as error:
            self._send(Said(Kind.NOT_STARTED, error.errno or errno.EAGAIN))
        for each in descriptors:
            os.close(each)
        return None

    def _fork(self, descriptors: list[int], count: int) -> tuple[list[int], list[str]] | None:
        if len(descriptors) < count:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            return self._become(descriptors, parent)
        for each in descriptors:
            os.close(each)
        self._children.add(pid)
        self._send(Said(Kind.STARTED, pid))
        return None

    def _become(self, descriptors: list[int], parent: int) -> tuple[list[int], list[str]]:
        """Be the new process."""
        os.setsid()
        _die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._socket.close()
        os.close(self._ended)
        os.close(self._wake)
        with open(descriptors[0], "rb") as file:
            file.seek(0)
            start = msgspec.msgpack.decode(file.read(), type=Start)
        os.environb.clear()
        os.environb.update(start.environment)
        time.tzset()
        if start.folder:
            os.chdir(start.folder)
            if sys.path[:1] == [self._folder]:
                sys.path[0] = os.fsdecode(start.folder)
        return descriptors[1:], start.arguments

    def _signal(self, pid: int, number: int) -> None:
        if pid not in self._children:
            return  # it has ended
        try:
            if number == INTERRUPT:
                os.kill(pid, number)
            else:
                os.killpg(pid, number)
        except ProcessLookupError:  # it has not made its group yet, so it is alone
            os.kill(pid, number)

    def _reap(self) -> None:
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._children.discard(pid)
                # What it has started goes with it. No new process gets the id of a group that is
                # not empty.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                self._send(Said(Kind.ENDED, pid, os.waitstatus_to_exitcode(status)))

    def _send(self, said: Said) -> None:
        try:
            self._socket.sendall(said.packed())
        except OSError:
            sys.exit()  # the node is gone


def _die_with_parent(parent: int) -> None:
    """Linux: be killed when the parent dies, whatever runs here."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)  # it had died before
