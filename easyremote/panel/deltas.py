"""What one browser was sent, and so what it must be sent next. Pure.

The first snapshot is sent whole, with the history; after it only the nodes and jobs that differ
from what the browser has. A browser that misses messages misses no state, because a delta is
computed against the last message that was sent to it. After an interruption (a lost gateway, a new
connection) the next snapshot is whole again. ``tests/panel/test_deltas.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from easyremote.panel.messages import Delta, JobRow, Message, NodeRow, Series, Snapshot

#: Nobody sees a smaller change of memory: the panel shows tenths of a GiB.
MEMORY_STEP = 2**24

T = TypeVar("T", NodeRow, JobRow)


class Deltas:
    """The messages to one browser.

    Parameters
    ----------
    history
        Gives the series up to the newest snapshot; asked when a whole one goes out.
    """

    def __init__(self, history: Callable[[], dict[str, list[Series]]]) -> None:
        self._history = history
        self._told: Snapshot | None = None

    def next(self, message: Message, *, has_metrics: bool = True) -> Message | Delta:
        """The form in which a message of the feed is sent to this browser.

        Without metrics, the load of the nodes stays as it was last sent.
        """
        told, self._told = self._told, None
        if not isinstance(message, Snapshot):
            return message
        seq = told.seq + 1 if told is not None else 0
        nodes = [_steady(node) for node in message.nodes]
        if told is not None and not has_metrics:
            known = {node.node_id: node for node in told.nodes}
            nodes = [_as_loaded_as(known.get(node.node_id), node) for node in nodes]
        new = msgspec.structs.replace(message, nodes=nodes, seq=seq)
        self._told = new
        if told is None or told.gateway != new.gateway:
            return msgspec.structs.replace(new, history=self._history())
        return _delta(told, new)


def _delta(old: Snapshot, new: Snapshot) -> Delta:
    nodes = {node.node_id: node for node in old.nodes}
    jobs = {job.call_id: job for job in old.jobs}
    ended = {job.call_id for job in old.ended}
    return Delta(
        new.seq,
        new.sample,
        nodes=[n for n in new.nodes if not _is_known(n, nodes.get(n.node_id), "since")],
        gone=_left(nodes, (node.node_id for node in new.nodes)),
        jobs=[j for j in new.jobs if not _is_known(j, jobs.get(j.call_id), "seconds")],
        over=_left(jobs, (job.call_id for job in new.jobs)),
        more=new.more,
        ended=[job for job in new.ended if job.call_id not in ended],
        latency=new.latency,
    )


def _is_known(new: T, old: T | None, clock: str) -> bool:
    """Whether nothing has changed but the time, which browsers count for themselves."""
    if old is None or getattr(new, clock) < getattr(old, clock):
        return False
    return msgspec.structs.replace(old, **{clock: getattr(new, clock)}) == new


def _as_loaded_as(old: NodeRow | None, new: NodeRow) -> NodeRow:
    if old is None or old.cpu is None or (old.state, len(old.gpus)) != (new.state, len(new.gpus)):
        return new
    metrics = ("cpu", "memory_used", "gpus", "received", "sent")
    return msgspec.structs.replace(new, **{name: getattr(old, name) for name in metrics})


def _left(old: Iterable[str], new: Iterable[str]) -> list[str]:
    present = set(new)
    return [each for each in old if each not in present]


def _steady(node: NodeRow) -> NodeRow:
    """Round away changes that nobody can see, so that they are not sent in every delta."""
    gpus = [
        msgspec.structs.replace(
            gpu, use=_round(gpu.use), memory_used=_memory(gpu.memory_used, gpu.memory_total)
        )
        for gpu in node.gpus
    ]
    used = _memory(node.memory_used, node.memory_total)
    return msgspec.structs.replace(
        node,
        cpu=_round(node.cpu),
        memory_used=used,
        gpus=gpus,
        received=_rate(node.received),
        sent=_rate(node.sent),
    )


def _round(share: float | None) -> float | None:
    return None if share is None else round(share, 2)


def _rate(rate: float | None) -> float | None:
    """In whole kB, so that the background traffic of a machine counts as nothing."""
    return None if rate is None else round(rate / 1000) * 1000.0


def _memory(used: int | None, total: int | None) -> int | None:
    if used is None or total is None or total < 100 * MEMORY_STEP:
        return used
    return used // MEMORY_STEP * MEMORY_STEP
