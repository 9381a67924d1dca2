"""A session on a node: a process there that keeps state between cells."""

from __future__ import annotations

import os
import secrets
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from easyremote.client.client import Client
from easyremote.client.files import Channel, missing, send
from easyremote.client.job import RemoteJob
from easyremote.client.refs import RemoteRef
from easyremote.errors import CannotShip, EasyRemoteError, NotFound
from easyremote.events import CommClose, CommMessage, Stream
from easyremote.protocol.builtins import (
    CELL,
    COMM,
    END,
    HAVE,
    OUTPUT,
    RESTART,
    SESSION,
    SESSIONS,
    VARIABLES,
)
from easyremote.serialize.blobs import Packed, pack, unpack
from easyremote.serialize.refs import Whereabouts, going_to
from easyremote.serialize.values import Dumped, dump

#: Seconds in which a session that is asked to end has ended.
END_LIMIT = 15.0
#: Hashes in one question for blobs, so that it is a small message.
_HASHES_AT_ONCE = 400

_own_name = ""
_own_pid = 0


class Session:
    """A session of this client on a node.

    Parameters
    ----------
    client
        Through which gateway.
    node_id
        Where.
    name
        Which; None for this process's own.
    """

    def __init__(self, client: Client, node_id: str, name: str | None = None) -> None:
        self._client = client
        self.node_id = node_id
        self.name = name or own_name()
        #: Values that nobody refers to any more: their processes and numbers.
        self._released: deque[tuple[str, int]] = deque()

    def submit_cell(
        self,
        request: dict[str, Any],
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        hold: float | None = None,
        origin: str = "",
    ) -> RemoteJob[dict[str, Any]]:
        """Run a cell there; ``request`` is what `easyremote.node.worker.shell.Shell.run_cell`
        takes.

        ``timeout`` (seconds) limits how long it runs, ``queue_timeout`` the waiting for its turn,
        ``hold`` how long it goes on when this process is gone (below 0: until it is over);
        ``origin`` is what the cell is known by.
        """
        return self._client.start(
            CELL,
            dump(request),
            node_id=self.node_id,
            session=self.name,
            run_timeout=timeout,
            queue_timeout=queue_timeout,
            hold=hold,
            origin=origin,
        )

    def submit_comm(
        self, event: CommMessage | CommClose, *, process: str, parent: str
    ) -> RemoteJob[dict[str, Any]]:
        """Hand a message to a widget there; see `easyremote.node.worker.shell.Shell.receive_comm`.

        It waits for the cell that runs. What comes of it are events, as those of a cell.
        """
        request = msgspec.to_builtins(event, builtin_types=(bytes,))
        request |= {"process": process, "parent": parent}
        return self._client.start(COMM, dump(request), node_id=self.node_id, session=self.name)

    @property
    def files(self) -> Channel:
        """To whom to speak of its files."""
        return Channel(self._client, self.node_id, self.name)

    # -- variables

    def pack(self, variables: dict[str, object], process: str | None) -> Packed:
        """Variables as they travel to the session's `process`.

        Raises
        ------
        CannotShip
            A variable can't travel; the message names it.
        """
        with going_to(Whereabouts(self.node_id, self.name, process or "")):
            return pack(variables, python=self._client.python_of(self.node_id))

    def known_blobs(self, hashes: Iterable[bytes]) -> set[bytes]:
        """Those blobs that the node has already."""
        asked, known = list(hashes), set[bytes]()
        for start in range(0, len(asked), _HASHES_AT_ONCE):
            body = b"".join(asked[start : start + _HASHES_AT_ONCE])
            question = Dumped([body], len(body))
            known.update(self._client.start(HAVE, question, node_id=self.node_id).result())
        return known

    def ask(
        self, operation: str, *args: Any, process: str | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Ask for something beside cells; see `easyremote.node.worker.variables.Variables.serve`.

        Raises
        ------
        NotFound
            The session is not the `process` that is meant.
        """
        arguments = self.pack({"args": args}, process)
        send(self.files, missing(self.files, arguments.files), lambda state: None)
        job: RemoteJob[dict[str, Any]] = self._client.start(
            SESSION,
            dump((operation, process, arguments.plain_wire())),
            node_id=self.node_id,
            session=self.name,
            timeout=timeout,
        )
        answer = _followed(job)
        if process not in (None, answer["process"]):
            raise NotFound(
                f"The session on {self.node_id} has ended, and the value with it. Run the cell "
                "that made it again."
            )
        return answer

    def ask_plainly(self, *request: str, queue_timeout: float) -> dict[str, Any]:
        """Ask for what needs no pickle on the way back: ``"list"``, or ``"delete", NAME``.

        For who must not run what a node or its cells would put into one. It waits behind a cell
        that runs, for at most `queue_timeout` seconds, starts no session, and is no use of one:
        its idle time goes on.

        Raises
        ------
        NotFound
            There is no such session any more, or no such variable.
        CallTimeout
            A cell still runs there; or a value takes for ever to say what it is.
        """
        body = msgspec.msgpack.encode(request)
        job: RemoteJob[dict[str, Any]] = self._client.start(
            VARIABLES,
            Dumped([body], len(body)),
            node_id=self.node_id,
            session=self.name,
            timeout=queue_timeout + END_LIMIT,
            queue_timeout=queue_timeout,
            encoding="msgpack",
        )
        return job.result()

    def open(self, answer: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """The values of an answer, and why those that can't be rebuilt here stay there.

        What stayed there is a `RemoteRef`. The value of an expression has the name "".
        """
        process, troubles = answer["process"], {}
        values = {
            name: RemoteRef(self, process, name, what) for name, what in answer["kept"].items()
        }
        try:
            values |= unpack(answer["packed"])
        except (EasyRemoteError, ModuleNotFoundError) as error:
            kept = self.ask("keep", process=process)["kept"]
            for name, what in kept.items():
                values[name] = ref = RemoteRef(self, process, name, what)
                try:  # it may be another one that can't
                    values[name] = ref.get() if len(kept) > 1 else ref
                except (EasyRemoteError, ModuleNotFoundError) as other:
                    troubles[name] = str(other)
                if len(kept) == 1:
                    troubles[name] = str(error)
        return values, troubles

    def get_held(self, ref: RemoteRef, number: int) -> Any:
        """What `RemoteRef.get` does."""
        answer = self.ask("get_held", number, process=ref.where.process)
        return unpack(answer["packed"])[""]

    def use_held(
        self,
        ref: RemoteRef,
        operation: str,
        number: int,
        what: str | Callable[..., Any],
        *rest: Any,
    ) -> Any:
        """What `RemoteRef.call` and `RemoteRef.eval` do."""
        try:
            answer = self.ask(operation, number, what, *rest, process=ref.where.process)
        except CannotShip as error:
            raise CannotShip(f"{operation}(): {error}") from None
        return self.open(answer)[0].get("")

    def release(self, process: str, number: int) -> None:
        """Nobody refers to this value any more; the session hears of it with the next cell."""
        self._released.append((process, number))

    def take_released(self, process: str | None) -> list[int]:
        """The numbers of the values that the `process` need not hold any more."""
        taken = [self._released.popleft() for _ in range(len(self._released))]
        return [number for owner, number in taken if owner == process]

    def end(self) -> bool:
        """End the session's process, and what runs in it; False where there is none.

        The next cell starts it anew. Safe to repeat.
        """
        return self._replace(END)

    def restart(self) -> bool:
        """`end` it, and start it anew at once, empty; False where there is none."""
        return self._replace(RESTART)

    def _replace(self, how: str) -> bool:
        job: RemoteJob[bool] = self._client.start(
            how, Dumped([], 0), node_id=self.node_id, session=self.name, timeout=END_LIMIT
        )
        return job.result()


def ask_for_sessions(client: Client, node_id: str) -> RemoteJob[list[dict[str, Any]]]:
    """Ask a node for the sessions of this client's key, also of other processes.

    Returns
    -------
    RemoteJob
        Of a list of dicts. ``session``: its name. ``busy``: whether something runs there.
        ``waiting``: how many calls wait for that. ``idle``: seconds since it was used last.
        ``origin``: where its newest cell came from, as that was told.
    """
    return client.start(
        SESSIONS, Dumped([], 0), node_id=node_id, timeout=END_LIMIT, encoding="msgpack"
    )


def replay(
    client: Client, node_id: str, call_id: str, *, follow: bool = False, bars_only: bool = False
) -> RemoteJob[dict[str, Any]]:
    """Have what a cell has shown sent once more, as the events of the job that this returns.

    Parameters
    ----------
    call_id
        The cell's, or the start of it; of this process or another one of the same key.
    follow
        Whether to go on until the cell has ended.
    bars_only
        Whether to leave out all but its progress, and how it ended.

    Returns
    -------
    RemoteJob
        Its result says how the cell stands: ``state`` (``queued``, ``running``, ``done``), and
        ``error`` (code, message, details) where it has failed.
    """
    return client.start(OUTPUT, dump((follow, bars_only)), node_id=node_id, session=call_id)


def _followed(job: RemoteJob[dict[str, Any]]) -> dict[str, Any]:
    """The result of a job, which prints here meanwhile, and stops with us."""
    try:
        for event in job.events(0.5):
            if isinstance(event, Stream):
                getattr(sys, event.name).write(event.text)
    except KeyboardInterrupt:
        job.interrupt()
        raise
    return job.result()


def own_name() -> str:
    """The session of this process, where none is named."""
    global _own_name, _own_pid
    if _own_pid != os.getpid():
        _own_name, _own_pid = secrets.token_hex(8), os.getpid()
    return _own_name
