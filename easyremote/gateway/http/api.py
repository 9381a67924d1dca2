"""Public functions as HTTP endpoints: ``POST /api/<name>`` and ``GET /api/<name>?x=1``.

The gateway calls them as a client does, with JSON payloads, through the same call table. Arguments
are a JSON object of the parameters. Errors are problem documents (``problems.py``); the public
sees no traceback. ``tests/gateway/http/test_api.py`` proves it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from easyremote.errors import EasyRemoteError, NodeOffline, NotAuthorized, from_wire
from easyremote.gateway.http.problems import problem, problem_of
from easyremote.gateway.links import Links
from easyremote.gateway.records import Access, ClientLink
from easyremote.protocol.caller import Caller, unpack_error
from easyremote.protocol.messages import GoingAway, Message, Payload, Submit
from easyremote.protocol.streams import Buffer
from easyremote.transport.local import LocalPair

#: The largest request body.
MAX_BODY = 16 * 1024 * 1024
#: The most that a generator may yield for one answer, in bytes: the whole of it is collected here.
MAX_ITEMS = 16 * 1024 * 1024
#: A call by HTTP is over after this many seconds.
DEADLINE = 30.0
#: Calls by HTTP at a time.
MAX_WAITING = 100

_PUBLIC = "public"
_TOO_LARGE = "too-large"
_STOPS = "stops"


class Api:
    """The HTTP door to public functions."""

    def __init__(self, links: Links, *, max_waiting: int = MAX_WAITING) -> None:
        self._links = links
        self._max_waiting = max_waiting
        self._waiting = 0
        #: Of the calls that are under way.
        self._answers: set[_Answer] = set()
        self._is_leaving = False
        self._callers: dict[tuple[str, Access], _LocalCaller] = {}

    def leave(self) -> None:
        """The gateway stops: whoever waits is told to ask again."""
        self._is_leaving = True
        for caller in self._callers.values():
            caller.leave()
        for answer in list(self._answers):
            answer.finish(_STOPS, "", b"")

    def close(self) -> None:
        for caller in self._callers.values():
            caller.pair.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if self._is_leaving:
            return _stopping(may_have_run=False)
        try:
            name = request.match_info["name"]
            owner, access = self._authorise(request)
            self._check(name, access)
            arguments = await _arguments(request)
        except EasyRemoteError as error:
            return problem_of(error)
        except web.HTTPRequestEntityTooLarge:
            return problem(413, _TOO_LARGE, f"The body is above {MAX_BODY >> 20} MiB.")
        except (ValueError, RecursionError) as error:
            return problem(400, "usage", f"The body is no JSON object of arguments: {error}")
        if self._waiting >= self._max_waiting:
            return problem(503, "busy", "Too many calls at a time. Try again in a second.")
        self._waiting += 1
        try:
            return await self._call(name, owner, access, arguments)
        finally:
            self._waiting -= 1

    def _authorise(self, request: web.Request) -> tuple[str, Access]:
        """Whose call it is, and what it may call."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and key:
            return self._links.keys.check(key.strip(), "client").key_id, Access.HTTP
        return _PUBLIC, Access.PUBLIC

    def _check(self, name: str, access: Access) -> None:
        """Raise where no node online offers this function to such a caller."""
        nodes = self._links.nodes
        if nodes.offering(name, access):
            return
        if nodes.offering(name, Access.HTTP):
            raise NotAuthorized(
                f"{name}() asks for a key: send it as 'Authorization: Bearer er_client_…'."
            )
        if nodes.may_come(name, access, time.monotonic()):
            raise NodeOffline(
                f"{name}() is not back yet: its node is away. Try again in a few seconds."
            )
        raise nodes.no_such_function(name, None, access)

    async def _call(
        self, name: str, owner: str, access: Access, arguments: dict[str, Any]
    ) -> web.StreamResponse:
        caller = self._callers.get((owner, access))
        if caller is None:
            caller = self._callers[owner, access] = _LocalCaller(
                self._links, owner, access, self._max_waiting
            )
        answer = _Answer()
        body = msgspec.json.encode(arguments)
        # The function's own limit is its node's to keep: nodes can differ in it.
        submit = Submit(0, os.urandom(16), "", name, Payload(), timeout=DEADLINE)
        call = caller.core.submit(submit, (body,), len(body), "json", answer, time.monotonic())
        answer.seen = functools.partial(caller.core.seen, call)
        answer.is_list = functools.partial(caller.streams, submit.call_id)
        self._answers.add(answer)
        try:
            async with asyncio.timeout(DEADLINE):
                code, encoding, result = await answer.future
        except TimeoutError:
            caller.core.cancel(call)
            return problem(
                504,
                "timeout",
                f"{name}() took longer than {DEADLINE:g} s.",
                may_have_run=True,
            )
        except asyncio.CancelledError:
            caller.core.cancel(call)  # the visitor has gone
            raise
        finally:
            self._answers.discard(answer)
        if code == _STOPS:
            caller.core.cancel(call)
            return _stopping(may_have_run=call.sent is not None)
        if code == _TOO_LARGE:
            caller.core.cancel(call)
            return problem(500, code, f"{name}() yields more than {MAX_ITEMS >> 20} MiB.")
        if code:
            return _failure(code, result, is_public=owner == _PUBLIC)
        assert encoding == "json", "a call with JSON arguments is answered in JSON"
        if answer.was_list:
            result = b"[" + b",".join(answer.items) + b"]"
        return web.Response(
            body=bytes(result),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


class _LocalCaller:
    """A client inside the gateway, for one owner and what it may call."""

    def __init__(self, links: Links, owner: str, access: Access, max_calls: int) -> None:
        self._links = links
        self.core = Caller()
        self.pair = LocalPair(self.core.receive, self._to_calls, self._flush, self.core.failed)
        # `Api` counts its calls itself.
        self._client = ClientLink(self.pair.far, owner, access, max_calls=max_calls)
        self.core.attach(self.pair.near, max_calls, time.monotonic())

    def _flush(self, now: float) -> None:
        self.core.flush(now)
        self.core.deliver()  # it costs no message here

    def leave(self) -> None:
        """The gateway stops: what it hands back is not sent again."""
        self.pair.far.send(GoingAway("the gateway stops"))

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
        #: Tells, until the outcome is confirmed, whether the function is a generator.
        self.is_list: Callable[[], bool]
        self.was_list = False

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
        # Who owns the node finds the traceback in its log, under this id.
        return problem(
            500,
            "raised",
            f"{details.get('type_name', 'An error')} in the function.",
            may_have_run=True,
            error_id=str(details.get("error_id", "")),
        )
    return problem_of(error)


async def _arguments(request: web.Request) -> dict[str, Any]:
    if request.method == "GET":
        return {name: _plain(value) for name, value in request.query.items()}
    body = await request.read()
    arguments = json.loads(body) if body.strip() else {}
    if not isinstance(arguments, dict):
        raise ValueError(f"it is a {type(arguments).__name__}")
    return arguments


def _plain(text: str) -> object:
    """A query's value: a number or a truth value where it reads like one, else text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool) else text
