"""Whether a call that failed is tried again, and when; what becomes of one whose node is gone.

This is what people write, and what travels. Pure.

Without a policy a call runs at most once. With one it is tried again after the loss of its node,
after a crash of its process, and after the exceptions that the policy names.
``tests/options/test_retries.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from easyremote.errors import UsageError
from easyremote.options.reading import is_whole
from easyremote.options.spelling import check_word
from easyremote.times import check_seconds

__all__ = ["Retry", "RetryPolicy", "parse_node_loss", "parse_retry"]

#: Attempts that a policy may ask for.
MOST_ATTEMPTS: Final = 100
#: The longest wait between two attempts, in seconds.
LONGEST_WAIT: Final = 86400.0
#: Exceptions that a policy may name.
MOST_NAMES: Final = 100
#: The codes of a call whose process died. A call that ended so many processes is not tried again,
#: whatever its policy says.
CRASHES: Final = ("crashed", "out-of-memory")
MOST_CRASHES: Final = 3

#: What becomes of a call whose node is gone: it ends at once, it waits for the node to come back,
#: or it ends and is tried again.
FAIL = "fail"
WAIT = "wait"
RETRY = "retry"

EXPONENTIAL = "exponential_backoff"
FIXED = "fixed"
NONE = "none"

Wait = Annotated[float, Meta(ge=0, le=LONGEST_WAIT)]


class Retry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When a call that failed is tried again.

    max_attempts: how often the call may run, the first time included.
    first: seconds before the second attempt.
    longest: seconds that are waited at the most.
    is_fixed: whether the wait stays ``first``; else it doubles, and a random part of it is waited.
    on: names of exceptions of the function's own after which it is tried again.
    """

    max_attempts: Annotated[int, Meta(ge=1, le=MOST_ATTEMPTS)] = 3
    first: Wait = 0.5
    longest: Wait = 30.0
    is_fixed: bool = False
    on: Annotated[
        tuple[Annotated[str, Meta(max_length=1000)], ...], Meta(max_length=MOST_NAMES)
    ] = ()

    def wait(self, attempts: int, chance: float) -> float:
        """Seconds to wait after so many attempts; ``chance`` is a random number from 0 to 1."""
        if self.is_fixed:
            return self.first
        return chance * float(min(self.longest, self.first * 2.0 ** (attempts - 1)))

    def covers(self, code: str, details: Mapping[str, Any]) -> bool:
        """Whether an error is one after which a call is tried again.

        Parameters
        ----------
        code, details
            Of the error, as it travels.
        """
        if code in ("lost", "offline", *CRASHES):
            return True
        return code == "raised" and not details.get("bad_arguments") and self._names(details)

    def _names(self, details: Mapping[str, Any]) -> bool:
        described = details.get("exception")
        classes = described.get("class") if isinstance(described, dict) else None
        names = {str(details.get("type_name", ""))}
        if isinstance(classes, list):  # with its bases: OSError covers ConnectionError
            names |= {str(each[-1]) for each in classes if isinstance(each, list) and each}
        return not names.isdisjoint(self.on)


@dataclass(frozen=True)
class RetryPolicy:
    """When a call that failed is tried again.

    Parameters
    ----------
    max_attempts
        How often the call may run, the first time included.
    first
        Seconds before the second attempt.
    longest
        Seconds that are waited at the most.
    wait
        ``"exponential_backoff"``: the wait doubles each time, and a random part of it is waited;
        ``"fixed"``: it stays ``first``.
    on
        Exceptions of the function's own after which it is tried again: classes, or their names. A
        lost node and a crashed process are always among the reasons; a cancel, a time that is over
        and arguments that don't fit never are.

    Raises
    ------
    UsageError
        One of these can't be.

    Examples
    --------
    >>> @node.register(retry_policy=RetryPolicy(max_attempts=5, on=(OSError,)))  # doctest: +SKIP
    ... def fetch(url): ...
    """

    max_attempts: int = 3
    first: float = 0.5
    longest: float = 30.0
    wait: str = EXPONENTIAL
    on: Collection[type[BaseException] | str] = ()

    def __post_init__(self) -> None:
        if not is_whole(self.max_attempts, 1, MOST_ATTEMPTS):
            raise UsageError(
                f"RetryPolicy: max_attempts is a number from 1 to {MOST_ATTEMPTS}, not "
                f"{self.max_attempts!r}."
            )
        for name in ("first", "longest"):
            seconds = getattr(self, name)
            check_seconds(seconds, f"RetryPolicy: {name}", zero=True)
            if seconds > LONGEST_WAIT:
                raise UsageError(
                    f"RetryPolicy: {name} is at most {LONGEST_WAIT:.0f} s, a day, not {seconds!r}."
                )
        check_word(self.wait, (EXPONENTIAL, FIXED), "RetryPolicy: wait")
        if isinstance(self.on, str | type) or not all(map(_is_error, self.on)):
            raise UsageError(
                "RetryPolicy: on is a tuple of exceptions, as (OSError,), or of their names, not "
                f"{self.on!r}."
            )
        if len(self.on) > MOST_NAMES:
            raise UsageError(f"RetryPolicy: on names at most {MOST_NAMES} exceptions.")

    def travelling(self) -> Retry:
        """The policy as it travels."""
        names = [each if isinstance(each, str) else each.__qualname__ for each in self.on]
        return Retry(
            self.max_attempts,
            float(self.first),
            float(self.longest),
            self.wait == FIXED,
            tuple(names),
        )


def _is_error(each: object) -> bool:
    if isinstance(each, str):
        return 0 < len(each) <= 1000
    return isinstance(each, type) and issubclass(each, BaseException)


def parse_retry(given: object) -> Retry | None:
    """Read the option ``retry_policy``; None where nothing is said of it.

    Raises
    ------
    UsageError
        There is no such policy.
    """
    if given is None:
        return None
    if isinstance(given, RetryPolicy):
        return given.travelling()
    word = check_word(given, (EXPONENTIAL, FIXED, NONE), "retry_policy, if it is no RetryPolicy,")
    if word == NONE:
        return Retry(max_attempts=1)
    return RetryPolicy(wait=word).travelling()


def parse_node_loss(given: object, what: str = "on_node_loss") -> str:
    """Read the option ``on_node_loss`` as it travels: empty for ``wait``.

    Raises
    ------
    UsageError
        There is no such word.
    """
    word = check_word(given, (FAIL, WAIT, RETRY), what)
    return "" if word == WAIT else word
