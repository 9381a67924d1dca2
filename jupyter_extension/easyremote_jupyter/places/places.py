"""Decides where this notebook's cells run, and sends them there.

`Places` turns the options of a cell into a `Place`: a session of a node, with the variables that it
is known to have. Where a session turns out to be new, the user is told which variables are lost and
which are sent again.
``tests/jupyter_extension/places/test_places.py`` proves it in real kernels.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import easyremote
from easyremote.client.client import Client
from easyremote.client.detached.cell import KeptCell
from easyremote.client.executor import KEEP
from easyremote.client.job import RemoteJob
from easyremote.client.refs import RemoteRef
from easyremote.client.session import Session, own_name
from easyremote.client.targets import (
    ANY,
    NODE_VARIABLE,
    conditions_of,
    find_any,
    find_node,
    parse_where,
)
from easyremote.errors import (
    CallLost,
    CannotShip,
    EasyRemoteError,
    OutOfMemory,
    RemoteError,
    WorkerCrashed,
)
from easyremote.options.requirements import Requirements
from easyremote.protocol.snapshot import NodeInfo
from easyremote.serialize.functions import home
from easyremote.serialize.graph.graph import Told
from easyremote.serialize.refs import Whereabouts
from easyremote_jupyter.capture.local_modules import Sent
from easyremote_jupyter.magics.options import Options
from easyremote_jupyter.magics.readers import DISCONNECT_LIMIT, keep
from easyremote_jupyter.output.display import show_notice
from easyremote_jupyter.output.watch import Watcher, watch
from easyremote_jupyter.places.beside import Beside
from easyremote_jupyter.places.held import Held
from easyremote_jupyter.places.lost import command, only_there, with_losses
from easyremote_jupyter.places.ran import Ran
from easyremote_jupyter.places.seeds import Seeds
from easyremote_jupyter.places.shipping import load

__all__ = ["Place", "Places"]

#: Seconds that a session has to return the variables of a failed cell.
COLLECT_LIMIT = 30.0


@dataclass(slots=True, eq=False)
class Place:
    """A session in which cells run, and the variables that it has."""

    session: Session
    held: Held = field(default_factory=Held)
    modules: Sent = field(default_factory=Sent)
    seeds: Seeds = field(default_factory=Seeds)
    beside: Beside = field(default_factory=Beside)
    #: The process that ran the last cell, and the variables that it had then.
    process: str | None = None
    there: set[str] = field(default_factory=set)
    #: The front end's message of the newest cell that ran in it; None in a terminal.
    newest: Any = None
    #: Until when nobody is asked for the GPU memory that it holds, on the monotonic clock.
    quiet_until: float = 0.0
    #: The cells of this notebook that made it what it is.
    ran: Ran = field(default_factory=Ran)

    def run(
        self,
        request: dict[str, Any],
        variables: dict[str, object],
        optional: Collection[str],
        options: Options,
        output: Watcher,
        space: dict[str, object],
        held: Held,
    ) -> dict[str, Any]:
        """Run a cell with the variables that it needs; the optional ones may be left out.

        `held` is what it shares: this place's own, or one for itself where it runs beside others.
        """
        trusts_blobs, has_asked = True, False
        while True:
            send = partial(self._submit, request, variables, optional, options)
            job, told = send(trusts_blobs, output, held)
            # The node is at work now: what can wait until here costs no time.
            if not has_asked and (question := self.question(self.session.client.known_nodes())):
                output.notice(f"{question} {self.how_to_end}")
            has_asked = True
            watch(job, output)
            try:
                answer: dict[str, Any] = job.result()
            except EasyRemoteError as error:
                if error.may_have_run:
                    held.graph = told.after
                self._failed(error, {*variables, *request["writes"]}, space)
                raise
            if news := self._note_process(answer["process"], variables, space):
                output.notice(news)
            if "packed" in answer:
                held.graph = told.after
                return answer
            if isinstance(job, KeptCell):
                job.release()  # it did not run
            if trusts_blobs := "missing" not in answer:
                held.forget()

    def _failed(self, error: EasyRemoteError, names: set[str], space: Mapping[str, object]) -> None:
        """A cell with these variables failed: note what is there now, or say what is lost."""
        if isinstance(error, RemoteError) and error.may_have_run:
            self.there.update(names)
        elif isinstance(error, WorkerCrashed | OutOfMemory | CallLost):
            lost = only_there(self.there, space)
            raise with_losses(error, self.session, lost, has_cells=bool(self.ran)) from None

    def question(self, nodes: Iterable[NodeInfo]) -> str:
        """What the gateway asks about this session since it has been idle; empty for nothing."""
        node_id, name = self.session.node_id, self.session.name
        if time.monotonic() < self.quiet_until:
            return ""
        return next((node.asked.get(name, "") for node in nodes if node.node_id == node_id), "")

    @property
    def how_to_end(self) -> str:
        """What people write to end the session."""
        node_id, name = self.session.node_id, self.session.name
        target = node_id if name == own_name() else f"{node_id}/{name}"
        return f"%remote_restart {target} ends it."

    def _note_process(
        self, process: str, variables: Mapping[str, object], space: Mapping[str, object]
    ) -> str:
        """Tell the user if the session has a new process: after a restart, a crash or idle time."""
        told = ""
        if self.process not in (None, process):
            refs = {name for name, value in space.items() if isinstance(value, RemoteRef)}
            lost = only_there(self.there, space)
            again = sorted((self.there & variables.keys()) - refs)
            parts = [
                f"The session on {self.session.node_id} is new.",
                *([f"Lost there: {', '.join(lost)}."] if lost else ()),
                *([f"Sent again: {', '.join(again)}."] if again else ()),
                *([f"{command(self.session)} makes it anew."] if lost and self.ran else ()),
            ]
            told = " ".join(parts)
            self.there.clear()
        self.process = process
        self.there.update(variables)
        return told

    def _submit(
        self,
        request: dict[str, Any],
        variables: dict[str, object],
        optional: Collection[str],
        options: Options,
        trusts_blobs: bool,
        output: Watcher,
        held: Held,
    ) -> tuple[RemoteJob[dict[str, Any]], Told]:
        named, folders = request["beside"]
        self.beside.drop(request["files"])
        files = self.beside.missing(named, held.process, all_sizes=options.force_push)
        try:
            shipped, told = load(
                *(self.session, held, variables, request["files"], options, output),
                beside=files,
                trusts_blobs=trusts_blobs,
            )
        except CannotShip:
            needed = {name: v for name, v in variables.items() if name not in optional}
            if len(needed) == len(variables):
                raise
            return self._submit(request, needed, (), options, trusts_blobs, output, held)
        modules = self.modules.wire(request["modules"], held.process, output.notice)
        beside = {
            "files": [(name, file.content) for name, file in files.items()],
            "folders": folders,
            "removed": self.beside.removed(),
        }
        shipped["beside"] = beside if options.beside else None
        seeds = {"seeds": self.seeds.missing(request["seeds"], held.process)}
        kept = KEEP if options.background is not None else DISCONNECT_LIMIT
        job = self.session.submit_cell(
            request | shipped | modules | seeds,
            timeout=options.timeout,
            queue_timeout=options.queue_timeout,
            hold=options.hold or kept,
            origin=request["origin"],
            needs=options.needs,
            priority=options.priority,
            notify=options.notify,
            keep=keep(options.keep) if options.keep else None,
        )
        return job, told

    def open(
        self, answer: dict[str, Any], space: dict[str, object], options: Options, held: Held
    ) -> dict[str, object]:
        """The values of an answer; a value that stayed there is a RemoteRef."""
        token = home.set(space)
        try:
            values, troubles = self.session.open(answer, held.graph)
        finally:
            home.reset(token)
        self.there.update(name for name in values if name)
        if troubles:
            held.forget()
        held.process = answer["process"]
        self.modules.arrived(answer["process"])
        self.beside.arrived(answer["process"])
        self.beside.came(answer.get("written", {}), self.session.node_id, show_notice)
        if "seeds" in answer:
            self.seeds.came(answer["seeds"], answer["process"])
        held.drop(answer["gone"])
        self.there.difference_update(answer["gone"])
        for name, why in troubles.items():
            show_notice(f"{name or 'The value'} stays on {self.session.node_id}: {why}")
        if (changed := answer.get("overwritten")) and not options.quiet:
            names, have = ", ".join(changed), "have" if len(changed) > 1 else "has"
            show_notice(
                f"{names} {have} changed here and on {self.session.node_id}: the value from here "
                "was sent"
            )
        return values

    def collect(self, held: Held) -> dict[str, Any] | None:
        """The variables of a cell that failed; None where they can't be had."""
        try:
            answer = self.session.ask("collect", process=held.process, timeout=COLLECT_LIMIT)
        except EasyRemoteError:
            return None
        return answer if "packed" in answer else None

    def here(self, options: Options) -> Options:
        """The options of a cell that is to run in this place, whatever it named."""
        name = "" if self.session.name == own_name() else self.session.name
        return replace(options, node=self.session.node_id, session=name, where="")

    def begin_anew(self) -> None:
        """The session was ended on purpose: forget what it had, and say nothing of that."""
        self.held.forget()
        self.process = None
        self.there.clear()

    def end(self) -> None:
        """End a session of ``--fresh``. Where its node is out of reach, it ends with the node."""
        with contextlib.suppress(EasyRemoteError):
            self.session.end()


