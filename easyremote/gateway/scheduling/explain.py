"""Why a call waits, in one sentence. It is made here only, from the scheduler's own state. Pure.

``tests/gateway/scheduling/test_explain.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from easyremote.gateway.records import GatewayCall, Node
from easyremote.gateway.scheduling.holdings import Free
from easyremote.gateway.scheduling.outlook import LOOKED_AT, NAMED, Turn, named, turns
from easyremote.gateway.scheduling.scheduler import Scheduler
from easyremote.protocol.builtins import CALL, CELL, starts_work
from easyremote.protocol.call import WAITING, CallState
from easyremote.protocol.messages import GpuHolder

__all__ = ["Standing", "explain", "in_words", "standings", "stands_still"]


class Standing(NamedTuple):
    """How a call stands."""

    #: Its place in a queue, from 1; None where it waits in none, or far behind.
    place: int | None
    #: The same in a sentence, with the reason.
    why: str


def explain(queues: Scheduler, call: GatewayCall, now: float) -> str:
    """How a call stands, in a sentence: where it waits, why, and for how long."""
    return standings(queues, [call], now)[call.number].why


def standings(queues: Scheduler, calls: Sequence[GatewayCall], now: float) -> dict[int, Standing]:
    """How these calls stand, by their numbers."""
    found = turns(queues, [call for call in calls if call.state in WAITING], now)
    return {call.number: _standing(queues, call, found.get(call.number), now) for call in calls}


def _standing(queues: Scheduler, call: GatewayCall, turn: Turn | None, now: float) -> Standing:
    if turn is not None:
        why = _why_not_now(queues, call, now) or _queued(queues, call, turn)
        return Standing(turn.position or None, why)
    if call.state is CallState.DISPATCHED and call.node is not None:
        standing = _at_node(call, call.node)
        return Standing(standing.place, standing.why + _unheard(call.node, now))
    where = call.node.node_id if call.node is not None else ""
    if call.state is CallState.RUNNING:
        if halted := stands_still(call):
            return Standing(None, f"stands still on {where}: {halted}")
        ran = f" for {in_words(now - call.began)}" if call.began else ""
        return Standing(None, f"it runs on {where}{ran}{_unheard(call.node, now)}")
    if call.state is CallState.SUSPECT:
        left = in_words(max(call.suspect_until - now, 0.0))
        return Standing(
            None,
            f"its node {where} is gone, and it may have run there; waiting for {left} more for the "
            "node to come back",
        )
    how = f"with the error {call.code!r}" if call.code else "and has a value"
    return Standing(None, f"it is over {how}")


def stands_still(call: GatewayCall) -> str:
    """Why a call that has begun stands still on its node; empty where it goes on."""
    node = call.node
    if node is None or not node.said.stands_still or call.state is not CallState.RUNNING:
        return ""
    if call.is_code:
        return node.said.closed if starts_work(call.function) else ""
    offered = node.functions.get(call.function)
    return node.said.closed if offered is not None and offered.in_process else ""


def _why_not_now(queues: Scheduler, call: GatewayCall, now: float) -> str:
    """What stands in the way whoever's turn it is; empty where it is a matter of turns."""
    if call.state is CallState.EXPECTED:
        return "the gateway was restarted, and waits for the node that may run it"
    node_id = call.target[0]
    if not node_id:
        return _no_taker(queues, call, now)
    node = queues.node(node_id)
    if node is None:
        return f"{node_id} is not there yet: the gateway has just been started"
    if node.link is None:
        return f"{node_id} has been offline for {in_words(now - node.since)}"
    if node.is_silent:
        return _not_answering(node, now)
    if node.closed and starts_work(call.function):
        return _closed(node)
    if node.draining:
        return f"{node_id} takes no new calls: it stops when those that run there are over"
    if node.rests_until:
        wait = in_words(node.rests_until - now)
        return f"{node_id} has handed back what it was sent, and is asked again in {wait}"
    if not node.has_resumed:
        return f"{node_id} is connecting"
    return ""


def _unheard(node: Node | None, now: float) -> str:
    """That a node does not answer, as the end of a sentence; empty where it does."""
    return f"; {_not_answering(node, now)}" if node is not None and node.is_silent else ""


def _not_answering(node: Node, now: float) -> str:
    silent = in_words(now - node.link.last_received) if node.link is not None else "a while"
    return f"{node.node_id} has not answered for {silent}, and may be gone"


def _no_taker(queues: Scheduler, call: GatewayCall, now: float) -> str:
    """Why no node may take a call for any node now; empty where one may."""
    reasons = []
    for node in queues.takers(call):
        if node.is_silent:
            reasons.append(_not_answering(node, now))
        elif node.closed and starts_work(call.function):
            reasons.append(_closed(node))
        else:
            return ""
    if reasons:
        return "; ".join(reasons[:NAMED])
    return f"no node online has {_what(call)}; one that has it may be on its way back"


