"""The options of `@remote`, checked where they are written.

``tests/client/test_remote_options.py`` proves it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from easyremote.errors import UsageError
from easyremote.options.retries import Retry, parse_retry
from easyremote.options.seed_words import in_todays_words
from easyremote.options.spelling import check_words
from easyremote.options.strategies import ONE_NODE, parse_strategy
from easyremote.times import check_seconds

__all__ = ["RemoteOptions"]


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """What was said of a remote function, as it was understood."""

    node_id: str = ""
    function_name: str = ""
    timeout: float | None = None
    api_key: str | None = None
    gateway: str | None = None
    load_balancing: str = ""
    retry_policy: Retry | None = None
    stream: bool | None = None
    async_func: bool | None = None
    ship: bool | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read the options that somebody gave to ``remote``.

        Raises
        ------
        UsageError
            There is no such option, or it can't have such a value.
        """
        options = in_todays_words("remote", given)
        names = [field.name for field in dataclasses.fields(cls)]
        check_words(options, names, "@remote has no option")
        # None says nothing, whatever the option.
        said = {name: value for name, value in options.items() if value is not None}
        return cls(**{name: _READERS[name](value, name) for name, value in said.items()})


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"@remote: {what} is a text, not {value!r}.")
    return value


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"@remote: {what} is True or False, not {value!r}.")
    return value


def _seconds(value: Any, what: str) -> float:
    check_seconds(value, what)
    return float(value)


def _strategy(value: object, what: str) -> str:
    strategy = parse_strategy(value)
    return "" if strategy == ONE_NODE else strategy  # a caller who wants none leaves it to nodes


#: What reads the value of an option; called with the value and the option's name.
_READERS: dict[str, Callable[[Any, str], Any]] = {
    "node_id": _text,
    "function_name": _text,
    "timeout": _seconds,
    "api_key": _text,
    "gateway": _text,
    "load_balancing": _strategy,
    "retry_policy": lambda value, _: parse_retry(value),
    "stream": _flag,
    "async_func": _flag,
    "ship": _flag,
}
