"""The path of one node: its owner pauses, drains or resumes it.

``nodes/lend`` needs the permission to execute, and the gateway decides whether the node belongs to
the server's own key. ``tests/jupyter_extension/server/test_handlers.py`` proves it.
"""

from __future__ import annotations

import asyncio

from jupyter_server.auth.decorator import authorized
from tornado import web

from easyremote.errors import NotAuthorized, NotFound
from easyremote.panel.messages import LendAnswer, LendRequest
from easyremote_jupyter.server.gateway_handler import AUTH_RESOURCE, GatewayHandler


class LendHandler(GatewayHandler):
    """POST: pause, drain or resume a node; repeating it is harmless."""

    @web.authenticated
    @authorized("execute", AUTH_RESOURCE)  # type: ignore[untyped-decorator]  # Jupyter's
    async def post(self) -> None:
        wanted = self.read(LendRequest)
        async with self.gateway() as client:
            say = {"pause": client.pause, "drain": client.drain, "resume": client.resume}
            try:
                node = await asyncio.to_thread(say[wanted.how], wanted.node_id)
            except NotAuthorized as error:
                raise web.HTTPError(403, str(error)) from None
            except NotFound as error:
                raise web.HTTPError(404, str(error)) from None
        self.answer(LendAnswer(node.closed))
