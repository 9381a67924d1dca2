"""Who is online, what they offer, and what is said to who asks for something else."""

from __future__ import annotations

import pytest

from easyremote.gateway.callers import Access
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.records import LOST_AFTER, Node
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Function, Hello, Register, Resources


def hello(node_id: str, instance: bytes = b"i" * 16, uptime: float = 0.0) -> Hello:
    return Hello((1, 0), "node", "", node_id, instance, uptime, {"python": "3.11"})


def join(nodes: Nodes, node_id: str, *functions: str) -> Node:
    node = nodes.welcome(hello(node_id), Link(0.0), 100.0)
    nodes.offer(node, Register(tuple(map(Function, functions)), 2), 0.0)
    return node


def test_a_node_is_online_only_when_it_has_said_what_it_offers() -> None:
    nodes = Nodes(0.0)
    node = nodes.welcome(hello("n"), Link(0.0), 100.0)
    assert not node.online
    assert not nodes.offering("f", Access.LINK)
    nodes.offer(node, Register((Function("f"),), 2), 0.0)
    assert node.online
    assert nodes.offering("f", Access.LINK) == [node]
    nodes.left(node, 101.0)
    assert not node.online
    assert not nodes.offering("f", Access.LINK)


def test_what_a_node_offers_replaces_what_it_offered_before() -> None:
    nodes = Nodes(0.0)
    node = join(nodes, "n", "f", "g")
    nodes.offer(node, Register((Function("h"),), 5), 0.0)
    assert (list(node.functions), node.slots) == (["h"], 5)
    assert node.said.functions == (Function("h"),)
    assert node.machine == Resources(0.0, 0, 0, 0)


def test_who_offers_a_function_is_known_through_coming_and_going_in_any_order() -> None:
    nodes = Nodes(0.0)
    known = [join(nodes, node_id, "f", node_id) for node_id in "abcd"]
    nodes.left(known[1], 200.0)
    nodes.left(known[1], 200.0)  # safe to repeat
    assert {node.node_id for node in nodes.offering("f", Access.LINK)} == set("acd")
    nodes.offer(known[0], Register((Function("g"),), 2), 0.0)
    assert {node.node_id for node in nodes.offering("f", Access.LINK)} == set("cd")
    nodes.welcome(hello("c", b"j" * 16), Link(0.0), 300.0)
    assert [node.node_id for node in nodes.offering("f", Access.LINK)] == ["d"]
    nodes.left(known[3], 300.0)
    assert not nodes.offering("f", Access.LINK)
    assert nodes.rota("f", Access.LINK) is None


def test_a_new_connection_of_an_id_takes_it_over_and_starts_from_nothing() -> None:
    nodes = Nodes(0.0)
    node = join(nodes, "n", "f")
    node.draining, node.has_resumed, node.resources = True, True, Resources(0.5, 2, 1, 2)
    newer = Link(0.0)
    assert nodes.welcome(hello("n", b"j" * 16, uptime=30.0), newer, 200.0) is node
    assert node.link is newer
    assert (node.online, node.draining, node.has_resumed, node.resources) == (
        False,
        False,
        False,
        None,
    )
    assert (node.instance, node.born, node.since) == (b"j" * 16, 170.0, 200.0)


def test_whoever_follows_the_nodes_hears_of_each_change() -> None:
    nodes = Nodes(0.0)
    heard: list[tuple[str, bool]] = []
    nodes.changed = lambda node: heard.append((node.node_id, node.online))
    node = join(nodes, "n", "f")
    nodes.left(node, 200.0)
    assert heard == [("n", True), ("n", False)]
    assert node.since == 200.0


def test_how_long_a_function_runs_is_forgotten_with_the_function() -> None:
    nodes = Nodes(0.0)
    node = join(nodes, "n", "f")
    node.runs["f"] = 1.0
    nodes.offer(node, Register((Function("f"), Function("g")), 2), 0.0)
    assert node.runs == {"f": 1.0}
    nodes.offer(node, Register((Function("g"),), 2), 0.0)
    assert node.runs == {}


def test_a_node_that_is_away_is_gone_after_a_minute_whether_or_not_it_said_goodbye() -> None:
    node = join(Nodes(0.0), "n", "f")
    assert not node.is_gone(1e9)
    node.link, node.since = None, 100.0
    assert not node.is_gone(100.0 + LOST_AFTER)
    assert node.may_take("f", Access.LINK, 100.0 + LOST_AFTER)
    assert node.is_gone(100.1 + LOST_AFTER)
    assert not node.may_take("f", Access.LINK, 100.1 + LOST_AFTER)
    node.draining = True
    assert not node.is_gone(100.0 + LOST_AFTER)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("gpu-nod", "no node 'gpu-nod'. Did you mean 'gpu-node'? Online: cpu-1, gpu-node."),
        ("xyz", "no node 'xyz'. Online: cpu-1, gpu-node."),
    ],
)
def test_a_wrong_node_is_answered_with_those_that_are_online(asked: str, words: str) -> None:
    nodes = Nodes(0.0)
    join(nodes, "gpu-node", "f")
    join(nodes, "cpu-1", "f")
    join(nodes, "gone", "f").link = None
    assert words in nodes.no_such_node(asked).message


def test_where_there_is_no_node_at_all_the_command_to_start_one_is_told() -> None:
    message = Nodes(0.0).no_such_node("gpu-node").message
    assert "python -m easyremote.node --node-id gpu-node" in message


@pytest.mark.parametrize(
    ("asked", "on", "words"),
    [
        ("trian", "n", "Node 'n' has no function 'trian'. Did you mean 'train'? It has: predict,"),
        ("trian", None, "No node online has a function 'trian'. Did you mean 'train'? There are:"),
        ("$cell", "n", "Node 'n' runs only the functions that it registered, no cells"),
        ("f", "empty", "It has no functions."),
    ],
)
def test_a_wrong_function_is_answered_with_those_that_are_there(
    asked: str, on: str | None, words: str
) -> None:
    nodes = Nodes(0.0)
    join(nodes, "n", "train", "predict", "$call")
    join(nodes, "empty")
    node = nodes.get(on) if on else None
    message = nodes.no_such_function(asked, node, Access.LINK).message
    assert words in message
    assert "$call" not in message
