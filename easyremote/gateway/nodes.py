"""Who is online, what they offer, how loaded they are. Pure; ``tests/gateway/test_nodes.py``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from easyremote.errors import NotFound
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Function, Hello, Register, Resources

if TYPE_CHECKING:
    from easyremote.gateway.calls import GatewayCall

#: Functions quicker than this are sent ahead of free slots, so that the link never runs dry.
QUICK = 0.005
#: How many calls are sent ahead then.
AHEAD = 256
#: The weight of the newest call in the mean running time.
SMOOTHING = 0.1


@dataclass(slots=True, eq=False)
class Node:
    """One node, known by its id, over all of its connections."""

    node_id: str
    instance: bytes = b""
    #: When its process started, on our clock.
    born: float = 0.0
    link: Link | None = None
    #: Whether it has said, on this link, what it offers.
    is_registered: bool = False
    #: It finishes what it has, and takes nothing new.
    draining: bool = False
    functions: dict[str, Function] = field(default_factory=dict)
    slots: int = 0
    #: The calls that are there, by the number they have on its link.
    calls: dict[int, GatewayCall] = field(default_factory=dict)
    #: How many of them have not finished, of each function.
    active: dict[str, int] = field(default_factory=dict)
    #: How many of them hold a slot.
    busy: int = 0
    mean_seconds: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    resources: Resources | None = None
    #: When it came, or went.
    since: float = 0.0

    @property
    def online(self) -> bool:
        """Whether it is connected and has said what it offers."""
        return self.link is not None and self.is_registered

    def has_room(self, function: str) -> bool:
        """Whether one more call of this function may go there now."""
        offered = self.functions.get(function)
        if offered is None or not self.online or self.draining:
            return False
        limit = offered.max_concurrency
        if limit and self.active.get(function, 0) >= limit:
            return False
        if function.startswith("$"):  # code has processes of its own
            return True
        quick = self.mean_seconds is not None and self.mean_seconds < QUICK
        return self.busy < self.slots + (AHEAD if quick else 0)

    def occupy(self, function: str) -> None:
        self.active[function] = self.active.get(function, 0) + 1
        self.busy += not function.startswith("$")

    def release(self, function: str) -> None:
        self.active[function] -= 1
        self.busy -= not function.startswith("$")

    def ran(self, seconds: float) -> None:
        """A call took so long; the mean follows."""
        before = seconds if self.mean_seconds is None else self.mean_seconds
        self.mean_seconds = before + SMOOTHING * (seconds - before)


class Nodes:
    """All nodes that this gateway has seen since it started."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def get(self, node_id: str) -> Node | None:
        return self._nodes.get(node_id)

    def welcome(self, hello: Hello, link: Link, now: float) -> Node:
        """The node of this HELLO, on its new link; whoever had the id before, has it no more."""
        node = self._nodes.setdefault(hello.name, Node(hello.name))
        node.instance = hello.instance
        node.born = now - hello.uptime
        node.link = link
        node.is_registered = node.draining = False
        node.versions = hello.versions
        node.since = now
        node.resources = None
        return node

    def offer(self, node: Node, message: Register) -> None:
        node.functions = {function.name: function for function in message.functions}
        node.slots = message.slots
        node.is_registered = True

    def offering(self, function: str) -> list[Node]:
        """The nodes online that have this function."""
        return [node for node in self if node.online and function in node.functions]

    def no_such_node(self, node_id: str) -> NotFound:
        """What to tell somebody who asked for a node that nobody knows."""
        online = sorted(node.node_id for node in self if node.online)
        if not online:
            return NotFound(
                f"There is no node {node_id!r}, nor any other. "
                f"Start one: python -m easyremote.node --node-id {node_id}"
            )
        return NotFound(
            f"There is no node {node_id!r}.{_did_you_mean(node_id, online)} "
            f"Online: {', '.join(online)}."
        )

    def no_such_function(self, function: str, node: Node | None) -> NotFound:
        """What to tell somebody who asked for a function that is not there."""
        places = [node] if node is not None else [each for each in self if each.online]
        names = sorted({name for place in places for name in place.functions if name[0] != "$"})
        where = f"Node {node.node_id!r}" if node is not None else "No node online"
        if function.startswith("$"):
            return NotFound(
                f"{where} runs only the functions that it registered, no cells and no shipped "
                "code. Its owner can allow them: python -m easyremote.node does."
            )
        has = f"It has: {', '.join(names)}." if names else "It has no functions."
        if node is None:
            has = f"There are: {', '.join(names)}." if names else "There are none at all."
        offers = "has no function" if node is not None else "has a function"
        return NotFound(f"{where} {offers} {function!r}.{_did_you_mean(function, names)} {has}")


def _did_you_mean(word: str, words: list[str]) -> str:
    close = get_close_matches(word, words, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
