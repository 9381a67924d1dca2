"""Sockets of strangers against a real gateway: silent ones, slow ones, and what is no HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote import Server
from easyremote.client.client import Client
from easyremote.errors import InternalError, UsageError
from easyremote.gateway.http import listener
from easyremote.gateway.http.listener import PATIENCE
from easyremote.identity import Key
from tests.processes import LIMIT, Gateway, end, wait_until

#: A gateway that may have so many files meets so many silent sockets.
FILES = 256
SILENT = 700

LIMITED = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
from easyremote.cli.main import main
main()
"""


def ask(address: str, path: str = "/healthz") -> int:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=LIMIT) as answer:
        status: int = answer.status
        return status


def dial(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=LIMIT)


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that may have few files."""
    gateway = Gateway("", tmp_path, None)  # type: ignore[arg-type]  # not yet
    process = subprocess.Popen(
        [sys.executable, "-c", LIMITED, "gateway", "--port", "0"],
        env=gateway.environment() | {"PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[2].rstrip(".")
    yield Gateway(address, tmp_path, process)
    end(process)


def test_silent_sockets_shut_out_nobody(narrow: Gateway) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > SILENT + 100, "sockets of this test"
    client = narrow.client().connect()  # it has shown a key: it stays
    with contextlib.ExitStack() as stack:
        stack.callback(client.close)
        began = time.monotonic()
        for _ in range(SILENT):
            stack.enter_context(contextlib.closing(dial(narrow.address)))
        assert ask(narrow.address) == 200
        newcomer = stack.enter_context(contextlib.closing(narrow.client().connect()))
        assert newcomer.list_nodes() == []
        assert time.monotonic() - began < PATIENCE, "not only when the silent ones were closed"
        assert client.is_connected
        assert client.list_nodes() == []


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A gateway in this process that is less patient."""
    monkeypatch.setattr(listener, "PATIENCE", 0.5)
    monkeypatch.setattr("easyremote.gateway.http.bodies.BODY_TIMEOUT", 0.5)
    with Server(port=0, home=tmp_path / "home") as server:
        yield server


def hear(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "head", [b"", b"GET /", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "]
)
def test_who_does_not_finish_the_head_of_a_request_is_cut(server: Server, head: bytes) -> None:
    with dial(server.address) as slow:
        over = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while head and not over.wait(0.05):
                    slow.sendall(b"x")

        slow.sendall(head)
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert hear(slow) == b""
        finally:
            over.set()
            thread.join(LIMIT)


def test_a_second_head_has_its_limit_too(server: Server) -> None:
    with dial(server.address) as slow:
        request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        slow.sendall(request + b"\r\n" + request)
        assert hear(slow).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("cut", [b"\xff\xff\xff", b"HELLO\r\n\r\n", b"GET / HTTP/9\r\n\r\n"])
def test_what_is_no_http_is_answered_once_without_a_traceback(
    server: Server, cut: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with dial(server.address) as stranger:
        stranger.sendall(cut + b"\r\n\r\n")
        head, _, body = hear(stranger).partition(b"\r\n\r\n")
    assert head.split()[1] == b"400"
    assert json.loads(body)["detail"].startswith("This request can't be read")
    assert "Traceback" not in caplog.text
    assert "Refused a request that is no HTTP" in caplog.text


def test_addresses_of_others_have_a_number_of_sockets(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from another address; those who have shown a key don't count."""
    monkeypatch.setattr(listener, "group_of", lambda address: "203.0.113.9")
    monkeypatch.setattr("easyremote.gateway.http.strangers.MAX_CONNECTIONS", 2)
    home = Path(str(server._home))
    gateway = Gateway(server.address, home, None)  # type: ignore[arg-type]  # it is in here
    with contextlib.ExitStack() as stack:
        clients = [gateway.client().connect() for _ in range(4)]
        for client in clients:
            stack.callback(client.close)
        for _ in range(2):
            stack.enter_context(dial(server.address))
        with dial(server.address) as third:
            assert hear(third).startswith(b"HTTP/1.1 429 ")
        assert all(client.list_nodes() == [] for client in clients)


def test_a_mistake_with_one_connection_does_not_end_the_accepting_of_others(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(listener, "group_of", lambda address: 1 / 0)
        with dial(server.address) as unlucky:
            assert hear(unlucky) == b""
    assert "ZeroDivisionError" in caplog.text
    assert ask(server.address) == 200


def test_an_address_that_the_machine_does_not_have_is_told_unless_another_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"Can't listen on 203\.0\.113\.9:0: .* --port"):
        Server("203.0.113.9", 0, behind_proxy=True, home=tmp_path).start_background()
    both = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::9", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: both)
    with Server("localhost", 0, home=tmp_path) as server:
        monkeypatch.undo()
        assert ask(server.address.replace("localhost", "127.0.0.1")) == 200


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    paths = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-out", paths[0], "-keyout", paths[1]),
        ],
        check=True,
        capture_output=True,
        timeout=LIMIT,
    )
    return paths


def test_who_does_not_finish_the_handshake_is_cut(
    tmp_path: Path, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "PATIENCE", 0.5)
    with Server(port=0, home=tmp_path / "home", tls=certificate) as server:
        with dial(server.address) as silent:
            assert hear(silent) == b""
        context = ssl.create_default_context(cafile=certificate[0])
        context.check_hostname = False
        host, _, port = server.address.rpartition(":")
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=LIMIT)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()


