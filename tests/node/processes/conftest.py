"""A fork server for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from easyremote.node.processes.fork_server import ForkServer


@pytest_asyncio.fixture
async def forks() -> AsyncIterator[ForkServer]:
    """A fork server, which is ended with its processes."""
    forks = ForkServer()
    yield forks
    await forks.close()
