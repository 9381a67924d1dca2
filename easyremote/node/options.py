"""The options of `register`, checked where they are written.

``tests/node/test_options.py`` proves it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from easyremote.errors import UsageError
from easyremote.options.reading import Reader, flag, is_whole, read, seconds, text
from easyremote.options.requirements import Requirements, parse_requirements
from easyremote.options.retries import Retry, parse_retry
from easyremote.options.scaling import Scaling, parse_scaling
from easyremote.options.seed_words import tags_of
from easyremote.options.strategies import parse_strategy
from easyremote.protocol.builtins import is_builtin
from easyremote.protocol.messages import MANY_ENTRIES, NAME_LIMIT

__all__ = ["MAX_BODY", "Options", "is_function_name"]

#: The largest HTTP body that a function can ask for, in bytes; the gateway holds it in memory.
MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """What was said of a function at its registration, as it was understood."""

    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    public: bool = False
    auth_required: bool = False
    async_func: bool | None = None
    stream: bool | None = None
    timeout: float = 0.0
    retry_policy: Retry | None = None
    resource_requirements: Requirements | None = None
    max_concurrency: int = 0
    scaling: Scaling | None = None
    load_balancing: str = ""
    max_body: int = 0

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read the options that somebody gave to ``register``; raises as `reading.read`."""
        return cls(**read("register", given, _READERS))


def is_function_name(name: object) -> bool:
    """Whether a function can have this name."""
    is_text = isinstance(name, str) and 0 < len(name) <= NAME_LIMIT and name.isprintable()
    return is_text and not is_builtin(str(name)) and "/" not in str(name)


def _name(value: object, what: str) -> str:
    if not is_function_name(value):
        raise UsageError(f"{value!r} can't be a function's name. Give one: register(name=...).")
    return str(value)


def _tags(value: object, what: str) -> tuple[str, ...]:
    tags = tags_of(value)
    words = () if isinstance(tags, str) or not isinstance(tags, Iterable) else tuple(tags)
    is_list = not isinstance(tags, str) and isinstance(tags, Iterable)
    if not is_list or len(words) > MANY_ENTRIES or not all(map(_is_tag, words)):
        raise UsageError(f"{what} are a list of words, as ['maths'], not {value!r}.")
    return words


def _is_tag(word: object) -> bool:
    return isinstance(word, str) and 0 < len(word) <= NAME_LIMIT


def _count(value: int, what: str) -> int:
    if not is_whole(value, 1, math.inf):
        raise UsageError(f"{what} is at least 1, not {value!r}.")
    return value


def _bytes(value: int, what: str) -> int:
    if not is_whole(value, 1, MAX_BODY):
        raise UsageError(f"{what} is in bytes, from 1 to {MAX_BODY} (64 MiB), not {value!r}.")
    return value


_READERS: dict[str, Reader] = {
    "name": _name,
    "description": text,
    "tags": _tags,
    "public": flag,
    "auth_required": flag,
    "async_func": flag,
    "stream": flag,
    "timeout": seconds,
    "retry_policy": lambda value, _: parse_retry(value),
    "resource_requirements": parse_requirements,
    "max_concurrency": _count,
    "scaling": lambda value, _: parse_scaling(value),
    "load_balancing": lambda value, _: parse_strategy(value),
    "max_body": _bytes,
}
