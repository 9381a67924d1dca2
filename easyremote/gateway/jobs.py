"""What a key's own calls look like to people: those that wait or run, and the last ones. Pure.

A snapshot of them goes to whoever watches, once a second, so that there are at most so many in it:
what runs comes first. ``tests/gateway/test_jobs.py`` proves it.
"""

from __future__ import annotations

from easyremote.gateway.callers import Principal
from easyremote.gateway.permissions import Action, may
from easyremote.gateway.recent import EndedCall, Recent
from easyremote.gateway.records import GatewayCall
from easyremote.gateway.scheduling.explain import Standing, standings, stands_still
from easyremote.gateway.table import CallTable
from easyremote.protocol.builtins import BUILTINS, is_builtin
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
    standing = standings(table.queues, shown, now)
    return (
        tuple(_described(call, standing[call.number], now) for call in shown),
        len(calls) - len(shown),
        tuple(_ended(each, now) for each in recent.of(principal.key_id)),
    )


def _described(call: GatewayCall, standing: Standing, now: float) -> JobInfo:
    return JobInfo(
        call_id=call.call_id.hex(),
        function=_kind(call.function),
        node_id=call.node.node_id if call.node else call.target[0] or None,
        # People see expected calls as suspect: of both nobody knows how they stand.
        state=(CallState.SUSPECT if call.state is CallState.EXPECTED else call.state).value,
        seconds=now - (call.began or call.created),
        origin=call.origin,
        place=standing.place,
        why=standing.why if call.state is not CallState.RUNNING or stands_still(call) else "",
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
        notified=call.notified,
    )
