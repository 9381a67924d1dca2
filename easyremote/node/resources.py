"""CPU, RAM and GPUs of this machine, measured only while somebody looks."""

from __future__ import annotations

import os
from typing import Any

import psutil

from easyremote.protocol.messages import Gpu, Resources


class ResourceMeter:
    """Measures this machine. Call `read` from a thread: a GPU driver can take its time."""

    def __init__(self) -> None:
        self._nvml = _load_nvml()
        psutil.cpu_percent()  # the first reading is the start of the first interval

    def machine(self) -> tuple[int, int, tuple[Gpu, ...]]:
        """What the machine has: cores, bytes of memory, GPUs."""
        return os.cpu_count() or 1, psutil.virtual_memory().total, self._gpus()

    def read(self) -> Resources:
        """How the machine is doing since the last reading."""
        memory = psutil.virtual_memory()
        return Resources(
            cpu=psutil.cpu_percent() / 100,
            cores=os.cpu_count() or 1,
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            gpus=self._gpus(),
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
                continue  # a card that fell off the bus, or hides some of its counters
            text = name.decode() if isinstance(name, bytes) else str(name)
            gpus.append(Gpu(text, use, int(memory.used), int(memory.total)))
        return tuple(gpus)


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
