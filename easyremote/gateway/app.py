"""The aiohttp application, assembled: routes, the guard in front of them, background tasks.

``tests/gateway/http/test_access.py`` asks every route of its router.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

import easyremote
from easyremote.background import run_every
from easyremote.gateway.feed import INTERVAL
from easyremote.gateway.http.access import Door, guard
from easyremote.gateway.http.api import Api
from easyremote.gateway.http.metrics import Metrics
from easyremote.gateway.links import TICK, Links
from easyremote.gateway.notify import poster
from easyremote.gateway.usage import book as usage

_log = logging.getLogger("easyremote.gateway")

#: Where the links of this gateway are, for the server and for tests.
LINKS = web.AppKey("LINKS", Links)


def make_app(links: Links, api: Api, door: Door) -> web.Application:
    """The gateway as an application."""
    app = web.Application(middlewares=[guard(door)])
    app[LINKS] = links
    app.router.add_get("/", _about)
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/v1/link", links.accept)
    app.router.add_get("/metrics", Metrics(links).handle, allow_head=False)
    app.router.add_post("/api/{name}", api.handle)
    app.router.add_get("/api/{name}", api.handle, allow_head=False)
    app.cleanup_ctx.append(_background)
    return app


async def _background(app: web.Application) -> AsyncIterator[None]:
    links = app[LINKS]
    works = [
        run_every(TICK, links.look_at_timers, "The look at timers", _log),
        run_every(TICK, links.look_at_keys, "The look at the file of keys", _log),
        run_every(TICK, links.look_at_rights, "The look at the rights of connections", _log),
        run_every(usage.INTERVAL, links.usage.write, "The file of what was used", _log),
        run_every(poster.INTERVAL, links.poster.look, "The sending of notifications", _log),
        run_every(INTERVAL, links.feed.send_snapshots, "The feed", _log),
    ]
    tasks = [asyncio.create_task(work) for work in works]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _healthz(request: web.Request) -> web.Response:
    nodes = sum(node.online for node in request.app[LINKS].nodes)
    return web.json_response({"status": "ok", "nodes": nodes})


async def _about(request: web.Request) -> web.Response:
    return web.json_response({"service": "easyremote", "version": easyremote.__version__})
