"""A program that makes the calls of a batch for each line on its stdin, and tells how they ended.

A batch is ``{"ledger", "calls", "seconds", "choice", "timeout"}``; its answer is one line, with an
ending for each call. The calls are mixed: some name their node, some are shipped, some have
arguments that travel as a stream, some are cancelled at once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import wait
from typing import Any

from easyremote import Client
from easyremote.errors import EasyRemoteError, to_wire
from easyremote.protocol.caller import GRACE

#: Bytes that don't fit into a SUBMIT.
BALLAST = 100_000
#: Seconds that the program's own loop may be late.
LATE = 3.0


def shipped_work(ledger: str, number: int, seconds: float, ballast: bytes) -> int:
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"%d\n" % number)
    os.close(file)
    time.sleep(seconds)
    return number * 7 + 1


def run(client: Client, batch: dict[str, Any]) -> list[object]:
    chosen = client.on(on_node_loss=batch["choice"], timeout=batch["timeout"])
    jobs = []
    for number in range(batch["calls"]):
        ballast = bytes(BALLAST if number % 7 == 0 else 0)
        arguments = (batch["ledger"], number, batch["seconds"], ballast)
        node_id = ("", "one", "", "two")[number % 4]
        asks = client.on(node_id, on_node_loss=batch["choice"], timeout=batch["timeout"])
        if number % 3 == 2:
            jobs.append(asks.submit(shipped_work, *arguments))
        else:
            jobs.append(chosen.call("work", arguments, node_id=node_id))
        if number % 10 == 9:
            jobs[-1].cancel()
    wait(jobs, batch["timeout"] + GRACE + LATE)
    return [ending(job) for job in jobs]


def ending(job: Any) -> object:
    if not job.done():
        return "hangs"
    try:
        return {"value": job.result(0)}
    except EasyRemoteError as error:
        return {"error": to_wire(error)}


if __name__ == "__main__":
    with Client() as client:
        client.connect()
        print("connected", flush=True)
        for line in sys.stdin:
            print(json.dumps(run(client, json.loads(line)), default=repr), flush=True)
