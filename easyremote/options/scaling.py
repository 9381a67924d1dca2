"""Worker processes for a registered function: how many, and how long. What people write is read.

``tests/options/test_scaling.py`` proves it.
"""

from __future__ import annotations

from dataclasses import dataclass

from easyremote.errors import UsageError
from easyremote.options.reading import is_whole
from easyremote.options.spelling import check_word
from easyremote.times import check_seconds

__all__ = ["Scaling", "parse_scaling"]

#: Processes that one function may have.
MOST_PROCESSES = 1000
#: A process that nobody has used for so many seconds is ended.
IDLE = 60.0
AUTO = "auto"


@dataclass(frozen=True)
class Scaling:
    """How many processes run a function.

    There is one more process whenever a call would have to wait, up to the most.

    Parameters
    ----------
    min
        So many are kept ready.
    max
        So many there are at the most; None for the number of cores.
    idle
        Seconds after which a process that nobody uses is ended.

    Raises
    ------
    UsageError
        One of these can't be.

    Examples
    --------
    >>> @node.register(scaling=Scaling(min=1, max=4))                 # doctest: +SKIP
    ... def train(data): ...
    """

    min: int = 0
    max: int | None = None
    idle: float = IDLE

    def __post_init__(self) -> None:
        most = MOST_PROCESSES if self.max is None else self.max
        if not is_whole(most, 1, MOST_PROCESSES):
            raise UsageError(f"Scaling: max is from 1 to {MOST_PROCESSES}, not {self.max!r}.")
        if not is_whole(self.min, 0, most):
            raise UsageError(f"Scaling: min is from 0 to max ({most}), not {self.min!r}.")
        check_seconds(self.idle, "Scaling: idle")


def parse_scaling(given: object) -> Scaling:
    """Read the option ``scaling``: ``"auto"``, or a `Scaling`.

    Raises
    ------
    UsageError
        It is none of the two.
    """
    if isinstance(given, Scaling):
        return given
    check_word(given, (AUTO,), "scaling, if it is no Scaling(min, max, idle),")
    return Scaling()
