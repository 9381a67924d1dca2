"""Who may knock: one check in front of every route and method, WebSocket upgrades included.

The Host must be one of ours (against DNS rebinding), an Origin, if a browser sends one, too
(against other people's pages), compared parsed and whole, never by a pattern. What passes still
needs a key. ``tests/gateway/test_access.py`` asks every route of the router.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from easyremote.gateway.http.problems import problem

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})


def allowed_hosts(host: str, extra: Iterable[str]) -> frozenset[str]:
    """The host names under which this gateway may be addressed."""
    names = _LOOPBACK | {name.lower() for name in extra}
    if host in _EVERYWHERE:
        return names | {socket.gethostname().lower()}
    return names | {host.lower()}


def guard(hosts: frozenset[str]) -> Middleware:
    """The middleware for these host names."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = _host_of(f"//{request.headers.get('Host', '')}")
        if host not in hosts:
            return problem(
                403,
                "wrong-host",
                f"This gateway is not known as {host!r}. Start it with --allow-host {host} if it "
                "should be.",
            )
        origin = request.headers.get("Origin")
        if origin is not None and _host_of(origin) not in hosts:
            return problem(403, "wrong-origin", f"Pages of {origin} may not use this gateway.")
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            return problem(403, "wrong-origin", "Other sites may not use this gateway.")
        return await handler(request)

    return check


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