class Places:
    """The places of one notebook."""

    def __init__(self, space: dict[str, object]) -> None:
        #: The notebook's variables.
        self._space = space
        #: The target of cells that name none: a node (or ``any``), its session, its conditions.
        self.attached: Options | None = None
        #: Whether cells without a magic run there, too.
        self.is_auto = False
        #: Called after each change of the two.
        self.on_attached: Callable[[], None] | None = None
        self._places: dict[tuple[Client, str, str], Place] = {}
        #: The node that was chosen for ``any``, by ``--where``, session and ``--needs``.
        self._chosen: dict[tuple[str, str, Requirements | None], str] = {}

    def attach(self, target: Options | None, *, auto: bool = False) -> None:
        """Set the target of cells that name none; None for no target."""
        self.attached, self.is_auto = target, auto
        if self.on_attached is not None:
            self.on_attached()

    def find(self, options: Options) -> Place:
        """The place that a cell's options mean.

        Raises
        ------
        UsageError
            No node fits the options, or more than one does.
        """
        client = easyremote.connect()
        node_id, session, where = self._target(options)
        if where or node_id == ANY:
            node_id = self._any(where, session, options.needs, client)
        elif not node_id or (client, node_id, session) not in self._places:
            node_id = find_node(node_id, client.known_nodes())
        if options.fresh:
            return Place(Session(client, node_id, f"fresh-{secrets.token_hex(8)}"))
        key = client, node_id, session
        if key not in self._places:
            self._places[key] = Place(Session(client, node_id, session or None))
        return self._places[key]

    def at(self, node_id: str, session: str) -> Place:
        """The place of a session, whether its node is there or not."""
        client, name = easyremote.connect(), "" if session == own_name() else session
        place = Place(Session(client, node_id, name or None))
        return self._places.setdefault((client, node_id, name), place)

    def prune(self, *_: object) -> None:
        """Let go of the values that the notebook has let go of."""
        for place in self._places.values():
            place.held.prune(self._space)

    def of(self, where: Whereabouts) -> Place | None:
        """The place whose process holds a value; None where that process has ended."""
        for place in self._places.values():
            session = place.session
            if where == (session.node_id, session.name, place.held.process):
                return place
        return None

    def used(self) -> list[Place]:
        """The places that the notebook has used, without those of ``--fresh``."""
        return list(self._places.values())

    def names(self) -> list[str]:
        """The named sessions that this notebook has used, as ``node/session``."""
        return [f"{node_id}/{session}" for _, node_id, session in self._places if session]

    def known_nodes(self) -> set[str]:
        """The names of nodes, and ``any``."""
        return {node.node_id for node in easyremote.connect().known_nodes()} | {ANY}

    def _target(self, options: Options) -> tuple[str, str, str]:
        """The node, the session and the conditions; those that are attached where none is named."""
        if options.node or options.where:
            return options.node, options.session, options.where
        attached = self.attached
        if attached is not None:
            return attached.node, options.session or attached.session, attached.where
        return os.environ.get(NODE_VARIABLE, ""), options.session, ""

    def _any(self, where: str, session: str, needs: Requirements | None, client: Client) -> str:
        """The least loaded node that fits; the same one in later cells, until it goes away."""
        conditions = parse_where(where) if where else ()
        conditions += conditions_of(needs) if needs is not None else ()
        chosen = self._chosen.get((where, session, needs))
        nodes = client.known_nodes() if chosen is not None else ()
        if any(node.node_id == chosen and node.state == "online" for node in nodes):
            assert chosen is not None, "it was found"
            return chosen
        node_id = find_any(client.list_nodes(), conditions)
        self._chosen[where, session, needs] = node_id
        if chosen is not None:
            show_notice(f"{chosen} has gone away: what ran there now runs on {node_id}.")
        return node_id
