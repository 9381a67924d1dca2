"""A fake of PyTorch: a GPU of 40 GB, whose memory fraction can be set, and is kept here."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

#: By device: what was set.
fractions: dict[int, float] = {}
_waiting: list[Callable[[], None]] = []
_is_initialized = False


def _lazy_call(then: Callable[[], None]) -> None:
    then() if _is_initialized else _waiting.append(then)


def init() -> None:
    """What the first use of a GPU does."""
    global _is_initialized
    _is_initialized = True
    for then in _waiting:
        then()


def _set(fraction: float, device: int) -> None:
    if not 0 <= fraction <= 1:
        raise ValueError("Invalid fraction value")
    fractions[device] = fraction


cuda = SimpleNamespace(
    _lazy_call=_lazy_call,
    device_count=lambda: 1,
    get_device_properties=lambda device: SimpleNamespace(total_memory=40 * 10**9),
    set_per_process_memory_fraction=_set,
    is_available=lambda: True,
    is_initialized=lambda: _is_initialized,
)
