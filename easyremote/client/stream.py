"""`RemoteStream`: what a remote generator yields, item by item, as it is made.

``tests/client/test_client.py`` and ``test_calls.py`` prove it.
"""

from __future__ import annotations

import queue
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, TypeVar, cast

from easyremote.client.job import END, RemoteJob, print_shown
from easyremote.client.outcome import check_encoding, load_value
from easyremote.errors import UsageError
from easyremote.events import decode
from easyremote.protocol.builtins import CALL

__all__ = ["RemoteStream"]

T = TypeVar("T")

_IS_NO_GENERATOR = (
    "{} is no generator: it returned a value, and yielded nothing. Call it without stream=True."
)


class RemoteStream(RemoteJob[None], Generic[T]):
    """What a remote generator yields, item by item; iterate over it, also with ``async for``."""

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        self._line.check_may_wait()
        while self._was_shown(item := self._events.get()):
            pass
        return self._take(item)

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items()

    async def _items(self) -> AsyncIterator[T]:
        async for item in self._arrivals():
            if self._was_shown(item):
                continue
            try:
                value = self._take(item)
            except StopIteration:
                return
            yield value

    def arrived(self) -> Iterator[T]:
        """The items that have come by now; it waits for none."""
        while True:
            try:
                item = self._events.get_nowait()
            except queue.Empty:
                return
            if item is END:
                self._events.put(END)
                return
            if not self._was_shown(item):
                yield self._take(item)

    def close(self) -> None:
        """Stop the generator on the node. Do it where a loop is left early."""
        self.cancel()

    def _check_event(self, encoding: str) -> None:
        check_encoding(encoding, self._accepted, self._shown_name)

    def _take(self, item: Any) -> T:
        if item is END:
            self._events.put(END)
            value, error = self._outcome()
            if error is not None:
                raise error
            if value is not None:
                raise UsageError(_IS_NO_GENERATOR.format(self._shown_name))
            raise StopIteration
        self._was_seen()
        return cast(T, load_value(*item))

    def _was_shown(self, item: Any) -> bool:
        """Print what a shipped generator prints; False for an item, or the end."""
        if item is END or self.function != CALL or item[0] != "msgpack":
            return False
        self._was_seen()
        for event in decode(item[1]):
            print_shown(event)
        return True
