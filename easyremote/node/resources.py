"""CPU, RAM, GPUs and network of this machine, measured only while somebody looks.

``tests/node/test_resources.py`` proves it.
"""

from __future__ import annotations

import os
import time
from typing import Any

import psutil

from easyremote.protocol.messages import Gpu, Resources


class ResourceMeter:
    """Measures this machine. Call `read` from a thread: a GPU driver can take its time."""

    def __init__(self) -> None:
        self._nvml = _load_nvml()
        psutil.cpu_percent()  # the first reading is the start of the first interval
        self._counted = _Traffic()

    def machine(self) -> tuple[int, int, tuple[Gpu, ...]]:
        """What the machine has: cores, bytes of memory, GPUs."""
        return os.cpu_count() or 1, psutil.virtual_memory().total, self._gpus()

    def read(self) -> Resources:
        """How the machine is doing since the last reading."""
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
        nvml = self._nvml
        if nvml is None:
            return ()
        gpus = []
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                name = nvml.nvmlDeviceGetName(handle)
                memory = nvml.nvmlDeviceGetMemoryInfo(handle)
                use = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            except nvml.NVMLError:
                continue  # a card that is lost, or that hides some of its counters
            text = name.decode() if isinstance(name, bytes) else str(name)
            gpus.append(Gpu(text, use, int(memory.used), int(memory.total)))
        return tuple(gpus)


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


def _load_nvml() -> Any:
    """NVIDIA's library, where there is a driver; else None."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except (ImportError, OSError):
        return None
    except Exception as error:
        if type(error).__name__.startswith("NVMLError"):  # no driver on this machine
            return None
        raise
    return pynvml
