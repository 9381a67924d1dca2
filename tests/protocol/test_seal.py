"""Nothing of a call's payloads passes the seam unsealed, and what was changed ends its call."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from easyremote.errors import ProtocolError
from easyremote.protocol.callee import Callee, LocalCall
from easyremote.protocol.caller import Caller
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.held import Outcome
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    INLINE_LIMIT,
    Dispatch,
    Event,
    Finished,
    Message,
    Payload,
    Submit,
)
from easyremote.protocol.seal import CLEAR, Part
from easyremote.protocol.streams import Buffer
from tests.protocol.wires import open_link
from tests.protocol.world import Waiting

ID = bytes(range(16))
SIZES = [3, INLINE_LIMIT + 1]


class Reversing:
    """A seal that anybody can break, for tests: the name of the payload, then it reversed."""

    def seal(
        self, parts: Sequence[Buffer], size: int, call_id: bytes, part: Part, number: int
    ) -> tuple[Sequence[Buffer], int]:
        name = self._name(call_id, part, number)
        return (name, b"".join(parts)[::-1]), len(name) + size

    def open(self, body: Buffer, call_id: bytes, part: Part, number: int) -> Buffer:
        name = self._name(call_id, part, number)
        if bytes(body[: len(name)]) != name:
            raise ProtocolError("this payload belongs elsewhere")
        return bytes(body[len(name) :])[::-1]

    @staticmethod
    def _name(call_id: bytes, part: Part, number: int) -> bytes:
        return call_id + f"{part.value} {number}:".encode()


class Echo:
    """A node that sends back what it gets: as an event, then as the outcome."""

    def __init__(self) -> None:
        self.callee = Callee(self, Reversing())
        self.arguments: list[bytes] = []

    def start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None:
        body = bytes(arguments)
        self.arguments.append(body)
        self.callee.emit(held, (body,), len(body), encoding)
        self.callee.finish(held, Outcome((body,), len(body), encoding))

    def cancel(self, held: LocalCall, *, kill: bool) -> None:
        raise AssertionError("nobody cancels")

    def window_opened(self, held: LocalCall) -> None:
        raise AssertionError("nothing is seen")


class Eavesdropper:
    """Stands between a client and a node, passes on, and reads what passes."""

    def __init__(self) -> None:
        self.node = Echo()
        self.caller = Caller(Reversing())
        self.sink = Waiting(b"")
        #: The ends: of the client, ours to it, ours to the node, of the node.
        self.links = [open_link() for _ in range(4)]
        self.caller.attach(self.links[0], 10, 0.0)
        self.node.callee.attach(self.links[3])
        self.read = b""

    def submit(self, body: bytes) -> None:
        submit = Submit(0, ID, "n", "f", Payload())
        self.caller.submit(submit, (body,), len(body), "pickle5", self.sink, 0.0)
        while any(link.has_output for link in self.links):
            self._move(0, 1, self._to_node)
            self._move(2, 3, self.node.callee.receive)
            self._move(3, 2, self._to_client)
            self._move(1, 0, lambda message: self.caller.receive(message, 0.0))

    def _move(self, source: int, target: int, receive: object) -> None:
        assert callable(receive)
        while (data := self.links[source].data_to_send()) is not None:
            self.read += data
            for message in self.links[target].receive_data(data, 0.0):
                receive(message)

    def _to_node(self, message: Message) -> None:
        if isinstance(message, Submit):
            payload = self.links[1].pass_on(message.payload, self.links[2])
            self.links[2].send(Dispatch(7, message.call_id, 1, message.function, payload))

    def _to_client(self, message: Message) -> None:
        if isinstance(message, Event | Finished):
            message.payload = self._changed(self.links[2], message)
            message.call = 1
            self.links[1].send(message)

    def _changed(self, link: Link, message: Event | Finished) -> Payload:
        return link.pass_on(message.payload, self.links[1])


@pytest.mark.parametrize("size", SIZES)
def test_who_stands_between_reads_nothing_and_both_ends_read_all(size: int) -> None:
    body = b"secret " * (size // 7 + 1)
    between = Eavesdropper()
    between.submit(body)
    assert between.node.arguments == [body]
    assert between.sink.events == [body]
    assert between.sink.outcomes == [("", body)]
    assert body[::-1][:20] in between.read, "nothing passed at all"
    assert b"secret" not in between.read


class Swapping(Eavesdropper):
    """Gives an event's payload out for the outcome."""

    event: Payload

    def _changed(self, link: Link, message: Event | Finished) -> Payload:
        if isinstance(message, Event):
            self.event = message.payload
        return self.event


def test_a_payload_that_is_given_out_for_another_ends_its_call() -> None:
    between = Swapping()
    between.submit(b"secret")
    assert between.sink.events == [b"secret"]
    ((code, body),) = between.sink.outcomes
    assert code == "cannot-return"
    assert "this payload belongs elsewhere" in unpack_error(body)[1]


class Forging(Eavesdropper):
    """Changes the arguments on their way to the node."""

    def _to_node(self, message: Message) -> None:
        if isinstance(message, Submit):
            forged = Payload("pickle5", 3, b"abc")
            self.links[2].send(Dispatch(7, message.call_id, 1, message.function, forged))


def test_arguments_that_were_changed_are_not_run() -> None:
    between = Forging()
    between.submit(b"secret")
    assert between.node.arguments == []
    ((code, body),) = between.sink.outcomes
    assert code == "protocol"
    assert "can't take the arguments of f(): this payload belongs elsewhere" in str(body)


def test_the_clear_seal_changes_nothing_and_copies_nothing() -> None:
    parts, body = (b"a", b"b"), b"body"
    assert CLEAR.seal(parts, 2, ID, Part.EVENT, 1) == (parts, 2)
    assert CLEAR.open(body, ID, Part.OUTCOME, 0) is body
