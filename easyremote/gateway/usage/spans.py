"""Tells OpenTelemetry how long calls wait at this gateway; a listener of the call table.

Only a gateway that was started with OpenTelemetry listens. ``tests/test_tracing.py`` proves it.
"""

from __future__ import annotations

from easyremote.gateway.recent import ENDINGS
from easyremote.gateway.records import GatewayCall
from easyremote.gateway.table import CallTable
from easyremote.protocol.builtins import job_name, starts_work
from easyremote.protocol.call import CallEvent
from easyremote.tracing import add_span, is_on


def tell_spans(table: CallTable) -> None:
    """Add a span for each call that stops waiting, if OpenTelemetry is there."""
    if is_on():
        table.listen(_note, (CallEvent.DISPATCHED, *ENDINGS))


def _note(call: GatewayCall, event: CallEvent, now: float) -> None:
    submit, function = call.submit, call.function
    if submit is None or not starts_work(function):
        return  # it has not waited just now, or is no work
    name = f"{job_name(function)} waits"
    add_span(name, submit.trace, now - call.created, call.code, call_id=call.call_id.hex())
