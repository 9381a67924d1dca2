"""Weights of keys, and priorities of calls: what goes first where nodes are busy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from easyremote.gateway.permissions import LOCAL_USER, principal_of
from easyremote.gateway.scheduling.explain import explain
from easyremote.options.reading import MOST_PRIORITY
from easyremote.protocol.messages import Dispatch, Finished, Function
from tests.gateway.desk import Desk
from tests.gateway.scheduling.farm import Farm, keep_busy


@pytest.mark.parametrize("lengths", [(1.0, 1.0), (0.5, 8.0), (8.0, 0.5)])
@pytest.mark.parametrize("nodes", [1, 4])
def test_a_key_of_weight_2_gets_twice_the_run_seconds(
    nodes: int, lengths: tuple[float, float]
) -> None:
    farm = Farm()
    for number in range(nodes):
        farm.node(f"n{number}", "f0", "f1", slots=2)
    farm.scheduler.weights["heavy"] = 2.0
    for number, key in enumerate(("heavy", "light")):
        keep_busy(farm, key, f"f{number}", lengths[number], 40)
    farm.run(until=3000.0)
    assert farm.used["heavy"] / farm.used["light"] == pytest.approx(2.0, rel=0.03)


def test_calls_of_a_higher_priority_go_first_and_are_shared_fairly_among_themselves() -> None:
    farm = Farm()
    farm.node("n", "f", slots=1)
    for _ in range(20):
        farm.call(key="ann")
    for _ in range(10):
        farm.call(key="boss", priority=1)
    for _ in range(5):
        farm.call(key="chief", priority=1)
        farm.call(key="night", priority=-1)
    farm.run()
    order = [call.owner for call in farm.placed]
    assert set(order[1:11]) == {"boss", "chief"}
    assert order[1:11].count("chief") == 5
    assert order[11:16] == ["boss"] * 5
    assert order[-5:] == ["night"] * 5


def test_what_a_key_ran_first_is_no_debt_of_its_usual_calls() -> None:
    farm = Farm()
    farm.node("n", "f", slots=1)
    farm.call(key="ann")
    for _ in range(10):
        farm.call(key="boss", priority=5)
    for _ in range(4):
        farm.call(key="ann")
        farm.call(key="boss")
    farm.run()
    late = [call.owner for call in farm.placed][11:]
    assert late[:4].count("boss") == 2, "they take turns"


def test_the_place_in_the_queue_counts_priorities() -> None:
    farm = Farm()
    farm.node("n", "f", slots=1)
    farm.call(key="ann")
    usual = farm.call(key="ann")
    first = farm.call(key="boss", priority=1)
    assert explain(farm.scheduler, first, 0.0).startswith("1st of 2 ")
    assert explain(farm.scheduler, usual, 0.0).startswith("2nd of 2 ")


def test_only_a_key_that_may_gets_a_priority_above_0() -> None:
    desk = Desk()
    node, client = desk.node(), desk.client("ann")
    client.submit(priority=1)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("not-authorized", False)
    assert "The key ann may not give f() the priority 1" in text
    assert "--may-prioritise" in text
    client.submit(priority=-MOST_PRIORITY)
    assert node.heard(Dispatch)
    client.client.principal = principal_of("ann", "Ann", "client", may_prioritise=True)
    client.submit(priority=MOST_PRIORITY)
    assert node.heard(Dispatch)
    client.client.principal = principal_of("ann", LOCAL_USER, "client")
    client.submit(priority=1)
    assert node.heard(Dispatch), "who started the gateway is its owner"


def test_the_weight_of_a_key_counts_from_its_first_call() -> None:
    desk = Desk()
    node = desk.node("n", Function("f"), slots=1)
    heavy, light = desk.client("heavy"), desk.client("light")
    heavy.client.principal = replace(heavy.client.principal, weight=2.0)
    for _ in range(12):
        light.submit()
        heavy.submit()
    order = []
    for _ in range(10):
        running = node.only(Dispatch)
        order.append(running.owner)
        desk.now += 1.0
        node.say(Finished(running.call, running.payload, fence=running.fence, seconds=1.0))
    assert order[1:].count("heavy") == 6
