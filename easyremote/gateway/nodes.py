"""Who is online, what they offer, how loaded they are. Pure; ``tests/gateway/test_nodes.py``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from easyremote.errors import EasyRemoteError, NodeOffline, NotFound
from easyremote.gateway.callers import Access, Target
from easyremote.gateway.records import LOST_AFTER, GatewayCall, Node
from easyremote.gateway.scheduling.holdings import never
from easyremote.gateway.scheduling.lending import refused, refuses, why_closed
from easyremote.gateway.scheduling.rota import Rota
from easyremote.options.requirements import Requirements
from easyremote.options.spelling import did_you_mean
from easyremote.options.strategies import ONE_NODE
from easyremote.protocol.builtins import is_builtin
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Function,
    Hello,
    NotOffered,
    Register,
    Resources,
    Withheld,
)

_log = logging.getLogger("easyremote.gateway")

#: Seconds after its start in which a gateway waits for nodes that it never saw. In its first minute
#: without a gateway a node dials at least every 5 s, and a busy machine takes its time to answer.
RETURN = 10.0
#: A node that hands back so many calls and begins none rests for REST seconds, each time for twice
#: as long; after so many RESTS it gets nothing more.
HAND_BACKS = 16
REST = 0.25
RESTS = 6


class Nodes:
    """All nodes that this gateway has seen since it started.

    Parameters
    ----------
    born
        When the gateway started.
    before
        The ids of nodes that the gateway before may have given calls to. They may be on their way
        back, so that in the first minute a call waits for them.
    patience
        Seconds for which a call waits for a node that was never seen; 0 where no gateway was here
        before, so that no node can be on its way back.
    """

    def __init__(
        self, born: float, before: Iterable[str] = (), *, patience: float = RETURN
    ) -> None:
        self.born = born
        self._patience = patience
        self.before = frozenset(before)
        self._nodes: dict[str, Node] = {}
        #: Who is online and offers a function, by function and kind of caller.
        self._offers: dict[tuple[str, Access], Rota] = {}
        #: The node to which a name belongs, where that was asked for; it may have gone since.
        self._owners: dict[str, Node] = {}
        #: The nodes that don't offer a function because its name belongs to another node.
        self._deprived: set[Node] = set()
        #: How calls are spread, by function, where a node said so.
        self.strategies: dict[str, str] = {}
        #: Whether somebody looks at how busy the nodes are.
        self.watched = False
        #: Called with a node that has come, has gone, or offers something else.
        self.changed: Callable[[Node], None] = lambda node: None

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def get(self, node_id: str) -> Node | None:
        return self._nodes.get(node_id)

    def welcome(self, hello: Hello, link: Link, now: float) -> Node:
        """Give the node id of this HELLO to its new link; an older link loses it."""
        node = self._nodes.setdefault(hello.name, Node(hello.name))
        self._withdraw(node)
        node.instance = hello.instance
        node.born = now - hello.uptime
        node.link = link
        node.is_registered = node.has_resumed = node.draining = node.is_refusing = False
        node.is_silent = False
        node.handed_back = node.rests = 0
        node.rests_until = 0.0
        node.versions = hello.versions
        node.since = now
        node.resources = None
        return node

    def offer(self, node: Node, message: Register, now: float) -> None:
        """Replace what the node offers."""
        self._withdraw(node)
        node.said = message
        node.closed = why_closed(node)
        node.slots = 0 if node.closed else message.slots
        node.machine = Resources(0.0, message.cores, 0, message.memory_total, message.gpus)
        node.is_registered = True
        self._take_offer(node, now)

    def _take_offer(self, node: Node, now: float) -> None:
        """Offer what the node said, without the names that belong to another node."""
        said = node.said.functions
        taken = {each.name: why for each in said if (why := self._taken(node, each, now))}
        node.functions = {each.name: each for each in said if each.name not in taken}
        node.runs = {name: node.runs[name] for name in node.functions if name in node.runs}
        node.withheld = {each.name: each.why for each in node.said.withheld} | taken
        if (taken or node in self._deprived) and node.link is not None:
            node.link.send(NotOffered(tuple(Withheld(*each) for each in taken.items())))
        (self._deprived.add if taken else self._deprived.discard)(node)
        for key in self._keys(node):
            self._offers.setdefault(key, Rota()).add(node)
        for name, each in node.functions.items():
            if each.balancing not in ("", ONE_NODE):
                self.strategies[name] = each.balancing
            elif self.strategies:
                self.strategies.pop(name, None)  # the newest word counts
        self.changed(node)

    def _taken(self, node: Node, function: Function, now: float) -> str:
        """Why another node, which was here first, keeps this node from a name; empty if none does.

        A name that nobody has, and that is to belong to one node, belongs to this one from now on.
        """
        name = function.name
        owner = self._owners.get(name)
        if owner is not None and owner is not node and _holds(owner, name, now):
            return f"it belongs to {owner.node_id!r} (registered there with load_balancing=False)"
        if function.balancing != ONE_NODE:
            return ""
        first = next((each for each in self if each is not node and _holds(each, name, now)), None)
        if first is not None:
            return f"{first.node_id!r} has it, too (registered here with load_balancing=False)"
        self._owners[name] = node
        return ""

    def offered_again(self, now: float) -> list[Node]:
        """Offer what was withheld for the sake of a node that has it no more; those who gain it."""
        gained = []
        for node in list(self._deprived):
            if node.online and any(
                each.name in node.withheld and not self._taken(node, each, now)
                for each in node.said.functions
            ):
                self._withdraw(node)
                self._take_offer(node, now)
                gained.append(node)
        return gained

    def left(self, node: Node, now: float) -> None:
        """The node's link is gone."""
        self._withdraw(node)
        node.link = None
        node.has_resumed = False
        node.since = now
        self.changed(node)

    def handed_back(self, node: Node, calls: int, now: float) -> None:
        """The node handed back so many calls; a node that begins none rests."""
        node.handed_back += calls
        if node.handed_back < HAND_BACKS or node.draining:
            return
        node.handed_back = 0
        node.rests += 1
        if node.rests <= RESTS:
            node.rests_until = now + REST * 2 ** (node.rests - 1)
        else:
            node.draining = node.is_refusing = True
            _log.warning(
                "Node %r hands back whatever it is sent, and gets no more calls until it connects "
                "anew. Look at its log, and start it again.",
                node.node_id,
            )

    def rested(self, now: float) -> list[Node]:
        """End the rests whose time is over; the nodes that may get calls again."""
        rested = [node for node in self if 0 < node.rests_until <= now]
        for node in rested:
            node.rests_until = 0.0
        return rested

    def heard_again(self, now: float) -> list[Node]:
        """Look which nodes do not answer; those that do again, and may get calls."""
        again = []
        for node in self:
            is_silent = node.link is not None and node.link.is_silent(now)
            if is_silent != node.is_silent:
                node.is_silent = is_silent
                again += [] if is_silent else [node]
                self.changed(node)
        return again

    def check_invariants(self) -> None:
        """Raise AssertionError where a count or the index is not what the nodes say; for tests."""
        keys = {key for node in self if node.online for key in self._keys(node)}
        assert set(self._offers) == keys
        for key in keys:
            offering = {node.node_id for node in self if node.online and node.offers(*key)}
            assert {node.node_id for node in self.offering(*key)} == offering, key
            self._offers[key].check_invariants(key)
        for node in self:
            held = [call for call in node.calls.values() if call.occupies]
            active = Counter(call.function for call in held)
            assert {name: count for name, count in node.active.items() if count} == active
            in_slots = [call for call in held if not call.is_code]
            assert node.busy == len(in_slots)
            assert abs(node.owed - sum(call.expected for call in in_slots)) < 1e-6
            assert node.arriving <= set(node.calls.values())
            holding = {call.number for call in [*held, *node.arriving] if node.needs_of(call)}
            assert set(node.held.calls) == holding, node.node_id

    def _withdraw(self, node: Node) -> None:
        """Take back what it offered on this link."""
        if not node.online:
            return
        for key in self._keys(node):
            rota = self._offers[key]
            rota.remove(node)
            if not rota.every:
                del self._offers[key]
        node.aside.clear()

    @staticmethod
    def _keys(node: Node) -> list[tuple[str, Access]]:
        return [
            (name, access)
            for name, function in node.functions.items()
            for access in Access
            if access.allows(function)
        ]

    def offering(self, function: str, access: Access) -> Sequence[Node]:
        """The nodes online that have this function, and let such a caller call it."""
        rota = self._offers.get((function, access))
        return rota.every.nodes if rota is not None else ()

    def rota(self, function: str, access: Access) -> Rota | None:
        """The same nodes, and which of them may have room; None where there are none."""
        return self._offers.get((function, access))

    def set_aside(self, node: Node, function: str, access: Access) -> None:
        """The node has no room for this function; calls are not compared with it until it has."""
        self._offers[function, access].set_aside(node)
        node.aside.add((function, access))

    def put_back(self, node: Node) -> None:
        """The node may have room again for everything."""
        for key in node.aside:
            self._offers[key].put_back(node)
        node.aside.clear()

    def refusal(self, target: Target, now: float) -> EasyRemoteError | None:
        """Why no node will take such a call; None if one may."""
        node_id, function, access = target
        node = self._nodes.get(node_id)
        if node is None:
            if not node_id and self._any_may_take(function, access, now):
                return None
            return self._not_here(target, now)
        is_there = node.link is not None and function in node.functions and not node.is_refusing
        if is_there and access is Access.LINK and not node.closed:
            return None  # the common case, on the way of every call
        if node.is_gone(now):
            return self.offline(node, now)
        if node.may_take(function, access, now):
            return None
        if refuses(node, function):
            return refused(node)
        return self.no_such_function(function, node, access)

    @staticmethod
    def offline(node: Node, now: float) -> NodeOffline:
        """The answer about a node that is away."""
        return NodeOffline(
            f"Node {node.node_id!r} went offline {now - node.since:.0f} s ago. Start it again, "
            "or name another node.",
            node_id=node.node_id,
        )

    def never(self, call: GatewayCall, needs: Requirements, now: float) -> NotFound | None:
        """Why no node can ever give what a call needs; None where one can, or may."""
        node_id, function, access = call.target
        named = self._nodes.get(node_id)
        nodes = [named] if named is not None else self
        able = (node for node in nodes if node.may_take(function, access, now))
        return never(needs, ((node.node_id, node.said) for node in able if node.functions))

    def _not_here(self, target: Target, now: float) -> EasyRemoteError | None:
        """The answer about a node, or a function of any node, that is not here; None to wait."""
        node_id, function, access = target
        if now < self.born + self._patience:
            return None
        away = self.away(now)
        if node_id in away or (not node_id and away):
            return None
        return self.no_such_node(node_id) if node_id else self._no_such(function, access)

    def _any_may_take(self, function: str, access: Access, now: float) -> bool:
        for node in self.offering(function, access):
            if not refuses(node, function):
                return True
        return self._is_away(function, access, now)

    def _is_away(self, function: str, access: Access, now: float) -> bool:
        """Whether a node that is expected back has this function, or may have it."""
        return any(node.may_take(function, access, now) for node in self)

    def may_come(self, function: str, access: Access, now: float) -> bool:
        """Whether a node that is away, and may be on its way back, may have this function."""
        return bool(self.away(now)) or self._is_away(function, access, now)

    def away(self, now: float) -> frozenset[str]:
        """The nodes from before this gateway started that may be on their way back to it."""
        if now >= self.born + LOST_AFTER:
            return frozenset()
        return self.before.difference(self._nodes)

    def _no_such(self, function: str, access: Access) -> EasyRemoteError:
        """The answer about a function that no node online has."""
        last = max(
            (node for node in self if node.offers(function, access)),
            key=lambda node: node.since,
            default=None,
        )
        if last is None or access is not Access.LINK:
            return self.no_such_function(function, None, access)
        if last.online:
            return refused(last)
        withheld = _withheld(function, [node for node in self if node.online])
        return NodeOffline(
            f"No node online has {function!r}. The last one that had it, {last.node_id!r}, is "
            f"offline. Start it again.{f' ({withheld}.)' if withheld else ''}",
            node_id=last.node_id,
        )

    def no_such_node(self, node_id: str) -> NotFound:
        """The answer about a node that is not known."""
        online = sorted(node.node_id for node in self if node.online)
        if not online:
            return NotFound(
                f"There is no node {node_id!r}, nor any other. "
                f"Start one: python -m easyremote.node --node-id {node_id}"
            )
        return NotFound(
            f"There is no node {node_id!r}.{did_you_mean(node_id, online)} "
            f"Online: {', '.join(online)}."
        )

    def no_such_function(self, function: str, node: Node | None, access: Access) -> NotFound:
        """The answer about a function that is not here (``node``: not on this node)."""
        if access is not Access.LINK:
            # The answer must not tell that a private function exists.
            return NotFound(f"There is no public function {function!r} here.")
        places = [node] if node is not None else [each for each in self if each.online]
        names = sorted(
            {name for place in places for name in place.functions if not is_builtin(name)}
        )
        where = f"Node {node.node_id!r}" if node is not None else "No node online"
        withheld = _withheld(function, places)
        if withheld:
            return NotFound(f"{withheld}.")
        if is_builtin(function) and node is None:
            return NotFound(
                "No node online runs cells or shipped functions. Start one that does: "
                "python -m easyremote.node."
            )
        if is_builtin(function):
            return NotFound(
                f"{where} runs only the functions that it registered, no cells and no shipped "
                "code. Its owner can allow them: python -m easyremote.node does."
            )
        has = f"It has: {', '.join(names)}." if names else "It has no functions."
        if node is None:
            has = f"There are: {', '.join(names)}." if names else "There are none at all."
        offers = "has no function" if node is not None else "has a function"
        return NotFound(f"{where} {offers} {function!r}.{did_you_mean(function, names)} {has}")


def _holds(node: Node, function: str, now: float) -> bool:
    """Whether a node offers a function, or is expected back and did."""
    return function in node.functions and not node.is_gone(now)


def _withheld(function: str, nodes: Iterable[Node]) -> str:
    """Why these nodes, which have a function, don't offer it."""
    reasons = (
        f"{node.node_id} has {function}(), but {node.withheld[function]}"
        for node in nodes
        if function in node.withheld
    )
    return "; ".join(reasons)
