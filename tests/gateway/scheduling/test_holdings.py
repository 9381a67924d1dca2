"""What calls hold of a node's machine: a further call is placed only where enough is free."""

from __future__ import annotations

import pytest

from easyremote.errors import NotFound, from_wire
from easyremote.gateway.nodes import HAND_BACKS
from easyremote.gateway.scheduling.explain import explain
from easyremote.gateway.scheduling.scheduler import PATIENCE
from easyremote.options.requirements import Requirements
from easyremote.protocol.messages import (
    Dispatch,
    Function,
    Gpu,
    GpuHolder,
    HandBack,
    Register,
    Resources,
    Started,
    Watch,
)
from tests.gateway.desk import ClientPeer, Desk, NodePeer

GB = 10**9
BIG = Gpu("A100", 0.0, 0, 48 * GB)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def machine(
    desk: Desk, name: str = "gpu-node", *functions: Function, gpus: int = 1, slots: int = 8
) -> NodePeer:
    """A node with cells, these functions, 8 cores, 64 GB, and GPUs of 48 GB."""
    node = desk.node(name, slots=slots)
    cells = tuple(map(Function, ("$cell", "$call")))
    node.say(Register((*cells, *functions), slots, ("lab",), 8, 64 * GB, (BIG,) * gpus))
    return node


def cell(client: ClientPeer, needs: Requirements | None, session: str = "s", **more: float) -> None:
    client.submit("$cell", "gpu-node", session=session, needs=needs, **more)


def begun(node: NodePeer) -> list[str]:
    """Start what came; the sessions."""
    calls = node.heard(Dispatch)
    for call in calls:
        node.say(Started(call.call))
    return [call.session for call in calls]


def gpu_memory(size: int) -> Requirements:
    return Requirements(gpu=1, gpu_memory=size * GB)


def why(desk: Desk) -> str:
    call = next(reversed(desk.calls.table.by_id.values()))
    return explain(desk.calls.table.queues, call, desk.now)


def test_two_sessions_that_would_not_fit_together_run_one_after_the_other(desk: Desk) -> None:
    node, ann, bob = machine(desk), desk.client("lab-1"), desk.client("lab-2")
    cell(ann, gpu_memory(31))
    (first,) = node.heard(Dispatch)
    node.say(Started(first.call))
    cell(bob, gpu_memory(24))
    assert node.heard(Dispatch) == []
    assert why(desk) == (
        "needs 24 GB of GPU memory: gpu-node has 17 GB of 48 GB free (a cell of key lab-1 holds "
        "31 GB); 1st of 1 for gpu-node"
    )
    cell(bob, gpu_memory(17), "other")
    assert begun(node) == ["other"], "what fits need not wait"
    node.finish(first)
    assert begun(node) == ["s"]


def test_cells_of_a_session_keep_their_order_whatever_they_need(desk: Desk) -> None:
    node, ann, bob = machine(desk), desk.client("lab-1"), desk.client("lab-2")
    cell(ann, gpu_memory(48), "one")
    (first,) = node.heard(Dispatch)
    cell(bob, gpu_memory(48), "two")
    cell(bob, None, "two")
    cell(bob, None, "three")
    assert begun(node) == ["three"], "only that of another session may pass"
    node.finish(first)
    assert begun(node) == ["two", "two"]


def test_functions_and_cells_hold_of_the_same_machine(desk: Desk) -> None:
    train = Function("train", requirements=Requirements(cpu=6, gpu=1))
    node, client = machine(desk, "gpu-node", train), desk.client("lab-1")
    client.submit("train", "")
    (first,) = node.heard(Dispatch)
    cell(client, gpu_memory(1))
    assert why(desk).startswith("needs 1 GB of GPU memory: gpu-node has 0 bytes of 48 GB free")
    client.submit("$cell", "gpu-node", session="x", needs=Requirements(cpu=4))
    assert why(desk) == (
        "needs 4 cores: gpu-node has 2 of 8 free (train() of key lab-1 holds 6); 2nd of 2 for "
        "gpu-node"
    )
    client.submit("train", "")
    assert why(desk).startswith("needs 6 cores: gpu-node has 2 of 8 free")
    node.finish(first)
    assert len(node.heard(Dispatch)) == 2, "the two cells, or one cell and the function"


