"""`DetachedDoor`: what clients ask of their detached calls, and how they are answered.

To accept one; its outcome; to forget that; which there are. A key sees its own only. The journal
is opened when the gateway starts, if there is one, else with the first detached call: a gateway
that has none writes nothing. ``tests/gateway/durable/test_door.py`` proves it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from easyremote.errors import Busy, CallLost, EasyRemoteError, NotFound, UsageError
from easyremote.gateway.callers import Principal
from easyremote.gateway.durable.keeper import Keeper
from easyremote.gateway.durable.records import ROW, Detached, Ending
from easyremote.gateway.durable.store import JOURNAL, Store
from easyremote.gateway.hub import Hub
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.records import ClientLink
from easyremote.gateway.table import failed
from easyremote.options.requirements import show_size
from easyremote.protocol.builtins import (
    CALL,
    CELL,
    COLLECT,
    DETACHED,
    RELEASE,
    is_builtin,
    job_name,
)
from easyremote.protocol.call import CallState
from easyremote.protocol.detached import DetachedState
from easyremote.protocol.messages import Finished, HandBack, Submit
from easyremote.protocol.requests import DetachedCall, DetachedCalls
from easyremote.protocol.streams import Buffer, TooLarge

_log = logging.getLogger("easyremote.gateway")

#: Bytes of arguments and outcomes that are kept for one key.
MAX_KEPT = 1_000_000_000
#: Seconds between two tries to read a journal that could not be read.
TRY_AGAIN = 1.0
#: The builtins that can be detached.
_BUILTINS = frozenset({CALL, CELL})


class DetachedDoor:
    """The detached calls of a gateway, for its clients.

    Parameters
    ----------
    hub, keys
        As of `Keeper`.
    folder
        Where the journal is.
    """

    def __init__(self, hub: Hub, keys: KeyStore, folder: Path) -> None:
        self._hub, self._keys, self._folder = hub, keys, folder
        #: Bytes of arguments and outcomes that are kept for one key.
        self.max_kept: float = MAX_KEPT
        self._keeper: Keeper | None = None
        #: Why what the gateway before has left could not be read; it is tried again.
        self._closed: EasyRemoteError | None = None
        self._next_try = 0.0
        #: The questions of each client for outcomes that are not there yet.
        self._asking: dict[ClientLink, dict[int, Detached]] = {}
        #: What is being read.
        self._tasks: set[asyncio.Task[None]] = set()
        hub.keep_with(self.submit)

    async def open(self) -> None:
        """Go on with the calls of the gateway before, if there is a journal."""
        if not (self._folder / JOURNAL).exists():
            return
        try:
            keeper = self._make()
        except EasyRemoteError as error:
            self._can_not_open(error)
            return
        try:
            await keeper.restore(time.monotonic())
        except EasyRemoteError as error:
            self._can_not_open(error)
            await keeper.close()
        else:
            self._keeper, self._closed = keeper, None

    def _can_not_open(self, error: EasyRemoteError) -> None:
        if self._closed is None:
            _log.error("The detached calls can't be read: %s", error)
        self._closed = error

    def leave(self) -> None:
        """The gateway stops: no call is begun any more."""
        if self._keeper is not None:
            self._keeper.leave()

    async def close(self) -> None:
        """Finish what is being written, and close the journal."""
        if self._keeper is not None:
            await self._keeper.close()

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        if self._keeper is not None:
            self._keeper.handle_timeout(now)
        elif self._closed is not None and now >= self._next_try:
            self._next_try = now + TRY_AGAIN
            self._run(self.open())

    def client_left(self, client: ClientLink) -> None:
        """A client's connection is gone, and with it its questions."""
        for number, call in self._asking.pop(client, {}).items():
            call.asking.pop((client, number), None)

    # -- a new call --------------------------------------------------------------------------------

    def submit(self, client: ClientLink, message: Submit, now: float) -> None:
        """Accept a detached call, or say once more that it was accepted."""
        try:
            call = self._known(client, message)
            if call is None:
                self._collect_arguments(client, message, now)
                return
        except EasyRemoteError as error:
            client.link.drop(message.payload)
            client.link.send(failed(message.call, error, may_have_run=error.may_have_run))
            return
        client.link.drop(message.payload)
        if call.state is DetachedState.ARRIVING:
            call.accepting.append((client, message.call))
        else:
            _answer(client, message.call, None)

    def _known(self, client: ClientLink, message: Submit) -> Detached | None:
        keeper = self._opened()
        call = keeper.calls.get(message.call_id)
        if call is not None and call.owner != client.principal.key_id:
            raise UsageError("This call id is taken. Make a new one: 16 random bytes.")
        if call is None and keeper.was_released(message.call_id):
            raise CallLost("This detached call is over, and its outcome was released.")
        return call

    def _collect_arguments(self, client: ClientLink, message: Submit, now: float) -> None:
        message.age = 0.0  # it was not accepted, so it never ran
        if (error := self._refusal(client, message, now)) is not None:
            raise error
        owner, payload, wall = client.principal.key_id, message.payload, time.time()
        deadline = wall + message.timeout if message.timeout else 0.0
        call = Detached(message, owner, payload.encoding, payload.size, wall, deadline)
        call.accepting.append((client, message.call))
        keeper = self._opened()
        keeper.add(call)
        try:
            client.link.collect(
                payload,
                lambda arguments: keeper.accept(call, arguments, partial(_accepted, call)),
                lambda: self._broke_off(call),
            )
        except TooLarge as error:
            keeper.refuse(call)
            raise UsageError(f"The arguments can't be kept: {error}.") from None

    def _broke_off(self, call: Detached) -> None:
        """The rest of its arguments will not come; a client that is back sends them again."""
        self._opened().refuse(call)
        for client, number in call.accepting:
            client.link.send(HandBack((number,)))

    def _refusal(self, client: ClientLink, message: Submit, now: float) -> EasyRemoteError | None:
        """Why a detached call can't be accepted; None if it can."""
        function, payload = message.function, message.payload
        if is_builtin(function) and function not in _BUILTINS:
            return UsageError(f"{function} can't be detached: it is a question.")
        if payload.encoding != "pickle5":
            return UsageError(f"A detached call has pickled arguments, not {payload.encoding!r}.")
        error = self._hub.refusal(client, message, now)
        if error is not None:
            return error
        offering = self._hub.nodes.offering(function, client.access)
        if any(node.functions[function].streams for node in offering):
            return UsageError(
                f"{function}() is a generator: nobody would take its items while it is detached. "
                "Call it plainly, or register a function that returns all items at once."
            )
        kept = self._opened().sizes.get(client.principal.key_id, 0)
        if kept + payload.size + ROW > self.max_kept:
            return Busy(
                f"The key {client.principal.key_id} has {show_size(kept)} of detached calls at the "
                f"gateway, and {show_size(self.max_kept)} is the most. Release some whose results "
                "you have: client.attach(call_id).release(). See: client.outstanding()",
                retry_after=60.0,
            )
        return None

    # -- questions ---------------------------------------------------------------------------------

    def asked(self, client: ClientLink, message: Submit) -> None:
        """Answer ``$collect``, ``$release`` or ``$detached``."""
        call = self.find(client.principal, message.session)
        if self._closed is not None:
            client.link.send(failed(message.call, self._closed, may_have_run=False))
        elif call is None and (message.session or message.function != DETACHED):
            error = NotFound(
                f"There is no detached call {message.session} of the key "
                f"{client.principal.key_id}. Its outcome was released, its time is over, or "
                "another key has made it. See what there is: client.outstanding(), or: easyremote "
                "jobs"
            )
            client.link.send(failed(message.call, error, may_have_run=False))
        elif call is None:
            mine = self._calls_of(client.principal)
            _answer(client, message.call, DetachedCalls(tuple(map(self._described, mine))))
        elif message.function == COLLECT:
            self._collect(client, message.call, call)
        elif message.function == RELEASE:
            _answer(client, message.call, self._release(call))
        else:
            _answer(client, message.call, DetachedCalls((self._described(call),)))

    def find(self, principal: Principal, call_id: str) -> Detached | None:
        """The detached call of this principal that a text names; None where there is none."""
        if self._keeper is None:
            return None
        call = self._keeper.calls.get(id_of(call_id))
        return call if call is not None and call.owner == principal.key_id else None

    def stop(self, call: Detached, *, kill: bool) -> bool:
        """Cancel a call, or kill its process; False where it is over."""
        return self._opened().cancel(call, kill=kill)

    def _calls_of(self, principal: Principal) -> list[Detached]:
        if self._keeper is None:
            return []
        calls = self._keeper.calls.values()
        known = [call for call in calls if call.owner == principal.key_id]
        return [call for call in known if call.state is not DetachedState.ARRIVING]

    def _described(self, call: Detached) -> DetachedCall:
        ending, state = call.ending, "kept"
        if call.state is not DetachedState.KEPT:
            ending = None
            attempt = self._hub.table.by_id.get(call.attempt_id)
            state = (attempt.state if attempt is not None else CallState.QUEUED).value
        return DetachedCall(
            call.call_id.hex(),
            job_name(call.submit.function),
            call.node_id or call.submit.node or None,
            state,
            call.accepted,
            ending.keep_until if ending is not None else None,
            ending.code if ending is not None else "",
            ending.size if ending is not None else 0,
            call.submit.origin,
            call.submit.session,
        )

    def _collect(self, client: ClientLink, number: int, call: Detached) -> None:
        if call.state is not DetachedState.KEPT:
            call.asking[client, number] = None
            self._asking.setdefault(client, {})[number] = call
        else:
            self._run(self._read(client, number, call))

    async def _read(self, client: ClientLink, number: int, call: Detached) -> None:
        assert call.ending is not None, "it is kept"
        try:
            body = await self._opened().outcome(call)
        except EasyRemoteError as error:
            client.link.send(failed(number, error, may_have_run=True))
        else:
            _tell(client, number, call.ending, body)

    def _tell(self, call: Detached, ending: Ending) -> None:
        """The outcome of a call is on the disk: answer those who wait for it."""
        for client, number in call.asking:
            self._asking[client].pop(number)
            _tell(client, number, ending, ending.body)
        call.asking.clear()

    def _release(self, call: Detached) -> bool:
        if call.state is not DetachedState.KEPT:
            return False
        self._opened().release(call)
        return True

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(self._tasks.discard)

    # -- the journal -------------------------------------------------------------------------------

    def _opened(self) -> Keeper:
        """The keeper; its journal is made where there is none.

        Raises
        ------
        UsageError, StorageFailed
            It can't be made, or what the gateway before has left can't be read.
        """
        if self._closed is not None:
            raise self._closed
        if self._keeper is None:
            self._keeper = self._make()
        return self._keeper

    def _make(self) -> Keeper:
        return Keeper(self._hub, self._keys, Store(self._folder), self._tell)


def id_of(text: str) -> bytes:
    """The id of a call that a text names; empty where it names none."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _accepted(call: Detached, error: EasyRemoteError | None) -> None:
    """Answer those who have sent a call: it is accepted, or it is not."""
    for client, number in call.accepting:
        if error is None:
            _answer(client, number, None)
        else:
            client.link.send(failed(number, error, may_have_run=False))
    call.accepting.clear()


def _answer(client: ClientLink, number: int, answer: object) -> None:
    body = msgspec.msgpack.encode(answer)
    client.link.send(Finished(number, client.link.offer((body,), len(body), "msgpack")))


def _tell(client: ClientLink, number: int, ending: Ending, body: Buffer) -> None:
    payload = client.link.offer((body,), ending.size, ending.encoding)
    client.link.send(Finished(number, payload, ending.code))
