"""How long calls run: what is expected of a function's next call. Pure.

``tests/gateway/scheduling/test_estimates.py`` proves it.
"""

from __future__ import annotations

__all__ = ["SMOOTHING", "UNKNOWN", "Estimates", "smoothed"]

#: Seconds that are expected of a function that never ran.
UNKNOWN = 1.0
#: The weight of the newest figure in a mean.
SMOOTHING = 0.2
#: How many functions are remembered; the one that was learnt first is forgotten first.
REMEMBERED = 10_000


def smoothed(before: float | None, newest: float) -> float:
    """A mean in which the newest figures count most."""
    return newest if before is None else before + SMOOTHING * (newest - before)


class Estimates:
    """Run-seconds of each function, on whichever node it ran."""

    def __init__(self) -> None:
        #: By function.
        self.seconds: dict[str, float] = {}

    def of(self, function: str) -> float:
        """The seconds that a call of this function is expected to run."""
        return self.seconds.get(function, UNKNOWN)

    def is_known(self, function: str) -> bool:
        """Whether a call of this function was ever over."""
        return function in self.seconds

    def ran(self, function: str, seconds: float) -> None:
        """A call of this function ran for so long."""
        if function not in self.seconds and len(self.seconds) >= REMEMBERED:
            del self.seconds[next(iter(self.seconds))]
        self.seconds[function] = smoothed(self.seconds.get(function), seconds)
