"""A farm of nodes in simulated time: a scheduler, and calls that run in name only."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from easyremote.gateway.callers import Access
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.records import GatewayCall, Node
from easyremote.gateway.scheduling.scheduler import Scheduler
from easyremote.protocol.builtins import is_builtin
from easyremote.protocol.call import CallState
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Function, Hello, Register


@dataclass(slots=True)
class Machine:
    """What is true of a node, whatever it says."""

    #: A call takes its own seconds divided by this.
    speed: float = 1.0
    #: How many calls it really runs at a time; None for as many as it says.
    slots: int | None = None
    #: It hands back whatever it is sent.
    hands_back: bool = False
    running: int = 0


class Farm:
    """Nodes, a scheduler, and the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.nodes = Nodes(0.0)
        self.scheduler = Scheduler(self.nodes)
        self.machines: dict[Node, Machine] = {}
        #: The calls that were dispatched, in order.
        self.placed: list[GatewayCall] = []
        #: Run-seconds by key; how long calls waited until they began, by key.
        self.used: defaultdict[str, float] = defaultdict(float)
        self.waits: defaultdict[str, list[float]] = defaultdict(list)
        #: Called with each call that is over.
        self.on_finish: Callable[[GatewayCall], None] = lambda call: None
        self._seconds: dict[GatewayCall, float] = {}
        self._queued: defaultdict[Node, list[GatewayCall]] = defaultdict(list)
        self._events: list[tuple[float, int, GatewayCall | Callable[[], None]]] = []
        self._last = self._event = 0

    @property
    def ran(self) -> list[tuple[str, int]]:
        """Node and number of the calls that were dispatched, in order."""
        return [(call.node.node_id, call.number) for call in self.placed if call.node]

    def node(
        self,
        node_id: str,
        *functions: Function | str,
        slots: int = 1,
        machine: Machine | None = None,
    ) -> Node:
        node = self.nodes.welcome(Hello((1, 0), "node", "", node_id, b"i" * 16), Link(0.0), 0.0)
        offered = tuple(Function(each) if isinstance(each, str) else each for each in functions)
        self.nodes.offer(node, Register(offered or (Function("f"),), slots), self.now)
        node.has_resumed = True
        self.machines[node] = machine or Machine()
        return node

    def call(
        self,
        function: str = "f",
        node: str = "",
        access: Access = Access.LINK,
        *,
        key: str = "alice",
        seconds: float = 1.0,
        priority: int = 0,
    ) -> GatewayCall:
        """Submit a call that takes so many seconds on a machine of speed 1."""
        self._last += 1
        target = node, function, access
        call = GatewayCall(
            *(self._last, self._last.to_bytes(16, "big"), key, target),
            created=self.now,
            turn=self._last,
            priority=priority,
            is_code=is_builtin(function),
        )
        self._seconds[call] = seconds
        place = self.scheduler.place(call, self.now)
        if place is not None:
            self._dispatch(call, place)
        else:
            self.scheduler.enqueue(call)
        return call

    def finish(self, call: GatewayCall, seconds: float = 1.0) -> None:
        """The call is over after so many seconds, by hand."""
        node = call.node
        assert node is not None, "it runs"
        call.state = CallState.FINISHED
        call.free_slot()
        del node.calls[call.number]
        self.scheduler.finished(call, node, seconds, self.now)
        self.fill(node)

    def fill(self, node: Node) -> None:
        while (call := self.scheduler.next_for(node, self.now)) is not None:
            self._dispatch(call, node)

    # -- simulated time ----------------------------------------------------------------------------

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Do something at a moment."""
        self._event += 1
        heapq.heappush(self._events, (moment, self._event, action))

    def run(self, until: float = 1e9) -> float:
        """Let the time pass until nothing happens any more; when the last thing happened."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            if isinstance(event, GatewayCall):
                self._over(event)
            else:
                event()
            if not self._events and self.scheduler.declined:
                self.at(self.now + 0.25, self._tick)
        return self.now

    def _tick(self) -> None:
        declined, self.scheduler.declined = self.scheduler.declined, set()
        for node in declined:
            self.fill(node)

    def _dispatch(self, call: GatewayCall, node: Node) -> None:
        call.state, call.node = CallState.DISPATCHED, node
        self.scheduler.dispatched(call, node, self.now)
        node.calls[call.number] = call
        call.occupies = True
        node.occupy(call)
        self.placed.append(call)
        self._queued[node].append(call)
        self._begin(node)

    def _begin(self, node: Node) -> None:
        """Run what the machine has room for, whatever the node has said."""
        machine = self.machines[node]
        slots = node.slots if machine.slots is None else machine.slots
        while self._queued[node] and machine.running < max(slots, 1):
            call = self._queued[node].pop(0)
            machine.running += 1
            call.began = self.now
            self.waits[call.owner].append(self.now - call.created)
            self._event += 1
            over = self.now + self._seconds[call] / machine.speed
            heapq.heappush(self._events, (over, self._event, call))

    def _over(self, call: GatewayCall) -> None:
        node = call.node
        assert node is not None, "it ran"
        if call.state is not CallState.DISPATCHED:
            return  # it was ended by hand
        self.machines[node].running -= 1
        seconds = self.now - call.began
        self.used[call.owner] += seconds
        self.finish(call, seconds)
        self._begin(node)
        self.on_finish(call)


def keep_busy(farm: Farm, key: str, function: str, seconds: float, calls: int) -> None:
    """Have so many calls of a key outstanding at any time."""
    before = farm.on_finish

    def again(call: GatewayCall) -> None:
        if call.owner == key:
            farm.call(function, key=key, seconds=seconds)
        else:
            before(call)

    farm.on_finish = again
    for _ in range(calls):
        farm.call(function, key=key, seconds=seconds)


def jain(used: list[float]) -> float:
    """Jain's index of fairness: 1 where all have the same, 1/n where one has all."""
    return sum(used) ** 2 / (len(used) * sum(each * each for each in used))


def makespan(seed: int) -> float:
    """How long four uneven nodes take for 400 mixed calls of five keys, to the least possible."""
    farm, chance = Farm(), random.Random(seed)
    speeds = (1.0, 2.0, 4.0, 8.0)
    for number, speed in enumerate(speeds):
        farm.node(f"n{number}", "short", "long", slots=1, machine=Machine(speed=speed))
    work = 0.0
    for _ in range(400):
        function, length = chance.choice([("short", 1.0), ("long", 5.0)])
        seconds = length * chance.uniform(0.7, 1.3)
        work += seconds
        farm.call(function, key=chance.choice("abcde"), seconds=seconds)
    return farm.run() / (work / sum(speeds))
