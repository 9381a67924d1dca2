"""Which node a target means: a name, ``any`` with conditions, or nothing. Pure.

A condition compares a fact of the node with a value (``mem>=8G``), or is a word that has to be
among its labels or in the name of one of its GPUs. What a node says of itself is `NodeInfo`.
``tests/client/test_targets.py`` proves it.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from easyremote.errors import UsageError
from easyremote.options.requirements import Requirements, parse_size
from easyremote.options.spelling import did_you_mean
from easyremote.protocol.snapshot import NodeInfo

__all__ = [
    "ANY",
    "FACTS",
    "NODE_VARIABLE",
    "Condition",
    "check_names",
    "conditions_of",
    "find_any",
    "find_node",
    "parse_where",
]

NODE_VARIABLE = "EASYREMOTE_NODE"
#: The target that leaves the choice to us.
ANY = "any"

#: Characters that a function's name or a node's id has at the most.
NAME_LIMIT = 1000

_Number = float | tuple[int, ...]

_COMPARISONS: dict[str, Callable[[_Number, _Number], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"\s*([^\W\d][\w.-]*)\s*(?:(<=|>=|==|!=|<|>|=)\s*(.*?))?\s*")
_EXAMPLE = "Write 'gpu>=1,mem>=8G,python>=3.12,LABEL'."


@dataclass(frozen=True, slots=True)
class _Fact:
    """Something about a node that can be compared."""

    read: Callable[[str], _Number]
    of: Callable[[NodeInfo], _Number]
    example: str


def _count(text: str) -> _Number:
    return float(int(text))


def _version(text: str) -> _Number:
    return tuple(int(part) for part in text.split("."))


def _gpu_memory(node: NodeInfo) -> _Number:
    return float(max((gpu.memory_total for gpu in node.gpus), default=0))


def _python(node: NodeInfo) -> _Number:
    found = re.match(r"\d+(\.\d+)*", node.python)
    return _version(found[0]) if found else ()


FACTS = {
    "cores": _Fact(_count, lambda node: float(node.cores or 0), "4"),
    "gpu": _Fact(_count, lambda node: float(len(node.gpus)), "1"),
    "gpumem": _Fact(parse_size, _gpu_memory, "24G"),
    "mem": _Fact(parse_size, lambda node: float(node.memory_total or 0), "8G"),
    "python": _Fact(_version, _python, "3.12"),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the conditions."""

    name: str
    #: "" for a label.
    comparison: str = ""
    value: _Number = ()

    def holds(self, node: NodeInfo) -> bool:
        """Whether the node is like that."""
        if not self.comparison:
            word = self.name.lower()
            in_gpu = any(word in gpu.name.lower() for gpu in node.gpus)
            return in_gpu or word in (label.lower() for label in node.labels)
        fact = FACTS[self.name].of(node)
        if isinstance(fact, tuple) and isinstance(self.value, tuple):
            fact = fact[: len(self.value)]  # 3.12.4 is 3.12
        return fact != () and _COMPARISONS[self.comparison](fact, self.value)

    def __str__(self) -> str:
        value = self.value
        if isinstance(value, tuple):
            return f"{self.name}{self.comparison}{'.'.join(map(str, value))}"
        return f"{self.name}{self.comparison}{_short(value)}"


def parse_where(text: str) -> tuple[Condition, ...]:
    """Read the conditions of ``--where`` or ``where=``.

    Raises
    ------
    UsageError
        What is wrong with them, and how they are written.
    """
    parts = [part for part in text.split(",") if part.strip()]
    if not parts:
        raise UsageError(f"where has no condition. {_EXAMPLE}")
    return tuple(map(_condition, parts))


def conditions_of(needs: Requirements) -> tuple[Condition, ...]:
    """What a node has to be like to give a cell what it needs."""
    amounts = {
        "gpu": needs.gpu,
        "gpumem": needs.gpu_memory,
        "mem": needs.memory,
        "cores": needs.cpu,
    }
    asked = [Condition(name, ">=", float(amount)) for name, amount in amounts.items() if amount]
    return (*asked, *map(Condition, needs.labels))


