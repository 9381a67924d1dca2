"""`Client`: a connection to a gateway, and what can be asked through it.

It connects at its first use, on the I/O thread, and stays connected; calls survive a broken
connection (``protocol/caller.py``). ``tests/client/test_client.py`` proves it with real processes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast, get_args

from easyremote.client.connection import (
    CONNECT_LIMIT,
    GatewayConnection,
    Traffic,
    say_last_words,
)
from easyremote.client.detached.detaching import DAY
from easyremote.client.executor import RemoteExecutor
from easyremote.client.owners.lending import OwnersExecutor
from easyremote.client.stream import RemoteStream
from easyremote.config import find_settings, named_settings
from easyremote.errors import EasyRemoteError, UsageError
from easyremote.options.notify import read_notify
from easyremote.options.reading import priority as read_priority
from easyremote.options.requirements import Needs, read_needs
from easyremote.options.retries import WAIT, parse_node_loss
from easyremote.protocol.builtins import CANCEL, KILL, PING, USAGE, WATCH
from easyremote.protocol.snapshot import FunctionInfo as FunctionInfo
from easyremote.protocol.snapshot import JobInfo as JobInfo
from easyremote.protocol.snapshot import NodeInfo as NodeInfo
from easyremote.protocol.usage import By, UsageAnswer, UsageRequest, UsageRow
from easyremote.times import read_seconds

__all__ = ["Client", "connect"]


class Client(OwnersExecutor):
    """A connection to a gateway; also a `concurrent.futures.Executor`.

    Parameters
    ----------
    gateway
        ``host:port`` or a URL; None for what is configured (see `easyremote.config`).
    api_key
        A client key; None likewise.
    timeout
        Seconds that a call may take, for those that don't say; None for no limit.

    Examples
    --------
    >>> Client("my-vps:8080").execute("add", 1, 2)      # doctest: +SKIP
    3
    """

    def __init__(
        self,
        gateway: str | None = None,
        api_key: str | None = None,
        timeout: float | None = None,
    ) -> None:
        settings = find_settings(gateway, api_key, kind="client")
        settings.key("client")
        self._begin(GatewayConnection(settings), timeout)

    @classmethod
    def over(cls, connection: GatewayConnection) -> Client:
        """A client with a connection that somebody else has made, as `easyremote.testing` does."""
        client = cls.__new__(cls)
        client._begin(connection, None)
        return client

    def _begin(self, connection: GatewayConnection, timeout: float | None) -> None:
        self.settings = connection.settings
        super().__init__(connection, timeout=timeout)
        _open_clients.add(self)

    def __repr__(self) -> str:
        return f"<Client of {self.settings.gateway}>"

    def on(
        self,
        node_id: str = "",
        *,
        timeout: float | None = None,
        needs: Needs | None = None,
        priority: int = 0,
        on_node_loss: str = WAIT,
        notify: str | None = None,
        keep: float | str = DAY,
    ) -> RemoteExecutor:
        """The same client with options for its calls.

        Parameters
        ----------
        node_id
            The node that they go to; empty for any node that will do.
        timeout
            Seconds in which each has to be over; None for the Client's own.
        needs
            What each needs of the machine, and holds, as ``"gpu_memory=16GB,cpu=2"`` or as a dict;
            None for what the function was registered with.
        priority, on_node_loss, notify
            Which go first; what a lost node means; who is told of their end. As of `remote`.
        keep
            How long the outcome of a detached call is kept after its end: seconds, or ``"7d"``.

        Examples
        --------
        >>> client.on("gpu-node", timeout=30).execute("train", data)    # doctest: +SKIP
        >>> client.on(needs="gpu_memory=16GB").submit(train, data)      # doctest: +SKIP
        """
        return RemoteExecutor(
            self._connection,
            roster=self._roster,
            shipments=self._shipments,
            node_id=node_id,
            timeout=timeout if timeout is not None else self._timeout or None,
            options={
                "needs": read_needs(needs) if needs is not None else None,
                "priority": read_priority(priority, "priority"),
                "on_node_loss": parse_node_loss(on_node_loss),
                "notify": "" if notify is None else read_notify(notify, "notify"),
            },
            keep=read_seconds(keep, "keep"),
        )

    # -- connection --------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._connection.number > 0

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._connection.is_closed

    @property
    def traffic(self) -> Traffic:
        """How many bytes went to the gateway so far, and came back: ``sent`` and ``received``."""
        return self._connection.traffic

    def connect(self) -> Client:
        """Connect now, not at the first call.

        Raises
        ------
        GatewayUnreachable, NotAuthorized, VersionMismatch
            What stands in the way.
        """
        self._connection.line()
        return self

    def close(self) -> None:
        """Close the connection; calls that are outstanding end here, and run on at their nodes."""
        self._connection.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As of `concurrent.futures.Executor`; then the connection is closed.

        Parameters
        ----------
        wait
            Whether to wait until all that `submit` and `map` have started is done. Without it the
            connection is closed when the last of that is done.
        cancel_futures
            Whether to cancel what has not begun.
        """
        try:
            super().shutdown(wait, cancel_futures=cancel_futures)
        except BaseException:
            self.close()  # an interrupt while it waits
            raise
        left = list(self._jobs)
        if not left:
            self.close()
        for job in left:
            job.add_done_callback(self._close_after)

    def _close_after(self, job: object) -> None:
        if not self._jobs:
            self.close()

    # -- who is there ------------------------------------------------------------------------------

    def list_nodes(self) -> list[NodeInfo]:
        """The nodes that the gateway knows."""
        return self._roster.ask_for_nodes()

    def known_nodes(self) -> list[NodeInfo]:
        """The nodes that the gateway knows, without asking: it tells of those that come or go.

        How busy they are is as it was when they came.
        """
        return self._roster.nodes()

    def when_nodes_change(self, tell: Callable[[], None]) -> None:
        """Have a function called whenever what `known_nodes` gives may have changed.

        Changes are told once `known_nodes` was asked, and a new connection is told, too: who asks
        again then hears of later changes. It is called on the thread of the network, so it has to
        return at once. There is one such function: a new one replaces it.
        """
        self._connection.line().told_opened = tell
        self._roster.changed = tell

    def list_functions(self) -> list[FunctionInfo]:
        """The functions of all nodes online."""
        return self._roster.ask_for_functions()

    def list_jobs(self) -> list[JobInfo]:
        """What this key has running, and what waits, with the reason; 200 calls at the most."""
        return list(self._roster.ask().jobs)

    def get_function_info(self, name: str) -> FunctionInfo | None:
        """What is known of a function; None where no node online has it."""
        return next((each for each in self.list_functions() if each.name == name), None)

    def usage(
        self, by: By = "key", since: float | str | None = None, *, node_id: str = ""
    ) -> list[UsageRow]:
        """What was used: calls and how they ended, seconds, GPUs, bytes; the most used first.

        Who started the gateway, on that machine, sees everybody's; others what is their own.

        Parameters
        ----------
        by
            What each row is for: ``"key"``, ``"node"`` or ``"function"``.
        since
            How far back, in seconds or as ``"7d"`` (also ``m``, ``h``, ``w``), to the beginning of
            that hour; None for all that the gateway keeps: 400 days.
        node_id
            Where; empty for everywhere.

        Examples
        --------
        >>> for row in client.usage(by="function", since="7d"):    # doctest: +SKIP
        ...     print(row.name, row.calls, row.run_seconds)
        """
        if by not in get_args(By):
            raise UsageError(f"Usage is by {', '.join(map(repr, get_args(By)))}, not by {by!r}.")
        back = 0.0 if since is None else read_seconds(since, "since")
        request = UsageRequest(by, back, node_id)
        answer: UsageAnswer = self.ask(USAGE, request, timeout=CONNECT_LIMIT).result()
        return list(answer.rows)

    def ping(self) -> float:
        """Seconds that the gateway takes to answer a call that asks for nothing."""
        began = time.monotonic()
        self.ask(PING, timeout=CONNECT_LIMIT).result()
        return time.monotonic() - began

    def watch(self) -> RemoteStream[dict[str, Any]]:
        """Snapshots of nodes and of this key's jobs, one a second, until it is closed."""
        stream = self.ask(WATCH, stream=True)
        return cast(RemoteStream[dict[str, Any]], stream)  # a stream was asked for

    def stop(self, call_id: str, *, kill: bool = False) -> bool:
        """Stop a call of the same key, wherever it was started; False where it is over.

        Parameters
        ----------
        call_id, kill
            The call's, whole; whether to end its process at once, and with it its session.
        """
        function = KILL if kill else CANCEL
        stopped: bool = self.ask(function, session=call_id, timeout=CONNECT_LIMIT).result()
        return stopped


