"""What the gateway itself is asked: who is there, what is going on, and to stop some of it.

These are calls like all others, to functions of the gateway: ``$ping`` answers nothing, at once;
``$nodes`` answers once; ``$watch`` goes on, an event a second, until it is cancelled, and so does
``$changes``, an event for each node that comes, goes, or says anew what it offers; ``$cancel`` and
``$kill`` stop another call of the same key, which their ``session`` names, and ``$explain`` says
how it stands. ``$usage`` tells what was used. ``$collect``, ``$release`` and ``$detached`` are for
detached calls (``durable/door.py``), ``$pause``, ``$drain`` and ``$resume`` for the owner of a
node. Nodes measure themselves only while somebody watches.
``tests/gateway/test_feed.py`` proves it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

import easyremote
from easyremote.errors import Busy, EasyRemoteError, NotFound, ProtocolError
from easyremote.gateway.durable.door import DetachedDoor, id_of
from easyremote.gateway.durable.records import Detached
from easyremote.gateway.hub import Hub
from easyremote.gateway.jobs import is_work, jobs_of
from easyremote.gateway.permissions import Action, is_local_user, may, may_lend, not_yours
from easyremote.gateway.records import ClientLink, Node
from easyremote.gateway.scheduling.explain import explain
from easyremote.gateway.scheduling.lending import Lent
from easyremote.gateway.scheduling.release import Question, questions
from easyremote.gateway.table import failed
from easyremote.options.requirements import show_size
from easyremote.protocol.builtins import (
    CANCEL,
    CELL,
    CHANGES,
    COLLECT,
    DETACHED,
    DRAIN,
    EXPLAIN,
    KILL,
    NODES,
    OF_GATEWAY,
    PAUSE,
    PING,
    RELEASE,
    RESUME,
    USAGE,
    WATCH,
    is_builtin,
    open_request,
)
from easyremote.protocol.failures import pack_error
from easyremote.protocol.messages import (
    Cancel,
    Event,
    Finished,
    Function,
    Message,
    Payload,
    Resources,
    Seen,
    Started,
    Submit,
    Watch,
)
from easyremote.protocol.snapshot import (
    FunctionInfo,
    GatewayInfo,
    GatewaySnapshot,
    GpuInfo,
    NodeInfo,
)
from easyremote.protocol.usage import UsageAnswer, UsageRequest, UsageRow

#: Seconds between two snapshots.
INTERVAL = 1.0
#: A watcher with so many snapshots unseen gets no more until it has seen some.
UNSEEN_LIMIT = 3
#: A follower with so many changes unseen gets no more; it is told to ask again.
CHANGES_LIMIT = 100
#: How often one client may watch at a time: windows of a panel, and the client itself.
WATCHES = 100

#: Takes the answer to what was used: rows, or why there are none.
Answer = Callable[[Sequence[UsageRow] | EasyRemoteError], None]
#: Has the answer made: what was asked, and whose calls are meant; None for everybody's.
UsageAsked = Callable[[UsageRequest, str | None, Answer], None]
_LENDING = {PAUSE: Lent.PAUSED, DRAIN: Lent.DRAINED, RESUME: Lent.YES}


class _Watcher:
    def __init__(self, client: ClientLink, number: int) -> None:
        self.client, self.number = client, number
        self.sent = self.seen = 0

    @property
    def unseen(self) -> int:
        return self.sent - self.seen

    def send(self, body: bytes) -> None:
        self.sent += 1
        link = self.client.link
        link.send(Event(self.number, self.sent, link.offer((body,), len(body), "msgpack")))


class GatewayFeed:
    """Answers questions about the gateway, and keeps watchers informed."""

    def __init__(self, calls: Hub, door: DetachedDoor | None = None) -> None:
        self._calls, self._nodes, self._door = calls, calls.nodes, door
        self._watchers: dict[tuple[int, int], _Watcher] = {}
        #: Those that want changes only.
        self._followers: dict[tuple[int, int], _Watcher] = {}
        self._nodes.changed = self._node_changed
        #: Answers what was used. A gateway that keeps it in a file has another one (``links.py``).
        self.usage_asked: UsageAsked = self._tell_usage

    def receive(self, client: ClientLink, message: Message) -> bool:
        """Handle a message if it is for the feed; whether it was."""
        kind = type(message)
        if kind is Submit and message.function in OF_GATEWAY:  # type: ignore[union-attr]
            self._asked(client, message)  # type: ignore[arg-type]  # narrowed by `kind`
            return True
        if (self._watchers or self._followers) and kind in (Cancel, Seen):
            key = id(client), message.call  # type: ignore[union-attr]  # narrowed by `kind`
            watcher = self._watchers.get(key) or self._followers.get(key)
            if watcher is not None:
                self._about(watcher, message)
                return True
        return False

    def _asked(self, client: ClientLink, message: Submit) -> None:
        if message.function == NODES:
            self._answer(client, message, self._snapshot(client, self._functions()))
        elif message.function == PING:
            self._answer(client, message, None)
        elif message.function in (CANCEL, KILL):
            self._answer(client, message, self._stop(client, message))
        elif message.function == EXPLAIN:
            self._answer(client, message, self._explain(client, message))
        elif message.function == USAGE:
            self._ask_for_usage(client, message)
        elif message.function in (COLLECT, RELEASE, DETACHED):
            self._ask_for_detached(client, message)
        elif message.function in _LENDING:
            self._lend(client, message)
        elif message.function in (WATCH, CHANGES):
            self._begin(_Watcher(client, message.call), message.function)

    def _begin(self, watcher: _Watcher, function: str) -> None:
        """From now on the client is told of what it watches."""
        client, number = watcher.client, watcher.number
        if self._watches_much(client):
            text = f"This client watches {WATCHES} times at once. End some of them first."
            client.link.send(failed(number, Busy(text), may_have_run=False))
            return
        client.link.send(Started(number))
        if function == CHANGES:
            self._followers[id(client), number] = watcher
            return
        self._watchers[id(client), number] = watcher
        if len(self._watchers) == 1:
            self._tell_nodes(on=True)
        watcher.send(msgspec.msgpack.encode(self._snapshot(client)))

    def _watches_much(self, client: ClientLink) -> bool:
        known = [*self._watchers.values(), *self._followers.values()]
        return sum(each.client is client for each in known) >= WATCHES

    def _node_changed(self, node: Node) -> None:
        described = _describe_node(node, time.monotonic())
        asked = questions(self._calls.table.queues, node)
        for follower in list(self._followers.values()):
            if follower.unseen < CHANGES_LIMIT:
                told = _asking(described, asked, follower.client.principal.key_id)
                follower.send(msgspec.msgpack.encode(told))
            else:
                self._end(follower, "There were more changes than were looked at.")

    @staticmethod
    def _answer(client: ClientLink, message: Submit, answer: object) -> None:
        body = msgspec.msgpack.encode(answer)
        payload = client.link.offer((body,), len(body), "msgpack")
        client.link.send(Finished(message.call, payload))

    def _stop(self, client: ClientLink, message: Submit) -> bool:
        """Stop a call of the same key; False where there is none that has not ended."""
        kill = message.function == KILL
        detached = self._detached(client, message)
        if self._door is not None and detached is not None:
            return self._door.stop(detached, kill=kill)
        call = self._calls.table.by_id.get(id_of(message.session))
        if call is None or call.is_over or not may(client.principal, Action.STOP, call):
            return False
        self._calls.cancel(call, kill=kill, now=time.monotonic())
        return True

    def _explain(self, client: ClientLink, message: Submit) -> str:
        """How a call of the same key stands; empty where it is not known here."""
        detached = self._detached(client, message)
        call_id = detached.attempt_id if detached is not None else id_of(message.session)
        call = self._calls.table.by_id.get(call_id)
        if call is None and detached is not None:
            return "it is over" if detached.ending is not None else "it waits for its next attempt"
        if call is None or not may(client.principal, Action.SEE, call):
            return ""
        return explain(self._calls.table.queues, call, time.monotonic())

    def _detached(self, client: ClientLink, message: Submit) -> Detached | None:
        """The detached call of the client's that a question names."""
        return self._door.find(client.principal, message.session) if self._door else None

    def _ask_for_detached(self, client: ClientLink, message: Submit) -> None:
        if self._door is not None:
            self._door.asked(client, message)
        else:
            error = NotFound("This gateway keeps no detached calls.")
            client.link.send(failed(message.call, error, may_have_run=False))

    def _ask_for_usage(self, client: ClientLink, message: Submit) -> None:
        def answer(given: Sequence[UsageRow] | EasyRemoteError) -> None:
            if isinstance(given, EasyRemoteError):
                client.link.send(failed(message.call, given, may_have_run=False))
            else:
                self._answer(client, message, UsageAnswer(tuple(given)))

        try:
            request: UsageRequest = open_request(USAGE, message.payload.data)
        except ProtocolError as error:
            answer(error)
            return
        principal = client.principal
        key = None if is_local_user(principal) else principal.key_id
        self.usage_asked(request, key, answer)

    def _tell_usage(self, request: UsageRequest, key: str | None, answer: Answer) -> None:
        answer(self._calls.tally.rows(request, key))

    def _lend(self, client: ClientLink, message: Submit) -> None:
        """Pause, drain or resume a node, for its owner."""
        node, now = self._nodes.get(message.node), time.monotonic()
        error: EasyRemoteError
        if node is None:
            error = self._nodes.no_such_node(message.node)
        elif not may_lend(client.principal, node):
            error = not_yours(client.principal, node)
        else:
            self._calls.lend(node, _LENDING[message.function], now)
            self._answer(client, message, _describe_node(node, now))
            return
        client.link.send(failed(message.call, error, may_have_run=False))

    def _about(self, watcher: _Watcher, message: Message) -> None:
        if isinstance(message, Seen):
            watcher.seen = message.seq
        elif isinstance(message, Cancel):
            self._end(watcher, "Nobody watches any more.")

    def _end(self, watcher: _Watcher, why: str) -> None:
        body = pack_error("cancelled", why, may_have_run=True)
        payload = Payload("msgpack", len(body), body)
        finished = Finished(watcher.number, payload, "cancelled", events=watcher.sent)
        watcher.client.link.send(finished)
        self._remove([(id(watcher.client), watcher.number)])

    def client_left(self, client: ClientLink) -> None:
        if self._door is not None:
            self._door.client_left(client)
        known = self._watchers | self._followers
        self._remove([key for key, each in known.items() if each.client is client])

    def node_joined(self, node: Node) -> None:
        if self._watchers and node.link is not None:
            node.link.send(Watch(on=True))

    def send_snapshots(self) -> None:
        """Send a snapshot to each client that watches."""
        snapshots: dict[str, bytes] = {}
        for watcher in list(self._watchers.values()):
            if watcher.unseen >= UNSEEN_LIMIT:
                continue
            owner = watcher.client.principal.key_id
            if owner not in snapshots:
                snapshots[owner] = msgspec.msgpack.encode(self._snapshot(watcher.client))
            watcher.send(snapshots[owner])

    def _remove(self, keys: list[tuple[int, int]]) -> None:
        was_watched = bool(self._watchers)
        for key in keys:
            self._watchers.pop(key, None)
            self._followers.pop(key, None)
        if was_watched and not self._watchers:
            self._tell_nodes(on=False)

    def _tell_nodes(self, *, on: bool) -> None:
        self._nodes.watched = on
        for node in self._nodes:
            is_wanted = self._calls.table.queues.awaits(node)
            if not is_wanted:
                node.resources = None  # the next watcher must not see old figures
            if node.link is not None and (on or not is_wanted):
                node.link.send(Watch(on))

    def _functions(self) -> tuple[FunctionInfo, ...]:
        return tuple(
            _describe_function(node, function)
            for node in self._nodes
            for name, function in sorted(node.functions.items())
            if node.online and not is_builtin(name)
        )

    def _snapshot(
        self, client: ClientLink, functions: tuple[FunctionInfo, ...] = ()
    ) -> GatewaySnapshot:
        now = time.monotonic()
        jobs = jobs_of(self._calls.table, self._calls.recent, client.principal, now)
        queues, owner = self._calls.table.queues, client.principal.key_id
        return GatewaySnapshot(
            tuple(
                _asking(_describe_node(node, now), questions(queues, node), owner)
                for node in self._nodes
            ),
            GatewayInfo(easyremote.__version__),
            *jobs,
            functions,
        )


