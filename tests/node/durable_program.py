"""The functions of a node that is killed: each execution appends one line to a ledger."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from easyremote.node import node


def note(ledger):
    """One write with O_APPEND is whole or not there."""
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"ran\n")
    os.close(file)


@node.register
def work(ledger, gate, size):
    note(ledger)
    while gate and not Path(gate).exists():
        time.sleep(0.01)
    return bytes(size)


@node.register
async def work_async(ledger, gate, size):
    note(ledger)
    while gate and not Path(gate).exists():
        await asyncio.sleep(0.01)
    return bytes(size)


@node.register(scaling="auto")
def work_apart(ledger, gate, size):
    return work(ledger, gate, size)


@node.register
def fail(ledger):
    note(ledger)
    raise ValueError("on purpose")
