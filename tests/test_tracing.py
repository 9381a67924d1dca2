"""OpenTelemetry: the spans of a call are one trace, in one process and over several."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from easyremote import tracing
from easyremote.errors import RemoteError
from easyremote.gateway.http.api import traceparent
from easyremote.protocol.messages import Dispatch
from easyremote.testing import FakeGateway, fake_gateway
from tests.gateway.desk import Desk
from tests.processes import LIMIT, end, start_gateway, wait_until

#: What whoever starts a gateway or a node with OpenTelemetry has in the process; it writes a line a
#: span. `opentelemetry-instrument` does it in the same way.
SITE = """
import json, os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class ToFile(SpanExporter):
    def export(self, spans):
        with open(os.environ["SPANS"], "a") as file:
            file.writelines(json.dumps(json.loads(span.to_json())) + "\\n" for span in spans)
        return SpanExportResult.SUCCESS

trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(ToFile()))
"""


class Spans:
    """What this process has exported."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("a test")

    def all(self) -> dict[str, dict[str, Any]]:
        """The spans by name, as the SDK writes them."""
        spans = self._exporter.get_finished_spans()
        return {span.name: json.loads(span.to_json()) for span in spans}

    def wait_for(self, *names: str) -> list[dict[str, Any]]:
        """These spans, as soon as they have ended."""
        wait_until(lambda: set(names) <= set(self.all()))
        return [self.all()[name] for name in names]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """OpenTelemetry as a program has set it up; afterwards this process is without it again."""
    from opentelemetry import trace

    sys.modules["opentelemetry.trace"] = trace  # an earlier test has taken it out
    made = Spans()
    monkeypatch.setattr(tracing, "_tracer", lambda: made.tracer)
    yield made
    del sys.modules["opentelemetry.trace"]


@pytest.fixture
def gateway() -> FakeGateway:
    return fake_gateway()


def parent(span: dict[str, Any]) -> str:
    return str(span["parent_id"])


def ids(span: dict[str, Any]) -> tuple[str, str]:
    return span["context"]["trace_id"], span["context"]["span_id"]


def test_a_call_is_one_trace_below_the_span_of_its_caller(
    spans: Spans, gateway: FakeGateway
) -> None:
    @gateway.register
    def add(a: int, b: int) -> int:
        with spans.tracer.start_as_current_span("inside"):
            return a + b

    with gateway as client, spans.tracer.start_as_current_span("outside"):
        assert client.execute("add", 1, 2) == 3
    names = ("outside", "add()", "add() waits", "add() runs", "inside")
    outside, call, waits, runs, inside = spans.wait_for(*names)
    assert {ids(span)[0] for span in (outside, call, waits, runs, inside)} == {ids(outside)[0]}
    assert parent(call) == ids(outside)[1]
    assert parent(waits) == parent(runs) == ids(call)[1]
    assert parent(inside) == ids(runs)[1]
    assert [span["kind"] for span in (call, waits, runs)] == [
        "SpanKind.CLIENT",
        "SpanKind.INTERNAL",
        "SpanKind.SERVER",
    ]
    assert runs["attributes"] == {"easyremote.node": "fake-node"}
    assert call["attributes"]["easyremote.call_id"] == waits["attributes"]["easyremote.call_id"]


@pytest.mark.parametrize("kind", ["plain", "async", "generator", "sent"])
def test_each_kind_of_function_has_its_spans(spans: Spans, gateway: FakeGateway, kind: str) -> None:
    @gateway.register
    def plain() -> int:
        return 1

    @gateway.register(name="async")
    async def later() -> int:
        return 1

    @gateway.register
    def generator() -> Iterator[int]:
        yield 1

    with gateway as client:
        if kind == "generator":
            assert list(client.call(kind, stream=True)) == [1]
        elif kind == "sent":
            assert client.submit(int, 1).result() == 1
        else:
            assert client.execute(kind) == 1
    name = "shipped" if kind == "sent" else f"{kind}()"
    call, runs = spans.wait_for(name, f"{name} runs")
    assert parent(runs) == ids(call)[1]