def _describe_function(node: Node, function: Function) -> FunctionInfo:
    told = {name: getattr(function, name) for name in FunctionInfo.__struct_fields__[1:-1]}
    needs = str(function.requirements or "")
    if function.gpu_peak:
        needs += f" (it was seen to hold {show_size(function.gpu_peak)} of GPU memory)"
    return FunctionInfo(node.node_id, **told, needs=needs)


def _asking(node: NodeInfo, asked: Sequence[Question], owner: str) -> NodeInfo:
    """The same node, with what this owner is asked about the sessions there."""
    mine = {each.session: each.text for each in asked if each.owner == owner}
    return msgspec.structs.replace(node, asked=mine) if mine else node


def _describe_node(node: Node, now: float) -> NodeInfo:
    online = node.online
    machine = (node.resources or node.machine if online else None) or Resources(0.0, 0, 0, 0)
    is_measured = machine is node.resources
    return NodeInfo(
        node_id=node.node_id,
        state="online" if online else "offline",
        since=now - node.since,
        python=node.versions.get("python", ""),
        version=node.versions.get("easyremote", ""),
        functions=tuple(sorted(name for name in node.functions if not is_builtin(name))),
        runs_code=CELL in node.functions,
        running=sum(count for name, count in node.active.items() if is_work(name)),
        slots=node.said.slots,
        installs=node.said.installs,
        session_idle=node.said.session_idle or None,
        processes=node.said.processes or None,
        cpu=machine.cpu if is_measured else None,
        cores=machine.cores or None,
        memory_used=machine.memory_used if is_measured else None,
        memory_total=machine.memory_total or None,
        gpus=tuple(
            GpuInfo(gpu.name, gpu.use, gpu.memory_used, gpu.memory_total) for gpu in machine.gpus
        ),
        received=machine.received if machine.received >= 0 else None,
        sent=machine.sent if machine.sent >= 0 else None,
        labels=tuple(node.said.labels),
        withheld=dict(node.withheld),
        closed=node.closed or ("it does not answer" if node.is_silent else ""),
        lent=node.lent.name.lower(),
    )
