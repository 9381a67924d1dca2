"""A program that detaches calls, tells their ids in one line, and waits to be killed."""

from __future__ import annotations

import sys
import time

from easyremote import Client

#: Bytes that don't fit into a SUBMIT: they are a stream.
BALLAST = 100_000


def main(ledger: str, calls: str, seconds: str) -> None:
    client, ids = Client(), []
    for number in range(int(calls)):
        chosen = client.on("cut-off" if number % 2 else "")
        ballast = bytes(BALLAST if number % 3 == 0 else 0)
        ids.append(chosen.detach("work", ledger, number, float(seconds), ballast).call_id)
    print(*ids, flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    main(*sys.argv[1:])
