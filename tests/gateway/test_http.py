"""The gateway's HTTP side: public functions, the guard in front of every route, odd bytes."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import urllib.error
import urllib.request
from typing import Any

import aiohttp
import psutil
import pytest

from easyremote.client.client import Client
from easyremote.protocol.frames import MAX_HELLO, control_record
from easyremote.protocol.messages import SUBPROTOCOL, Hello, encode
from tests.conftest import LIMIT, Gateway

pytestmark = pytest.mark.usefixtures("node")


def ask(
    gateway: Gateway,
    path: str,
    body: bytes | None = None,
    method: str | None = None,
    **headers: str,
) -> tuple[int, Any]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(
        f"http://{gateway.address}{path}", body, headers=names, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        text = error.read()
        kind = error.headers["Content-Type"]
        return error.code, json.loads(text) if "json" in kind else text


def test_a_public_function_answers_post_and_get(gateway: Gateway) -> None:
    assert ask(gateway, "/api/square", b'{"x": 3}') == (200, {"x": 3, "square": 9})
    assert ask(gateway, "/api/square?x=3") == (200, {"x": 3, "square": 9})


def test_numpy_and_pandas_come_back_as_json(gateway: Gateway) -> None:
    assert ask(gateway, "/api/table", b"") == (
        200,
        {"array": [0, 1, 2], "frame": [{"a": 1, "b": "x"}, {"a": 2, "b": None}], "number": 1.5},
    )


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/api/squar", b"{}", 404, "no public function 'squar'"),
        ("/api/add", b"{}", 404, "no public function 'add'"),
        ("/api/square", b"{", 400, "no JSON object"),
        ("/api/square", b"[1]", 400, "it is a list"),
        ("/api/square", b"{}", 422, "missing a required argument: 'x'"),
        ("/api/square", b'{"y": 1}', 422, "argument"),
        ("/api/secret", b"{}", 401, "asks for a key"),
        ("/api/public_failure", b"{}", 500, "ValueError in the function"),
        ("/api/square", b" " * (17 << 20), 413, "above 16 MiB"),
    ],
)
def test_errors_are_problem_documents(
    gateway: Gateway, path: str, body: bytes, status: int, text: str
) -> None:
    got, problem = ask(gateway, path, body)
    assert got == status
    assert text in problem["detail"]
    assert problem["status"] == status
    assert problem["type"].startswith("urn:easyremote:")
    assert "a secret detail" not in json.dumps(problem)


def test_a_key_opens_what_asks_for_one(gateway: Gateway) -> None:
    key = gateway.keys["client"]
    assert ask(gateway, "/api/secret", b"{}", Authorization=f"Bearer {key}") == (200, 42)
    node_key = gateway.keys["node"]
    status, problem = ask(gateway, "/api/secret", b"{}", Authorization=f"Bearer {node_key}")
    assert (status, "is a node key" in problem["detail"]) == (401, True)


ROUTES = ["/", "/healthz", "/v1/link", "/api/square", "/nothing"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH"])
def test_strange_hosts_and_origins_get_nothing_on_any_route(
    gateway: Gateway, path: str, method: str
) -> None:
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        request = urllib.request.Request(
            f"http://{gateway.address}{path}",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            method=method,
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=LIMIT)
        assert caught.value.code == 403
        caught.value.close()


def test_a_page_of_our_own_host_may_ask(gateway: Gateway) -> None:
    status, _ = ask(gateway, "/healthz", Origin=f"http://{gateway.address}")
    assert status == 200


def _send(gateway: Gateway, *messages: bytes | str) -> tuple[int | None, str]:
    """What the gateway closes with after it got these."""

    async def main() -> tuple[int | None, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://{gateway.address}/v1/link", protocols=(SUBPROTOCOL,)) as ws,
        ):
            for message in messages:
                if isinstance(message, str):
                    await ws.send_str(message)
                else:
                    await ws.send_bytes(message)
            async with asyncio.timeout(LIMIT):
                while True:
                    answer = await ws.receive()
                    if answer.type is not aiohttp.WSMsgType.BINARY:
                        return ws.close_code, str(answer.extra)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ((b"\xff" * 100,), "record"),
        ((b"\x05\x00\x00\x00\x00\xc1\xc1\xc1\xc1",), "not a message"),
        ((b"\xff\xff\xff\x7f\x00",), "control record"),
        ((control_record(b"\x00" * (MAX_HELLO + 1)),), "control record"),
        ((b"\x0a\x00\x00\x00\x01\x01\x00\x00\x00hello",), "HELLO"),
        (("text",), "text"),
        ((control_record(encode(Hello((9, 0), "client", "", "x", b"i" * 16))),), "you speak 9"),
        ((control_record(encode(Hello((1, 0), "king", "", "x", b"i" * 16))),), "role"),
        ((control_record(encode(Hello((1, 0), "client", "", "x", b"i" * 16))),), "asks for a key"),
    ],
)
def test_odd_bytes_are_closed_with_a_reason_and_the_gateway_lives(
    gateway: Gateway, client: Client, messages: tuple[bytes | str, ...], reason: str
) -> None:
    _, text = _send(gateway, *messages)
    assert reason in text or _reason_of(gateway, messages, reason)
    assert client.execute("add", 1, 2) == 3


def _reason_of(gateway: Gateway, messages: tuple[bytes | str, ...], reason: str) -> bool:
    code, text = _send(gateway, *messages)
    return code is not None and reason in text


def test_garbage_does_not_make_the_gateway_grow(gateway: Gateway, client: Client) -> None:
    process = psutil.Process(gateway.process.pid)
    client.execute("add", 1, 2)
    before = process.memory_info().rss
    for _ in range(50):
        _send(gateway, b"\xff" * 65536)
    assert process.memory_info().rss - before < 20_000_000


def test_half_a_request_does_not_hold_the_gateway(gateway: Gateway, client: Client) -> None:
    host, port = gateway.address.split(":")
    with socket.create_connection((host, int(port)), timeout=LIMIT) as sock:
        sock.sendall(b"GET /v1/link HTTP/1.1\r\nHost: localhost")
        assert client.execute("add", 1, 2) == 3


def test_the_gateway_imports_no_serializer() -> None:
    program = (
        "import sys\n"
        "import easyremote.gateway.server, easyremote.gateway.http.api\n"
        "bad = [n for n in sys.modules if n.startswith(('easyremote.serialize', 'dill',"
        " 'cloudpickle', 'easyremote.node', 'easyremote.client'))]\n"
        "assert not bad, bad\n"
    )
    import sys

    subprocess.run([sys.executable, "-c", program], check=True, timeout=LIMIT)