# -- keys ------------------------------------------------------------------------------------------


def test_wrong_keys_are_limited_and_the_right_one_still_opens(server: Server) -> None:
    home = Path(str(server._home))
    gateway = Gateway(server.address, home, None)  # type: ignore[arg-type]  # it is in here
    node = gateway.start_node("gpu-node")
    try:
        statuses = [knock(gateway, str(Key.generate("client"))) for _ in range(25)]
        assert statuses == [(401, None)] * 20 + [(429, "60")] * 5
        assert knock(gateway, gateway.keys["client"]) == (200, None)
        client: Client = gateway.client().connect()
        client.close()
    finally:
        end(node)


def knock(gateway: Gateway, key: str) -> tuple[int, str | None]:
    """Status and Retry-After of a call with this key."""
    connection = http.client.HTTPConnection(gateway.address, timeout=LIMIT)
    connection.request("POST", "/api/secret", "{}", {"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers["Retry-After"]


def test_a_mistake_of_the_gateway_is_logged_and_its_visitor_gets_an_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise InternalError("two and two are five")

    monkeypatch.setattr("easyremote.gateway.links.Links.check_key", fail)
    home = Path(str(server._home))
    gateway = Gateway(server.address, home, None)  # type: ignore[arg-type]  # it is in here
    assert knock(gateway, "any") == (500, None)
    assert "two and two are five" in caplog.text
    assert "Traceback" in caplog.text
    assert caplog.records[-1].peer == "127.0.0.1"  # type: ignore[attr-defined]


# -- bodies ----------------------------------------------------------------------------------------


def test_a_body_that_does_not_come_and_one_that_is_packed_are_refused(server: Server) -> None:
    home = Path(str(server._home))
    gateway = Gateway(server.address, home, None)  # type: ignore[arg-type]  # it is in here
    node = gateway.start_node("gpu-node")
    head = b"POST /api/square HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    try:
        for more, status in (
            (b'Content-Length: 9\r\n\r\n{"x"', b"408"),
            (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", b"415"),
            (b"Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", b"415"),
            (b"Content-Length: 2000000\r\n\r\n", b"413"),
            (b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", b"400"),
        ):
            with dial(server.address) as stranger:
                stranger.sendall(head + more)
                assert hear(stranger).split()[1] == status, more
    finally:
        end(node)
    wait_until(lambda: server.node_count == 0)
