"""What nodes say that is wrong, or changes while calls wait: callers are told, nothing hangs."""

from __future__ import annotations

import pytest

from easyremote.gateway.scheduling.explain import explain
from easyremote.options.requirements import Requirements
from easyremote.protocol.messages import (
    Dispatch,
    Finished,
    Function,
    Gpu,
    HandBack,
    Register,
    Resources,
    Withheld,
)
from tests.gateway.desk import Desk

GB = 10**9


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_calls_that_wait_run_in_the_version_that_replaces_their_function(desk: Desk) -> None:
    node, client = desk.node("n", Function("f", doc="old"), slots=1), desk.client()
    for _ in range(3):
        client.submit()
    running = node.start()
    needy = Function("f", doc="new", requirements=Requirements(cpu=1.0), max_concurrency=2)
    node.say(Register((needy,), 4, cores=2))
    started = node.heard(Dispatch)
    assert len(started) == 1, "it runs twice at a time from now on: once in each version"
    assert set(node.node.held.calls) == {started[0].call}, "the old version holds nothing"
    node.finish(running)
    assert len(node.heard(Dispatch)) == 1
    desk.calls.table.queues.check_invariants()


def test_calls_that_wait_for_a_function_that_is_no_more_are_told_so(desk: Desk) -> None:
    node, client = desk.node("n", "f", "g", slots=1), desk.client()
    for function in ("g", "f", "f"):
        client.submit(function)
    node.say(Register((Function("g"),), 1, withheld=(Withheld("f", "no GPU"),)))
    desk.pass_time(1.0)
    told = client.heard(Finished)
    assert [each.code for each in told] == ["not-found", "not-found"]
    node.leave()
    client.submit("g")
    other = desk.node("n", "h", instance=b"j" * 16)  # a new process, with another program
    desk.pass_time(1.0)
    assert {each.code for each in client.heard(Finished)} == {"lost", "not-found"}
    assert other.heard(Dispatch) == []


def test_a_node_that_lies_about_its_machine_is_believed_as_little_as_can_be(desk: Desk) -> None:
    node, client = desk.node("liar", "f", slots=8), desk.client()
    desk.calls.nodes.watched = True  # so that what the node tells of its machine is kept
    gpu = Gpu("A100", 0.0, 0, 80 * GB)
    node.say(Register((Function("f"),), 8, cores=64, memory_total=1000 * GB, gpus=(gpu, gpu)))
    # It has less than it said, and more of it is in use than there is.
    node.say(Resources(9.0, 1, 90 * GB, 80 * GB, (Gpu("A100", 2.0, 90 * GB, 80 * GB),)))
    client.submit(node="liar", needs=Requirements(memory=GB))
    call = next(reversed(desk.calls.table.by_id.values()))
    why = explain(desk.calls.table.queues, call, desk.now)
    assert why.startswith("needs 1 GB of memory: liar has 0 bytes of 1 TB free")
    client.submit(node="liar", needs=Requirements(gpu=1, gpu_memory=60 * GB))
    second = node.only(Dispatch)
    node.say(HandBack((second.call,)))
    assert client.only(HandBack)
    assert not node.node.held.calls
    node.say(Register((Function("f"),), 8))  # a machine of nothing
    client.submit(node="liar", needs=Requirements(cpu=1.0))
    assert client.error()[0] == "not-found"
