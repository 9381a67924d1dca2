"""A node whose owner lends nothing at the moment: nothing new starts, and people are told why."""

from __future__ import annotations

import pytest

from easyremote.gateway.permissions import LOCAL_USER
from easyremote.gateway.scheduling.explain import explain
from easyremote.gateway.scheduling.lending import Lent
from easyremote.options.requirements import Requirements
from easyremote.protocol.messages import Dispatch, Finished, Function, Register, Resources
from tests.gateway.desk import ClientPeer, Desk, NodePeer
from tests.gateway.test_feed import Watched, asked, nodes_answer

PAUSED = "its owner has paused it"
WORK = ("f", "$cell", "$call", "$comm", "$send")
QUESTIONS = ("$output", "$input", "$sessions", "$end", "$have")


@pytest.fixture
def desk() -> Watched:
    return Watched()


def say(desk: Desk, node: NodePeer, lent: Lent) -> None:
    desk.calls.lend(node.node, lent, desk.now)


def why(desk: Desk) -> str:
    call = next(reversed(desk.calls.table.by_id.values()))
    return explain(desk.calls.table.queues, call, desk.now)


def sent(node: NodePeer) -> list[str]:
    return [dispatch.function for dispatch in node.heard(Dispatch)]


@pytest.mark.parametrize("target", ["gpu-node", ""])
def test_what_comes_during_a_pause_waits_and_runs_afterwards(desk: Desk, target: str) -> None:
    node, client = desk.node("gpu-node", *WORK, *QUESTIONS), desk.client()
    client.submit("f", target)
    running = node.start()
    say(desk, node, Lent.PAUSED)
    for function in WORK:
        client.submit(function, target)
        assert why(desk) == f"gpu-node takes nothing new: {PAUSED}"
    for function in QUESTIONS:  # what runs there goes on, and can be asked about
        client.submit(function, target)
    assert sent(node) == list(QUESTIONS)
    node.finish(running)
    desk.pass_time(3600.0)
    assert sent(node) == []
    say(desk, node, Lent.YES)
    assert sorted(sent(node)) == sorted(WORK)
    desk.nodes.check_invariants()


def test_a_pause_outlasts_the_connection_and_the_process_of_the_node(desk: Desk) -> None:
    node, client = desk.node("gpu-node"), desk.client()
    say(desk, node, Lent.PAUSED)
    node.leave()
    back = desk.node("gpu-node", instance=b"j" * 16)
    client.submit("f", "gpu-node")
    assert sent(back) == []
    say(desk, back, Lent.YES)
    assert sent(back) == ["f"]


def test_a_node_that_is_away_can_be_paused(desk: Desk) -> None:
    node, client = desk.node("gpu-node"), desk.client()
    node.leave()
    say(desk, node, Lent.PAUSED)
    back = desk.node("gpu-node")
    client.submit("f", "gpu-node")
    assert sent(back) == []


def test_calls_for_any_node_go_elsewhere_and_none_is_left_to_a_closed_node(desk: Desk) -> None:
    slow, quick = desk.node("slow", slots=1), desk.node("quick", slots=1)
    slow.node.runs["f"], quick.node.runs["f"] = 60.0, 1.0
    desk.calls.table.queues.estimates.ran("f", 1.0)
    say(desk, quick, Lent.PAUSED)
    desk.client().submit("f", "")  # it would be left to the quick one
    assert (sent(slow), sent(quick)) == (["f"], [])


def test_who_needs_much_is_told_of_the_nodes_that_are_closed_as_well(desk: Desk) -> None:
    small, large = desk.node("small"), desk.node("large")
    offer = (Function("f"),)
    for node in (small, large):
        node.say(Register(offer, 4, memory_total=16 * 10**9))
    client, needs = desk.client("lab-1"), Requirements(memory=12 * 10**9)
    client.submit("f", "small", needs=needs)
    say(desk, large, Lent.PAUSED)
    client.submit("f", "", needs=needs)
    assert why(desk) == (
        "needs 12 GB of memory: small has 4 GB of 16 GB free (f() of key lab-1 holds 12 GB), large "
        f"takes nothing new: {PAUSED}; 1st of 1 for any node with f()"
    )


def test_what_runs_on_a_closed_node_is_before_nobody_who_waits_for_any_node(desk: Desk) -> None:
    for node_id, owner in (("a", "lab-1"), ("b", "lab-2")):
        desk.node(node_id, slots=1)
        desk.client(owner).submit("f", node_id)
    desk.calls.lend(next(n for n in desk.nodes if n.node_id == "b"), Lent.PAUSED, desk.now)
    desk.client("lab-3").submit("f", "")
    assert why(desk) == "1st of 1 for any node with f() (f() of key lab-1)"


