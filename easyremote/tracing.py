"""OpenTelemetry: what its spans tell of a call, at the client, the gateway and the node.

A process takes part where OpenTelemetry is loaded, as whoever sets it up has done; nothing here
loads it. Elsewhere only `is_on` is asked, which costs next to nothing. A call carries the
``traceparent`` of W3C Trace Context, so all its spans are one trace. Arguments, results and the
texts of errors, which may quote them, are in no span. ``tests/test_tracing.py`` proves it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

__all__ = ["NO_SPAN", "CallSpan", "add_span", "is_on", "run_span"]

_FIELD = "traceparent"
Kind = Literal["INTERNAL", "SERVER", "CLIENT"]


def is_on() -> bool:
    """Whether this process has loaded OpenTelemetry."""
    return "opentelemetry.trace" in sys.modules


class CallSpan:
    """The span of a call at its client, from the moment when it is made; the parent of the others.

    Parameters
    ----------
    name
        What people call the call.
    attributes
        What else is said of it, without the prefix ``easyremote.``.
    """

    def __init__(self, name: str, **attributes: str) -> None:
        self._span = _tracer().start_span(name, kind=_kind("CLIENT"), attributes=_named(attributes))

    @property
    def header(self) -> str:
        """The ``traceparent`` that travels with the call; empty where nothing is traced."""
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._span))
        return carrier.get(_FIELD, "")

    def began(self, node: str) -> None:
        """The call runs on this node."""
        self._span.set_attribute("easyremote.node", node)

    def end(self, code: str) -> None:
        """The call is over; ``code`` is that of its error, empty for a value."""
        _fail(self._span, code)
        self._span.end()


def add_span(name: str, header: str, seconds: float, code: str, **attributes: str) -> None:
    """Add a span that ends now and began so many seconds ago.

    Parameters
    ----------
    name
        What has been going on.
    header
        The ``traceparent`` of the call; empty for a trace of its own.
    seconds
        How long it has been going on.
    code
        The code of the error with which it ended; empty for none.
    attributes
        As of `CallSpan`.
    """
    began = time.time_ns() - round(seconds * 1e9)
    span = _tracer().start_span(
        name,
        _parent(header),
        kind=_kind("INTERNAL"),
        attributes=_named(attributes),
        start_time=began,
    )
    _fail(span, code)
    span.end()


#: In place of `run_span`, where there is nothing to tell.
NO_SPAN = contextlib.nullcontext()


@contextlib.contextmanager
def run_span(name: str, header: str, **attributes: str) -> Iterator[None]:
    """The block in which a node runs a call; the spans of the user's code are below its span.

    Parameters
    ----------
    name, header, attributes
        As of `add_span`.
    """
    with _tracer().start_as_current_span(
        name,
        _parent(header),
        kind=_kind("SERVER"),
        attributes=_named(attributes),
        record_exception=False,  # its text may quote arguments
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            _fail(span, type(error).__name__)
            raise


def _tracer() -> Tracer:
    from opentelemetry import trace

    return trace.get_tracer("easyremote")


def _kind(name: Kind) -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind[name]


def _parent(header: str) -> Context:
    """What a ``traceparent`` says; one that can't be read says nothing."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    # The context is named: a thread that runs one call after the other has no other's.
    return TraceContextTextMapPropagator().extract({_FIELD: header}, Context())


def _named(attributes: dict[str, str]) -> dict[str, str]:
    return {f"easyremote.{name}": value for name, value in attributes.items() if value}


def _fail(span: Any, code: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    if code:
        span.set_status(Status(StatusCode.ERROR, code))
        span.set_attribute("error.type", code)
