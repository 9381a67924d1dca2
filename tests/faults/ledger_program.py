"""The functions of a node under faults: each execution appends one line to the ledger."""

from __future__ import annotations

import os
import time

from easyremote.node import node


@node.register
def work(ledger, number, seconds, ballast=b""):
    """Note that it runs, before anything else; one write with O_APPEND is whole or not there."""
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"%d\n" % number)
    os.close(file)
    time.sleep(seconds)
    return answer(number)


@node.register
def answer(number):
    """What a call of this number returns."""
    return number * 7 + 1
