"""Public functions as HTTP endpoints: ``POST /api/<name>`` and ``GET /api/<name>?x=1``.

The gateway calls them as a client does, with JSON payloads, through the same call table. Arguments
are a JSON object of the parameters (``bodies.py``). Errors are problem documents (``problems.py``);
the public sees no traceback. ``tests/gateway/http/test_api.py`` proves it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import re
import time
from collections.abc import Callable

import msgspec
from aiohttp import web

from easyremote.errors import (
    Busy,
    EasyRemoteError,
    InternalError,
    NodeOffline,
    NotAuthorized,
    from_wire,
)
from easyremote.gateway.callers import Access, Principal
from easyremote.gateway.http.access import ADDRESS
from easyremote.gateway.http.bodies import MAX_BODY, READING_LIMIT, Bodies, Refusal
from easyremote.gateway.http.listener import at_work
from easyremote.gateway.http.problems import problem, problem_of
from easyremote.gateway.links import Links
from easyremote.gateway.permissions import PUBLIC, holder_of
from easyremote.gateway.records import ClientLink
from easyremote.logs import about
from easyremote.protocol.caller import Caller
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.messages import GoingAway, Message, Payload, Submit
from easyremote.protocol.streams import Buffer
from easyremote.transport.local import LocalPair

_log = logging.getLogger("easyremote.gateway")

#: The most that a generator may yield for one answer, in bytes: the gateway collects all of it.
MAX_ITEMS = 16 * 1024 * 1024
#: A call by HTTP is over after this many seconds.
DEADLINE = 30.0
#: Calls by HTTP that may be under way at a time.
MAX_WAITING = 100

#: Seconds after which it is worth asking again whether a node's owner lends it.
CLOSED_FOR = 60
#: Version 00 of W3C Trace Context.
_TRACEPARENT = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TOO_LARGE = "too-large"
_STOPS = "stops"


class Api:
    """The HTTP door to public functions."""

    def __init__(self, links: Links, *, max_waiting: int = MAX_WAITING) -> None:
        self._links = links
        self._max_waiting = max_waiting
        self._bodies = Bodies()
        #: Of the calls that are under way.
        self._answers: set[_Answer] = set()
        self._is_leaving = False
        self._callers: dict[tuple[Principal, Access], _LocalCaller] = {}

    def leave(self) -> None:
        """The gateway stops: end the calls that are under way, and take none on any more."""
        self._is_leaving = True
        for answer in self._answers:
            answer.finish(_STOPS, "", b"")
            answer.cancel()
        for caller in self._callers.values():
            caller.leave()

    def close(self) -> None:
        for caller in self._callers.values():
            caller.pair.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if self._is_leaving:
            return _stopping(may_have_run=False)
        try:
            name = request.match_info["name"]
            principal, access = who_asks(self._links, request)
            self._check(name, access)
            arguments = await self._arguments(request, name, access)
        except Busy as error:  # too many wrong keys
            return problem(429, error.code, error.message)
        except EasyRemoteError as error:
            if isinstance(error, InternalError):
                _log.exception("A request failed", extra=about(peer=request[ADDRESS]))
            return problem_of(error)
        except Refusal as error:
            return problem(error.status, error.code, error.detail)
        if self._is_leaving:
            return _stopping(may_have_run=False)
        if len(self._answers) >= self._max_waiting:
            return problem(503, "busy", "Too many calls at a time. Try again in a second.")
        answer = _Answer()
        self._answers.add(answer)
        try:
            with at_work(request):
                trace = traceparent(request)
                return await self._call(name, principal, access, arguments, answer, trace)
        finally:
            self._answers.discard(answer)

    def _check(self, name: str, access: Access) -> None:
        """Raise where no node online offers this function to such a caller, or takes its calls."""
        nodes = self._links.nodes
        offering = nodes.offering(name, access)
        if any(not (node.closed or node.is_refusing) for node in offering):
            return
        if offering:  # a visitor does not wait until an owner lends a node again
            why = offering[0].closed or "its node hands back whatever it is sent"
            text = f"{name}() takes no calls at the moment: {why}. Try again later."
            raise NodeOffline(text, retry_after=CLOSED_FOR)
        if nodes.offering(name, Access.HTTP):
            raise NotAuthorized(
                f"{name}() asks for a key: send it as 'Authorization: Bearer er_client_…'."
            )
        if nodes.may_come(name, access, time.monotonic()):
            raise NodeOffline(
                f"{name}() is not back yet: its node is away. Try again in a few seconds."
            )
        raise nodes.no_such_function(name, None, access)

    async def _arguments(self, request: web.Request, name: str, access: Access) -> bytes:
        """The JSON object of the arguments."""
        if request.method == "GET":
            named = {name: _plain(value) for name, value in request.query.items()}
            return msgspec.json.encode(named)
        # Any of these nodes may get it, so the smallest limit is the one that counts.
        nodes = self._links.nodes.offering(name, access)
        limit = min(node.functions[name].max_body or MAX_BODY for node in nodes)
        return await self._bodies.read(request, min(limit, READING_LIMIT))

    async def _call(
        self,
        name: str,
        principal: Principal,
        access: Access,
        arguments: bytes,
        answer: _Answer,
        trace: str,
    ) -> web.StreamResponse:
        caller = self._callers.get((principal, access))
        if caller is None:
            caller = self._callers[principal, access] = _LocalCaller(
                self._links, principal, access, self._max_waiting
            )
        # The function's own limit is its node's to keep: nodes can differ in it.
        submit = Submit(0, os.urandom(16), "", name, Payload(), timeout=DEADLINE, trace=trace)
        size = len(arguments)
        call = caller.core.submit(submit, (arguments,), size, "json", answer, time.monotonic())
        answer.cancel = functools.partial(caller.core.cancel, call)
        answer.seen = functools.partial(caller.core.seen, call)
        answer.is_list = functools.partial(caller.streams, submit.call_id)
        try:
            async with asyncio.timeout(DEADLINE):
                code, encoding, result = await answer.future
        except TimeoutError:
            answer.cancel()
            return problem(
                504,
                "timeout",
                f"{name}() took longer than {DEADLINE:g} s.",
                may_have_run=True,
            )
        except asyncio.CancelledError:
            answer.cancel()  # the visitor has gone
            raise
        if code == _STOPS:
            return _stopping(may_have_run=call.sent is not None)
        if code == _TOO_LARGE:
            answer.cancel()
            return problem(500, code, f"{name}() yields more than {MAX_ITEMS >> 20} MiB.")
        if code:
            return _failure(code, result, is_public=principal is PUBLIC)
        assert encoding == "json", "a call with JSON arguments is answered in JSON"
        if answer.was_list:
            result = b"[" + b",".join(answer.items) + b"]"
        return web.Response(
            body=bytes(result),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


def who_asks(links: Links, request: web.Request) -> tuple[Principal, Access]:
    """Whose key a request shows, and what it may call.

    Raises
    ------
    NotAuthorized, Busy
        The key is not good.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key:
        now = time.monotonic()
        record = links.check_key(key.strip(), "client", request[ADDRESS], now)
        return holder_of(record), Access.HTTP
    return PUBLIC, Access.PUBLIC


