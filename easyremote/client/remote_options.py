"""The options of calls, and of `@remote`, checked where they are written.

``tests/client/test_remote_options.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypedDict

from easyremote.options.notify import read_notify
from easyremote.options.reading import Reader, flag, priority, read, seconds, text
from easyremote.options.requirements import Requirements, read_needs
from easyremote.options.retries import Retry, parse_node_loss, parse_retry
from easyremote.options.strategies import ONE_NODE, parse_strategy
from easyremote.times import in_seconds, read_seconds

__all__ = ["KEEP", "CallOptions", "RemoteOptions", "read_hold"]

#: As ``hold``: the call goes on until it is over, whoever is gone.
KEEP = -1.0
#: Seconds that a shipped generator goes on without its client: it holds a process that waits.
STREAM_HOLD = 30.0


class CallOptions(TypedDict, total=False):
    """What can be said of the call of any function; `RemoteExecutor.start` explains each."""

    stream: bool
    #: Copy large arguments now, so that they may change before they are sent.
    snapshot: bool
    retry: Retry | None
    balancing: str
    needs: Requirements | None
    priority: int
    on_node_loss: str
    notify: str


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
    on_node_loss: str = ""
    notify: str = ""
    stream: bool | None = None
    async_func: bool | None = None
    ship: bool | None = None
    needs: Requirements | None = None
    priority: int = 0
    #: Seconds; None for a day.
    keep: float | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read the options that somebody gave to ``remote``; raises as `reading.read`."""
        return cls(**read("remote", given, _READERS))


def read_hold(hold: float | None, *, is_stream: bool) -> float:
    """Read how many seconds a call goes on without its client, as it travels."""
    if hold is None and is_stream:
        return STREAM_HOLD
    return KEEP if hold == KEEP else in_seconds(hold, "hold")


def _strategy(value: object, what: str) -> str:
    strategy = parse_strategy(value)
    return "" if strategy == ONE_NODE else strategy  # a caller who wants none leaves it to nodes


_READERS: dict[str, Reader] = {
    "node_id": text,
    "function_name": text,
    "timeout": seconds,
    "api_key": text,
    "gateway": text,
    "load_balancing": _strategy,
    "retry_policy": lambda value, _: parse_retry(value),
    "on_node_loss": parse_node_loss,
    "notify": read_notify,
    "stream": flag,
    "async_func": flag,
    "ship": flag,
    "needs": read_needs,
    "priority": priority,
    "keep": read_seconds,
}
