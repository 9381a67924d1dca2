"""CPU, RAM, GPUs and network of this machine, measured only while somebody looks.

``tests/node/test_resources.py`` proves it.
"""

from __future__ import annotations

import os
import threading
import time

import msgspec
import psutil

from easyremote.node.gpus.nvml import Cards
from easyremote.protocol.messages import Gpu, Resources


class ResourceMeter:
    """Measures this machine. Call `read` from a thread: a GPU driver can take its time."""

    def __init__(self) -> None:
        self.cards = Cards()
        psutil.cpu_percent()  # the first reading is the start of the first interval
        self._counted = _Traffic()
        self._lock = threading.Lock()
        self._last: Resources | None = None

    def machine(self) -> tuple[int, int, tuple[Gpu, ...]]:
        """What the machine has: cores, bytes of memory, GPUs."""
        return os.cpu_count() or 1, psutil.virtual_memory().total, self._gpus()

    def read(self) -> Resources:
        """How the machine is doing since the last reading."""
        with self._lock:
            self.cards.read()
            self._last = self._read()
            return msgspec.structs.replace(self._last)

    def read_gpus(self) -> Resources:
        """The last reading, with the GPUs as they are now."""
        with self._lock:
            self.cards.read()
            self._last = self._last or self._read()
            return msgspec.structs.replace(self._last, gpus=self._gpus())

    def _read(self) -> Resources:
        memory = psutil.virtual_memory()
        before, self._counted = self._counted, _Traffic()
        received, sent = self._counted.since(before)
        return Resources(
            cpu=psutil.cpu_percent() / 100,
            cores=os.cpu_count() or 1,
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            gpus=self._gpus(),
            received=received,
            sent=sent,
        )

    def _gpus(self) -> tuple[Gpu, ...]:
        cards = self.cards.last
        return tuple(
            Gpu(each.name, each.use, each.memory_used, each.memory_total) for each in cards
        )


class _Traffic:
    """Bytes that this machine has exchanged with others until now."""

    def __init__(self) -> None:
        self._now = time.monotonic()
        # Traffic inside the machine is no load on its network.
        loops = {name for name, at in psutil.net_if_stats().items() if "loopback" in at.flags}
        counters = psutil.net_io_counters(pernic=True)
        others = [each for name, each in counters.items() if name not in loops]
        self._received = sum(each.bytes_recv for each in others)
        self._sent = sum(each.bytes_sent for each in others)

    def since(self, before: _Traffic) -> tuple[float, float]:
        """Bytes a second, in and out; an interface that went away takes its count with it."""
        seconds = max(self._now - before._now, 0.001)
        received = max(self._received - before._received, 0) / seconds
        return received, max(self._sent - before._sent, 0) / seconds
