"""The paths of one node: what its owner says of it, and what was used there.

``nodes/lend`` and ``nodes/rules`` need the permission to execute, and the gateway decides whether
the node belongs to the server's own key. ``usage?node=NAME`` answers with what each key has used
there in the last 7 days; the gateway tells its owner of all keys, and others of their own.
``tests/jupyter_extension/server/test_handlers.py`` proves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_server.auth.decorator import authorized
from tornado import web

from easyremote.errors import EasyRemoteError, NotAuthorized, NotFound
from easyremote.panel.messages import (
    LendAnswer,
    LendRequest,
    Rules,
    RulesChange,
    UsageList,
    UsageOfKey,
)
from easyremote.protocol.usage import UsageRow
from easyremote_jupyter.server.gateway_handler import AUTH_RESOURCE, GatewayHandler

#: How far back the page of a node tells what was used.
SINCE = "7d"


class LendHandler(GatewayHandler):
    """POST: pause, drain or resume a node; repeating it is harmless."""

    @web.authenticated
    @authorized("execute", AUTH_RESOURCE)  # type: ignore[untyped-decorator]  # Jupyter's
    async def post(self) -> None:
        wanted = self.read(LendRequest)
        async with self.gateway() as client:
            say = {"pause": client.pause, "drain": client.drain, "resume": client.resume}
            with _told():
                node = await asyncio.to_thread(say[wanted.how], wanted.node_id)
        self.answer(LendAnswer(node.closed))


class RulesHandler(GatewayHandler):
    """GET: the owner's rules of ``?node=NAME``; POST: change some of them."""

    @web.authenticated
    @authorized("execute", AUTH_RESOURCE)  # type: ignore[untyped-decorator]  # Jupyter's
    async def get(self) -> None:
        await self._change(RulesChange(self.get_argument("node"), {}))

    @web.authenticated
    @authorized("execute", AUTH_RESOURCE)  # type: ignore[untyped-decorator]  # Jupyter's
    async def post(self) -> None:
        await self._change(self.read(RulesChange))

    async def _change(self, wanted: RulesChange) -> None:
        async with self.gateway() as client:
            with _told():
                found = await asyncio.to_thread(client.change_rules, wanted.node_id, wanted.changes)
        self.answer(Rules(found.rules, found.file, found.at_start, found.refused))


class UsageHandler(GatewayHandler):
    """GET: what each key has used on ``?node=NAME``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        node_id = self.get_argument("node")
        async with self.gateway() as client:
            try:
                used = await asyncio.to_thread(client.usage, since=SINCE, node_id=node_id)
            except EasyRemoteError as error:
                raise web.HTTPError(502, str(error)) from None
        self.answer(UsageList([_of_key(row) for row in used]))


@contextmanager
def _told() -> Iterator[None]:
    """Tell the browser why the owner's wish was not granted."""
    try:
        yield
    except NotAuthorized as error:
        raise web.HTTPError(403, str(error)) from None
    except NotFound as error:
        raise web.HTTPError(404, str(error)) from None
    except EasyRemoteError as error:
        raise web.HTTPError(502, str(error)) from None


def _of_key(row: UsageRow) -> UsageOfKey:
    return UsageOfKey(
        row.title or row.name,
        row.calls,
        row.calls - row.values,
        row.run_seconds,
        row.gpu_seconds,
        row.argument_bytes,
        row.result_bytes,
    )
