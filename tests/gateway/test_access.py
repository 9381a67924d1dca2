"""The guard in front of every route: who may knock, by Host, Origin and Sec-Fetch-Site."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from easyremote.gateway.access import allowed_hosts
from easyremote.gateway.app import make_app
from easyremote.gateway.http.api import Api
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.links import Links
from easyremote.protocol.messages import SUBPROTOCOL
from tests.conftest import LIMIT, Gateway

METHODS = ["GET", "POST", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "TRACE"]
EVIL = [
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
    {"Sec-Fetch-Site": "cross-site"},
]
UPGRADE = {
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
    app = make_app(links, Api(links), host="127.0.0.1", allow_hosts=())
    known = {resource.canonical.replace("{name}", "square") for resource in app.router.resources()}
    keys.close()
    assert {"/healthz", "/v1/link", "/api/square"} <= known
    return [*sorted(known), "/nothing"]


def status(gateway: Gateway, method: str, path: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(gateway.address, timeout=LIMIT)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in ({"Host": gateway.address} | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("headers", EVIL, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_strange_hosts_and_origins_get_nothing_on_any_route(
    gateway: Gateway, paths: list[str], method: str, headers: dict[str, str]
) -> None:
    for path in paths:
        assert status(gateway, method, path, headers) == 403, path


@pytest.mark.parametrize("headers", EVIL, ids=str)
def test_a_websocket_upgrade_meets_the_same_guard(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    assert status(gateway, "GET", "/v1/link", UPGRADE) == 101
    assert status(gateway, "GET", "/v1/link", UPGRADE | headers) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost"},
        {"Host": "LOCALHOST:1234"},
        {"Host": "[::1]:8080"},
        {"Origin": "http://localhost:8888"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
def test_pages_of_this_machine_may_ask(gateway: Gateway, headers: dict[str, str]) -> None:
    assert status(gateway, "GET", "/healthz", headers) == 200


def test_names_are_added_by_the_owner_and_compared_whole(tmp_path: Path) -> None:
    hosts = allowed_hosts("0.0.0.0", ["My-VPS.example"])
    assert {"localhost", "127.0.0.1", "::1", "my-vps.example"} < hosts
    assert "0.0.0.0" not in hosts
    assert "" not in hosts
    assert allowed_hosts("10.0.0.5", []) >= {"10.0.0.5"}