def traceparent(request: web.Request) -> str:
    """The trace that a request belongs to, as its header says; empty for none."""
    header = request.headers.get("traceparent", "").strip()
    return header if _TRACEPARENT.fullmatch(header) else ""


class _LocalCaller:
    """A client inside the gateway, for somebody and what may be called."""

    def __init__(self, links: Links, principal: Principal, access: Access, max_calls: int) -> None:
        self._links = links
        self.core = Caller()
        self.pair = LocalPair(self.core.receive, self._to_calls, self._flush, self.core.failed)
        # `Api` counts its calls itself.
        self._client = ClientLink(self.pair.far, principal, access, max_calls=max_calls)
        self.core.attach(self.pair.near, max_calls, time.monotonic())

    def _flush(self, now: float) -> None:
        self.core.flush(now)
        self.core.deliver()  # it costs no message here

    def leave(self) -> None:
        """The gateway stops: what it hands back is not sent again."""
        self.pair.far.send(GoingAway("the gateway stops"))
        self.pair.pump()  # the nodes hear what was cancelled before their links are closed

    def streams(self, call_id: bytes) -> bool:
        """Whether the function that ran is a generator, on the node where it ran."""
        call = self._links.calls.table.by_id.get(call_id)
        return call is not None and call.streams

    def _to_calls(self, message: Message, now: float) -> None:
        self._links.calls.receive_from_client(self._client, message, now)


class _Answer:
    """Waits for the outcome of one call, and collects what a generator yields."""

    def __init__(self) -> None:
        self.future: asyncio.Future[tuple[str, str, Buffer]] = (
            asyncio.get_running_loop().create_future()
        )
        self.items: list[bytes] = []
        self.size = 0
        #: Tells the node how many items are here, so that it makes more.
        self.seen: Callable[[int], None]
        #: Asks for the end of the call.
        self.cancel: Callable[[], None]
        #: Tells, until the outcome is confirmed, whether the function is a generator.
        self.is_list: Callable[[], bool]
        self.was_list = False

    def started(self, node: str) -> None:
        """The visitor hears nothing before the outcome."""

    def event(self, encoding: str, body: Buffer) -> None:
        self.size += len(body)
        if self.size > MAX_ITEMS:
            self.finish(_TOO_LARGE, "", b"")
        else:
            self.items.append(bytes(body))
            self.seen(len(self.items))

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        if not self.future.done():
            self.was_list = not code and self.is_list()
            self.future.set_result((code, encoding, body))


def _stopping(*, may_have_run: bool) -> web.Response:
    text = "The gateway stops. Try again in a few seconds: it may be starting anew."
    return problem(503, "busy", text, may_have_run=may_have_run)


def _failure(code: str, body: Buffer, *, is_public: bool) -> web.Response:
    code, message, details = unpack_error(body)
    error = from_wire(code, message, details)
    if code == "raised" and details.get("bad_arguments"):
        return problem(422, "bad-arguments", message, may_have_run=False)
    if code == "raised" and is_public:
        # The owner of the node finds the traceback in the node's log, by this id.
        return problem(
            500,
            "raised",
            f"{details.get('type_name', 'An error')} in the function.",
            may_have_run=True,
            error_id=str(details.get("error_id", "")),
        )
    return problem_of(error)


def _plain(text: str) -> object:
    """A query's value: a number or a truth value where it is one in JSON, else text."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | float | bool) else text
