"""What a key's own calls look like to people: those that wait or run, and the last ones. Pure.

A snapshot of them goes to whoever watches, once a second, so that there are at most so many in it:
what runs comes first. ``tests/gateway/test_jobs.py`` proves it.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

from easyremote.gateway.permissions import Action, may
from easyremote.gateway.recent import EndedCall, Recent
from easyremote.gateway.records import GatewayCall, Principal
from easyremote.gateway.table import CallTable
from easyremote.protocol.builtins import BUILTINS, CELL, is_builtin
from easyremote.protocol.call import WAITING, CallState
from easyremote.protocol.snapshot import EndedJobInfo, JobInfo

#: How many calls one snapshot holds: nobody reads more, and each costs every watcher.
LIMIT = 200
#: What is shown for a call whose function is not known, because the gateway was restarted.
_UNKNOWN = "unknown"


def is_work(function: str) -> bool:
    """Whether a call of it is work, and not a question about another call (``$output``)."""
    return bool(_kind(function))


def _kind(function: str) -> str:
    """What a list of jobs calls this function; empty for a question."""
    if is_builtin(function):
        return BUILTINS[function].job if function in BUILTINS else ""
    return function or _UNKNOWN


def jobs_of(
    table: CallTable, recent: Recent, principal: Principal, now: float
) -> tuple[tuple[JobInfo, ...], int, tuple[EndedJobInfo, ...]]:
    """Somebody's own calls for a snapshot: jobs, how many more there are, and those that ended."""
    calls = [
        call
        for call in table.by_id.values()
        if may(principal, Action.SEE, call) and not call.is_over and is_work(call.function)
    ]
    shown = sorted(calls, key=lambda call: call.state in WAITING)[:LIMIT]
    places = _places(table, shown)
    return (
        tuple(_described(call, places.get(call.number), now) for call in shown),
        len(calls) - len(shown),
        tuple(_ended(each, now) for each in recent.of(principal.key_id)),
    )


def _described(call: GatewayCall, place: int | None, now: float) -> JobInfo:
    return JobInfo(
        call_id=call.call_id.hex(),
        function=_kind(call.function),
        node_id=call.node.node_id if call.node else call.target[0] or None,
        # People see expected calls as suspect: of both nobody knows how they stand.
        state=(CallState.SUSPECT if call.state is CallState.EXPECTED else call.state).value,
        seconds=now - (call.began or call.created),
        origin=call.origin,
        place=place,
    )


def _ended(call: EndedCall, now: float) -> EndedJobInfo:
    return EndedJobInfo(
        call_id=call.call_id.hex(),
        function=_kind(call.function),
        node_id=call.node_id,
        code=call.code,
        seconds=call.seconds,
        ago=now - call.ended,
        origin=call.origin,
    )


def _places(table: CallTable, calls: list[GatewayCall]) -> dict[int, int]:
    """Place in the queue of each call that waits, from 1, by number.

    What waits here is behind whoever else wants the same; a cell that its node has already, behind
    the cells of its session.
    """
    targets = {call.target for call in calls if call.state in WAITING}
    places = {
        call.number: place
        for target in targets
        for place, call in enumerate(islice(table.queues.waiting(target), 10 * LIMIT), start=1)
    }
    ahead: Counter[tuple[str, str]] = Counter()
    for call in calls:
        if call.function == CELL and call.node is not None:
            session = call.node.node_id, call.session
            if call.state is CallState.DISPATCHED and ahead[session]:
                places[call.number] = ahead[session]
            ahead[session] += 1
    return places
