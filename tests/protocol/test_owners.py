"""No order of messages brings one user's output to another's cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyremote.gateway.callers import Access
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.links import Links
from easyremote.gateway.permissions import principal_of
from easyremote.gateway.records import ClientLink
from easyremote.protocol.call import CallState
from easyremote.protocol.caller import Caller
from easyremote.protocol.messages import Event, Hello, Message, Payload, Started, Submit
from tests.gateway.desk import Desk, NodePeer, payload
from tests.protocol.wires import Wire
from tests.protocol.world import Recorder, Supervisor, Waiting, World


class Stranger:
    """A client with a key of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._wire = Wire(world.now)
        self._client = ClientLink(self._wire.ends[1], principal_of("bob", "bob", "client"))
        self._caller = Caller()
        self._caller.attach(self._wire.ends[0], 5, world.now)

    def submit(self) -> Waiting:
        sink = Waiting(b"bob's")
        submit = Submit(0, b"b" * 16, "n", "f", Payload())
        self._caller.submit(submit, (b"bob's",), 5, "pickle5", sink, self._world.now)
        return sink

    def settle(self) -> None:
        while not self._wire.is_quiet:
            for message in self._wire.ends[1].receive_data(self._wire.take(1, 1 << 20), 0.0):
                self._world.gateway.receive_from_client(self._client, message, self._world.now)
            for message in self._wire.ends[0].receive_data(self._wire.take(0, 1 << 20), 0.0):
                self._caller.receive(message, self._world.now)


@pytest.mark.parametrize("kind", [Recorder, Supervisor])
def test_what_a_call_shows_between_a_new_link_and_resumed_reaches_its_own_client_only(
    kind: type[Recorder] | type[Supervisor],
) -> None:
    world = World(kind)
    world.connect()
    world.settle()
    alices = world.submit(b"alice's")
    world.settle()
    world.recorder.begin(*world.recorder.queued)
    world.settle()
    world.start_gateway()
    stranger = Stranger(world)
    bobs = stranger.submit()
    stranger.settle()  # the new gateway's number 1, which was Alice's before
    world.connect_node()
    world.move(3, 1 << 20)  # RESUME is with the gateway, RESUMED on its way
    (running,) = world.recorder.running
    world.recorder.emit(running, 10)
    world.recorder.finish(running)
    world.settle()
    stranger.settle()
    assert (bobs.events, bobs.outcomes) == ([], [])
    world.connect()
    world.settle()
    assert len(alices.events) == 1
    assert alices.outcomes == [("", b"alice's"[::-1])]
    world.recorder.finish_all()
    world.settle()
    stranger.settle()
    assert (bobs.events, bobs.outcomes) == ([], [("", b"bob's"[::-1])])


def test_a_gateway_takes_nothing_of_a_call_before_the_node_has_said_what_it_holds() -> None:
    desk = Desk()
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.start()
    node.leave()
    client.heard(Message)
    back = NodePeer(desk, Hello((1, 0), "node", "", "n", b"i" * 16, desk.now))
    back.say(Event(dispatch.call, 1, payload(b"early")))
    back.say(Started(dispatch.call))
    back.finish(dispatch)
    assert client.heard(Message) == []
    back.resume([(dispatch.call_id, dispatch.fence)])
    back.say(Event(dispatch.call, 1, payload(b"later")))
    assert client.only(Event).payload.data == b"later"


def test_a_gateway_does_not_use_the_numbers_of_the_one_before(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "keys.db")
    before, after = (Links(keys).calls.table for _ in range(2))
    numbers = {
        table.add(
            bytes([each]) * 16, "alice", ("n", "f", Access.LINK), CallState.QUEUED, 0.0
        ).number
        for table in (before, after)
        for each in range(100)
    }
    assert len(numbers) == 200
