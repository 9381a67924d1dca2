"""Which node a target means."""

from __future__ import annotations

import re

import pytest

from easyremote.client.targets import conditions_of, find_any, find_node, parse_where
from easyremote.errors import UsageError
from easyremote.options.requirements import Requirements
from easyremote.protocol.snapshot import GpuInfo, NodeInfo


def node(node_id: str, **facts: object) -> NodeInfo:
    known: dict[str, object] = {"state": "online", "runs_code": True, "python": "3.12.4"}
    return NodeInfo(node_id, **(known | facts))  # type: ignore[arg-type]  # of NodeInfo's fields


CARD = GpuInfo("NVIDIA A100-SXM4-80GB", memory_total=80_000_000_000)
NODES = [
    node("cpu-node", cores=4, memory_total=8_000_000_000, labels=("office",)),
    node("gpu-node", cores=16, memory_total=64_000_000_000, gpus=(CARD,), python="3.11.9"),
    node("old", state="offline", gpus=(CARD,)),
]


def test_a_node_is_found_by_its_name_or_because_it_is_alone() -> None:
    assert find_node("gpu-node", NODES) == "gpu-node"
    assert find_node("", NODES[1:]) == "gpu-node"


def test_a_node_without_cells_is_not_meant_by_nothing() -> None:
    assert find_node("", [node("plain", runs_code=False), node("able")]) == "able"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "",
            "Which node? Name it, attach one (%remote_attach NODE) or set EASYREMOTE_NODE. Online",
        ),
        ("gpu-nde", "There is no node 'gpu-nde'. Did you mean 'gpu-node'? Online: cpu-node, gpu-n"),
        ("zzz", "There is no node 'zzz'. Online: cpu-node, gpu-node."),
        ("old", "The node 'old' is not online. Online: cpu-node, gpu-node."),
    ],
)
def test_a_node_that_is_not_found_is_an_error_with_the_others(target: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        find_node(target, NODES)


def test_without_any_node_the_error_says_so() -> None:
    with pytest.raises(UsageError, match=re.escape("No node is online.")):
        find_node("", [])


@pytest.mark.parametrize(
    ("where", "fit"),
    [
        ("gpu>=1", ["gpu-node"]),
        ("gpu", ["gpu-node"]),
        ("gpu=0", ["cpu-node"]),
        ("gpu!=0", ["gpu-node"]),
        ("mem>=8G", ["cpu-node", "gpu-node"]),
        ("mem>=8GiB", ["gpu-node"]),
        ("mem<16GB", ["cpu-node"]),
        ("gpumem>=40G", ["gpu-node"]),
        ("cores>4", ["gpu-node"]),
        ("cores<=4", ["cpu-node"]),
        ("python>=3.12", ["cpu-node"]),
        ("python==3.11", ["gpu-node"]),
        ("python>3.11", ["cpu-node"]),
        ("office", ["cpu-node"]),
        ("a100", ["gpu-node"]),
        (" gpu >= 1 , mem >= 8G , ", ["gpu-node"]),
        ("office,a100", []),
    ],
)
def test_conditions_choose_nodes(where: str, fit: list[str]) -> None:
    conditions = parse_where(where)
    found = [each.node_id for each in NODES[:2] if all(c.holds(each) for c in conditions)]
    assert found == fit


def test_a_fact_that_is_not_known_never_holds() -> None:
    unknown = node("bare", python="")
    assert not any(c.holds(unknown) for c in parse_where("python>=3,mem>=1,cores>=1"))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "where has no condition. Write 'gpu>=1,"),
        ("gpus>=1", "a node has no 'gpus' to compare. Did you mean 'gpu'? It has: cores, gpu,"),
        ("mem>=lots", "where: 'mem>=lots' needs a value, as in mem>=8G"),
        ("mem", "where: 'mem' needs a value, as in mem>=8G"),
        ("gpu>=", "where: 'gpu>=' needs a value, as in gpu>=1"),
        ("python>=three", "'python>=three' needs a value, as in python>=3.12"),
        (">=1", "where: '>=1' is no condition. Write"),
        ("gpu >= 1 and fast", "'gpu >= 1 and fast' needs a value, as in gpu>=1"),
    ],
)
def test_conditions_that_are_none_are_told_with_how_they_are_written(
    where: str, message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_where(where)


def test_any_is_the_least_loaded_node_that_runs_cells() -> None:
    nodes = [
        node("busy", cores=4, running=3),
        node("large", cores=16, running=4),
        node("plain", runs_code=False),
        node("gone", state="offline"),
    ]
    assert find_any(nodes) == "large"
    assert find_any([node("b", cpu=0.1), node("a", cpu=0.9)]) == "b"


def test_any_means_a_closed_node_only_where_no_other_will_do() -> None:
    closed = node("a", closed="its owner has paused it", labels=("fast",))
    assert find_any([closed, node("b", running=9)]) == "b"
    assert find_any([closed, node("b")], parse_where("fast")) == "a"
    assert find_any([node("b"), node("a")]) == "a"


def test_what_a_cell_needs_is_a_condition_for_its_node() -> None:
    needs = Requirements(cpu=2, memory=8 * 10**9, gpu=1, gpu_memory=16 * 10**9, labels=("a100",))
    assert conditions_of(needs) == parse_where("gpu>=1,gpumem>=16G,mem>=8G,cores>=2,a100")


def test_where_no_node_will_do_each_says_what_it_lacks() -> None:
    message = "No node online has gpu>=2, mem>=16G: cpu-node lacks gpu>=2, mem>=16G; gpu-node lacks"
    with pytest.raises(UsageError, match=re.escape(message)):
        find_any(NODES, parse_where("gpu>=2,mem>=16G"))
    with pytest.raises(UsageError, match="No node that runs cells is online"):
        find_any(NODES[2:])
