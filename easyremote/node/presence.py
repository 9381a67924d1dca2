"""Whether somebody works on this machine beside the node, and whether it runs on battery.

Somebody works on it who has typed at one of its terminals lately, or whose programs are busy. A
desktop without a terminal is known by its busy programs only. ``tests/node/test_in_force.py``
proves it.
"""

from __future__ import annotations

import contextlib
import os
import time

import psutil

__all__ = ["Presence", "on_battery"]

#: Nobody works at a terminal at which nobody has typed for so many seconds.
IDLE_AFTER = 600.0
#: Somebody works on the machine if others than the node use more than this share of its cores.
BUSY = 0.25
#: Over so many seconds: no short burst of a system service counts.
WINDOW = 30.0


def on_battery() -> bool:
    """Whether the machine runs on battery; False where nobody knows."""
    read = getattr(psutil, "sensors_battery", None)  # some systems have none
    battery = read() if read is not None else None
    return battery is not None and battery.power_plugged is False


class Presence:
    """Watches whether somebody works on this machine. Call `is_in_use` from a thread."""

    def __init__(self) -> None:
        self._looked = time.monotonic()
        self._used = _used_by_others()
        self._is_busy = False

    def is_in_use(self) -> bool:
        """Whether somebody has typed within ten minutes, or other programs are busy."""
        now = time.monotonic()
        passed = now - self._looked
        if passed >= WINDOW:
            used = _used_by_others()
            self._is_busy = used - self._used > BUSY * passed * (os.cpu_count() or 1)
            self._looked, self._used = now, used
        return self._is_busy or _typed_ago() < IDLE_AFTER


def _typed_ago() -> float:
    """Seconds since somebody last typed at a terminal of this machine; the kernel notes it."""
    typed = 0.0
    for user in psutil.users():
        with contextlib.suppress(OSError):  # a terminal that has gone, or no terminal at all
            typed = max(typed, os.stat(f"/dev/{user.terminal}").st_atime)
    return time.time() - typed


def _used_by_others() -> float:
    """Seconds of processor time that others than the node and its processes have used."""
    times = psutil.cpu_times()
    used, mine = times.user + times.system + getattr(times, "nice", 0.0), 0.0
    node = psutil.Process()
    for process in (node, *node.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # it has ended
            mine += sum(process.cpu_times()[:4])
    return float(used - mine)
