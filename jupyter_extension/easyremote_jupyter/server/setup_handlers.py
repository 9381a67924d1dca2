"""The paths under ``{base_url}easyremote/setup``: what a newcomer can do, and doing it.

Reading needs the permission to read the resource ``easyremote``, everything else that to write it.
A key is taken in and never given out.
``tests/jupyter_extension/server/test_first_run.py`` proves it.
"""

from __future__ import annotations

import asyncio

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from easyremote.errors import EasyRemoteError, UsageError
from easyremote.panel.feed import PanelFeed
from easyremote_jupyter.server.first_run import BadInput, FirstRun, Setup
from easyremote_jupyter.server.gateway_handler import AUTH_RESOURCE


class Login(msgspec.Struct):
    """What the browser sends to connect."""

    address: str
    key: str


class _Handler(APIHandler):
    auth_resource = AUTH_RESOURCE

    def initialize(self, feed: PanelFeed, first_run: FirstRun) -> None:
        self.feed = feed
        self.first_run = first_run

    def refuse(self, status: int, reason: str, message: str) -> None:
        """Answer with the same JSON as for other errors; a message can contain any character."""
        self.set_status(status)
        self.finish(msgspec.json.encode({"message": message, "reason": reason}))


class SetupHandler(_Handler):
    """GET: what can be done; nothing for those who may only read."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        allowed = self.authorizer.is_authorized(self, self.current_user, "write", AUTH_RESOURCE)
        found = Setup("", connect=False)
        if await ensure_async(allowed):
            is_connected = self.feed.is_connected
            found = await asyncio.to_thread(self.first_run.setup, is_connected=is_connected)
        self.finish(msgspec.json.encode(found))


class StartHandler(_Handler):
    """POST: start what is missing."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        try:
            await self.first_run.start(is_connected=self.feed.is_connected)
        except UsageError as error:
            self.refuse(409, error.code, str(error))
        except EasyRemoteError as error:
            self.refuse(500, error.code, str(error))
        else:
            self.feed.retry()
            self.finish("{}")


class ConnectHandler(_Handler):
    """POST: try a gateway and a key, and keep them."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        try:
            login = msgspec.json.decode(self.request.body, type=Login)
            await self.first_run.connect(login.address, login.key)
        except msgspec.DecodeError:
            self.refuse(400, "failed", "The panel sends no such request.")
        except BadInput as error:
            self.refuse(400, error.field, str(error))
        else:
            self.feed.reconnect()
            self.finish("{}")
