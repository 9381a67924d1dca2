"""The line of ``%%remote``."""

from __future__ import annotations

import re

import pytest

from easyremote.client.client import NodeInfo
from easyremote.errors import UsageError
from easyremote_jupyter.options import Options, find_node, parse, split


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", Options()),
        ("gpu", Options(node="gpu")),
        ("gpu/train", Options(node="gpu", session="train")),
        ("gpu -s train", Options(node="gpu", session="train")),
        ("-i a,b gpu", Options(node="gpu", inputs=["a", "b"])),
        ("gpu -o a,b", Options(node="gpu", outputs={"a": "a", "b": "b"})),
        ("-o here=there", Options(outputs={"there": "here"})),
        ("-o '*'", Options(outputs="*")),
        ("-t 1.5 -q --progress text", Options(timeout=1.5, quiet=True, progress="text")),
    ],
)
def test_lines_that_are_understood(line: str, options: Options) -> None:
    assert parse(line) == options


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gpu extra", "unrecognized arguments: extra"),
        ("-o 1x", "'1x' is not the name of a variable"),
        ("-t soon", "invalid float value: 'soon'"),
        ("'open", "No closing quotation"),
    ],
)
def test_lines_that_are_not(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse(line)


@pytest.mark.parametrize(
    ("line", "head", "expression"),
    [
        ("f(x)", "", "f(x)"),
        ("gpu f(x)", "gpu ", "f(x)"),
        ("gpu -t 5 x", "gpu -t 5 ", "x"),
        ("-t 5 gpu x - 1", "-t 5 gpu ", "x - 1"),
        ("gpu/s gpu - 1", "gpu/s ", "gpu - 1"),
        ("x - i", "", "x - i"),
        ("-q -x", "-q ", "-x"),
        ("gpu", "", "gpu"),
    ],
)
def test_the_expression_of_a_line_is_what_follows_the_options(
    line: str, head: str, expression: str
) -> None:
    assert split(line, {"gpu"}) == (head, expression)


def test_a_line_without_an_expression_is_an_error() -> None:
    with pytest.raises(UsageError, match="needs an expression"):
        split("gpu  ", {"gpu"})


NODES = [NodeInfo("cpu-node", "online"), NodeInfo("gpu-node", "online"), NodeInfo("old", "offline")]


def test_a_node_is_found_by_its_name_or_because_it_is_alone() -> None:
    assert find_node("gpu-node", NODES) == "gpu-node"
    assert find_node("", NODES[1:]) == "gpu-node"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "",
            "Which node? Name it (%%remote NODE) or set EASYREMOTE_NODE. Online: cpu-node, gpu-no",
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
