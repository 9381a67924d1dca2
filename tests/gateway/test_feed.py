"""What the gateway says of itself: `$nodes` once, `$watch` on and on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from easyremote.gateway.feed import CHANGES_LIMIT, UNSEEN_LIMIT, GatewayFeed
from easyremote.protocol.link import SILENT_AFTER
from easyremote.protocol.messages import (
    Cancel,
    Dispatch,
    Event,
    Finished,
    Function,
    Gpu,
    Message,
    Register,
    Resources,
    Seen,
    Started,
    Submit,
    Watch,
)
from tests.gateway.desk import ClientPeer, Desk, payload


class Watched(Desk):
    """A desk with a feed in front of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.feed = GatewayFeed(self.calls)

    def ask(self, client: ClientPeer, message: Message) -> bool:
        return self.feed.receive(client.client, message)


def asked(function: str, number: int = 7) -> Submit:
    return Submit(number, b"w" * 16, "", function, payload())


def nodes_answer(desk: Watched, client: ClientPeer) -> dict[str, Any]:
    assert desk.ask(client, asked("$nodes"))
    answer: dict[str, Any] = msgspec.msgpack.decode(client.only(Finished).payload.data)
    return answer


@pytest.fixture
def desk() -> Watched:
    return Watched()


def test_nodes_are_told_with_what_they_offer_and_how_they_are(desk: Watched) -> None:
    node = desk.node("gpu-node", "train", "$cell", slots=3)
    desk.calls.nodes.watched = True
    node.say(Resources(0.5, 8, 10, 20, (Gpu("A", 0.9, 1, 2),)))
    desk.node("plain").leave()
    answer = nodes_answer(desk, desk.client())
    gpu, plain = answer["nodes"]
    assert (gpu["node_id"], gpu["state"], gpu["slots"]) == ("gpu-node", "online", 3)
    assert (gpu["functions"], gpu["runs_code"]) == (["train"], True)
    assert (gpu["cpu"], gpu["cores"], gpu["memory_used"], gpu["memory_total"]) == (0.5, 8, 10, 20)
    assert gpu["gpus"] == [{"name": "A", "use": 0.9, "memory_used": 1, "memory_total": 2}]
    assert (plain["state"], plain["cpu"], plain["runs_code"]) == ("offline", None, False)
    assert [each["name"] for each in answer["functions"]] == ["train"]


def test_a_node_that_does_not_answer_is_told_as_one_where_nothing_new_starts(
    desk: Watched,
) -> None:
    node, client = desk.node(), desk.client()
    node.link.ping(desk.now)
    desk.pass_time(SILENT_AFTER + 0.1)
    (told,) = nodes_answer(desk, client)["nodes"]
    assert (told["state"], told["closed"]) == ("online", "it does not answer")


def test_what_a_machine_has_is_known_before_anybody_watches_how_busy_it_is(desk: Watched) -> None:
    node = desk.node("gpu-node", "$cell")
    card = Gpu("A", 0.9, 1, 2)
    node.say(Register((Function("$cell"),), 1, ("fast",), 8, 20, (card,), True, 60.0, 2))
    client = desk.client()
    (told,) = nodes_answer(desk, client)["nodes"]
    assert (told["cores"], told["memory_total"], told["labels"]) == (8, 20, ["fast"])
    assert told["gpus"][0]["name"] == "A"
    assert (told["cpu"], told["memory_used"], told["received"]) == (None, None, None)
    assert (told["installs"], told["session_idle"], told["processes"]) == (True, 60.0, 2)
    node.say(Register((Function("$cell"),), 1))  # of an older version: it doesn't say
    (told,) = nodes_answer(desk, client)["nodes"]
    assert (told["cores"], told["memory_total"], told["labels"]) == (None, None, [])
    assert (told["installs"], told["session_idle"], told["processes"]) == (False, None, None)
    desk.calls.nodes.watched = True
    node.say(Resources(0.5, 8, 10, 20, (), 3000.0, 0.0))
    (told,) = nodes_answer(desk, client)["nodes"]
    assert (told["received"], told["sent"]) == (3000.0, 0.0)


def test_where_a_call_came_from_goes_with_it_to_its_node(desk: Watched) -> None:
    node, client = desk.node("n", "$cell"), desk.client()
    client.submit("$cell", origin="kernel/cell")
    assert node.only(Dispatch).origin == "kernel/cell"


def test_everybody_sees_only_his_own_jobs(desk: Watched) -> None:
    node = desk.node("n", "f", "$cell", "$call", slots=1)
    alice, mallory = desk.client("alice"), desk.client("mallory")
    for function in ("f", "f", "$cell", "$call"):
        alice.submit(function)
    jobs = nodes_answer(desk, alice)["jobs"]
    assert [(job["function"], job["state"]) for job in jobs] == [
        ("f", "dispatched"),
        ("cell", "dispatched"),
        ("shipped", "dispatched"),
        ("f", "queued"),
    ]
    assert {job["node_id"] for job in jobs} == {"n"}
    assert nodes_answer(desk, mallory)["jobs"] == []
    assert node.node.active["f"] == 1


def test_a_job_that_is_over_is_not_shown(desk: Watched) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    node.finish(node.start())
    client.heard(Finished)
    assert nodes_answer(desk, client)["jobs"] == []