def test_a_stream_that_nobody_reads_any_more_ends_its_span(
    spans: Spans, gateway: FakeGateway
) -> None:
    @gateway.register
    def forever() -> Iterator[int]:
        while True:
            yield 1

    with gateway as client:
        stream = client.call("forever", stream=True)
        next(stream)
        del stream
        (call,) = spans.wait_for("forever()")
    assert call["attributes"]["error.type"] == "cancelled"


def test_an_error_is_named_and_what_it_says_is_in_no_span(
    spans: Spans, gateway: FakeGateway
) -> None:
    @gateway.register
    def check(password: str) -> None:
        raise ValueError(f"{password} is too short")

    with gateway as client, pytest.raises(RemoteError, match="hunter2 is too short"):
        client.execute("check", "hunter2")
    call, runs = spans.wait_for("check()", "check() runs")
    assert call["status"] == {"status_code": "ERROR", "description": "raised"}
    assert runs["status"] == {"status_code": "ERROR", "description": "ValueError"}
    assert "hunter2" not in json.dumps(spans.all())


def test_a_call_that_never_gets_its_turn_has_waited(spans: Spans) -> None:
    desk = Desk()
    desk.node("n", "f", slots=0)
    client = desk.client()
    header = f"00-{1:032x}-{2:016x}-01"
    client.submit("f", queue_timeout=5.0, trace=header)
    client.submit("no", node="", trace=header)
    assert not [name for name in spans.all() if name == "f() waits"]
    desk.pass_time(5.1)
    waited, refused = spans.wait_for("f() waits", "no() waits")
    assert (waited["context"]["trace_id"], parent(waited)) == (f"0x{1:032x}", f"0x{2:016x}")
    assert waited["attributes"]["error.type"] == "timeout"
    assert refused["attributes"]["error.type"] == "not-found"


def test_a_gateway_without_opentelemetry_passes_the_trace_on() -> None:
    desk = Desk()
    node, client = desk.node("n", "f"), desk.client()
    assert not tracing.is_on()
    header = f"00-{1:032x}-{2:016x}-01"
    client.submit("f", trace=header)
    assert node.only(Dispatch).trace == header


def test_what_easyremote_asks_itself_is_in_no_trace(spans: Spans, gateway: FakeGateway) -> None:
    with gateway as client:
        client.list_nodes()
        client.ping()
    assert spans.all() == {}


def test_the_processes_of_a_call_tell_of_one_trace(
    spans: Spans, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITE)
    file = tmp_path / "spans"
    file.touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SPANS", str(file))
    gateway = start_gateway(tmp_path)
    node = gateway.start_node("gpu-node")

    def told() -> dict[str, dict[str, Any]]:
        return {span["name"]: span for span in map(json.loads, file.read_text().splitlines())}

    try:
        with gateway.client() as client:
            assert client.execute("add", 1, 2) == 3
            assert client.submit(pow, 2, 3).result(LIMIT) == 8
        names = {f"{name} {does}" for name in ("add()", "shipped") for does in ("waits", "runs")}
        wait_until(lambda: names <= set(told()))
    finally:
        end(node)
        end(gateway.process)
    for name in ("add()", "shipped"):
        (call,) = spans.wait_for(name)
        for span in (told()[f"{name} waits"], told()[f"{name} runs"]):
            assert ids(span)[0] == ids(call)[0]
            assert parent(span) == ids(call)[1]


@pytest.mark.parametrize(
    ("header", "is_kept"),
    [
        (f"00-{1:032x}-{2:016x}-01", True),
        ("", False),
        ("00-1-2-01\r\n", False),
        ("x" * 9999, False),
    ],
)
def test_a_request_by_http_belongs_to_the_trace_that_it_names(header: str, is_kept: bool) -> None:
    request = make_mocked_request("POST", "/api/f", headers={"traceparent": header})
    assert traceparent(request) == (header if is_kept else "")
