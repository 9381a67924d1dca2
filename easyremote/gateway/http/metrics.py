"""`GET /metrics`: what the gateway counts, for Prometheus; asked with a client key.

The names of functions become labels, so at most `LABELS` functions have one of their own. With the
extra `easyremote[metrics]` this is served, without it the answer says so. ``grafana.json`` beside
this module is a dashboard of these metrics, to be imported into Grafana.
``tests/gateway/http/test_metrics.py`` reads it with Prometheus' own parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiohttp import web

from easyremote.errors import Busy, EasyRemoteError
from easyremote.gateway.http.api import who_asks
from easyremote.gateway.http.problems import problem, problem_of
from easyremote.gateway.jobs import is_work
from easyremote.gateway.links import Links
from easyremote.gateway.permissions import PUBLIC
from easyremote.gateway.usage.tally import OTHER, TITLES, Counts
from easyremote.protocol.builtins import MARK
from easyremote.protocol.usage import OUTCOMES

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

#: How many functions have a label of their own; the others are `OTHER` together.
LABELS = 100

_NO_KEY = "/metrics asks for a client key: send it as 'Authorization: Bearer er_client_…'."
_NOT_INSTALLED = (
    "/metrics needs the package prometheus-client on the gateway's machine. Install it there with "
    "pip install 'easyremote[metrics]', and start the gateway again."
)


class Metrics:
    """What the gateway counts, as Prometheus reads it."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        try:
            principal, _ = who_asks(self._links, request)
        except Busy as error:  # too many wrong keys
            return problem(429, error.code, error.message)
        except EasyRemoteError as error:
            return problem_of(error)
        if principal is PUBLIC:
            return problem(401, "not-authorized", _NO_KEY)
        try:
            from prometheus_client import CollectorRegistry, exposition
        except ImportError:
            return problem(501, "not-installed", _NOT_INSTALLED)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return web.Response(
            body=exposition.generate_latest(registry),
            headers={"Content-Type": exposition.CONTENT_TYPE_LATEST, "Cache-Control": "no-store"},
        )

    def collect(self) -> Iterator[Metric]:
        """Make the metrics of this moment; `prometheus_client` calls it."""
        yield from self._of_functions()
        yield from self._of_nodes()

    def _of_functions(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily as Counter

        calls = Counter("easyremote_calls", "Calls that ended.", labels=("function", "outcome"))
        seconds = Counter(
            "easyremote_run_seconds", "Seconds that calls have run.", labels=("function",)
        )
        gpu = Counter(
            "easyremote_gpu_seconds", "The same for each GPU that they held.", labels=("function",)
        )
        size = Counter(
            "easyremote_bytes",
            "Bytes that passed the gateway: arguments, and results with what calls show.",
            labels=("function", "kind"),
        )
        for name, counts in self._by_label().items():
            for outcome in OUTCOMES:
                calls.add_metric((name, outcome), getattr(counts, outcome))
            seconds.add_metric((name,), counts.run_seconds)
            gpu.add_metric((name,), counts.gpu_seconds)
            size.add_metric((name, "arguments"), counts.argument_bytes)
            size.add_metric((name, "results"), counts.result_bytes)
        yield from (calls, seconds, gpu, size)

    def _by_label(self) -> dict[str, Counts]:
        """What was counted since the gateway started. The functions that came first have labels.

        A function that has a label keeps it: a counter that goes away is a reset.
        """
        labels: dict[str, Counts] = {}
        for function, counts in self._links.calls.tally.sums("function").items():
            label = TITLES.get(function, "questions" if function.startswith(MARK) else function)
            if label not in labels and len(labels) >= LABELS:
                label = OTHER
            labels.setdefault(label, Counts()).add(counts)
        return labels

    def _of_nodes(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        online = Gauge("easyremote_node_online", "Whether a node is online.", labels=("node",))
        running = Gauge("easyremote_calls_running", "Calls on a node.", labels=("node",))
        for node in self._links.nodes:
            online.add_metric((node.node_id,), node.online)
            count = sum(count for name, count in node.active.items() if is_work(name))
            running.add_metric((node.node_id,), count)
        queued_now = len(self._links.calls.table.queues.waiting)
        queued = Gauge("easyremote_calls_queued", "Calls that wait for a node.", queued_now)
        yield from (online, running, queued)