class _Found(NamedTuple):
    """The Client that was found for a gateway and a key, as the caller gave them."""

    client: Client
    #: What was named when it was found, and when the files were read.
    named: tuple[str | None, ...]
    looked: float

    def is_current(self) -> bool:
        """Whether another look would find the same. Files are read anew while it has no link."""
        return (
            self.client.is_connected
            and time.monotonic() - self.looked < LOOK_AGAIN
            and self.named == named_settings()
        )


#: Seconds that the end of a program waits for the last words of its Clients.
EXIT_LIMIT = 1.0
#: Seconds after which the files that tell of a gateway and a key are read anew.
LOOK_AGAIN = 1.0
_open_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_found: dict[tuple[str | None, str | None], _Found] = {}
#: The Clients of this process, by gateway and key.
_clients: dict[tuple[str, str], Client] = {}
_finding = threading.Lock()
#: The Client that is used instead of any other, in a test (`standing_in`).
_stand_in: Client | None = None


def connect(gateway: str | None = None, api_key: str | None = None) -> Client:
    """The Client that this process uses for a gateway; made at the first use.

    Parameters
    ----------
    gateway, api_key
        As for `Client`.
    """
    if _stand_in is not None:
        return _stand_in
    found = _found.get((gateway, api_key))
    if found is None or not found.is_current():
        found = _find(gateway, api_key)
    return found.client


@contextlib.contextmanager
def standing_in(client: Client) -> Iterator[Client]:
    """In this block `connect` gives this client, whatever gateway is asked for.

    That is so on all threads: a program that is tested may have some.
    """
    global _stand_in
    before, _stand_in = _stand_in, client
    try:
        yield client
    finally:
        _stand_in = before


def connect_soon() -> None:
    """Begin to connect the Client of this process, so that its first call need not wait so long.

    Where that fails, nothing happens: the first call tries again.
    """
    with contextlib.suppress(EasyRemoteError):
        connect()._connection.begin()


def _find(gateway: str | None, api_key: str | None) -> _Found:
    with _finding:
        named = named_settings()
        settings = find_settings(gateway, api_key, kind="client")
        known = settings.gateway, settings.api_key
        client = _clients.get(known)
        if client is None or client.is_closed:
            client = _clients[known] = Client(gateway, api_key)
        found = _found[gateway, api_key] = _Found(client, named, time.monotonic())
        return found


def _after_fork() -> None:
    global _finding
    _finding = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _close_all() -> None:
    say_last_words([client._connection for client in _open_clients], EXIT_LIMIT)
