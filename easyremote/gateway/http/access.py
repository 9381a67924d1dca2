"""Which requests may come in: one check before every route and method, WebSockets included.

The Host must be a name of this gateway (against DNS rebinding). If a web page asks, its Origin must
have the scheme, the host and the port under which this gateway was asked. Both are parsed whole. A
request that passes still needs a key. ``tests/gateway/http/test_access.py`` asks every route
of the router.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from easyremote.errors import UsageError
from easyremote.gateway.http.problems import problem

#: Where each request keeps the address of whoever asks.
ADDRESS = web.RequestKey("ADDRESS", str)

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: A name or an IPv4 address, or an IPv6 address in brackets; then a port. Nothing else.
_AUTHORITY = re.compile(r"(?:\[([^\]]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?")
#: What browsers say of a request that no other site has made.
_OWN_SITES = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Authority:
    """A host, and a port where one is named."""

    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read ``host``, ``host:port`` or ``[address]:port``; None where it is anything else."""
        match = _AUTHORITY.fullmatch(text.lower())
        if match is None:
            return None
        address, name, port = match.groups()
        try:
            host = str(ipaddress.IPv6Address(address)) if address else name
        except ValueError:
            return None
        return cls(host, int(port) if port else None)


@dataclass(frozen=True, slots=True)
class Door:
    """The names under which a gateway may be addressed.

    Parameters
    ----------
    hosts
        Names and addresses.
    schemes
        How pages of this gateway are had: ``http``, ``https``, or either behind a proxy.
    pages
        Hosts and ports of pages that may ask whatever the Host is, because a proxy may change it.
    behind_proxy
        Whether all requests come through a proxy, which says who asks.
    """

    hosts: frozenset[str]
    schemes: frozenset[str]
    pages: frozenset[Authority] = frozenset()
    behind_proxy: bool = False

    @classmethod
    def of(
        cls, host: str, allow_hosts: Iterable[str], *, tls: bool = False, behind_proxy: bool = False
    ) -> Self:
        """Make the door of a gateway.

        Parameters
        ----------
        host
            The address that it listens on.
        allow_hosts
            More names, as ``name`` or ``name:port``.
        tls
            Whether the gateway itself does TLS.
        behind_proxy
            Whether a proxy in front does it.

        Raises
        ------
        UsageError
            One of ``allow_hosts`` is no name.
        """
        more = [_named(text) for text in allow_hosts]
        own = socket.gethostname() if host in _EVERYWHERE else host
        hosts = _LOOPBACK | {own.lower()} | {authority.host for authority in more}
        if behind_proxy:
            return cls(hosts, frozenset(_DEFAULT_PORTS), frozenset(more), behind_proxy=True)
        return cls(hosts, frozenset({"https" if tls else "http"}))

    def admits_page(self, origin: str, host: Authority) -> bool:
        """Whether a page of this origin may ask a gateway that is addressed as ``host``."""
        scheme, separator, rest = origin.partition("://")
        page = Authority.parse(rest)
        if not separator or page is None or scheme not in self.schemes:
            return False
        return any(
            _is_same(page, known, scheme) for known in (host, *self.pages) if known is not None
        )

    def address_of(self, request: web.BaseRequest) -> str:
        """The address of whoever asks; behind a proxy, the one that the proxy has added."""
        if self.behind_proxy:
            forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
            address = forwarded.rpartition(",")[2].strip()
            try:
                return str(ipaddress.ip_address(address))
            except ValueError:
                pass  # the proxy says nothing of use
        return request.remote or ""


def _named(text: str) -> Authority:
    authority = Authority.parse(text) or Authority.parse(f"[{text}]")  # an IPv6 address, bare
    if authority is None:
        raise UsageError(
            f"{text!r} can't be a name of this gateway. Write it as my-vps or my-vps:8443, without "
            "a scheme and a path."
        )
    return authority


def _is_same(one: Authority, other: Authority, scheme: str) -> bool:
    default = _DEFAULT_PORTS[scheme]
    return (one.host, one.port or default) == (other.host, other.port or default)


def guard(door: Door) -> Middleware:
    """The middleware of this door."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = request.headers.getall("Host", [])
        host = Authority.parse(hosts[0]) if len(hosts) == 1 else None
        if host is None or host.host not in door.hosts:
            name = ", ".join(hosts)[:100]
            return problem(
                403,
                "wrong-host",
                f"This gateway is not known as {name!r}. Start it with --allow-host NAME if it "
                "should be.",
            )
        origins = request.headers.getall("Origin", [])
        if len(origins) > 1 or not all(door.admits_page(origin, host) for origin in origins):
            pages = ", ".join(origins)[:100]
            return problem(403, "wrong-origin", f"Pages of {pages!r} may not use this gateway.")
        sites = request.headers.getall("Sec-Fetch-Site", [])
        if not _OWN_SITES.issuperset(sites):
            return problem(403, "wrong-origin", "Pages of other sites may not use this gateway.")
        request[ADDRESS] = door.address_of(request)
        return await handler(request)

    return check
