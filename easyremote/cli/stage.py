"""What the demos share: a home of their own, and processes that end with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import easyremote
from easyremote.client.client import Client
from easyremote.config import HOME_VARIABLE
from easyremote.errors import GatewayUnreachable

__all__ = ["gateway_of_its_own", "process", "wait_for_nodes"]

#: Seconds for a process to answer.
START_LIMIT = 60.0


@contextmanager
def gateway_of_its_own() -> Iterator[tuple[Path, Client]]:
    """A gateway with new keys; yields its home directory, and a client of it."""
    with tempfile.TemporaryDirectory(prefix="easyremote-demo-") as home:
        os.environ[HOME_VARIABLE] = home
        with process("-m", "easyremote", "gateway", "--port", "0"):
            client = _connected()
            try:
                yield Path(home), client
            finally:
                client.close()


@contextmanager
def process(*arguments: str) -> Iterator[None]:
    """A Python process, ended with the block; what it says is shown only if it fails."""
    with tempfile.TemporaryFile("w+") as log:
        started = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log)
        try:
            yield
        except BaseException:
            log.seek(0)
            click.echo(log.read(), err=True)
            raise
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def wait_for_nodes(client: Client, wanted: set[str]) -> None:
    """Return when these nodes are online.

    Raises
    ------
    GatewayUnreachable
        They are not, after a while.
    """
    deadline = time.monotonic() + START_LIMIT
    while not wanted <= {node.node_id for node in client.list_nodes() if node.state == "online"}:
        if time.monotonic() > deadline:
            raise GatewayUnreachable("The demo's own nodes did not come online.")
        time.sleep(0.1)


def _connected() -> Client:
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            return Client().connect()
        except easyremote.EasyRemoteError:
            if time.monotonic() > deadline:
                raise GatewayUnreachable("The demo's own gateway did not start.") from None
            time.sleep(0.1)