def test_a_whole_gpu_is_held_by_one_call_and_the_fullest_that_will_do_is_shared(desk: Desk) -> None:
    node, client = machine(desk, gpus=2), desk.client()
    cell(client, gpu_memory(8), "a")
    cell(client, gpu_memory(8), "b")  # beside the first one
    cell(client, Requirements(gpu=1), "c")
    assert begun(node) == ["a", "b", "c"]
    cell(client, Requirements(gpu=1), "d")
    assert why(desk).startswith("needs 1 GPU: gpu-node has 0 of 2 free")
    cell(client, gpu_memory(33), "e")
    cell(client, gpu_memory(32), "f")
    assert begun(node) == ["f"]


def test_a_call_goes_where_enough_is_free(desk: Desk) -> None:
    fit = Function("fit", requirements=Requirements(memory=40 * GB))
    nodes = [machine(desk, name, fit) for name in ("a", "b")]
    client = desk.client()
    for _ in range(3):
        client.submit("fit", "")
    assert [len(node.heard(Dispatch)) for node in nodes] == [1, 1]
    assert "a has 24 GB of 64 GB free" in why(desk)
    assert "b has 24 GB of 64 GB free" in why(desk)


def test_what_other_processes_use_counts_and_calls_go_on_when_they_have_gone(desk: Desk) -> None:
    node, client = machine(desk), desk.client()
    used = Gpu("A100", 1.0, 40 * GB, 48 * GB)
    desk.calls.nodes.watched = True
    node.say(Resources(0.5, 8, 0, 64 * GB, (used,)))
    cell(client, gpu_memory(16))
    assert node.heard(Dispatch) == []
    assert why(desk).startswith("needs 16 GB of GPU memory: gpu-node has 8 GB of 48 GB free;")
    node.say(Resources(0.5, 8, 0, 64 * GB, (BIG,)))
    assert begun(node) == ["s"]


def test_what_a_call_held_is_free_however_it_ends(desk: Desk) -> None:
    node, client = machine(desk), desk.client()
    cell(client, gpu_memory(48), "handed back")
    node.say(HandBack((node.only(Dispatch).call,)))
    arguments = client.announce(
        40_000, function="$cell", node="gpu-node", needs=gpu_memory(48), session="large"
    )
    assert node.only(Dispatch).session == "large"
    cell(client, gpu_memory(1), "waits")
    assert node.heard(Dispatch) == [], "it holds it while its arguments come"
    arguments.send(40_000)
    client.leave()
    desk.pass_time(700.0)
    assert not node.node.held.calls


def test_a_large_call_is_not_passed_by_small_ones_for_ever(desk: Desk) -> None:
    node, ann, bob = machine(desk), desk.client("ann"), desk.client("bob")
    cell(ann, gpu_memory(24), "small")
    (running,) = node.heard(Dispatch)
    cell(bob, gpu_memory(48), "large")
    cell(ann, gpu_memory(24), "1")
    (passed,) = node.heard(Dispatch)
    desk.pass_time(PATIENCE + 1.0)
    node.finish(running)
    assert node.heard(Dispatch) == []
    cell(ann, gpu_memory(24), "2")
    assert node.heard(Dispatch) == [], "24 GB are free, and kept"
    assert why(desk).startswith(
        "needs what is kept: gpu-node keeps it for a cell of key bob, which has waited longer"
    )
    node.finish(passed)
    assert begun(node) == ["large"]


def test_what_no_node_can_ever_give_fails_at_once_and_each_node_says_why(desk: Desk) -> None:
    machine(desk, "gpu-node")
    machine(desk, "laptop", gpus=0)
    client = desk.client()
    client.submit("$cell", "", needs=gpu_memory(80))
    error = from_wire(*client.error())
    assert isinstance(error, NotFound)
    assert str(error) == (
        "No node can ever run this. It needs 1 GPU with 80 GB of memory: gpu-node has no GPU with "
        "80 GB of memory (the largest has 48 GB); laptop has no GPU. Ask for less, or start a node "
        "on a larger machine."
    )
    client.submit("$cell", "laptop", needs=gpu_memory(1))
    assert "It needs 1 GPU with 1 GB of memory: laptop has no GPU." in client.error()[1]
    client.submit("$cell", "gpu-node", needs=Requirements(labels=("lab",)))
    assert client.heard(type(error)) == []


