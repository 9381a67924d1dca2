"""Asks the owner of an idle session for the GPU memory that it holds and somebody waits for. Pure.

The session is never ended for it; that is its owner's decision.
``tests/gateway/scheduling/test_release.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from easyremote.gateway.records import GatewayCall, Node
from easyremote.gateway.scheduling.explain import in_words
from easyremote.gateway.scheduling.holdings import Free
from easyremote.gateway.scheduling.scheduler import Scheduler
from easyremote.options.requirements import show_size
from easyremote.protocol.messages import GpuHolder

__all__ = ["Question", "questions"]

#: So many of the calls that wait are looked at.
LOOKED_AT = 100


class Question(NamedTuple):
    """What the owner of an idle session is asked."""

    #: Whose session it is: the id of the key.
    owner: str
    session: str
    #: Whose call waits.
    waiting: str
    text: str


def questions(queues: Scheduler, node: Node) -> list[Question]:
    """What the owners of idle sessions on this node are asked; nothing where nobody waits."""
    reading = node.resources
    holders = [each for gpu in reading.gpus for each in gpu.holders] if reading is not None else []
    after = queues.ask_idle_after
    idle = [each for each in holders if each.session and each.memory and each.idle >= after]
    if not idle:
        return []
    for call, free in _short(queues, node):
        others = [each for each in idle if (each.owner, each.session) != (call.owner, call.session)]
        return [_question(call, free, node, each) for each in others]
    return []


def _short(queues: Scheduler, node: Node) -> Iterator[tuple[GatewayCall, Free]]:
    """The calls that wait for GPU memory of this node."""
    for target in queues.targets():
        if target[0] not in ("", node.node_id) or not node.offers(*target[1:]):
            continue
        for call in islice(queues.waiting.calls(target), LOOKED_AT):
            needs = node.needs_of(call)
            if needs is None or not needs.gpu_memory:
                continue
            free = node.held.short_of(call, needs, node.said, node.resources)
            if free is not None and free.name == "gpu_memory":
                yield call, free


def _question(call: GatewayCall, free: Free, node: Node, holder: GpuHolder) -> Question:
    whose = call.client.principal.name if call.client is not None else call.owner
    who = "another call of yours" if call.owner == holder.owner else f"key {whose}"
    text = (
        f"{who} waits for {free} on {node.node_id}; this session has held "
        f"{show_size(holder.memory)} idle for {in_words(holder.idle)}. Release it?"
    )
    return Question(holder.owner, holder.session, call.owner, text)
