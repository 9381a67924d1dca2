"""A relay between peers and their gateway that understands records, and meddles with them.

It repeats records, lets records of different calls pass one another, and can play everything that
a peer once sent to the gateway again, on a new connection. No network does this to a TCP
connection; a relay with a mistake in it does. What TCP is needed for stays in order: announcements
of streams, the chunks of a stream, what is said of one call, and what settles a whole connection.
``test_meddler.py`` beside this file proves what it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from collections.abc import Iterator

import aiohttp
from aiohttp import web

from easyremote.protocol.frames import CONTROL, CONTROL_HEADER, MAX_MESSAGE
from easyremote.protocol.messages import (
    SUBPROTOCOL,
    Cancel,
    Dispatch,
    Event,
    Finished,
    Message,
    Seen,
    Started,
    Submit,
    decode,
)
from tests.faults.network.closing import Closing

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
#: What is said of one call, and may pass what is said of another one.
_OF_ONE_CALL = (Submit, Dispatch, Started, Event, Seen, Finished, Cancel)
#: A record waits until so many others have passed it, or for so many seconds.
PASSED_BY = 5
PATIENCE = 0.02
#: Seconds in which the gateway answers what is played again.
ANSWER = 5.0


class Meddler(Closing):
    """Passes WebSockets on to the gateway at ``target``, ``host:port``.

    Parameters
    ----------
    target
        The gateway.
    seed
        Of all that it does.
    repeats, overtakes
        Which part of the records is repeated, and which part waits while others pass.
    """

    def __init__(
        self, target: str, seed: int = 0, *, repeats: float = 0.2, overtakes: float = 0.2
    ) -> None:
        self.target, self.chance = target, random.Random(seed)
        self.repeats, self.overtakes = repeats, overtakes
        #: What was done to records, by what: "repeated", "overtaken".
        self.done: Counter[str] = Counter()
        #: What each connection has sent to the gateway, as it came.
        self.sent: list[list[bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._ready, self._ending = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="meddler")
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def replay(self, messages: list[bytes]) -> list[Message]:
        """Say on a new connection what was said on an old one; what the gateway answers."""
        playing = asyncio.run_coroutine_threadsafe(self._replay(messages), self._loop)
        return playing.result(3 * ANSWER)

    # -- in its thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/link", self._accept)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as self._session:
            self._ready.set()
            await self._ending.wait()
            await runner.cleanup()

    def _dial(self) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return self._session.ws_connect(
            f"http://{self.target}/v1/link",
            protocols=(SUBPROTOCOL,),
            max_msg_size=MAX_MESSAGE,
            compress=0,
        )

    async def _accept(self, request: web.Request) -> web.WebSocketResponse:
        near = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), max_msg_size=MAX_MESSAGE, compress=False, timeout=1.0
        )
        try:
            async with self._dial() as far:
                await near.prepare(request)
                sent: list[bytes] = []
                self.sent.append(sent)
                ways = (near, far, sent), (far, near, list[bytes]())
                tasks = [asyncio.create_task(Way(self).run(*way)) for way in ways]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway(text=str(error)) from error
        await near.close()
        return near

    async def _replay(self, messages: list[bytes]) -> list[Message]:
        answers: list[Message] = []
        async with self._dial() as far:
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                for data in messages:
                    await far.send_bytes(data)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER):
                    async for message in far:
                        if message.type is aiohttp.WSMsgType.BINARY:
                            answers += [m for _, m in records(message.data) if m is not None]
        return answers


class Way:
    """One direction of one connection: which records leave when one has come."""

    def __init__(self, meddler: Meddler) -> None:
        self._meddler = meddler
        #: Records that wait while others pass, with their calls, and how many have passed.
        self._late: list[tuple[int, bytes, int]] = []

    async def run(self, source: Socket, target: Socket, sent: list[bytes]) -> None:
        """Pass on all that comes, and keep what came in ``sent``."""
        while True:
            try:
                message = await source.receive(PATIENCE if self._late else None)
            except TimeoutError:
                due = self.due(everything=True)
            else:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    return
                sent.append(message.data)
                due = [each for found in records(message.data) for each in self.next(*found)]
            for record in due:
                await target.send_bytes(record)

    def next(self, record: bytes, control: Message | None) -> list[bytes]:
        """What is sent when this record has come: those before it, and it, or it later."""
        meddler, chance = self._meddler, self._meddler.chance
        call = control.call if isinstance(control, _OF_ONE_CALL) else None
        due = self.due(call, everything=control is not None and call is None)
        copies = 1 + (chance.random() < meddler.repeats)
        meddler.done["repeated"] += copies - 1
        has_stream = bool(getattr(getattr(control, "payload", None), "stream", 0))
        if call is not None and not has_stream and chance.random() < meddler.overtakes:
            meddler.done["overtaken"] += 1
            self._late += [(call, record, 0)] * copies
            return due
        return [*due, *[record] * copies]

    def due(self, call: int | None = None, *, everything: bool = False) -> list[bytes]:
        """Who need not wait any longer: those of this call, and those that enough have passed."""
        self._late = [(of, record, passed + 1) for of, record, passed in self._late]
        # What is said of one call stays in order, so all of it leaves.
        calls = {
            of for of, _, passed in self._late if everything or of == call or passed > PASSED_BY
        }
        due = [record for of, record, _ in self._late if of in calls]
        self._late = [each for each in self._late if each[0] not in calls]
        return due


def records(data: bytes) -> Iterator[tuple[bytes, Message | None]]:
    """The records of a message of the wire, and what each says; None for a chunk of a stream."""
    start = 0
    while start < len(data):
        length, kind = CONTROL_HEADER.unpack_from(data, start)
        stop = start + 4 + length
        record = data[start:stop]
        yield record, decode(record[CONTROL_HEADER.size :]) if kind == CONTROL else None
        start = stop
