"""CPU, RAM and GPUs: what is measured, and only while somebody looks."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from easyremote import ComputeNode
from easyremote.node import resources, served
from easyremote.node.resources import ResourceMeter
from easyremote.protocol.messages import Gpu, Resources
from tests.processes import LIMIT, Gateway, wait_until


class FakeNvml:
    """Three cards, of which the second has fallen off the bus. What `pynvml` is to us."""

    class NVMLError(Exception):
        pass

    class NVMLError_LibraryNotFound(NVMLError):
        pass

    def __init__(self, *, has_driver: bool = True) -> None:
        self._has_driver = has_driver

    def nvmlInit(self) -> None:
        if not self._has_driver:
            raise self.NVMLError_LibraryNotFound

    def nvmlDeviceGetCount(self) -> int:
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:
        return b"Old Card" if handle == 0 else "New Card"  # bytes before version 12

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        if handle == 1:
            raise self.NVMLError("GPU is lost")
        return SimpleNamespace(used=handle * 2**30, total=8 * 2**30)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=25 * handle)


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


def test_gpus_are_told_by_name_use_and_memory_and_a_lost_one_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert ResourceMeter().read().gpus == (
        Gpu("Old Card", 0.0, 0, 8 * 2**30),
        Gpu("New Card", 0.5, 2 * 2**30, 8 * 2**30),
    )


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(has_driver=False))
    assert ResourceMeter().read().gpus == ()


def test_without_the_library_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert ResourceMeter().read().gpus == ()


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
    monkeypatch.setattr(served, "ResourceMeter", CountingMeter)
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
