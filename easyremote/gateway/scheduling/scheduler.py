"""Which call runs where and when. Pure; ``tests/gateway/scheduling/`` simulates it.

A call goes to the node that will probably be through with it first. Where no node has room it
waits, in its node's place or in that of any node. A node that has room takes a call of the highest
priority; among these one of the key whose turn it is there (``fairness.py``), and of this key's
calls the oldest that it may run.
Registered functions, shipped functions and cells wait in the same way.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator

from easyremote.gateway.balancing import Balancer
from easyremote.gateway.callers import Target, Wanted
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.records import GatewayCall, Node
from easyremote.gateway.scheduling.estimates import Estimates, smoothed
from easyremote.gateway.scheduling.lending import refuses
from easyremote.gateway.scheduling.rota import Rota
from easyremote.gateway.scheduling.waiting import Queue, Waiting, wanted

__all__ = ["ASK_IDLE_AFTER", "FEW", "Scheduler"]

#: So many nodes are all compared. Of more nodes, two with room are chosen at random, and the better
#: one is taken: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001).
FEW = 64
#: How often chance looks for two nodes with room for a call whose arguments are still to come.
TRIES = 16
#: A node that has not run a function is expected to need this share of what others need: so each
#: node is tried once.
UNTRIED = 0.9
#: No call waits for a quicker node where it would run for less than so many seconds.
WORTH_WAITING = 0.1
#: Times below so many seconds make no difference to what is decided. They are not followed: most
#: calls are that quick, and this is on the way of every call.
NOTICED = 0.001
#: After so many seconds a call that needs much of a machine is not passed by smaller ones any more.
PATIENCE = 30.0
#: Seconds for which a session was idle before its owner is asked for the GPU memory that it holds.
ASK_IDLE_AFTER = 60.0
_NO_QUEUES: dict[Wanted, Queue] = {}


class Scheduler:
    """The calls that wait, and who is next."""

    def __init__(self, nodes: Nodes, *, seed: int = 0) -> None:
        self._nodes = nodes
        self.waiting = Waiting()
        #: The weights of keys, by key, where they are not 1.
        self.weights: dict[str, float] = {}
        self.estimates = Estimates()
        #: Nodes with room that left a call to quicker ones; they are asked again after a while.
        self.declined: set[Node] = set()
        #: Who keeps GPU memory in a session that was idle for fewer seconds is not asked for it.
        self.ask_idle_after = ASK_IDLE_AFTER
        self._random = random.Random(seed)
        #: Chooses where a function, or its caller, has another strategy than the default.
        self._balancer = Balancer()

    # -- a call that comes -------------------------------------------------------------------------

    def place(self, call: GatewayCall, now: float) -> Node | None:
        """The node that can take the call now; None if it has to wait."""
        node_id, function, access = call.target
        queues = self.waiting.queues
        if queues and wanted(call) in queues:
            return None  # older calls wait for the same
        if node_id:
            node = self._nodes.get(node_id)
            return node if node is not None and node.has_room(call) else None
        rota = self._nodes.rota(function, access)
        if rota is None:
            return None
        strategy = call.balancing or self._nodes.strategies.get(function, "")
        if strategy:
            with_room = (node for node in rota.in_turn() if node.has_room(call))
            return self._balancer.choose(strategy, function, with_room)
        best = self._best(rota, call)
        if best is not None and self._is_left_to_others(call, best, now):
            return None
        return best

    def _best(self, rota: Rota, call: GatewayCall) -> Node | None:
        """The node with room that will probably be through with the call first."""
        ready = rota.ready.nodes
        if len(ready) == 1:
            return ready[0] if ready[0].has_room(call) else None
        if len(ready) > FEW:
            candidates = self._two(rota, call)
        else:
            candidates = [node for node in ready if node.has_room(call)]
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        return min(candidates, key=lambda node: self._order(node, call.target[1]))

    def _two(self, rota: Rota, call: GatewayCall) -> list[Node]:
        """Two nodes with room, by chance; fewer where there are no two."""
        _, function, access = call.target
        ready = rota.ready.nodes
        found: list[Node] = []
        tries = 0
        while len(found) < 2 and len(found) < len(ready) and tries < TRIES:
            node = ready[int(self._random.random() * len(ready))]
            if node in found:
                tries += 1
            elif node.has_room(call):
                found.append(node)
            elif call.arguments is None:
                self._nodes.set_aside(node, function, access)
            else:
                tries += 1  # it may have room for calls whose arguments are here
        return found

    def _order(self, node: Node, function: str) -> tuple[bool, float, int]:
        """Where a node stands among those that have room; the smallest is the best.

        A node that hands back what it is sent comes last. Then the time counts that the call will
        take there: longer where other calls run beside it. Then free memory.
        """
        seconds = node.runs.get(function)
        if seconds is None:
            seconds = self.estimates.of(function) * UNTRIED
        seconds = (seconds + (node.lag or 0.0)) * (1.0 + node.busy / max(node.slots, 1))
        machine = node.resources
        free = machine.memory_total - machine.memory_used if machine is not None else 0
        return node.handed_back > 0, seconds, -free

    def _is_left_to_others(self, call: GatewayCall, node: Node, now: float) -> bool:
        """Whether other nodes, which are full now, will be through with this call before ``node``.

        A slow node looks idle, because quick ones are full. It leaves a call to them for at most as
        long as the call would run on it.
        """
        node_id, function, access = call.target
        seconds = node.runs.get(function)
        if node_id or seconds is None:
            return False
        seconds += node.lag or 0.0
        usual = self.estimates.of(function)
        if seconds < WORTH_WAITING or seconds <= 2 * usual or now - call.created >= seconds:
            return False
        if call.balancing or function in self._nodes.strategies:
            return False  # somebody has decided how its nodes are chosen
        rota = self._nodes.rota(function, access)
        others = rota.slots - node.slots if rota is not None else 0
        if others <= 0:
            return False
        before = self.waiting.like(wanted(call))
        if seconds <= usual * (1 + (before + 1) / others):
            return False
        self.declined.add(node)
        return True

    # -- calls that wait ---------------------------------------------------------------------------

    def enqueue(self, call: GatewayCall) -> None:
        """Have a call wait."""
        self.waiting.add(call)

    def remove(self, call: GatewayCall) -> None:
        """Take out a call that waits. Safe to repeat."""
        self.waiting.remove(call)

    def next_for(self, node: Node, now: float) -> GatewayCall | None:
        """Take out the call whose turn it is on this node; None where it has room for none."""
        waiting = self.waiting
        is_full = node.is_full
        if waiting.beside or (waiting.in_slots and not is_full):
            kinds = (waiting.beside,) if is_full else (waiting.beside, waiting.in_slots)
            found = self._next_of(self._queues(node, kinds), node, now)
            if found is not None:
                waiting.remove(found)
                return found
        if node.aside:
            self._nodes.put_back(node)
        return None

    def _next_of(self, queues: list[Queue], node: Node, now: float) -> GatewayCall | None:
        """The call whose turn it is on this node, of these queues; None where none has room."""
        for share in node.shares.values():
            share.age(now)
        if len(queues) == 1:  # most often
            call = queues[0].first_for(node)[1]
            return call if self._may_begin(call, node, now) else None
        turns: list[tuple[int, float, int, GatewayCall]] = []
        for queue in queues:
            start, call = queue.first_for(node)
            turns.append((-queue.priority, start, call.turn, call))
        heapq.heapify(turns)
        while turns:
            call = heapq.heappop(turns)[3]
            if self._may_begin(call, node, now):
                return call
        return None

    def _may_begin(self, call: GatewayCall, node: Node, now: float) -> bool:
        """Whether a call that waits goes to this node now."""
        if node.has_room(call):
            return not self._is_left_to_others(call, node, now)
        if now - call.created > PATIENCE:
            self._keep(node, call)
        return False

    @staticmethod
    def _keep(node: Node, call: GatewayCall) -> None:
        """Keep what a node has for a call that needs more of it than is free now."""
        if node.kept_for is None and node.held.calls and node.needs_of(call) is not None:
            node.kept_for = call

    @staticmethod
    def _queues(node: Node, kinds: Iterable[dict[str, dict[Wanted, Queue]]]) -> list[Queue]:
        """The queues from which this node may take a call."""
        found: list[Queue] = []
        for places in kinds:
            if places:
                found += places.get(node.node_id, _NO_QUEUES).values()
                found += places.get("", _NO_QUEUES).values()
        return found

    def node(self, node_id: str) -> Node | None:
        """The node of this id, if the gateway has seen it."""
        return self._nodes.get(node_id)

    def takers(self, call: GatewayCall) -> Iterator[Node]:
        """Yield nodes online that may take a call, now or later; of very many nodes some."""
        node_id, function, access = call.target
        named = self._nodes.get(node_id)
        found = self._nodes.offering(function, access)[:FEW] if not node_id else [named]
        for node in found:
            is_there = node is not None and node.online and node.offers(function, access)
            if node is not None and is_there and not refuses(node, function):
                yield node

    def awaits(self, node: Node) -> bool:
        """Whether calls wait that this node may run."""
        return any(node_id in (node.node_id, "") for node_id, *_ in self.waiting.queues)

    def targets(self) -> list[Target]:
        """The targets for which calls wait."""
        return self.waiting.targets()

    # -- calls on nodes ----------------------------------------------------------------------------

    def dispatched(self, call: GatewayCall, node: Node, now: float) -> None:
        """A call goes to a node: its key is charged what the call will probably take.

        What runs while nobody waits costs nothing. If somebody waits at its end, it is charged
        then.
        """
        function = call.target[1]
        needs = call.needs or node.functions[function].requirements
        if needs is not None:
            node.held.hold(call, needs, node.said, node.resources)
        elif call.is_code:
            return  # it holds nothing that others wait for
        seconds = node.runs.get(function)
        if seconds is None:
            seconds = self.estimates.of(function)
        call.expected = seconds
        if node.busy < node.slots:
            call.placed = now
        if self.waiting.queues:
            call.charged = seconds
            self._charge(call, node, seconds)

    def finished(self, call: GatewayCall, node: Node, seconds: float, now: float) -> None:
        """A call ran for so long: its key is charged that, and others are expected to run so."""
        if call.is_code and call.needs is None:
            return
        if call.charged:
            self._correct(call, node, seconds - call.charged)
        elif self.waiting.queues:
            self._charge(call, node, seconds)
        if call.placed:
            late, before = now - call.placed - seconds, node.lag
            if before is None or late > NOTICED or before > NOTICED:
                node.lag = smoothed(before, late)
        if not call.code:
            function, runs = call.target[1], node.runs
            before = runs.get(function)
            if before is None or seconds > NOTICED or before > NOTICED:
                runs[function] = smoothed(before, seconds)
                self.estimates.ran(function, seconds)

    def came_back(self, call: GatewayCall, node: Node) -> None:
        """A call did not start on its node: its key is charged nothing."""
        if call.charged:
            self._correct(call, node, -call.charged)

    def _charge(self, call: GatewayCall, node: Node, seconds: float) -> None:
        weight = self.weights.get(call.owner, 1.0)
        node.shares[call.priority].charge(call.owner, seconds / weight)

    def _correct(self, call: GatewayCall, node: Node, seconds: float) -> None:
        weight = self.weights.get(call.owner, 1.0)
        node.shares[call.priority].correct(call.owner, seconds / weight)

    def check_invariants(self) -> None:
        """Raise AssertionError where a queue is not what it says; for tests."""
        self.waiting.check_invariants()
