"""`Session`: asks a node for what concerns one session, a process that keeps state between cells.

``tests/client/test_sessions.py`` and ``test_run.py`` prove it with real processes.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from easyremote.client.client import Client
from easyremote.client.detached.cell import KeptCell
from easyremote.client.files.sending import FilePeer, missing, send
from easyremote.client.job import RemoteJob
from easyremote.client.refs import RemoteRef
from easyremote.client.shipping import known_blobs
from easyremote.errors import CannotShip, EasyRemoteError, NotFound
from easyremote.events import CommClose, CommMessage, Stream
from easyremote.options.requirements import Requirements
from easyremote.protocol.builtins import (
    CELL,
    COMM,
    END,
    OUTPUT,
    RESTART,
    SESSION,
    SESSIONS,
    VARIABLES,
)
from easyremote.protocol.requests import (
    CallStatus,
    Replay,
    SessionsAnswer,
    VariablesAnswer,
    VariablesRequest,
    WidgetAnswer,
    WidgetMessage,
)
from easyremote.serialize.blobs import Packed, pack
from easyremote.serialize.graph.graph import Graph, Look, Told
from easyremote.serialize.refs import Whereabouts, going_to
from easyremote.serialize.values import dump

#: Seconds that a session has to end when it is asked to.
END_LIMIT = 15.0

#: Takes how many bytes of an answer have come, and how many it has.
Arrived = Callable[[int, int], object]

_own_name = ""
_own_pid = 0


class Session:
    """A session of this client on a node.

    Parameters
    ----------
    client
        The connection to its gateway.
    node_id
        The node.
    name
        The session's name; None for the session of this process.
    """

    def __init__(self, client: Client, node_id: str, name: str | None = None) -> None:
        self.client = client
        self.node_id = node_id
        self.name = name or own_name()
        #: Process and number of each value that no `RemoteRef` points to any more.
        self._released: deque[tuple[str, int]] = deque()

    def submit_cell(
        self,
        request: dict[str, Any],
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        hold: float | None = None,
        origin: str = "",
        needs: Requirements | None = None,
        priority: int = 0,
        notify: str = "",
        keep: float | None = None,
    ) -> RemoteJob[dict[str, Any]]:
        """Run a cell in the session.

        Parameters
        ----------
        request
            As `easyremote.node.worker.shell.Shell.run_cell` takes it.
        timeout, queue_timeout
            Seconds that the cell may run, and that it may wait for its turn.
        hold
            Seconds that it goes on when this process is gone; `easyremote.client.executor.KEEP`
            until it is over.
        origin
            Where the cell comes from, by which people find it again.
        needs
            What it holds of the machine while it runs; it waits until that is free.
        priority
            Calls of a higher one go first, whoever's they are.
        notify
            The address that is told of its end.
        keep
            Seconds that the gateway keeps its outcome, whoever is gone: `Client.outstanding` lists
            it. This returns when the gateway's disk has the cell.
        """
        job: RemoteJob[dict[str, Any]] = self.client.start(
            CELL,
            dump(request),
            node_id=self.node_id,
            session=self.name,
            run_timeout=timeout,
            queue_timeout=queue_timeout,
            hold=hold,
            origin=origin,
            needs=needs,
            priority=priority,
            notify=notify,
            keep=keep,
        )
        if keep is None:
            return job
        job.result()
        return KeptCell(self.client, self.client.line, job.call_id, "cell", self.node_id)

    def submit_comm(
        self, event: CommMessage | CommClose, *, process: str, parent: str
    ) -> RemoteJob[WidgetAnswer]:
        """Hand a message to a widget there; see `easyremote.node.worker.shell.Shell.receive_comm`.

        It waits until the running cell ends. Its effects are events of the job, as those of a cell.
        """
        message = WidgetMessage(event, process, parent)
        return self.client.ask(COMM, message, node_id=self.node_id, session=self.name)

    @property
    def files(self) -> FilePeer:
        """The session as the peer of `easyremote.client.files`."""
        return FilePeer(self.client, self.node_id, self.name)

    # -- variables

    def pack(self, variables: dict[str, object], process: str | None) -> Packed:
        """Pack variables for the session's `process`.

        Raises
        ------
        CannotShip
            A variable can't travel; the message names it.
        """
        with self.going_to(process):
            return pack(variables, python=self.client.python_of(self.node_id))

    def look(self, graph: Graph, values: Mapping[str, object], process: str | None) -> Look:
        """What has changed in variables since the session's `process` heard of them."""
        with self.going_to(process):
            return graph.look(values)

    def tell(
        self,
        graph: Graph,
        look: Look,
        names: Collection[str],
        process: str | None,
        gone: Collection[str] = (),
    ) -> Told:
        """Make a message for the session's `process`; see `Graph.tell`.

        Raises
        ------
        CannotShip
            A variable can't travel; the message names it.
        """
        python = self.client.python_of(self.node_id) if names else None
        with self.going_to(process):
            return graph.tell(look, names, gone, python=python)

    def going_to(self, process: str | None) -> AbstractContextManager[None]:
        """Say that what is pickled in this block goes to the session's `process`."""
        return going_to(Whereabouts(self.node_id, self.name, process or ""))

    def known_blobs(self, hashes: Iterable[bytes]) -> set[bytes]:
        """The blobs among these that the node has already."""
        return known_blobs(self.client, self.node_id, hashes)

    def ask(
        self,
        operation: str,
        *args: Any,
        process: str | None = None,
        timeout: float | None = None,
        arrived: Arrived | None = None,
    ) -> dict[str, Any]:
        """Ask for variables; see `easyremote.node.worker.variables.Variables.serve`.

        While a large answer comes, `arrived` is told how many bytes are here, and how many it has.

        Raises
        ------
        NotFound
            The session has another process now than `process`.
        """
        arguments = self.pack({"args": args}, process)
        send(self.files, missing(self.files, arguments.files), lambda state: None)
        job: RemoteJob[dict[str, Any]] = self.client.start(
            SESSION,
            dump((operation, process, arguments.plain_wire())),
            node_id=self.node_id,
            session=self.name,
            timeout=timeout,
        )
        answer = _followed(job, arrived)
        if process not in (None, answer["process"]):
            raise NotFound(
                f"The session on {self.node_id} has ended, and the value with it. Run the cell "
                "that made it again."
            )
        return answer

    def ask_plainly(self, request: VariablesRequest, *, queue_timeout: float) -> VariablesAnswer:
        """Ask for something that is answered without a pickle.

        The Jupyter server asks so: unpickling would run code of the node in it. The question waits
        until the running cell ends, at most `queue_timeout` seconds. It starts no session, and does
        not count as a use of one: the session's idle time goes on.

        Raises
        ------
        NotFound
            There is no such session any more, or no such variable.
        CallTimeout
            A cell still runs there, or the ``repr`` of a value does not end.
        """
        job: RemoteJob[VariablesAnswer] = self.client.ask(
            VARIABLES,
            request,
            node_id=self.node_id,
            session=self.name,
            timeout=queue_timeout + END_LIMIT,
            queue_timeout=queue_timeout,
        )
        return job.result()

    def open(
        self, answer: dict[str, Any], graph: Graph | None = None
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The values of an answer by name, and by name why a value can't be rebuilt here.

        A value that stayed on the node is a `RemoteRef`. The value of an expression is named "".
        Objects that are in `graph` are changed in place; where there are troubles, it begins anew.
        """
        process, troubles = answer["process"], {}
        refs = {name: RemoteRef(self, process, name, what) for name, what in answer["kept"].items()}
        beside = answer["shared"]
        if graph is None or graph.key != beside["key"]:
            graph = Graph(beside["key"])
        values: dict[str, Any] = dict(refs)
        try:
            values |= graph.hear(answer["packed"], beside).bound
            graph.keep_apart({name: ref for name, ref in refs.items() if name})
        except (EasyRemoteError, ModuleNotFoundError) as error:
            troubles = {name: str(error) for name in beside["changed"]}
            kept = self.ask("keep", process=process)["kept"]
            for name, what in kept.items():
                values[name] = ref = RemoteRef(self, process, name, what)
                try:  # one of them can't be rebuilt, not all
                    values[name] = ref.get() if len(kept) > 1 else ref
                except (EasyRemoteError, ModuleNotFoundError) as other:
                    troubles[name] = str(other)
                if len(kept) == 1:
                    troubles[name] = str(error)
        return values, troubles

    def get_held(
        self,
        ref: RemoteRef,
        number: int,
        arrived: Arrived | None = None,
        graph: Graph | None = None,
    ) -> Any:
        """Bring a value that the node holds: `RemoteRef.get`."""
        key = None if graph is None else graph.key
        arguments = (number, ref.name, key)
        answer = self.ask("get_held", *arguments, process=ref.where.process, arrived=arrived)
        beside = answer["shared"]
        graph = Graph(beside["key"]) if graph is None else graph
        return graph.hear(answer["packed"], beside).bound[ref.name]

    def use_held(
        self,
        ref: RemoteRef,
        operation: str,
        number: int,
        what: str | Callable[..., Any],
        *rest: Any,
    ) -> Any:
        """Use a value that the node holds: `RemoteRef.call` and `RemoteRef.eval`."""
        try:
            answer = self.ask(operation, number, what, *rest, process=ref.where.process)
        except CannotShip as error:
            raise CannotShip(f"{operation}(): {error}") from None
        return self.open(answer)[0].get("")

    def release(self, process: str, number: int) -> None:
        """Let the session drop a value; the next cell tells it."""
        self._released.append((process, number))

    def take_released(self, process: str | None) -> list[int]:
        """The numbers of the values that the `process` may drop. They are returned once."""
        taken = [self._released.popleft() for _ in range(len(self._released))]
        return [number for owner, number in taken if owner == process]

    def end(self) -> bool:
        """End the session's process and what runs in it; False where there is no process.

        The next cell starts a new one. Safe to repeat.
        """
        return self._replace(END)

    def restart(self) -> bool:
        """`end` the process and start an empty one at once; False where there is no process."""
        return self._replace(RESTART)

    def _replace(self, how: str) -> bool:
        job: RemoteJob[bool] = self.client.ask(
            how, node_id=self.node_id, session=self.name, timeout=END_LIMIT
        )
        return job.result()


def ask_for_sessions(client: Client, node_id: str) -> RemoteJob[SessionsAnswer]:
    """Ask a node for the sessions of this client's key, also of other processes."""
    return client.ask(SESSIONS, node_id=node_id, timeout=END_LIMIT)


def replay(
    client: Client, node_id: str, call_id: str, *, follow: bool = False, bars_only: bool = False
) -> RemoteJob[CallStatus]:
    """Have a cell's output sent once more, as the events of the job that this returns.

    Parameters
    ----------
    call_id
        The id of the cell's call, or the start of it. Another process with the same key may have
        started the cell.
    follow
        Whether to go on until the cell has ended.
    bars_only
        Whether to send its progress only, and how it ended.

    Returns
    -------
    RemoteJob
        Its result is how the cell stands.
    """
    return client.ask(OUTPUT, Replay(follow, bars_only), node_id=node_id, session=call_id)


def _followed(job: RemoteJob[dict[str, Any]], arrived: Arrived | None) -> dict[str, Any]:
    """Print what a job prints until it ends, and return its result; an interrupt stops it."""
    try:
        for event in job.events(0.5 if arrived is None else 0.1):
            if arrived is not None and any(job.received):
                arrived(*job.received)
            if isinstance(event, Stream):
                getattr(sys, event.name).write(event.text)
    except KeyboardInterrupt:
        job.interrupt()
        raise
    return job.result()


def own_name() -> str:
    """The name of this process's session."""
    global _own_name, _own_pid
    if _own_pid != os.getpid():
        _own_name, _own_pid = secrets.token_hex(8), os.getpid()
    return _own_name
