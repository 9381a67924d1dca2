"""The line of ``%%remote``: its options, its target, and which node that means. Pure.

``tests/jupyter_extension/test_options.py`` proves it.
"""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from easyremote.client.client import NodeInfo
from easyremote.errors import UsageError

__all__ = ["HELP", "NODE_VARIABLE", "Options", "find_node", "parse", "split"]

NODE_VARIABLE = "EASYREMOTE_NODE"

Outputs = dict[str, str] | Literal["auto", "none", "*"]

_OPTION = re.compile(
    r"\s*(?:(?:-q|--quiet)(?=\s|$)|(?:-[iost]|--(?:\w+))(?:\s+|=)(?:'[^']*'|\S+))\s*"
)
_WORD = re.compile(r"\s*([\w./-]+)\s+")


@dataclass(slots=True)
class Options:
    """What a line asks for."""

    #: The node, "" for the one that is meant without a name.
    node: str = ""
    #: Which session of it, "" for this kernel's own.
    session: str = ""
    inputs: list[str] = field(default_factory=list)
    #: What comes back: the names there, and what they are called here.
    outputs: Outputs = "auto"
    timeout: float | None = None
    quiet: bool = False
    progress: str = "auto"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. See %%remote? for the options.")


def _name(text: str) -> str:
    if not text.strip().isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a variable")
    return text.strip()


def _inputs(text: str) -> list[str]:
    return [_name(name) for name in text.split(",") if name.strip()]


def _outputs(text: str) -> Outputs:
    if text == "*":
        return "*"
    pairs = [item.partition("=") for item in text.split(",") if item.strip()]
    # In `-o here=there` the name here comes first, as in an assignment.
    return {_name(there or here): _name(here) for here, _, there in pairs}


def _parser() -> _Parser:
    parser = _Parser(
        prog="%%remote", add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS
    )
    add = parser.add_argument
    add(
        "node",
        nargs="?",
        metavar="NODE[/SESSION]",
        help=f"where to run (default: ${NODE_VARIABLE}, else the only node online)",
    )
    add(
        "-i",
        "--in",
        dest="inputs",
        type=_inputs,
        metavar="A,B",
        help="send these variables as well as those that the cell is seen to read",
    )
    add(
        "-o",
        "--out",
        dest="outputs",
        type=_outputs,
        metavar="A,B",
        help="bring back these variables, however large ('a=b': b from there is a here; '*': all "
        "that is new) (default: those that the cell assigns, if they are small)",
    )
    add("-s", "--session", help="which session of the node (default: this kernel's own)")
    add("-t", "--timeout", type=float, metavar="SECONDS", help="how long the cell may run")
    add("-q", "--quiet", action="store_true", help="show only displays, the value and errors")
    add(
        "--progress",
        choices=["auto", "html", "text", "none"],
        help="how progress bars are drawn",
    )
    return parser


_PARSER = _parser()
#: For ``%%remote?``.
HELP = _PARSER.format_help()


def parse(line: str) -> Options:
    """Read the options of a cell.

    Raises
    ------
    UsageError
        In one line, what is wrong with them.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{line.strip()}: {error}") from None
    options = Options(**vars(_PARSER.parse_args(words)))
    options.node, _, session = options.node.partition("/")
    options.session = options.session or session
    return options


def split(line: str, nodes: Collection[str]) -> tuple[str, str]:
    """Take ``[NODE] [options] EXPRESSION`` apart; the first word is a node only if it is known.

    Raises
    ------
    UsageError
        There is no expression.
    """
    position, has_node = 0, False
    while True:
        match = _OPTION.match(line, position)
        if match is None and not has_node:
            match = _WORD.match(line, position)
            has_node = match is not None and match[1].partition("/")[0] in nodes
            match = match if has_node else None
        if match is None:
            break
        position = match.end()
    if not line[position:].strip():
        raise UsageError("%remote needs an expression, as in: y = %remote gpu-node f(x)")
    return line[:position], line[position:]


def find_node(target: str, nodes: Sequence[NodeInfo]) -> str:
    """The node online that is meant.

    Raises
    ------
    UsageError
        There is none, or more than one could be meant.
    """
    online = sorted(node.node_id for node in nodes if node.state == "online")
    listed = f"Online: {', '.join(online)}." if online else "No node is online."
    if target in online:
        return target
    if not target and len(online) == 1:
        return online[0]
    if not target:
        raise UsageError(f"Which node? Name it (%%remote NODE) or set {NODE_VARIABLE}. {listed}")
    if any(node.node_id == target for node in nodes):
        raise UsageError(f"The node {target!r} is not online. {listed}")
    close = difflib.get_close_matches(target, online, 1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"There is no node {target!r}.{guess} {listed}")
