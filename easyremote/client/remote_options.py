"""The options of `@remote`, checked where they are written.

``tests/client/test_remote_options.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from easyremote.options.reading import Reader, flag, read, seconds, text
from easyremote.options.retries import WAIT, Retry, parse_node_loss, parse_retry
from easyremote.options.strategies import ONE_NODE, parse_strategy

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
    on_node_loss: str = WAIT
    stream: bool | None = None
    async_func: bool | None = None
    ship: bool | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read the options that somebody gave to ``remote``; raises as `reading.read`."""
        return cls(**read("remote", given, _READERS))


def _strategy(value: object, what: str) -> str:
    strategy = parse_strategy(value)
    return "" if strategy == ONE_NODE else strategy  # a caller who wants none leaves it to nodes


def _node_loss(value: object, what: str) -> str:
    return parse_node_loss(value, what) or WAIT


_READERS: dict[str, Reader] = {
    "node_id": text,
    "function_name": text,
    "timeout": seconds,
    "api_key": text,
    "gateway": text,
    "load_balancing": _strategy,
    "retry_policy": lambda value, _: parse_retry(value),
    "on_node_loss": _node_loss,
    "stream": flag,
    "async_func": flag,
    "ship": flag,
}
