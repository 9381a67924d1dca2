"""A program that makes the calls of a batch for each line on its stdin, and tells how they ended.

A batch is ``{"ledger", "calls", "seconds", "is_shipped", "is_detached", "choice", "timeout",
"cancels", "cancels_running", "seed"}``; its answer is one line, with an ending for each call. The
calls are mixed: some name their node, some are shipped, some have arguments that travel as a
stream, some are cancelled at once, when they run, or at random instants.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from concurrent.futures import Future, wait
from typing import Any

from easyremote import Client
from easyremote.client.detached.job import DetachedJob
from easyremote.client.executor import RemoteExecutor
from easyremote.errors import EasyRemoteError, to_wire
from easyremote.protocol.caller import GRACE
from tests.processes import wait_until

#: Bytes that don't fit into a SUBMIT.
BALLAST = 100_000
#: What takes so many seconds to submit, or to begin, is waited for no more.
LONG = 3.0
#: Seconds between two cancels, on average; and from how many of the last calls one is cancelled.
PAUSE, RECENT = 0.002, 20
#: Seconds that a call takes which is cancelled when it runs.
CANCELLED = 1.0
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
    jobs: list[Future[Any]] = []
    is_away = False
    chance = random.Random(batch["seed"])
    for number in range(batch["calls"]):
        ballast = bytes(BALLAST if number % 7 == 0 else 0)
        is_cancelled = number % 10 == 9 and not batch["cancels"] and not batch["is_detached"]
        is_awaited = is_cancelled and batch["cancels_running"] and not is_away
        seconds = CANCELLED if is_awaited else batch["seconds"]
        arguments = (batch["ledger"], number, seconds, ballast)
        node_id = ("", "one", "", "two")[number % 4]
        asks = client.on(node_id, on_node_loss=batch["choice"], timeout=batch["timeout"])
        if batch["is_detached"]:
            jobs.append(detach(client.on(node_id), arguments))
        elif (batch["is_shipped"] or number % 3 == 2) and not is_away:
            begun = time.monotonic()
            try:
                jobs.append(asks.submit(shipped_work, *arguments))
            except EasyRemoteError as error:
                jobs.append(refused(error))
            is_away = time.monotonic() > begun + LONG  # it waits for the gateway's answer first
        else:
            jobs.append(chosen.call("work", arguments, node_id=node_id))
        if batch["cancels"]:
            time.sleep(chance.random() * 2 * PAUSE)
            chance.choice(jobs[-RECENT:]).cancel()
        if is_awaited:  # then its node hears of it
            begun = time.monotonic()
            wait_until(lambda job=jobs[-1]: job.running() or job.done())
            is_away = time.monotonic() > begun + LONG
        if is_cancelled:
            jobs[-1].cancel()
    wait(jobs, batch["timeout"] + GRACE + LATE)
    return [ending(job) for job in jobs]


def detach(asks: RemoteExecutor, arguments: Any) -> Future[Any]:
    try:
        return asks.detach("work", *arguments)
    except EasyRemoteError as error:
        return refused(error)


def refused(error: EasyRemoteError) -> Future[Any]:
    job: Future[Any] = Future()
    job.set_exception(error)
    return job


def ending(job: Any) -> object:
    if not job.done():
        return "hangs"
    if isinstance(job, DetachedJob):
        job.release()
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
