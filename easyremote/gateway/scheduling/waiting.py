"""The calls that wait: by what they want, and by key. Pure.

All calls that want the same wait in one `Queue`: they find room on a node together, or none. In it
each key has a lane of its calls. So a node that has room looks at one call of each queue, however
many calls and keys there are. ``tests/gateway/scheduling/test_waiting.py`` proves it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from easyremote.gateway.callers import Target, Wanted
from easyremote.gateway.records import GatewayCall, Node
from easyremote.gateway.scheduling.turns import Lane, Turns
from easyremote.protocol.builtins import CELL, is_builtin

__all__ = ["Queue", "Waiting", "wanted"]


def wanted(call: GatewayCall) -> Wanted:
    """What a call waits for.

    Calls whose arguments are still to come must not block the others. But the cells of a session
    keep their order, whatever each of them carries and needs.
    """
    node_id, function, access = call.target
    if function == CELL:
        return node_id, function, access, False, (call.owner, call.session), call.priority
    return node_id, function, access, call.arguments is not None, call.needs, call.priority


class Queue:
    """The calls that want the same."""

    __slots__ = ("_began", "_turns", "lanes", "priority", "size")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        #: By key; a lane to which a call came back is put last, as a new one is.
        self.lanes: dict[str, Lane] = {}
        self.size = 0
        self._began = 0
        self._turns: dict[Node, Turns] = {}

    def add(self, call: GatewayCall) -> None:
        """Add a call to those of its key."""
        self.size += 1
        lane = self.lanes.get(call.owner)
        if lane is not None and call.turn > lane.newest:
            lane.add(call)
            return
        lane = self.lanes.pop(call.owner, None) or Lane()
        lane.add(call)
        self._began += 1
        lane.began = self._began
        self.lanes[call.owner] = lane

    def remove(self, call: GatewayCall) -> None:
        """Take a call out."""
        lane = self.lanes[call.owner]
        del lane.calls[call.turn]
        self.size -= 1
        if not lane.calls:
            del self.lanes[call.owner]

    def first_for(self, node: Node) -> tuple[float, GatewayCall]:
        """The oldest call of the key whose turn it is on this node, and the key's start tag."""
        share = node.shares[self.priority]
        if len(self.lanes) == 1:
            ((key, lane),) = self.lanes.items()
            return share.start(key), lane.first
        turns = self._turns.get(node)
        if turns is None:
            turns = self._turns[node] = Turns(self.lanes, share)
        return turns.first()

    def check_invariants(self) -> None:
        """Raise AssertionError where a lane, or what is known of it, is wrong; for tests."""
        assert self.lanes
        assert self.size == sum(len(lane.calls) for lane in self.lanes.values())
        began = [lane.began for lane in self.lanes.values()]
        assert began == sorted(set(began))
        for key, lane in self.lanes.items():
            assert list(lane.calls) == sorted(lane.calls)
            assert lane.calls
            for turn, call in lane.calls.items():
                assert (turn, key, self.priority) == (call.turn, call.owner, call.priority)


class Waiting:
    """All calls that wait."""

    def __init__(self) -> None:
        self.queues: dict[Wanted, Queue] = {}
        #: The same by place, which is a node, or "" for any: of calls that take a slot, and of
        #: builtins' calls, which take none.
        self.in_slots: dict[str, dict[Wanted, Queue]] = {}
        self.beside: dict[str, dict[Wanted, Queue]] = {}

    def at(self, place: str, *, code: bool) -> dict[Wanted, Queue]:
        """The queues of a place: of builtins' calls, or of all others."""
        return (self.beside if code else self.in_slots).get(place, _NONE)

    def add(self, call: GatewayCall) -> None:
        """Put a call in its place in the line of its key."""
        call.turn = call.turn or call.number
        call.want = want = wanted(call)
        queue = self.queues.get(want)
        if queue is None:
            queue = self.queues[want] = Queue(call.priority)
            places = self.beside if call.is_code else self.in_slots
            places.setdefault(want[0], {})[want] = queue
        queue.add(call)

    def remove(self, call: GatewayCall) -> None:
        """Take a call out, if it is there."""
        want, call.want = call.want, None
        if want is None:
            return
        queue = self.queues[want]
        queue.remove(call)
        if not queue.size:
            del self.queues[want]
            places = self.beside if call.is_code else self.in_slots
            del places[want[0]][want]
            if not places[want[0]]:
                del places[want[0]]

    def like(self, want: Wanted) -> int:
        """How many calls want the same."""
        queue = self.queues.get(want)
        return queue.size if queue is not None else 0

    def __len__(self) -> int:
        return sum(queue.size for queue in self.queues.values())

    def targets(self) -> list[Target]:
        """The targets for which calls wait."""
        return list(dict.fromkeys(want[:3] for want in self.queues))

    def calls(self, target: Target) -> Iterator[GatewayCall]:
        """Yield the calls that wait for a target, the oldest first; take none out meanwhile."""
        lanes = [
            lane.calls.values()
            for want, queue in self.at(target[0], code=is_builtin(target[1])).items()
            for lane in queue.lanes.values()
            if want[:3] == target
        ]
        return heapq.merge(*lanes, key=lambda call: call.turn)

    def keys(self) -> set[str]:
        """The keys whose calls wait."""
        return {key for queue in self.queues.values() for key in queue.lanes}

    def of(self, key: str) -> list[GatewayCall]:
        """The calls of a key."""
        lanes = [queue.lanes.get(key) for queue in self.queues.values()]
        return [call for lane in lanes if lane is not None for call in lane.calls.values()]

    def check_invariants(self) -> None:
        """Raise AssertionError where a queue or its place is not what it says; for tests."""
        placed: dict[Wanted, Queue] = {}
        for is_code, places in ((False, self.in_slots), (True, self.beside)):
            for place, queues in places.items():
                assert queues
                placed |= queues
                for want, queue in queues.items():
                    assert (want[0], is_builtin(want[1])) == (place, is_code)
                    queue.check_invariants()
                    for lane in queue.lanes.values():
                        assert all(call.want == want for call in lane.calls.values())
        assert placed == self.queues


_NONE: dict[Wanted, Queue] = {}
