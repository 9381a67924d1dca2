"""The functions of a node under faults: each execution appends one line to the ledger."""

from __future__ import annotations

import os
import random
import time

from easyremote.node import node

#: Bytes of one block of a flood.
BLOCK = 1 << 20


def note(ledger, number):
    """Note that a call runs; one write with O_APPEND is whole or not there."""
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"%d\n" % number)
    os.close(file)


@node.register
def work(ledger, number, seconds, ballast=b""):
    """Note that it runs, before anything else."""
    note(ledger, number)
    time.sleep(seconds)
    return answer(number)


@node.register
def answer(number):
    """What a call of this number returns."""
    return number * 7 + 1


@node.register
def items(ledger, number, count):
    """Yield so many items."""
    note(ledger, number)
    for index in range(count):
        yield item(number, index)


def item(number, index):
    """An item says whose it is, and which one."""
    return [number, index, "x" * (index % 50)]


@node.register
def carry(ledger, number, body):
    """Give back what came, turned round: each byte has been there and here."""
    note(ledger, number)
    return body[::-1]


def cargo(number, size):
    """What a call of this number carries: no piece of it is like another one."""
    return random.Random(number).randbytes(size)


@node.register
def flood(blocks):
    """Yield blocks of a megabyte."""
    for index in range(blocks):
        yield index.to_bytes(4, "big") * (BLOCK // 4)
