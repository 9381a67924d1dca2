"""Functions that say when they run, and run until they may end."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from easyremote import ComputeNode
from easyremote.node import node

own = ComputeNode("127.0.0.1:1", api_key=os.environ["NODE_KEY"])


def enter(folder, number):
    Path(folder, f"in-{number}").touch()
    return Path(folder, "open")


@node.register
def end_the_process(folder):
    enter(folder, 0)
    os._exit(9)


@node.register(max_concurrency=3)
def three_at_a_time(folder, number):
    door = enter(folder, number)
    while not door.exists():
        time.sleep(0.01)
    return number


@node.register(max_concurrency=2)
async def two_at_a_time(folder, number):
    door = enter(folder, number)
    while not door.exists():
        await asyncio.sleep(0.01)
    return number


@node.register(name="renamed")
def original():
    return "renamed"


@node.register(timeout=0.3)
async def async_slow():
    await asyncio.sleep(3600)


@node.register(timeout=0.3)
def endless():
    while True:
        yield 1


@node.register(stream=True)
def listed(n):
    return list(range(n))


@own.register(tags=["maths"])
def of_a_compute_node(a: int = 1) -> int:
    """Registered on a ComputeNode of the module's own."""
    return a
