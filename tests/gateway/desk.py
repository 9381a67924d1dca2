"""A gateway's call table without sockets, and peers that write messages into it by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

from easyremote.gateway.callers import Access
from easyremote.gateway.hub import Hub
from easyremote.gateway.nodes import RETURN, Nodes
from easyremote.gateway.permissions import principal_of
from easyremote.gateway.records import ClientLink, Node
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Dispatch,
    Finished,
    Function,
    Hello,
    Message,
    Payload,
    Register,
    Resume,
    Started,
    Submit,
)
from easyremote.protocol.streams import Outgoing, Pieces

MAX_PAYLOAD = 1 << 30
T = TypeVar("T")


def payload(data: bytes = b"") -> Payload:
    return Payload("pickle5", len(data), data)


class Peer:
    """The far end of a link; keeps what it is told."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        #: The gateway's end, and ours.
        self.link, self._near = Link(desk.now), Link(desk.now)
        for end in (self.link, self._near):
            end.open(desk.now)

    def heard(self, kind: type[T]) -> list[T]:
        """The messages of this kind since it was last asked; the others are dropped."""
        messages: list[Message] = []
        while (data := self.link.data_to_send()) is not None:
            messages += self._near.receive_data(data, self.desk.now)
        return [message for message in messages if isinstance(message, kind)]

    def only(self, kind: type[T]) -> T:
        """The one message of this kind."""
        (message,) = self.heard(kind)
        return message

    def error(self) -> tuple[str, str, dict[str, Any]]:
        """The one outcome, an error: its code, text and details."""
        return unpack_error(self.only(Finished).payload.data)


class ClientPeer(Peer):
    """A client."""

    def __init__(self, desk: Desk, owner: str, access: Access = Access.LINK) -> None:
        super().__init__(desk)
        self.client = ClientLink(self.link, principal_of(owner, owner, "client"), access)
        self._last = 0

    def say(self, message: Message) -> None:
        self.desk.calls.receive_from_client(self.client, message, self.desk.now)

    def submit(self, function: str = "f", node: str = "n", **more: Any) -> int:
        """Submit a call with an id of its own; its number."""
        self._last += 1
        number = more.pop("call", self._last)
        call_id = more.pop("call_id", self.desk.new_id())
        self.say(Submit(number, call_id, node, function, more.pop("payload", payload()), **more))
        return int(number)

    def announce(self, size: int, sent: int = 0, **more: Any) -> Arguments:
        """Submit a call with arguments of so many bytes, and send the first of them."""
        stream = Outgoing(size, Pieces())
        number = self._near.open_stream(stream)
        more["payload"] = Payload("pickle5", size, b"", number)
        arguments = Arguments(self, number, self.submit(**more))
        if sent:
            arguments.send(sent)
        return arguments

    def leave(self) -> None:
        self.link.close()
        self.desk.calls.client_left(self.client, self.desk.now)


class Arguments:
    """What a client sends of a call's arguments, as a stream."""

    def __init__(self, peer: ClientPeer, stream: int, call: int) -> None:
        self._peer, self._stream, self.call = peer, stream, call

    def send(self, size: int) -> None:
        near = self._peer._near
        near.push(self._stream, memoryview(bytes(size)))
        while (data := near.data_to_send()) is not None:
            assert not list(self._peer.link.receive_data(data, self._peer.desk.now))

    @property
    def is_wanted(self) -> bool:
        """Whether the gateway has not stopped the stream."""
        self._peer.heard(Finished)
        return self._stream in self._peer._near._streams.outgoing


class NodePeer(Peer):
    """A node."""

    def __init__(self, desk: Desk, hello: Hello) -> None:
        super().__init__(desk)
        known = desk.nodes.get(hello.name)
        if known is not None and known.instance != hello.instance:
            desk.calls.node_restarted(known, desk.now)
        self.node: Node = desk.nodes.welcome(hello, self.link, desk.now)

    def say(self, message: Message) -> None:
        self.desk.calls.receive_from_node(self.node, message, self.desk.now)

    def register(self, *functions: str | Function, slots: int = 4) -> None:
        offered = [Function(each) if isinstance(each, str) else each for each in functions]
        self.say(Register(tuple(offered), slots))

    def resume(self, held: Iterable[tuple[bytes, int]] = ()) -> None:
        """Name the calls that it holds: their ids and fences."""
        held = list(held)
        ids = tuple(call_id for call_id, _ in held)
        self.say(Resume(ids, fences=tuple(fence for _, fence in held)))

    def start(self) -> Dispatch:
        """Start the one call that came."""
        dispatch = self.only(Dispatch)
        self.say(Started(dispatch.call))
        return dispatch

    def finish(self, dispatch: Dispatch, data: bytes = b"value") -> None:
        self.say(Finished(dispatch.call, payload(data), fence=dispatch.fence))

    def leave(self) -> None:
        self.link.close()
        self.desk.calls.node_left(self.node, self.link, self.desk.now)


class Desk:
    """One gateway's cores, and the time."""

    #: Those of the present test: what always holds is checked when it is over (``conftest.py``).
    made: ClassVar[list[Desk]] = []

    def __init__(self) -> None:
        self.made.append(self)
        self.now = 1000.0
        self._ids = 0
        self.restart()
        self.pass_time(10.0)  # nobody is on the way back to it

    def restart(self, *before: str, patience: float = RETURN) -> None:
        """A gateway that knows nothing but the ids of the nodes that were there before."""
        self.nodes = Nodes(self.now, before, patience=patience)
        self.calls = Hub(self.nodes, max_payload=MAX_PAYLOAD)

    def new_id(self) -> bytes:
        self._ids += 1
        return self._ids.to_bytes(16, "big")

    def client(self, owner: str = "alice", access: Access = Access.LINK) -> ClientPeer:
        return ClientPeer(self, owner, access)

    def node(
        self,
        node_id: str = "n",
        *functions: str | Function,
        slots: int = 4,
        instance: bytes = b"i" * 16,
        held: Iterable[tuple[bytes, int]] = (),
        uptime: float | None = None,
    ) -> NodePeer:
        """A node that is online; it has the function ``f`` if no other is named."""
        since = self.now if uptime is None else uptime
        peer = NodePeer(self, Hello((1, 0), "node", "", node_id, instance, since))
        peer.register(*(functions or ("f",)), slots=slots)
        peer.resume(held)
        return peer

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.calls.handle_timeout(self.now)
