"""`/metrics`, read with Prometheus' own parser; and the dashboard that is made for it."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from easyremote.client.client import Client
from easyremote.errors import CallError, NotFound
from easyremote.gateway.http import metrics
from easyremote.gateway.server import Server
from easyremote.gateway.usage.tally import RAN_FOR
from easyremote.identity import read_private
from easyremote.node.compute_node import ComputeNode
from tests.processes import LIMIT, REPOSITORY

DASHBOARD = REPOSITORY / "easyremote/gateway/http/grafana.json"


Samples = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a gateway in this process, so that a test can take a package from it."""
    home: Path = tmp_path_factory.mktemp("home")
    with Server(port=0, home=home) as server:
        keys = read_private(home / "local.json")["keys"]
        node = ComputeNode(server.address, node_id="n", api_key=keys["node"])

        @node.register
        def add(a: int, b: int) -> int:
            return a + b

        @node.register
        def fail() -> None:
            raise ValueError("no")

        @node.register
        def nap(seconds: float) -> None:
            time.sleep(seconds)

        with node, contextlib.closing(Client(server.address, keys["client"])) as made:
            yield made


def answer(client: Client, key: str = "") -> tuple[int, str]:
    """The status and the text of `/metrics`."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"http://{client.settings.gateway}/metrics", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as got:
            assert got.headers["Content-Type"].startswith("text/plain; version=")
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(client: Client) -> Samples:
    status, text = answer(client, client.settings.key("client"))
    assert status == 200, text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_counts_what_was_called(client: Client) -> None:
    for number in range(3):
        client.execute("add", number, 1)
    with pytest.raises(CallError):
        client.execute("fail")
    with pytest.raises(NotFound):
        client.execute("no_such_function")
    found = samples(client)
    assert found["easyremote_calls_total", "add", "values"] == 3
    assert found["easyremote_calls_total", "fail", "errors"] == 1
    assert found["easyremote_calls_total", "other", "refused"] == 1
    ended = sum(value for name, value in found.items() if name[0] == "easyremote_calls_total")
    assert ended == sum(row.calls for row in client.usage())
    rows = {row.name: row for row in client.usage("function")}
    assert found["easyremote_run_seconds_total", "add"] == rows["add"].run_seconds
    assert found["easyremote_bytes_total", "add", "arguments"] == rows["add"].argument_bytes > 0
    assert found["easyremote_bytes_total", "add", "results"] == rows["add"].result_bytes > 0
    assert found["easyremote_node_online", "n"] == 1
    assert found["easyremote_calls_running", "n"] == 0
    assert found["easyremote_calls_queued",] == 0


def test_a_histogram_tells_how_long_calls_ran(client: Client) -> None:
    client.execute("nap", 0.2)
    for _ in range(2):
        client.execute("nap", 0.0)
    found = samples(client)
    row = next(row for row in client.usage("function") if row.name == "nap")
    upto = {
        float(bound): value
        for (name, *labels), value in found.items()
        if name == "easyremote_call_seconds_bucket" and labels[0] == "nap"
        for bound in labels[1:]
    }
    assert list(upto) == [*RAN_FOR, math.inf]
    assert list(upto.values()) == sorted(upto.values())
    assert upto[0.1] <= upto[0.5] - 1
    assert upto[math.inf] == found["easyremote_call_seconds_count", "nap"] == 3
    assert found["easyremote_call_seconds_sum", "nap"] == row.run_seconds >= 0.2


def test_functions_beyond_the_limit_have_one_label_and_those_before_keep_theirs(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.execute("add", 1, 1)
    before = samples(client)
    monkeypatch.setattr(metrics, "LABELS", 1)
    after = samples(client)
    labels = {name[1] for name in after if name[0] == "easyremote_calls_total"}
    assert labels == {"add", "other"}
    assert (
        after["easyremote_run_seconds_total", "add"]
        == (before["easyremote_run_seconds_total", "add"])
    )
    for found in (before, after):
        ended = sum(value for name, value in found.items() if name[0] == "easyremote_calls_total")
        assert ended == sum(row.calls for row in client.usage())


@pytest.mark.parametrize("key", ["", "er_client_000000000000_wrong"])
def test_without_a_client_key_it_tells_nothing(client: Client, key: str) -> None:
    status, text = answer(client, key)
    assert status == 401
    assert "easyremote_" not in text


def test_without_the_package_it_says_what_to_install(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    status, text = answer(client, client.settings.key("client"))
    assert status == 501
    assert "pip install 'easyremote[metrics]'" in text


def test_every_metric_of_the_dashboard_is_there(client: Client) -> None:
    client.execute("add", 1, 1)
    names = {name[0] for name in samples(client)}
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = {name for text in asked for name in re.findall(r"easyremote_\w+", text)}
    assert used <= names
    assert len(used) >= 7
    assert len(dashboard["panels"]) == 8