def test_nodes_measure_themselves_only_while_somebody_watches(desk: Watched) -> None:
    node, client, other = desk.node(), desk.client(), desk.client()
    desk.ask(client, asked("$watch"))
    assert node.only(Watch) == Watch(on=True)
    desk.ask(other, asked("$watch"))
    assert node.heard(Watch) == []
    later = desk.node("later")
    desk.feed.node_joined(later.node)
    assert later.only(Watch) == Watch(on=True)
    desk.ask(client, Cancel(7))
    assert node.heard(Watch) == []
    desk.feed.client_left(other.client)
    assert node.only(Watch) == later.only(Watch) == Watch(on=False)


def test_a_watch_starts_with_a_snapshot_and_ends_when_it_is_cancelled(desk: Watched) -> None:
    client = desk.client()
    desk.ask(client, asked("$watch"))
    started, event = client.heard(Started | Event)  # type: ignore[arg-type]
    assert (started, event.call, event.seq) == (Started(7), 7, 1)
    assert msgspec.msgpack.decode(event.payload.data)["nodes"] == []
    desk.ask(client, Cancel(7))
    finished = client.only(Finished)
    assert (finished.code, finished.events) == ("cancelled", 1)


def test_who_does_not_keep_up_gets_no_more_until_it_does(desk: Watched) -> None:
    client = desk.client()
    desk.ask(client, asked("$watch"))
    for _ in range(10):
        desk.feed.send_snapshots()
    assert [event.seq for event in client.heard(Event)] == list(range(1, UNSEEN_LIMIT + 1))
    desk.ask(client, Seen(7, 2))
    desk.feed.send_snapshots()
    assert client.only(Event).seq == UNSEEN_LIMIT + 1


def test_what_is_not_for_the_gateway_is_left_to_the_call_table(desk: Watched) -> None:
    client = desk.client()
    desk.ask(client, asked("$watch"))
    for message in (asked("f"), asked("$cell"), Cancel(8), Seen(8, 1)):
        assert not desk.ask(client, message)
    assert not desk.ask(desk.client(), Cancel(7))  # another connection's number


def changes(client: ClientPeer) -> list[tuple[str, str, bool]]:
    told = [msgspec.msgpack.decode(event.payload.data) for event in client.heard(Event)]
    return [(node["node_id"], node["state"], node["runs_code"]) for node in told]


def test_changes_are_told_as_they_happen_and_only_those(desk: Watched) -> None:
    desk.node("before")
    client = desk.client()
    desk.ask(client, asked("$changes"))
    assert client.only(Started) == Started(7)
    desk.feed.send_snapshots()
    assert changes(client) == []
    node = desk.node("new", "$cell")
    assert changes(client) == [("new", "online", True)]
    assert node.heard(Watch) == []
    node.leave()
    assert changes(client) == [("new", "offline", True)]
    desk.ask(client, Cancel(7))
    assert client.only(Finished).code == "cancelled"
    desk.node("later")
    assert client.heard(Event) == []


def test_who_does_not_look_at_the_changes_is_told_of_no_more(desk: Watched) -> None:
    client, other = desk.client(), desk.client()
    for each in (client, other):
        desk.ask(each, asked("$changes"))
    node = desk.node()
    for count in range(CHANGES_LIMIT):
        desk.ask(other, Seen(7, count + 1))
        node.register()
    assert client.only(Finished).events == CHANGES_LIMIT
    desk.feed.client_left(other.client)
    node.register()
    heard = other.heard(Event | Finished)  # type: ignore[arg-type]
    assert [type(message) for message in heard] == [Event] * (CHANGES_LIMIT + 1)


@pytest.mark.parametrize(("function", "kill"), [("$cancel", False), ("$kill", True)])
def test_a_call_is_stopped_from_another_connection_of_the_same_key(
    desk: Watched, function: str, kill: bool
) -> None:
    node, owner, other = desk.node(), desk.client("alice"), desk.client("alice")
    owner.submit(call_id=b"c" * 16)
    begun = node.start()
    for _ in range(2):  # it is safe to repeat
        desk.ask(other, Submit(8, b"w" * 16, "", function, payload(), (b"c" * 16).hex()))
        assert msgspec.msgpack.decode(other.only(Finished).payload.data) is True
        assert node.only(Cancel) == Cancel(begun.call, kill)


def test_a_call_that_waits_is_stopped_at_once(desk: Watched) -> None:
    desk.node("n", "f", slots=1)
    client = desk.client()
    client.submit()
    client.submit(call_id=b"c" * 16)
    desk.ask(client, Submit(8, b"w" * 16, "", "$cancel", payload(), (b"c" * 16).hex()))
    assert {each.code for each in client.heard(Finished)} == {"", "cancelled"}


@pytest.mark.parametrize("named", [(b"c" * 16).hex(), "", "not hexadecimal", "ab" * 500])
def test_nobody_stops_what_is_not_his_or_is_not_there(desk: Watched, named: str) -> None:
    node, owner, mallory = desk.node(), desk.client("alice"), desk.client("mallory")
    owner.submit(call_id=b"c" * 16)
    node.start()
    desk.ask(mallory, Submit(8, b"w" * 16, "", "$kill", payload(), named))
    assert msgspec.msgpack.decode(mallory.only(Finished).payload.data) is False
    assert node.heard(Cancel) == []
