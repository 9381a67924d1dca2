"""A TCP proxy with toxics: what a bad network does to a connection, each direction by itself.

It runs in a thread of its own. A test changes `Proxy.up` and `Proxy.down` while bytes pass, and the
next piece feels it. Whatever it does, no byte is changed, lost or reordered while the connection
lasts: that is what TCP promises, and what a black hole ends with is a connection that breaks.
``test_proxy.py`` beside this file proves each toxic.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass

from tests.faults.network.closing import Closing

#: What a direction holds while it is slow, and each of its sockets beside that. A real link with
#: little memory: what is sent waits at the sender and not in the middle.
ROOM = 64 * 1024
#: The most that is read at a time.
PIECE = 16 * 1024
#: Seconds after which TCP sends a lost segment again, the first time; then twice as long.
RETRANSMIT = 0.2
#: Seconds between two looks at a black hole.
LOOK = 0.01
#: With this option a socket is closed by a reset.
LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass
class Toxics:
    """What happens to the bytes of one direction."""

    #: Seconds that each piece takes, and up to how many more; the pieces stay in order.
    latency: float = 0.0
    jitter: float = 0.0
    #: Bytes a second; 0 for no limit.
    rate: float = 0.0
    #: Nothing passes, no end and no reset either; whoever sends learns nothing of it.
    is_black_hole: bool = False
    #: Bytes of a segment, 0 for no limit, and up to how many seconds pass after each.
    slice: int = 0
    slice_delay: float = 0.0
    #: The part of segments that are lost: TCP sends them again, and all behind them waits.
    loss: float = 0.0


class Proxy(Closing):
    """Passes connections on to ``target``, ``host:port``.

    Parameters
    ----------
    target
        Where the connections go.
    seed
        Of jitter, slices and losses.
    """

    def __init__(self, target: str, seed: int = 0) -> None:
        host, port = target.rsplit(":", 1)
        self._target = host, int(port)
        self.chance = random.Random(seed)
        #: From whoever dialled to the target, and back.
        self.up, self.down = Toxics(), Toxics()
        #: How many connections there have been.
        self.accepted = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: set[socket.socket] = set()
        self._loop = asyncio.new_event_loop()
        self._listener = _small(socket.socket())
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(100)
        self._listener.setblocking(False)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, name="toxic-proxy")
        self._thread.start()

    @property
    def both(self) -> tuple[Toxics, Toxics]:
        return self.up, self.down

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    def cut(self, *, is_cut: bool = True) -> None:
        """Make a black hole of both directions, or end it."""
        for toxics in self.both:
            toxics.is_black_hole = is_cut

    def heal(self) -> None:
        """End all toxics."""
        for toxics in self.both:  # the connections keep the objects
            vars(toxics).update(vars(Toxics()))

    def reset(self) -> None:
        """Reset all connections (RST), at both ends."""
        done = threading.Event()

        def reset() -> None:
            for sock in self._sockets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            for task in self._tasks:
                task.cancel()
            done.set()

        self._loop.call_soon_threadsafe(reset)
        done.wait()

    def close(self) -> None:
        """End it, and all connections."""
        self.reset()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        accepting = self._loop.create_task(self._accept())
        self._loop.run_forever()
        left = [accepting, *self._tasks]
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _accept(self) -> None:
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            self.accepted += 1
            task = self._loop.create_task(self._serve(near))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, near: socket.socket) -> None:
        far = _small(socket.socket())
        both = {near, far}
        self._sockets |= both
        try:
            for sock in both:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(far, self._target)
            ways = _Way(self, self.up, near, far), _Way(self, self.down, far, near)
            async with asyncio.TaskGroup() as group:
                for way in ways:
                    group.create_task(way.read())
                    group.create_task(way.write())
        except (OSError, ExceptionGroup):
            # One end has broken: the other one feels the same.
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        finally:
            self._sockets -= both
            for sock in both:
                sock.close()


class _Way:
    """One direction of one connection: a reader, a queue that is as long as the link, a writer."""

    def __init__(
        self, proxy: Proxy, toxics: Toxics, source: socket.socket, target: socket.socket
    ) -> None:
        self._toxics, self._chance = toxics, proxy.chance
        self._source, self._target = source, target
        #: Pieces with the moment at which each may leave; an empty one is the end.
        self._queue: deque[tuple[float, bytes]] = deque()
        self._waiting = 0
        self._changed = asyncio.Event()
        self._last_due = 0.0

    async def read(self) -> None:
        loop, toxics = asyncio.get_running_loop(), self._toxics
        while True:
            while self._waiting >= ROOM:
                self._changed.clear()
                await self._changed.wait()
            data = await loop.sock_recv(self._source, PIECE)
            late = toxics.latency
            if toxics.jitter:
                late += self._chance.uniform(0.0, toxics.jitter)
            self._last_due = max(self._last_due, loop.time() + late)
            self._queue.append((self._last_due, data))
            self._waiting += len(data)
            self._changed.set()
            if not data:
                return

    async def write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._queue:
                self._changed.clear()
                await self._changed.wait()
            due, data = self._queue[0]
            await asyncio.sleep(due - loop.time())
            await self._pass(data)
            self._queue.popleft()
            self._waiting -= len(data)
            self._changed.set()
            if not data:
                with contextlib.suppress(OSError):
                    self._target.shutdown(socket.SHUT_WR)
                return

    async def _pass(self, data: bytes) -> None:
        """Send one piece, as the toxics have it at this moment."""
        loop, toxics = asyncio.get_running_loop(), self._toxics
        while True:
            while toxics.is_black_hole:
                await asyncio.sleep(LOOK)
            if not data:
                return
            segment, data = data[: toxics.slice or PIECE], data[toxics.slice or PIECE :]
            wait, again = 0.0, RETRANSMIT
            while toxics.loss and self._chance.random() < toxics.loss:
                wait, again = wait + again, 2 * again
            if wait:
                await asyncio.sleep(wait)
            await loop.sock_sendall(self._target, segment)
            if toxics.rate:
                await asyncio.sleep(len(segment) / toxics.rate)
            if toxics.slice_delay:
                await asyncio.sleep(self._chance.uniform(0.0, toxics.slice_delay))


def _small(sock: socket.socket) -> socket.socket:
    """A socket that keeps little in the kernel; what is accepted of it does so too."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    return sock
