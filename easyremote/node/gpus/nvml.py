"""`Cards`: the GPUs of this machine, and which processes hold their memory, as NVML tells it.

NVML is NVIDIA's library for its driver. Nothing else in EasyRemote asks it.
``tests/node/gpus/test_nvml.py`` proves it with a fake one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Card", "Cards", "Use"]

_log = logging.getLogger("easyremote.node")


@dataclass(frozen=True, slots=True)
class Use:
    """What one process holds of a GPU's memory, in bytes; 0 where the driver does not say."""

    pid: int
    memory: int


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU, or one part of a GPU that is split (MIG).

    Parameters
    ----------
    uuid
        By which ``CUDA_VISIBLE_DEVICES`` names it.
    name
        For people.
    use
        How busy it is, as a fraction of its time; 0 for a part of a GPU, of which nobody knows it.
    memory_used, memory_total
        In bytes; by all processes, other people's too.
    uses
        Which processes hold some of it.
    """

    uuid: str
    name: str
    use: float
    memory_used: int
    memory_total: int
    uses: tuple[Use, ...] = ()


class Cards:
    """Reads the GPUs. Call `read` from a thread: a driver can take its time."""

    def __init__(self) -> None:
        self._nvml = _load_nvml()
        self._known: dict[str, Card] = {}
        #: What was wrong with the driver at the last reading.
        self._wrong = ""
        if self._nvml is not None:
            self._known = {card.uuid: card for card in self._ask()}

    @property
    def last(self) -> tuple[Card, ...]:
        """The GPUs as they were at the last reading."""
        return tuple(self._known.values())

    def read(self) -> tuple[Card, ...]:
        """The GPUs as they are now: those that were there at the start, in the same order.

        Of a GPU that can't be read the last known figures are told. It is logged once why.
        """
        if self._known:
            self._known |= {card.uuid: card for card in self._ask() if card.uuid in self._known}
        return self.last

    def _ask(self) -> list[Card]:
        found: list[Card] = []
        wrong, count = "", 0
        try:
            count = self._nvml.nvmlDeviceGetCount()
        except Exception as error:  # a driver fails in many ways; the node goes on
            wrong = repr(error)
        for index in range(count):
            try:
                found += _cards(self._nvml, index)
            except Exception as error:
                wrong = repr(error)
        if wrong != self._wrong:
            self._wrong = wrong
            if wrong:
                _log.warning("A GPU can't be read; its last known figures count: %s", wrong)
            else:
                _log.info("All GPUs can be read again")
        return found


def _cards(nvml: Any, index: int) -> list[Card]:
    """The GPU in this place, or the parts of it if it is split."""
    whole = nvml.nvmlDeviceGetHandleByIndex(index)
    parts = _parts(nvml, whole)
    return [_card(nvml, handle) for handle in ([whole] if parts is None else parts)]


def _parts(nvml: Any, whole: Any) -> list[Any] | None:
    """The parts of a GPU that is split; None where it is not."""
    try:
        is_split = nvml.nvmlDeviceGetMigMode(whole)[0] == 1
        places = range(nvml.nvmlDeviceGetMaxMigDeviceCount(whole)) if is_split else None
    except nvml.NVMLError:
        return None  # most GPUs can't be split
    if places is None:
        return None
    parts = []
    for place in places:
        try:
            parts.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(whole, place))
        except nvml.NVMLError:
            continue  # there is no part in this place
    return parts


def _card(nvml: Any, handle: Any) -> Card:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Card(
        _text(nvml.nvmlDeviceGetUUID(handle)),
        _text(nvml.nvmlDeviceGetName(handle)),
        _use(nvml, handle),
        int(memory.used),
        int(memory.total),
        tuple(_uses(nvml, handle)),
    )


def _use(nvml: Any, handle: Any) -> float:
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
    except nvml.NVMLError:
        return 0.0


def _uses(nvml: Any, handle: Any) -> Iterator[Use]:
    held: dict[int, int] = {}
    for ask in (
        nvml.nvmlDeviceGetComputeRunningProcesses,
        nvml.nvmlDeviceGetGraphicsRunningProcesses,
    ):
        try:
            found = ask(handle)
        except nvml.NVMLError:
            continue  # this driver does not tell it, or not to this user
        for each in found:  # a process that computes and draws is told twice
            held[int(each.pid)] = max(held.get(int(each.pid), 0), int(each.usedGpuMemory or 0))
    for pid, memory in held.items():
        yield Use(pid, memory)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


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
