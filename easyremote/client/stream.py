"""`RemoteStream`: what a remote generator yields, item by item, as it is made.

``tests/client/test_client.py`` and ``test_calls.py`` prove it.
"""

from __future__ import annotations

import queue
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar, cast

from easyremote.client.connection import Line, Waiting
from easyremote.client.job import END, RemoteJob
from easyremote.client.outcome import check_encoding, load_value, print_shown
from easyremote.errors import UsageError
from easyremote.events import decode
from easyremote.protocol.answers import OutstandingCall
from easyremote.protocol.builtins import CALL
from easyremote.protocol.streams import Buffer

__all__ = ["RemoteStream"]

T = TypeVar("T")

_IS_NO_GENERATOR = (
    "{} is no generator: it returned a value, and yielded nothing. Call it without stream=True."
)


class StreamSink:
    """Hands what comes to a stream, for as long as somebody refers to the stream.

    The call core refers to this sink, not to the stream. So a stream that nobody iterates over any
    more (a loop that was left by ``break`` or an exception) is gone at once, and its call is
    cancelled: its generator would keep a process of the node.
    """

    def __init__(self, stream: RemoteStream[Any], line: Line) -> None:
        self._line = line
        self._stream = weakref.ref(stream, self._forgotten)
        self.encoding = stream.encoding
        #: As of `RemoteJob`.
        self.outstanding: OutstandingCall | None = None

    def _forgotten(self, stream: object) -> None:
        self._line.cancel(self, kill=False)

    def started(self, node: str) -> None:
        stream = self._stream()
        if stream is not None:
            stream.started(node)

    def event(self, encoding: str, body: Buffer) -> None:
        stream = self._stream()
        if stream is not None:
            stream.event(encoding, body)

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        self.outstanding = None
        stream = self._stream()
        if stream is not None:
            stream.finish(code, encoding, body)


class RemoteStream(RemoteJob[None], Generic[T]):
    """What a remote generator yields, item by item; iterate over it, also with ``async for``.

    The generator is stopped on its node when nobody refers to the stream any more.
    """

    def __init__(
        self, line: Line, function: str, call_id: bytes, encoding: str = "pickle5"
    ) -> None:
        super().__init__(line, function, call_id, encoding)
        self._sink = StreamSink(self, line)

    @property
    def sink(self) -> Waiting:
        return self._sink

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        self._line.check_may_wait()
        try:
            while self._was_shown(item := self._events.get()):
                pass
        except KeyboardInterrupt:
            self.close()  # the traceback refers to the stream, maybe for long
            raise
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
        """The items that have come by now; it waits for none.

        Raises
        ------
        EasyRemoteError
            An item was refused, so no more will come.
        """
        while True:
            try:
                item = self._events.get_nowait()
            except queue.Empty:
                return
            if item is END:
                self._events.put(END)
                if self._refused is not None:
                    raise self._refused
                return
            if not self._was_shown(item):
                yield self._take(item)

    def tell(self, something_came: Callable[[], None]) -> None:
        """Have a function called on the I/O thread whenever an item, or the end, has come.

        It has to return at once: no call of this process goes on meanwhile.
        """
        self._on_event = something_came

    def close(self) -> None:
        """Stop the generator on the node."""
        self.cancel()

    def _check_event(self, encoding: str) -> None:
        if encoding == "msgpack" and self.function == CALL:
            return  # it is what a shipped generator prints
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
