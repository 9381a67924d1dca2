"""`Keeper`: accepts detached calls, sees to it that each ends, and keeps their outcomes.

A call is accepted when the disk has it. From then on the gateway is its client (`OwnClient`), also
after a restart: then the calls in the journal are submitted once more, with their age, so that a
node that still holds one goes on with it. What is said to clients about their detached calls is in
``door.py``. ``tests/gateway/durable/test_keeper.py`` proves it, and
``tests/client/detached/test_detached.py`` with real processes.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, ParamSpec

import msgspec

from easyremote.errors import EasyRemoteError, NotAuthorized, to_wire
from easyremote.gateway.durable.own_client import OwnClient
from easyremote.gateway.durable.records import Detached, Ending
from easyremote.gateway.durable.store import Attempts, Store
from easyremote.gateway.hub import Hub
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.permissions import holder_of
from easyremote.protocol.answers import OutstandingCall
from easyremote.protocol.attempts import MOMENT
from easyremote.protocol.call import CallState
from easyremote.protocol.detached import DetachedEvent, DetachedState
from easyremote.protocol.failures import pack_error
from easyremote.protocol.messages import Payload
from easyremote.protocol.streams import Buffer
from easyremote.protocol.tombstones import Tombstones

_log = logging.getLogger("easyremote.gateway")

#: Seconds between two tries to write what could not be written.
AGAIN_AFTER = 1.0
#: Seconds between two moments at which the disk is told which calls a node may have.
BEAT = 5.0
#: A call waits so many seconds for a node, or a function, that was there when it was accepted.
PATIENCE = 24 * 3600.0
#: What travels as an age says that the call was sent before.
LEAST_AGE = 1e-6


P = ParamSpec("P")

#: Takes None when a call is accepted, or why it is not.
Answer = Callable[[EasyRemoteError | None], None]
Tell = Callable[[Detached, Ending], None]


class Keeper:
    """The detached calls of one gateway.

    Parameters
    ----------
    hub
        All calls of the gateway.
    keys
        Says whose a key is.
    store
        The disk.
    tell
        Called with a call and its outcome when the disk has that.
    """

    def __init__(self, hub: Hub, keys: KeyStore, store: Store, tell: Tell) -> None:
        self._hub, self._keys, self._store, self._tell = hub, keys, store, tell
        self.calls: dict[bytes, Detached] = {}
        #: Those that were forgotten: a client may not have heard that its call was accepted, and
        #: send it again when it is back.
        self._released = Tombstones()
        for call_id in store.released(time.time()):
            self._released.add(call_id)
        #: How many bytes each key has on the disk.
        self.sizes: dict[str, int] = {}
        self._clients: dict[str, OwnClient] = {}
        #: When to forget which call, on the monotonic clock.
        self._forget: list[tuple[float, bytes]] = []
        #: What is being written or read.
        self._tasks: set[asyncio.Future[None]] = set()
        self._next_beat = 0.0
        self._is_leaving = False

    # -- the beginning and the end -----------------------------------------------------------------

    async def restore(self, now: float) -> None:
        """Take on what an earlier gateway has left in the journal."""
        wall, beat = time.time(), self._store.last_beat()
        for call, attempts in self._store.calls():
            self.add(call)
            if call.ending is not None:
                self._forget_later(call, now + max(call.ending.keep_until - wall, 0.0))
                continue
            try:
                arguments = await self._store.arguments(call)
            except EasyRemoteError as error:
                self._fail(call, error, may_have_run=True)
            else:
                self._begin(call, arguments, attempts, now, self._age(call, wall, beat))
        for client in self._clients.values():
            client.pump()  # before the first node says what it holds

    def _age(self, call: Detached, wall: float, beat: float) -> float:
        """How long ago a node can have got a call at the earliest; 0 if surely none has it."""
        if call.is_given:
            return max(wall - call.accepted, LEAST_AGE)
        if call.submit.node and call.submit.node not in self._keys.holders:
            return 0.0
        return max(wall - max(call.accepted, beat), LEAST_AGE)

    def leave(self) -> None:
        """The gateway stops: what is handed back waits for the next one."""
        self._is_leaving = True
        for client in self._clients.values():
            client.leave()

    async def close(self) -> None:
        """Finish what is being written, and close the file."""
        self._is_leaving = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        for client in self._clients.values():
            client.close()
        self._store.close()

    # -- the way of a call -------------------------------------------------------------------------

    def was_released(self, call_id: bytes) -> bool:
        """Whether it is a detached call that was forgotten a while ago."""
        return call_id in self._released

    def add(self, call: Detached) -> None:
        """Take note of a call."""
        self.calls[call.call_id] = call
        self.sizes[call.owner] = self.sizes.get(call.owner, 0) + call.kept_size

    def refuse(self, call: Detached) -> None:
        """Forget a call that is not on the disk."""
        call.advance(DetachedEvent.NOT_WRITTEN)
        self._drop(call)

    def accept(self, call: Detached, arguments: Buffer, answer: Answer) -> None:
        """Write a new call, whose arguments are here, and answer when that is done."""
        # A callback and no task: this is done for each of thousands of calls a second.
        written = asyncio.ensure_future(self._store.add(call, arguments))
        self._tasks.add(written)
        written.add_done_callback(partial(self._accepted, call, arguments, answer))

    def _accepted(
        self, call: Detached, arguments: Buffer, answer: Answer, written: asyncio.Future[None]
    ) -> None:
        self._tasks.discard(written)
        try:
            written.result()
        except EasyRemoteError as error:
            self.refuse(call)
            answer(error)
            return
        call.advance(DetachedEvent.WRITTEN)
        answer(None)
        self._begin(call, arguments, Attempts(call.call_id), time.monotonic())

    def _begin(
        self, call: Detached, arguments: Buffer, attempts: Attempts, now: float, age: float = 0.0
    ) -> None:
        """Submit its present attempt, which an earlier gateway has sent ``age`` seconds ago."""
        client = self._client_of(call.owner, now)
        if client is None:
            error = NotAuthorized(
                f"The key {call.owner}, whose call this is, was revoked or has expired: the "
                "gateway that was started since then did not submit it again."
            )
            self._fail(call, error, may_have_run=True)
            return
        submit = msgspec.structs.replace(
            call.submit, call_id=attempts.call_id, keep=None, payload=Payload(), age=age
        )
        if call.deadline:
            left = min(call.deadline - time.time(), submit.timeout)  # a clock may be set back
            submit.timeout = max(left, MOMENT)
        sink, retry = _Attempt(self, call), call.keep.retry
        call.attempt = client.core.submit(
            submit, (arguments,), call.size, call.encoding, sink, now, retry
        )
        call.attempt.attempts, call.attempt.crashes = attempts.count, attempts.crashes
        call.attempt.may_have_run = attempts.may_have_run

    def _try_again(self, attempt: OutstandingCall, due: float) -> None:
        """An attempt has failed, and another one is due: first the disk has to know of it."""
        assert isinstance(attempt.sink, _Attempt), "all calls of this client are detached ones"
        call = attempt.sink.call
        call.is_given = False
        self._run(self._write_attempt(call, attempt, due))

    async def _write_attempt(self, call: Detached, attempt: OutstandingCall, due: float) -> None:
        if await self._written(self._store.attempt, call, Attempts.of(attempt)):
            self._clients[call.owner].core.go_on(attempt, due)

    def ended(self, call: Detached, code: str, encoding: str, body: Buffer) -> None:
        """The outcome of a call is here: write it, and keep it."""
        call.advance(DetachedEvent.ENDED)
        attempt = self._hub.table.by_id.get(call.attempt_id)
        if attempt is not None and attempt.node is not None:
            call.node_id = attempt.node.node_id
        size = memoryview(body).nbytes
        keep_until = time.time() + call.keep.seconds
        call.ending = Ending(code, encoding, size, keep_until, body)
        self.sizes[call.owner] += size - call.size
        self._run(self._keep(call, call.ending))

    async def _keep(self, call: Detached, ending: Ending) -> None:
        if not await self._written(self._store.end, call, ending):
            return
        call.advance(DetachedEvent.WRITTEN)
        call.ending = replace(ending, body=b"")
        self._forget_later(call, time.monotonic() + call.keep.seconds)
        self._tell(call, ending)
        if call.attempt is not None:
            self._clients[call.owner].confirm(call.attempt)
            call.attempt = None

    def _fail(self, call: Detached, error: EasyRemoteError, *, may_have_run: bool) -> None:
        code, text, details = to_wire(error)
        body = pack_error(code, text, **{**details, "may_have_run": may_have_run})
        self.ended(call, code, "msgpack", body)

    async def outcome(self, call: Detached) -> bytes:
        """The outcome of a call that is kept; raises as `Store.outcome`."""
        return await self._store.outcome(call)

    def seen(self, call: Detached) -> None:
        """An event came: nobody watches, so its node may make more."""
        if call.attempt is not None:
            self._clients[call.owner].core.seen(call.attempt, call.attempt.next_event - 1)

    # -- forgetting --------------------------------------------------------------------------------

    def release(self, call: Detached) -> None:
        """Forget a call whose outcome is kept."""
        call.advance(DetachedEvent.RELEASED)
        self._drop(call)
        self._released.add(call.call_id)
        self._run(self._release(call))

    async def _release(self, call: Detached) -> None:
        await self._written(self._store.release, call.call_id, time.time())

    def cancel(self, call: Detached, *, kill: bool) -> bool:
        """Stop a call; False where it is over."""
        if call.attempt is None or call.state is not DetachedState.ACCEPTED:
            return False
        self._clients[call.owner].core.cancel(call.attempt, kill=kill)
        return True

    def handle_timeout(self, now: float) -> None:
        """Do what is due: forget outcomes, end calls whose time is over, try calls again."""
        while self._forget and self._forget[0][0] <= now:
            call = self.calls.get(heapq.heappop(self._forget)[1])
            if call is not None and call.state is DetachedState.KEPT and call.forget_at <= now:
                self.release(call)
        for client in self._clients.values():
            client.handle_timeout(now)
        if now >= self._next_beat:
            self._next_beat = now + BEAT
            self._beat()
        self._released.handle_timeout(now)

    def _beat(self) -> None:
        """Have the disk know which calls no node has: the next gateway queues them again."""
        open_ones = [call for call in self.calls.values() if call.attempt is not None]
        if open_ones and not self._is_leaving:
            given = [call for call in open_ones if not call.is_given and self._may_run(call)]
            for call in given:
                call.is_given = True
            ids = [call.call_id for call in given]
            self._run(self._write_beat(time.time(), ids))

    def _may_run(self, call: Detached) -> bool:
        attempt = self._hub.table.by_id.get(call.attempt_id)
        return attempt is not None and attempt.state is not CallState.QUEUED

    async def _write_beat(self, wall: float, given: list[bytes]) -> None:
        await self._written(self._store.beat, wall, given)

    # -- inside ------------------------------------------------------------------------------------

    def _client_of(self, key_id: str, now: float) -> OwnClient | None:
        """The gateway as the client of this key's calls; None where the key is not valid."""
        client = self._clients.get(key_id)
        if client is None and (record := self._keys.record_of(key_id)) is not None:
            client = self._clients[key_id] = OwnClient(
                self._hub.receive_from_client,
                holder_of(record),
                self._try_again,
                _may_wait,
                now,
            )
        return client

    def _drop(self, call: Detached) -> None:
        del self.calls[call.call_id]
        self.sizes[call.owner] -= call.kept_size
        if not self.sizes[call.owner]:
            del self.sizes[call.owner]

    def _forget_later(self, call: Detached, when: float) -> None:
        call.forget_at = when
        heapq.heappush(self._forget, (when, call.call_id))

    async def _written(
        self, write: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs
    ) -> bool:
        """Write, again and again until it is done; False where the gateway stops before that."""
        told = False
        while not self._is_leaving or not told:
            try:
                await write(*args, **kwargs)
            except EasyRemoteError as error:
                if not told:
                    _log.error("A detached call can't be written; it is tried again: %s", error)
                told = True
                await asyncio.sleep(AGAIN_AFTER)
            else:
                return True
        return False

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A mistake of the gateway with a detached call", exc_info=error)


def _may_wait(attempt: OutstandingCall) -> bool:
    assert isinstance(attempt.sink, _Attempt), "all calls of this client are detached ones"
    return time.time() < attempt.sink.call.accepted + PATIENCE


class _Attempt:
    """Takes what comes of the attempts of one call."""

    def __init__(self, keeper: Keeper, call: Detached) -> None:
        self._keeper, self.call = keeper, call

    def started(self, node: str) -> None:
        self.call.node_id = node

    def event(self, encoding: str, body: Buffer) -> None:
        self._keeper.seen(self.call)

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        self._keeper.ended(self.call, code, encoding, body)
