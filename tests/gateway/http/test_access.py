"""The guard in front of every route: who may knock, by Host, Origin and Sec-Fetch-Site."""

from __future__ import annotations

import http.client

import pytest

from easyremote.errors import UsageError
from easyremote.gateway.app import make_app
from easyremote.gateway.http.access import Authority, Door
from easyremote.gateway.http.api import Api
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.links import Links
from easyremote.protocol.messages import SUBPROTOCOL
from tests.processes import LIMIT, Gateway

METHODS = ["GET", "POST", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "TRACE"]
Headers = dict[str, str | list[str]]
EVIL: list[Headers] = [
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "localhost@evil.example"},
    {"Host": ""},
    {"Host": "[::1"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://evil.example#localhost"},
    {"Origin": "http://localhost:80@evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "ftp://{address}"},
    {"Origin": "https://{address}"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://{address}.evil.example"},
    {"Origin": "http://evil.example@{address}"},
    {"Origin": "http://{address}@evil.example"},
    {"Origin": "http://{address}/"},
    {"Origin": "http://{address}#evil.example"},
    {"Origin": "http://{address} http://evil.example"},
    {"Origin": "//{address}"},
    {"Origin": ["http://{address}", "http://evil.example"]},
    {"Origin": ["http://{address}", "http://{address}"]},
    {"Host": "evil.example@{address}"},
    {"Host": "{address}/"},
    {"Host": "localhost:port"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ["same-origin", "cross-site"]},
]
UPGRADE: Headers = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": SUBPROTOCOL,
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every path that the router knows, and one that it does not."""
    keys = KeyStore(tmp_path_factory.mktemp("keys") / "gateway.sqlite3")
    links = Links(keys)
    app = make_app(links, Api(links), Door.of("127.0.0.1", ()))
    known = {resource.canonical.replace("{name}", "square") for resource in app.router.resources()}
    links.close()
    keys.close()
    assert {"/healthz", "/v1/link", "/api/square"} <= known
    return [*sorted(known), "/nothing"]


def status(gateway: Gateway, method: str, path: str, headers: Headers) -> int:
    connection = http.client.HTTPConnection(gateway.address, timeout=LIMIT)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, given in ({"Host": gateway.address} | headers).items():
            for value in given if isinstance(given, list) else [given]:
                connection.putheader(name, value.replace("{address}", gateway.address))
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("headers", EVIL, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_strange_hosts_and_origins_get_nothing_on_any_route(
    gateway: Gateway, paths: list[str], method: str, headers: Headers
) -> None:
    for path in paths:
        assert status(gateway, method, path, headers) == 403, path


@pytest.mark.parametrize("headers", EVIL, ids=str)
def test_a_websocket_upgrade_meets_the_same_guard(gateway: Gateway, headers: Headers) -> None:
    assert status(gateway, "GET", "/v1/link", UPGRADE) == 101
    assert status(gateway, "GET", "/v1/link", UPGRADE | headers) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost"},
        {"Host": "LOCALHOST:1234"},
        {"Host": "[::1]:8080"},
        {"Origin": "http://{address}"},
        {"Host": "localhost:99", "Origin": "http://localhost:99"},
        {"Host": "localhost", "Origin": "http://LOCALHOST:80"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
def test_pages_of_this_gateway_may_ask(gateway: Gateway, headers: Headers) -> None:
    assert status(gateway, "GET", "/healthz", headers) == 200


@pytest.mark.parametrize("second", ["evil.example", "{address}"])
def test_a_request_names_one_host(gateway: Gateway, paths: list[str], second: str) -> None:
    for path in paths:
        assert status(gateway, "GET", path, {"Host": ["{address}", second]}) == 400


def test_names_are_added_by_the_owner_and_compared_whole() -> None:
    hosts = Door.of("0.0.0.0", ["My-VPS.example", "fd00::1", "[fd00::2]:99", "a:8443"]).hosts
    assert {"localhost", "127.0.0.1", "::1", "my-vps.example", "fd00::1", "fd00::2", "a"} < hosts
    assert "0.0.0.0" not in hosts
    assert "" not in hosts
    assert Door.of("10.0.0.5", []).hosts >= {"10.0.0.5"}
    for wrong in ("", "https://my-vps", "my-vps/", "a@b", "my vps", "a:b"):
        with pytest.raises(UsageError, match="can't be a name of this gateway"):
            Door.of("127.0.0.1", [wrong])


@pytest.mark.parametrize(
    ("door", "host", "admitted"),
    [
        ({"tls": True}, "my-vps:8080", {"https://my-vps:8080"}),
        ({"tls": True}, "my-vps", {"https://my-vps", "https://my-vps:443"}),
        ({}, "my-vps:8080", {"http://my-vps:8080"}),
        # Behind a proxy pages have its scheme and port, and the proxy may change the Host.
        (
            {"behind_proxy": True},
            "127.0.0.1:8080",
            {
                *("http://127.0.0.1:8080", "https://127.0.0.1:8080"),
                *("https://my-vps", "http://my-vps", "https://my-vps:443", "https://a:8443"),
                "http://a:8443",
            },
        ),
    ],
    ids=["tls with a port", "tls", "plain", "behind a proxy"],
)
def test_a_page_has_the_scheme_the_host_and_the_port_of_its_gateway(
    door: dict[str, bool], host: str, admitted: set[str]
) -> None:
    made = Door.of("127.0.0.1", ["my-vps", "a:8443"], **door)
    asked = Authority.parse(host)
    assert asked is not None
    names = ("my-vps", "my-vps:443", "my-vps:8080", "127.0.0.1:8080", "127.0.0.1", "a", "a:8443")
    tried = {f"{scheme}://{name}" for scheme in ("http", "https", "ftp") for name in names}
    assert {origin for origin in tried if made.admits_page(origin, asked)} == admitted
