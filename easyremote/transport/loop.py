"""The event loop of our own threads and processes: uvloop, where there is one."""

from __future__ import annotations

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop, the fastest that is installed."""
    try:
        import uvloop
    except ImportError:  # not there on Windows
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