def test_memory_is_lent_up_to_a_limit_and_never_more_than_is_free(desk: Desk) -> None:
    node, client = desk.node("n"), desk.client()
    desk.calls.nodes.watched = True  # so that what the node tells of its machine is kept
    node.say(Register((Function("f"),), 4, memory_total=16 * 10**9))
    node.say(Resources(0.1, 8, 40 * 10**9, 64 * 10**9))  # more is in use than is lent
    client.submit("f", needs=Requirements(memory=12 * 10**9))
    assert sent(node) == ["f"]
    client.submit("f", needs=Requirements(memory=8 * 10**9))
    assert sent(node) == []  # 4 of 16 are left
    node.say(Register((Function("f"),), 4, memory_total=32 * 10**9))
    assert sent(node) == ["f"]
    node.say(Resources(0.1, 8, 60 * 10**9, 64 * 10**9))
    client.submit("f", needs=Requirements(memory=8 * 10**9))
    assert sent(node) == []  # the machine has 4 free


def test_what_the_rules_of_a_node_say_holds_until_the_node_says_something_else(desk: Desk) -> None:
    node, client = desk.node("gpu-node", slots=3), desk.client()
    offer = (Function("f"),)
    node.say(Register(offer, 3, closed="its owner lends it from 22:00"))
    client.submit("f", "gpu-node")
    assert why(desk) == "gpu-node takes nothing new: its owner lends it from 22:00"
    (told,) = nodes_answer(desk, client)["nodes"]  # type: ignore[arg-type]  # it is a Watched
    assert (told["closed"], told["slots"]) == ("its owner lends it from 22:00", 3)
    say(desk, node, Lent.PAUSED)
    assert why(desk) == f"gpu-node takes nothing new: {PAUSED}"
    node.say(Register(offer, 3))
    assert sent(node) == []  # a pause is its owner's own word: no rule ends it
    say(desk, node, Lent.YES)
    assert sent(node) == ["f"]


def test_calls_that_name_a_drained_node_are_refused_at_once_or_when_the_drain_begins(
    desk: Desk,
) -> None:
    node, client = desk.node("gpu-node", "f", "$output", slots=1), desk.client()
    client.submit("f", "gpu-node")
    running = node.start()
    client.submit("f", "gpu-node")
    say(desk, node, Lent.DRAINED)
    desk.pass_time(0.1)
    refusals = [client.error()]
    for target in ("gpu-node", ""):
        client.submit("f", target)
        refusals.append(client.error())
    for code, text, details in refusals:
        assert (code, details["may_have_run"]) == ("offline", False)
        assert text == (
            "Node 'gpu-node' takes nothing new: its owner takes it out of use. Name another node."
        )
    client.submit("$output", "gpu-node")
    assert sent(node) == ["$output"]
    node.finish(running)
    other = desk.node("other")
    client.submit("f", "")
    assert (sent(node), sent(other)) == ([], ["f"])
    say(desk, node, Lent.YES)
    client.submit("f", "gpu-node")
    assert sent(node) == ["f"]


@pytest.mark.parametrize(
    ("client", "owner", "is_allowed"),
    [
        ("lab-1", "lab-1", True),
        ("lab-2", "lab-1", False),
        ("", "", False),
        (LOCAL_USER, "lab-1", True),
    ],
)
def test_only_the_owner_of_a_node_pauses_it(
    desk: Watched, client: str, owner: str, is_allowed: bool
) -> None:
    node, asking = desk.node("gpu-node"), desk.client(client)
    node.node.owner = owner
    for function in ("$pause", "$drain", "$resume"):
        ask(desk, asking, function, "gpu-node")
        if is_allowed:
            assert asking.only(Finished).code == ""
            assert bool(node.node.closed) == (function != "$resume")
        else:
            code, text, _ = asking.error()
            assert (code, node.node.closed) == ("not-authorized", "")
            assert "Whoever has a client key of the node's name" in text


def test_a_node_that_is_not_there_can_not_be_paused(desk: Watched) -> None:
    desk.node("gpu-node")
    asking = desk.client(LOCAL_USER)
    ask(desk, asking, "$pause", "gpu-nod")
    assert "Did you mean 'gpu-node'?" in asking.error()[1]


def ask(desk: Watched, client: ClientPeer, function: str, node_id: str) -> None:
    message = asked(function)
    message.node = node_id
    assert desk.ask(client, message)
