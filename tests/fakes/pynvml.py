"""A fake of NVIDIA's `pynvml`: its GPUs are what the file that ``FAKE_NVML`` names says.

A node process loads it with this folder on PYTHONPATH, and `gpus` writes the file. Memory that a
process holds is free when the process has ended, as it is on a real GPU: nothing else frees it.
A process takes memory with `take`, which is all that a fake GPU can do.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FILE = "FAKE_NVML"


class NVMLError(Exception):
    pass


class NVMLError_LibraryNotFound(NVMLError):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


class NVMLError_NotFound(NVMLError):
    pass


class NVMLError_GpuIsLost(NVMLError):
    pass


# -- what tests and their processes say ------------------------------------------------------------


def card(uuid: str, gb: int = 48, **more: Any) -> dict[str, Any]:
    """A GPU as the file has it: ``held`` is bytes by process id, ``parts`` are those of MIG."""
    return {"uuid": uuid, "name": "Fake A100", "total": gb * 10**9, "held": {}} | more


def gpus(file: Path, *cards: dict[str, Any]) -> None:
    """Write the file with these GPUs."""
    file.write_text(json.dumps({"cards": cards}))


@contextmanager
def changed(file: Path | str) -> Iterator[dict[str, Any]]:
    """What the file says, to be changed: one process at a time."""
    with open(file, "r+") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        said = json.load(opened)
        yield said
        text = json.dumps(said)
        opened.seek(0)
        opened.write(text)
        opened.truncate()
        opened.flush()


def take(gb: float, pid: int = 0) -> None:
    """This process, or that one, holds so much of the first GPU that it may see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "") if not pid else ""
    with changed(os.environ[FILE]) as said:
        cards = [part for each in said["cards"] for part in each.get("parts") or [each]]
        seen = [each for each in cards if not visible or each["uuid"] in visible.split(",")]
        seen[0]["held"][str(pid or os.getpid())] = int(gb * 10**9)


# -- what pynvml has -------------------------------------------------------------------------------


def _said() -> dict[str, Any]:
    with open(os.environ[FILE]) as opened:
        fcntl.flock(opened, fcntl.LOCK_SH)
        said: dict[str, Any] = json.load(opened)
    if said.get("fails"):
        raise NVMLError_GpuIsLost(said["fails"])
    return said


def nvmlInit() -> None:
    if FILE not in os.environ:
        raise NVMLError_LibraryNotFound("no driver")


def nvmlDeviceGetCount() -> int:
    return len(_said()["cards"])


def nvmlDeviceGetHandleByIndex(index: int) -> tuple[int, ...]:
    return (index,)


def _card(handle: tuple[int, ...]) -> dict[str, Any]:
    found: dict[str, Any] = _said()["cards"][handle[0]]
    if len(handle) > 1:
        found = found["parts"][handle[1]]
    if found.get("lost"):
        raise NVMLError_GpuIsLost("GPU is lost")
    return found


def nvmlDeviceGetUUID(handle: tuple[int, ...]) -> str:
    return str(_card(handle)["uuid"])


def nvmlDeviceGetName(handle: tuple[int, ...]) -> str | bytes:
    name = str(_card(handle)["name"])
    return name.encode() if name.startswith("Old") else name  # bytes before version 12


def _held(handle: tuple[int, ...]) -> dict[int, int]:
    held = {int(pid): memory for pid, memory in _card(handle)["held"].items()}
    return {pid: memory for pid, memory in held.items() if _lives(pid)}


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def nvmlDeviceGetMemoryInfo(handle: tuple[int, ...]) -> SimpleNamespace:
    found = _card(handle)
    used = sum(_held(handle).values()) + found.get("used", 0)
    return SimpleNamespace(used=used, total=found["total"])


def nvmlDeviceGetUtilizationRates(handle: tuple[int, ...]) -> SimpleNamespace:
    if len(handle) > 1:
        raise NVMLError_NotSupported("not of a part")
    return SimpleNamespace(gpu=_card(handle).get("use", 0))


def nvmlDeviceGetComputeRunningProcesses(handle: tuple[int, ...]) -> list[SimpleNamespace]:
    held = _held(handle)
    return [SimpleNamespace(pid=pid, usedGpuMemory=memory) for pid, memory in held.items()]


def nvmlDeviceGetGraphicsRunningProcesses(handle: tuple[int, ...]) -> list[SimpleNamespace]:
    raise NVMLError_NotSupported("nothing is drawn")


def nvmlDeviceGetMigMode(handle: tuple[int, ...]) -> tuple[int, int]:
    parts = _card(handle).get("parts")
    if parts is None:
        raise NVMLError_NotSupported("it can't be split")
    return 1, 1


def nvmlDeviceGetMaxMigDeviceCount(handle: tuple[int, ...]) -> int:
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(handle: tuple[int, ...], place: int) -> tuple[int, int]:
    if place >= len(_card(handle)["parts"]):
        raise NVMLError_NotFound("no part there")
    return handle[0], place
