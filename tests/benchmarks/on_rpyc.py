"""RPyC: straight from client to server, with no gateway between and no keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rpyc

from tests.benchmarks.serving import Served, line, python

CALLS = 10_000
AT_ONCE = 2_500

SERVER = """
import rpyc
from rpyc.utils.server import ThreadedServer
class Bench(rpyc.Service):
    def exposed_nothing(self): pass
    def exposed_echo(self, value): return value
server = ThreadedServer(Bench, hostname="127.0.0.1", port=0)
server._listen()
print(server.port, flush=True)
server.start()
"""


@contextmanager
def serve() -> Iterator[Served]:
    with python("-c", SERVER) as server:
        yield Served(line(server), {"node": server.pid})


class connect:
    """A client, as `tests.benchmarks.measure.Connection` describes."""

    #: From 30 MB in one message it does not come back.
    megabytes = (1, 10)

    def __init__(self, address: str) -> None:
        self._server = rpyc.connect("127.0.0.1", int(address), config={"sync_request_timeout": 300})
        self._nothing = rpyc.async_(self._server.root.nothing)

    def nothing(self) -> None:
        self._server.root.nothing()

    def burst(self, count: int) -> None:
        # It reads no answers while it sends: with too many under way, both ends wait for ever.
        for done in range(0, count, AT_ONCE):
            for result in [self._nothing() for _ in range(min(AT_ONCE, count - done))]:
                result.wait()

    def echo(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        # An array itself would stay here, and be a proxy there.
        return np.frombuffer(self._server.root.echo(array.tobytes()), np.uint8)

    def close(self) -> None:
        self._server.close()
