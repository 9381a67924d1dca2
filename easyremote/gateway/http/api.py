"""Public functions as HTTP endpoints: ``POST /api/<name>`` and ``GET /api/<name>?x=1``.

The gateway calls them as a client does, with JSON payloads, through the same call table. Arguments
are a JSON object of the parameters (``bodies.py``). Errors are problem documents (``problems.py``);
the public sees no traceback. ``tests/gateway/http/test_api.py`` proves it.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable

import msgspec
from aiohttp import web

from easyremote.errors import Busy, EasyRemoteError, NotAuthorized, NotFound, from_wire
from easyremote.gateway.access import ADDRESS
from easyremote.gateway.http.bodies import MAX_BODY, READING_LIMIT, Bodies, Refusal
from easyremote.gateway.http.problems import problem, problem_of
from easyremote.gateway.links import Links
from easyremote.gateway.listener import at_work
from easyremote.gateway.records import ClientLink
from easyremote.protocol.caller import Caller, unpack_error
from easyremote.protocol.messages import Function, Message, Payload, Submit
from easyremote.protocol.streams import Buffer
from easyremote.transport.local import LocalPair

#: The most that a generator may yield for one answer, in bytes: the whole of it is collected here.
MAX_ITEMS = 16 * 1024 * 1024
#: A call by HTTP is over after this many seconds.
DEADLINE = 30.0
#: Calls by HTTP at a time.
MAX_WAITING = 100

_PUBLIC = "public"
_TOO_LARGE = "too-large"
_LEAVING = "leaving"


class Api:
    """The HTTP door to public functions."""

    def __init__(self, links: Links, *, max_waiting: int = MAX_WAITING) -> None:
        self._links = links
        self._max_waiting = max_waiting
        self._bodies = Bodies()
        #: The calls that are under way.
        self._answers: set[_Answer] = set()
        self._callers: dict[str, _LocalCaller] = {}
        self._is_leaving = False

    def leave(self) -> None:
        """The gateway stops: end the calls that are under way, and take none on any more."""
        self._is_leaving = True
        for answer in self._answers:
            answer.finish(_LEAVING, "", b"")
            answer.cancel()
        for caller in self._callers.values():
            caller.pair.pump()  # the nodes hear of it before their links are closed

    def close(self) -> None:
        for caller in self._callers.values():
            caller.pair.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if self._is_leaving:
            return _leaving(may_have_run=False)
        try:
            function = self._find(request.match_info["name"])
            owner = self._authorise(request, function)
            arguments = await self._arguments(request, function)
        except Busy as error:
            return problem(429, error.code, error.message)
        except EasyRemoteError as error:
            return problem_of(error)
        except Refusal as error:
            return problem(error.status, error.code, error.detail)
        if self._is_leaving:
            return _leaving(may_have_run=False)
        if len(self._answers) >= self._max_waiting:
            return problem(503, "busy", "Too many calls at a time. Try again in a second.")
        answer = _Answer()
        self._answers.add(answer)
        try:
            with at_work(request):
                return await self._call(function, owner, arguments, answer)
        finally:
            self._answers.discard(answer)

    def _find(self, name: str) -> Function:
        for node in self._links.nodes.offering(name):
            if node.functions[name].public:
                return node.functions[name]
        # A function that is not public is not known to be there, either.
        raise NotFound(f"There is no public function {name!r} here.")

    def _authorise(self, request: web.Request, function: Function) -> str:
        """Whose call it is."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and key:
            address = request[ADDRESS]
            return self._links.check_key(key.strip(), "client", address, time.monotonic()).key_id
        if function.auth_required:
            raise NotAuthorized(
                f"{function.name}() asks for a key: send it as 'Authorization: Bearer er_client_…'."
            )
        return _PUBLIC

    async def _arguments(self, request: web.Request, function: Function) -> bytes:
        """The JSON object of the arguments."""
        if request.method == "GET":
            named = {name: _plain(value) for name, value in request.query.items()}
            return msgspec.json.encode(named)
        return await self._bodies.read(request, min(function.max_body or MAX_BODY, READING_LIMIT))

    async def _call(
        self, function: Function, owner: str, arguments: bytes, answer: _Answer
    ) -> web.StreamResponse:
        if owner not in self._callers:
            self._callers[owner] = _LocalCaller(self._links, owner)
        limit = min(function.timeout, DEADLINE) if function.timeout else DEADLINE
        caller = self._callers[owner]
        submit = Submit(
            0, os.urandom(16), "", function.name, Payload(), timeout=limit, queue_timeout=limit
        )
        size = len(arguments)
        call = caller.core.submit(submit, (arguments,), size, "json", answer, time.monotonic())
        answer.cancel = functools.partial(caller.core.cancel, call)
        answer.seen = functools.partial(caller.core.seen, call)
        try:
            async with asyncio.timeout(limit):
                code, encoding, result = await answer.future
        except TimeoutError:
            answer.cancel()
            return problem(
                504,
                "timeout",
                f"{function.name}() took longer than {limit:g} s.",
                may_have_run=True,
            )
        except asyncio.CancelledError:
            answer.cancel()  # the visitor has gone
            raise
        if code == _LEAVING:
            return _leaving(may_have_run=True)
        if code == _TOO_LARGE:
            answer.cancel()
            return problem(500, code, f"{function.name}() yields more than {MAX_ITEMS >> 20} MiB.")
        if code:
            return _failure(code, result, is_public=owner == _PUBLIC)
        assert encoding == "json", "a call with JSON arguments is answered in JSON"
        if function.streams:
            result = b"[" + b",".join(answer.items) + b"]"
        return web.Response(
            body=bytes(result),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


class _LocalCaller:
    """A client inside the gateway, for one owner."""

    def __init__(self, links: Links, owner: str) -> None:
        self._links = links
        self.core = Caller()
        self.pair = LocalPair(self.core.receive, self._to_calls, self._flush)
        self._client = ClientLink(self.pair.far, owner)
        self.core.attach(self.pair.near, MAX_WAITING, time.monotonic())

    def _flush(self, now: float) -> None:
        self.core.flush(now)
        self.core.deliver()  # it costs no message here

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

    def started(self, node: str) -> None:
        """Nothing is said before the end."""

    def event(self, encoding: str, body: Buffer) -> None:
        self.size += len(body)
        if self.size > MAX_ITEMS:
            self.finish(_TOO_LARGE, "", b"")
        else:
            self.items.append(bytes(body))
            self.seen(len(self.items))

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        if not self.future.done():
            self.future.set_result((code, encoding, body))


def _failure(code: str, body: Buffer, *, is_public: bool) -> web.Response:
    code, message, details = unpack_error(body)
    error = from_wire(code, message, details)
    if code == "raised" and details.get("bad_arguments"):
        return problem(422, "bad-arguments", message, may_have_run=False)
    if code == "raised" and is_public:
        # Who owns the node finds the traceback in its log, under this id.
        return problem(
            500,
            "raised",
            f"{details.get('type_name', 'An error')} in the function.",
            may_have_run=True,
            error_id=str(details.get("error_id", "")),
        )
    return problem_of(error)


def _leaving(*, may_have_run: bool) -> web.Response:
    text = "The gateway stops. Try again when it is back."
    return problem(503, _LEAVING, text, may_have_run=may_have_run)


def _plain(text: str) -> object:
    """A query's value: a number or a truth value where it is one in JSON, else text."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | float | bool) else text