def told(free: int, *holders: GpuHolder, used: int = 40, calls: int = 0) -> Resources:
    """What the node says of its one GPU of 48 GB."""
    gpu = Gpu("A100", 0.0, used * GB, 48 * GB, free * GB, calls, holders)
    return Resources(0.5, 8, 0, 64 * GB, (gpu,))


def again(client: ClientPeer, session: str, size: int) -> None:
    """What a client does with a call that comes back: it sends it once more."""
    client.only(HandBack)
    cell(client, gpu_memory(size), session)


def test_the_node_has_the_last_word_and_the_call_waits_with_its_reason(desk: Desk) -> None:
    node, ann, bob = machine(desk), desk.client("lab-1"), desk.client("lab-2")
    cell(ann, gpu_memory(31), "ann")
    (first,) = node.heard(Dispatch)
    node.say(Started(first.call))
    node.finish(first)
    for _ in range(3 * HAND_BACKS):  # a process of somebody else comes, and goes
        cell(bob, gpu_memory(24), "bob")
        (dispatch,) = node.heard(Dispatch)
        holder = GpuHolder(31 * GB, "lab-1", "ann", idle=7200.0)
        node.say(HandBack((dispatch.call,), told(17, holder, used=31)))
        again(bob, "bob", 24)
        assert [type(each) for each in node.heard(object)] == [Watch], "it waits, and is told"
        assert why(desk) == (
            "needs 24 GB of GPU memory: gpu-node has 17 GB of 48 GB free (a session of key lab-1 "
            "holds 31 GB); 1st of 1 for gpu-node"
        )
        node.say(told(24))
        (dispatch,) = node.heard(Dispatch)
        node.say(Started(dispatch.call))
        node.finish(dispatch)
        node.say(told(24))
        assert node.only(Watch).on is False, "nobody wants to know any more"
    assert not node.node.rests_until and not node.node.is_refusing


def test_a_node_that_hands_back_what_would_fit_is_left_alone_for_a_while(desk: Desk) -> None:
    node, client = machine(desk), desk.client()
    cell(client, gpu_memory(24))
    asked = 0
    while calls := node.heard(Dispatch):
        asked += 1
        node.say(HandBack((calls[0].call,), told(40)))
        again(client, "s", 24)
    assert asked == HAND_BACKS
    assert "is asked again in" in why(desk)


def test_what_a_session_holds_is_no_obstacle_to_its_own_cells(desk: Desk) -> None:
    node, ann, bob = machine(desk, gpus=2), desk.client("ann"), desk.client("bob")
    desk.calls.nodes.watched = True
    mine = GpuHolder(31 * GB, "ann", "s")
    one = told(17, mine, used=31).gpus[0]
    node.say(Resources(0.5, 8, 0, 64 * GB, (one, BIG)))
    cell(bob, gpu_memory(40))
    assert len(node.heard(Dispatch)) == 1, "on the other GPU"
    cell(ann, gpu_memory(40))
    assert len(node.heard(Dispatch)) == 1, "its own memory"
    cell(ann, gpu_memory(20), "s")
    assert node.heard(Dispatch) == [], "a session keeps the GPU that it began with"


def test_nodes_measure_while_somebody_looks_or_a_call_waits(desk: Desk) -> None:
    node, client = machine(desk), desk.client()
    desk.calls.nodes.watched = True
    node.say(told(8))
    assert node.heard(Watch) == []
    desk.calls.nodes.watched = False
    cell(client, gpu_memory(24))
    node.say(told(8))
    assert node.heard(Watch) == [], "a call waits for what it tells"
    client.leave()
    desk.pass_time(700.0)
    node.say(told(8))
    assert node.only(Watch).on is False
    assert node.node.resources is None