def that_can_give(needs: Requirements | None, nodes: Sequence[NodeInfo]) -> Sequence[NodeInfo]:
    """The nodes that can ever give what a call needs; all of them where none can."""
    if needs is None:
        return nodes
    asked = conditions_of(needs)
    return [node for node in nodes if all(each.holds(node) for each in asked)] or nodes


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(f"where: {text.strip()!r} is no condition. {_EXAMPLE}")
    name, comparison, value = match.groups()
    if comparison is None and name == "gpu":
        return Condition("gpu", ">=", 1.0)
    if comparison is None and name not in FACTS:
        return Condition(name)
    if name not in FACTS:
        known = ", ".join(FACTS)
        raise UsageError(
            f"where: a node has no {name!r} to compare.{did_you_mean(name, FACTS)} It has: {known}."
        )
    fact = FACTS[name]
    try:
        return Condition(name, comparison or "", fact.read(value or ""))
    except ValueError:
        raise UsageError(
            f"where: {text.strip()!r} needs a value, as in {name}>={fact.example}"
        ) from None


def find_any(nodes: Sequence[NodeInfo], where: Sequence[Condition] = ()) -> str:
    """The least loaded of the nodes online that run cells and that will do.

    Raises
    ------
    UsageError
        None will do; what each of them lacks.
    """
    able = [node for node in nodes if _runs_cells(node)]
    lacking = {
        node.node_id: [condition for condition in where if not condition.holds(node)]
        for node in able
    }
    fit = [node for node in able if not lacking[node.node_id]]
    if fit:
        takes_work = [node for node in fit if not node.closed]
        return min(takes_work or fit, key=_load).node_id  # else it waits, and is told why
    if not able:
        raise UsageError("No node that runs cells is online. Start one: easyremote node")
    why = "; ".join(f"{node_id} lacks {_all(lacks)}" for node_id, lacks in lacking.items())
    raise UsageError(f"No node online has {_all(where)}: {why}.")


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
    able = [node.node_id for node in nodes if _runs_cells(node)]
    if not target and len(able) == 1:
        return able[0]
    if not target:
        raise UsageError(
            "Which node? Name it, attach one (%remote_attach NODE) or set "
            f"{NODE_VARIABLE}. {listed}"
        )
    if any(node.node_id == target for node in nodes):
        raise UsageError(f"The node {target!r} is not online. {listed}")
    raise UsageError(f"There is no node {target!r}.{did_you_mean(target, online)} {listed}")


def _runs_cells(node: NodeInfo) -> bool:
    return node.state == "online" and node.runs_code


def _load(node: NodeInfo) -> tuple[float, float, str]:
    """How much runs for each core; then how busy the machine is, where that is known."""
    return node.running / (node.cores or 1), node.cpu or 0.0, node.node_id


def _all(conditions: Sequence[Condition]) -> str:
    return ", ".join(map(str, conditions))


def _short(number: float) -> str:
    for power, unit in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        if number >= 1000**power:
            return f"{number / 1000**power:.10g}{unit}"
    return f"{number:.10g}"


def check_names(function: str, node_id: str) -> None:
    """Refuse names that can't be sent.

    Raises
    ------
    UsageError
        One of the two is no text, too long, or has characters that nobody can read.
    """
    if not isinstance(function, str):
        raise UsageError(
            f"A registered function is called by its name, a text, not by {function!r}. To send "
            "a function itself: client.submit(function, ...)."
        )
    if not isinstance(node_id, str):
        raise UsageError(f"node_id is a text, not {node_id!r}.")
    _check_name(function, "a function's name")
    _check_name(node_id, "a node's id")


@functools.lru_cache  # the same names come again and again
def _check_name(name: str, what: str) -> None:
    if len(name) > NAME_LIMIT or not name.isprintable():
        raise UsageError(f"{name[:40]!r} can't be {what}.")