def _closed(node: Node) -> str:
    return f"{node.node_id} takes nothing new: {node.closed}"


def _queued(queues: Scheduler, call: GatewayCall, turn: Turn) -> str:
    node_id, function, access = call.target
    place = node_id or f"any node with {_what(call)}"
    if not turn.position:
        return f"after more than {LOOKED_AT} of {turn.of} for {place}{_names(turn)}"
    when = f", about {in_words(turn.seconds)}" if turn.seconds else ""
    stands = f"{_ordinal(turn.position)} of {turn.of} for {place}"
    if short := _short_of(queues, call):
        return f"{short}; {stands}"
    return f"{stands}{when}{_names(turn)}{_held_up(queues, call)}"


def _short_of(queues: Scheduler, call: GatewayCall) -> str:
    """What there is too little of, on each node that could run it; empty where one has enough."""
    needed, nodes = "", []
    for node in queues.takers(call):
        if node.closed and starts_work(call.function):
            nodes.append(_closed(node))
            continue
        needs = node.needs_of(call)
        free = None if needs is None else node.held.short_of(call, needs, node.said, node.resources)
        if free is None:
            kept = node.kept_for
            if kept is None or kept is call or kept.want is None or needs is None:
                return ""
            nodes.append(f"{node.node_id} keeps it for {named(kept)}, which has waited longer")
            continue
        needed = f"needs {free}"
        holders = list(islice(_holders(node, free), NAMED))
        by = f" ({', '.join(holders)})" if holders else ""
        has = f"{free.show(free.free)} of {free.show(free.total)} free"
        nodes.append(f"{node.node_id} has {has}{by}")
    return f"{needed or 'needs what is kept'}: {', '.join(nodes[:NAMED])}" if nodes else ""


def _holders(node: Node, free: Free) -> Iterator[str]:
    """Who holds something of which there is too little on a node."""
    reading = node.resources
    told = reading is not None and any(gpu.memory_free >= 0 for gpu in reading.gpus)
    if free.name == "gpu_memory" and reading is not None and told:
        holders = [each for gpu in reading.gpus for each in gpu.holders if each.memory]
        for each in sorted(holders, key=lambda each: -each.memory):
            yield f"{_whose(node, each)} holds {free.show(each.memory)}"
        return
    for held in node.held.calls.values():
        if amount := free.held_by(held.needs):
            yield f"{named(held.call)} holds {free.show(amount)}"


def _whose(node: Node, holder: GpuHolder) -> str:
    """Who holds GPU memory, for others: ``a session of key lab-1``."""
    what = "a session" if holder.session else holder.what
    whose = node.held.names.get(holder.owner, holder.owner)
    return f"{what} of key {whose}" if whose else what


def _held_up(queues: Scheduler, call: GatewayCall) -> str:
    """What keeps it from a node that has a free slot."""
    nodes = list(queues.takers(call))
    declining = [node for node in nodes if node in queues.declined]
    if declining:
        return f"; {declining[0].node_id} has room, but others will be through with it sooner"
    limited = [node for node in nodes if not node.is_full and _is_at_limit(node, call.function)]
    if limited and not call.is_code:
        limit = limited[0].functions[call.function].max_concurrency
        return f"; {_what(call)} runs at most {limit} at a time on {limited[0].node_id}"
    return ""


def _is_at_limit(node: Node, function: str) -> bool:
    limit = node.functions[function].max_concurrency
    return bool(limit) and node.active.get(function, 0) >= limit


def _at_node(call: GatewayCall, node: Node) -> Standing:
    """A call that its node has, and has not begun."""
    if call in node.arriving:
        return Standing(None, f"its arguments are on their way to {node.node_id}")
    mine = [
        each
        for each in node.calls.values()
        if each.owner == call.owner
        and each.function == call.function
        and each.state in (CallState.DISPATCHED, CallState.RUNNING)
    ]
    before = sum(each.session == call.session and each.number < call.number for each in mine)
    if call.function == CELL and before:
        cells = "one cell" if before == 1 else f"{before} cells"
        return Standing(before, f"behind {cells} of its own session on {node.node_id}")
    processes = node.said.processes
    if call.function == CALL and 0 < processes < len(mine):
        return Standing(
            None,
            f"{node.node_id} has {len(mine)} shipped functions of this key, and runs {processes} "
            "of them at a time",
        )
    return Standing(None, f"{node.node_id} has it, and has not begun it yet")


def _what(call: GatewayCall) -> str:
    return "cells and shipped functions" if call.is_code else f"{call.function}()"


def _names(turn: Turn) -> str:
    return f" ({', '.join(turn.before)})" if turn.before else ""


_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{_ENDINGS.get(number % 10, 'th')}"


def in_words(seconds: float) -> str:
    """Seconds as people say them: ``4 min``."""
    if seconds < 1:
        return "1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
