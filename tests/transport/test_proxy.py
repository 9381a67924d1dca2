"""``HTTP_PROXY`` and ``HTTPS_PROXY``: node and client reach their gateway through them.

The gateway's name is known to the proxy only, so whatever arrives went through it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.config import read_private
from tests.processes import LIMIT, PROGRAM, end
from tests.transport.proxy import ForwardProxy

HOST = "gateway.test"


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    made = ForwardProxy()
    yield made
    made.close()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl, which is not installed")
    made = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
        + ["-out", made[0], "-keyout", made[1], "-days", "1"],
        check=True,
        capture_output=True,
        timeout=LIMIT,
    )
    return made


class Site:
    """A gateway that goes by `HOST`, and the environment of those who look for it."""

    def __init__(self, home: Path, *options: str) -> None:
        names = ("EASYREMOTE", "PROXY")
        kept = {k: v for k, v in os.environ.items() if not any(n in k.upper() for n in names)}
        self.environment = {**kept, "EASYREMOTE_HOME": str(home), "PYTHONUNBUFFERED": "1"}
        self.gateway = self.start("easyremote", "gateway", "--port", "0", *options)
        line = self.line(self.gateway)
        assert line.startswith("Gateway on "), line
        local = read_private(home / "local.json")
        scheme = "https" if options and "--tls-cert" in options else "http"
        self.port = int(local["gateway"].rsplit(":", 1)[1])
        self.address = f"{scheme}://{HOST}:{self.port}"
        self.keys: dict[str, str] = local["keys"]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    @staticmethod
    def line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline()

    def start_node(self) -> subprocess.Popen[str]:
        process = self.start(
            *("easyremote.node", "--node-id", "far", "--gateway", self.address),
            *("--api-key", self.keys["node"], str(PROGRAM)),
        )
        while "is online at" not in (line := self.line(process)):
            assert line, "the node ended"
        return process

    def call(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "easyremote", "call", "add", "1", "b=2"],
            env={
                **self.environment,
                "EASYREMOTE_GATEWAY": self.address,
                "EASYREMOTE_API_KEY": self.keys["client"],
            },
            text=True,
            capture_output=True,
            timeout=LIMIT,
        )


def test_an_http_gateway_is_asked_for_by_its_whole_address(
    tmp_path: Path, proxy: ForwardProxy
) -> None:
    site = Site(tmp_path, "--allow-host", HOST)
    site.environment["HTTP_PROXY"] = proxy.url
    node = site.start_node()
    try:
        done = site.call()
        assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr
        assert proxy.requests == [f"GET {site.address}/v1/link"] * 2
    finally:
        end(node)
        end(site.gateway)


def test_an_https_gateway_is_reached_through_a_tunnel(
    tmp_path: Path, proxy: ForwardProxy, certificate: tuple[str, str]
) -> None:
    cert, key = certificate
    site = Site(tmp_path, "--allow-host", HOST, "--tls-cert", cert, "--tls-key", key)
    site.environment |= {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": cert}
    node = site.start_node()
    try:
        done = site.call()
        assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr
        assert proxy.requests == [f"CONNECT {HOST}:{site.port}"] * 2
    finally:
        end(node)
        end(site.gateway)


def test_a_name_that_the_gateway_does_not_go_by_is_told(
    tmp_path: Path, proxy: ForwardProxy
) -> None:
    site = Site(tmp_path)
    site.environment["HTTP_PROXY"] = proxy.url
    try:
        done = site.call()
        assert "does not go by the name 'gateway.test'" in done.stderr
        assert "--allow-host gateway.test" in done.stderr
    finally:
        end(site.gateway)


def test_a_gateway_on_this_machine_is_never_asked_for_at_a_proxy(
    tmp_path: Path, proxy: ForwardProxy
) -> None:
    site = Site(tmp_path)
    site.address = f"127.0.0.1:{site.port}"
    site.environment["HTTP_PROXY"] = proxy.url
    node = site.start_node()
    try:
        assert site.call().stdout == "3\n"
        assert proxy.requests == []
    finally:
        end(node)
        end(site.gateway)
