"""What the paths that ask the gateway have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec
from jupyter_server.base.handlers import APIHandler
from tornado import web

from easyremote.panel.feed import PanelFeed
from easyremote.panel.messages import Snapshot, Unavailable

if TYPE_CHECKING:
    from easyremote.client.client import Client

T = TypeVar("T", bound=msgspec.Struct)

AUTH_RESOURCE = "easyremote"
#: The largest request, in bytes: people type what is in it.
MAX_BODY = 1_000_000
#: Seconds that a request waits for an answer: shorter than the timeout of any proxy.
PATIENCE = 20.0


class GatewayHandler(APIHandler):
    """A request that is passed on to the gateway, through the one client."""

    auth_resource = AUTH_RESOURCE

    def initialize(self, feed: PanelFeed) -> None:
        self.feed = feed

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Client]:
        """The client, for as long as it is needed; 503 and the reason where there is none."""
        async with self.feed.client() as client:
            if isinstance(client, Unavailable):
                raise refusal(client)
            yield client

    async def snapshot(self) -> Snapshot:
        """The newest snapshot; 503 and the reason where there is none."""
        word = await self.feed.first_word()
        if isinstance(word, Unavailable):
            raise refusal(word)
        return word

    def read(self, kind: type[T]) -> T:
        """Decode the body; refuse it if it is not of this type."""
        if len(self.request.body) > MAX_BODY:
            raise web.HTTPError(413, "The request is too large.")
        try:
            return msgspec.json.decode(self.request.body, type=kind)
        except msgspec.DecodeError as error:
            raise web.HTTPError(400, f"The panel sends no such request: {error}") from None

    def answer(self, what: msgspec.Struct) -> None:
        self.finish(msgspec.json.encode(what))


def refusal(word: Unavailable) -> web.HTTPError:
    """The answer where there is no gateway."""
    return web.HTTPError(503, word.message, reason=word.reason)
