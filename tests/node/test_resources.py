"""CPU, RAM and GPUs: what is measured, and only while somebody looks."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from easyremote import ComputeNode
from easyremote.node import compute_node, resources, served
from easyremote.node.resources import ResourceMeter
from easyremote.protocol.messages import Resources
from tests.processes import LIMIT, Gateway, wait_until


def test_the_machine_is_measured() -> None:
    reading = ResourceMeter().read()
    assert 0 <= reading.cpu <= 1
    assert reading.cores == psutil.cpu_count()
    assert reading.memory_total == psutil.virtual_memory().total
    assert 0 < reading.memory_used < reading.memory_total
    assert reading.received >= 0 and reading.sent >= 0


def test_the_network_is_told_in_bytes_a_second_without_what_the_machine_says_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def counted(received: int, sent: int) -> None:
        count = SimpleNamespace(bytes_recv=received, bytes_sent=sent)
        own = SimpleNamespace(bytes_recv=10**12 + received, bytes_sent=10**12)
        counters = {"lo": own, "eth0": count, "wlan0": count}
        monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: counters)

    flags = {"lo": "up,loopback,running", "eth0": "up,running", "wlan0": "up"}
    states = {name: SimpleNamespace(flags=each) for name, each in flags.items()}
    monkeypatch.setattr(psutil, "net_if_stats", lambda: states)
    now = iter([100.0, 102.0, 103.0])
    monkeypatch.setattr(resources, "time", SimpleNamespace(monotonic=lambda: next(now)))
    counted(1000, 500)
    meter = ResourceMeter()
    counted(5000, 500)
    reading = meter.read()
    assert (reading.received, reading.sent) == (4000.0, 0.0)
    counted(10, 510)  # begun anew
    reading = meter.read()
    assert (reading.received, reading.sent) == (0.0, 20.0)


class CountingMeter(ResourceMeter):
    count = 0

    def read(self) -> Resources:
        CountingMeter.count += 1
        return super().read()


def test_a_node_measures_only_while_somebody_looks(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served.METER_INTERVAL == 1.0
    monkeypatch.setattr(served, "METER_INTERVAL", 0.01)
    monkeypatch.setattr(compute_node, "ResourceMeter", CountingMeter)
    client = gateway.client()
    with ComputeNode(gateway.address, "measured", api_key=gateway.keys["node"]) as node:
        watching = client.watch()
        snapshots = iter(watching)
        assert _memory(next(snapshots)) is None  # nobody had looked before
        wait_until(lambda: bool(_memory(next(snapshots))))
        watching.close()
        assert watching.exception(LIMIT) is not None
        assert node._served is not None
        watched = node._served._watched
        wait_until(lambda: not watched.is_set())
        count = CountingMeter.count
        time.sleep(0.3)  # thirty intervals; one reading may have been under way
        assert CountingMeter.count <= count + 1
        again = client.watch()
        wait_until(lambda: CountingMeter.count > count + 3)
        again.close()
    client.close()


def _memory(snapshot: dict[str, Any]) -> int | None:
    nodes = {node["node_id"]: node for node in snapshot["nodes"]}
    memory: int | None = nodes["measured"]["memory_used"]
    return memory
