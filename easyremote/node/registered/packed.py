"""Registered functions that run in processes, packed for these; ``opened.py`` opens them there.

They travel as shipped functions do, by value with what they use, so a process needs no part of the
program that registered them. A class is made once in each process.
``tests/node/registered/test_packed.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterable

from easyremote.errors import CannotShip, UsageError
from easyremote.node.functions import RegisteredFunction
from easyremote.node.processes.pools import Pooled
from easyremote.options.scaling import Scaling
from easyremote.serialize.values import dump

__all__ = ["pooled"]


def pooled(functions: Iterable[RegisteredFunction], *, has_gpus: bool) -> list[Pooled]:
    """What is to run in processes: functions, and classes with all of their methods.

    Those with ``scaling``, and those that need a GPU, where there is one: such a call runs in a
    process that sees only its own GPUs.

    Raises
    ------
    UsageError
        A function can't be sent to a process; why not.
    """
    pools: dict[str, list[RegisteredFunction]] = {}
    for each in functions:
        needs = each.spec.requirements
        if each.scaling is not None or (has_gpus and needs is not None and needs.gpu):
            pools.setdefault(each.pool, []).append(each)
    return [_pooled(name, members) for name, members in pools.items()]


def _pooled(name: str, members: list[RegisteredFunction]) -> Pooled:
    first = members[0]
    target = first.call if first.instance is None else first.instance.made_of
    methods = {each.name: (each.method, each.spec.streams) for each in members}
    try:
        body = b"".join(bytes(part) for part in dump((target, methods)).parts)
    except CannotShip as error:
        why, instead = "scaling=", "Register it without scaling, or make"
        if first.scaling is None:
            why, instead = "as all that needs a GPU does", "Make"
        raise UsageError(
            f"{name}() can't run in processes of its own ({why}): {error} {instead} that value "
            "inside the function."
        ) from error
    needs = first.spec.requirements
    memory = needs.memory if needs is not None else 0
    return Pooled(name, body, first.scaling or Scaling(), tuple(methods), memory)
