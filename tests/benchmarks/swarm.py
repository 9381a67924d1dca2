"""``python -m tests.benchmarks.swarm``: thousands of nodes and clients on one gateway.

Real links on loopback, made by a few simulator processes. A simulated node answers every call at
once, and a simulated client has one call outstanding after another; both dial as real ones do
(``transport/dial.py``), so what is measured is the gateway. Three parts:

- steps: calls a second and memory at 10, 100, 1,000 and 2,000 nodes
- idle: what 2,000 nodes and 3,000 clients cost while nothing is asked
- storm: all links are cut at once; until all are back, and one call of each client is answered
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import click
import psutil

from easyremote.config import Settings, find_settings
from easyremote.errors import EasyRemoteError
from easyremote.packing import pack
from easyremote.protocol.attempts import RetryingCaller
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    PROTOCOL,
    Dispatch,
    Finished,
    Function,
    Hello,
    Message,
    Payload,
    Register,
    Resume,
    Submit,
    Welcome,
)
from easyremote.protocol.streams import Buffer
from easyremote.transport.dial import stay_connected
from easyremote.transport.loop import new_event_loop
from easyremote.transport.websocket import WebSocketChannel
from tests.benchmarks.ours import gateway
from tests.benchmarks.serving import cpu_share, line, python, resident_mb

NODES, CLIENTS = 2000, 3000
STEPS = (10, 100, 1000, 2000)
#: Simulator processes for nodes and for clients.
PROCESSES = 2
#: Clients that ask without a pause while calls a second are counted, and for how long.
ASKING = 20
SECONDS = 5.0
#: Seconds before that.
WARM = 1.0
#: Descriptors of one process.
FILES = 20_000
#: Links that one process opens at a time.
AT_ONCE = 50
VALUE = pack(None)


class SimulatedNode:
    """A node that answers every call at once."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings, self._name = settings, name
        self._instance = os.urandom(16)
        self.link: Link | None = None
        self.opened_count = 0

    def hello(self) -> Hello:
        key = str(self._settings.key("node"))
        return Hello(PROTOCOL, "node", key, self._name, self._instance, 0.0, {})

    def opened(self, link: Link, welcome: Welcome, now: float) -> None:
        self.link = link
        self.opened_count += 1
        link.send(Register((Function("nothing"),), 4))
        link.send(Resume(()))

    def receive(self, message: Message, now: float) -> None:
        if isinstance(message, Dispatch) and self.link is not None:
            value = Payload("msgpack", len(VALUE), VALUE)
            self.link.send(Finished(message.call, value, fence=message.fence))

    def failed(self, message: Message, error: Exception) -> None:
        raise error

    def flush(self, now: float) -> None:
        """Nothing is kept back."""

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None:
        self.link = None


class SimulatedClient:
    """A client that makes one call, or one after another; it is the sink of its calls."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings, self._name = settings, name
        self._instance = os.urandom(16)
        self._caller = RetryingCaller(lambda: os.urandom(16), lambda: 0.5)
        self.link: Link | None = None
        self.opened_count = self.answers = self.errors = 0
        self.is_asking = False

    def ask(self) -> None:
        submit = Submit(0, os.urandom(16), "", "nothing", Payload())
        self._caller.submit(submit, (VALUE,), len(VALUE), "msgpack", self, time.monotonic())

    # -- as the sink -------------------------------------------------------------------------------

    def started(self, node: str) -> None:
        """It is counted when it ends."""

    def event(self, encoding: str, body: Buffer) -> None:
        """It shows nothing."""

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        self.answers += not code
        self.errors += bool(code)
        if self.is_asking:
            asyncio.get_running_loop().call_soon(self.ask)

    # -- as the owner of a connection --------------------------------------------------------------

    def hello(self) -> Hello:
        key = str(self._settings.key("client"))
        return Hello(PROTOCOL, "client", key, self._name, self._instance, 0.0, {})

    def opened(self, link: Link, welcome: Welcome, now: float) -> None:
        self.link = link
        self.opened_count += 1
        self._caller.attach(link, welcome.max_calls, now)

    def receive(self, message: Message, now: float) -> None:
        self._caller.receive(message, now)

    def failed(self, message: Message, error: Exception) -> None:
        raise error

    def flush(self, now: float) -> None:
        self._caller.flush(now)

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None:
        self.link = None
        if link is not None:
            self._caller.detach(link, now)

    def look(self, now: float) -> None:
        due = self._caller.next_timeout()
        if due is not None and due <= now:
            self._caller.handle_timeout(now)


class Simulator:
    """All nodes, or all clients, of one process. It does what its stdin says, line by line."""

    def __init__(self, kind: str, number: str) -> None:
        settings = find_settings(None, None, kind="node" if kind == "nodes" else "client")
        self._kind, self._number = kind, number
        self._names = count()
        self._settings = settings
        self._links: list[tuple[Any, asyncio.Task[None]]] = []

    async def run(self) -> None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        ticker = asyncio.create_task(self._tick())
        print("ready", flush=True)
        while order := (await reader.readline()).split():
            word, number = order[0].decode(), int(order[1])
            print(json.dumps(await getattr(self, word)(number)), flush=True)
        ticker.cancel()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            now = time.monotonic()
            for owner, _ in self._links:
                if isinstance(owner, SimulatedClient):
                    owner.look(now)

    async def grow(self, number: int) -> float:
        """Have so many links; seconds until all are open."""
        began = time.monotonic()
        while len(self._links) < number:
            name = f"{self._kind}-{self._number}-{next(self._names)}"
            make = SimulatedNode if self._kind == "nodes" else SimulatedClient
            owner = make(self._settings, name)
            self._links.append((owner, asyncio.create_task(stay_connected(self._settings, owner))))
            if len(self._links) % AT_ONCE == 0 or len(self._links) == number:
                await self._all_open()
        return time.monotonic() - began

    async def churn(self, number: int) -> float:
        """End so many links for good, and open as many new ones."""
        for _, task in self._links[:number]:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._links[:number]), return_exceptions=True)
        del self._links[:number]
        return await self.grow(len(self._links) + number)

    async def cut(self, number: int) -> float:
        """Break all links at once; seconds until all are open again."""
        began = time.monotonic()
        before = {id(owner): owner.opened_count for owner, _ in self._links}
        for transport in _transports():
            transport.abort()
        while any(owner.opened_count == before[id(owner)] for owner, _ in self._links):
            await asyncio.sleep(0.02)
        await self._all_open()
        return time.monotonic() - began

    async def ask(self, number: int) -> float:
        """Have each client make one call; seconds until all are answered, or -1 with an error."""
        began = time.monotonic()
        before = self._answers()
        errors = self._errors()
        for owner, _ in self._links:
            owner.ask()
        while self._answers() + self._errors() - before - errors < len(self._links):
            await asyncio.sleep(0.01)
        return -1.0 if self._errors() > errors else time.monotonic() - began

    async def rate(self, number: int) -> float:
        """Calls a second while so many clients ask without a pause."""
        chosen = [owner for owner, _ in self._links[:number]]
        for owner in chosen:
            owner.is_asking = True
            for _ in range(16):
                owner.ask()
        await asyncio.sleep(WARM)
        before, began = self._answers(), time.monotonic()
        await asyncio.sleep(SECONDS)
        rate = (self._answers() - before) / (time.monotonic() - began)
        for owner in chosen:
            owner.is_asking = False
        await asyncio.sleep(0.5)
        return rate

    def _answers(self) -> int:
        return sum(owner.answers for owner, _ in self._links)

    def _errors(self) -> int:
        return sum(owner.errors for owner, _ in self._links)

    async def _all_open(self) -> None:
        while not all(owner.link is not None for owner, _ in self._links):
            await asyncio.sleep(0.01)


def _transports() -> list[Any]:
    """The sockets of this process, as asyncio has them."""
    found = [each for each in gc.get_objects() if isinstance(each, WebSocketChannel)]
    writers = [each._ws._writer for each in found]
    return [writer.transport for writer in writers if writer is not None]


class Swarm:
    """A gateway and simulators around it."""

    def __init__(self, stack: ExitStack) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
        self.gateway = stack.enter_context(gateway()).processes["gateway"]
        self._simulators = {
            kind: [
                stack.enter_context(
                    python("-m", "tests.benchmarks.swarm", "--simulate", f"{kind}-{number}")
                )
                for number in range(PROCESSES)
            ]
            for kind in ("nodes", "clients")
        }
        for each in self._simulators.values():
            for process in each:
                line(process)

    def tell(self, word: str, total: int, *kinds: str) -> list[float]:
        """Have the simulators of these kinds do something at the same time; what they answer."""
        asked = [process for kind in kinds for process in self._simulators[kind]]
        for process in asked:
            assert process.stdin is not None
            process.stdin.write(f"{word} {total // PROCESSES}\n")
            process.stdin.flush()
        return [float(json.loads(line(process))) for process in asked]

    def cpu(self) -> float:
        """Seconds of CPU that the gateway has used."""
        return float(sum(psutil.Process(self.gateway).cpu_times()[:2]))

    def memory(self) -> float:
        """Bytes of the gateway."""
        return resident_mb(self.gateway) * 1e6


def measure() -> Iterator[tuple[str, str, str]]:
    with ExitStack() as stack:
        swarm = Swarm(stack)
        swarm.tell("grow", ASKING, "clients")
        for nodes in STEPS:
            swarm.tell("grow", nodes, "nodes")
            before = swarm.cpu()
            rate = sum(swarm.tell("rate", ASKING, "clients"))
            each = (swarm.cpu() - before) / (rate * (SECONDS + WARM))
            yield f"{nodes:,} nodes: calls a second", f"{rate:,.0f}", ""
            yield f"{nodes:,} nodes: the gateway's CPU for a call", f"{each * 1e6:.0f} us", ""
            yield f"{nodes:,} nodes: memory", f"{swarm.memory() / 1e6:.0f} MB", ""
    with ExitStack() as stack:
        swarm = Swarm(stack)
        empty = swarm.memory()
        took = max(swarm.tell("grow", NODES, "nodes") + swarm.tell("grow", CLIENTS, "clients"))
        yield f"{NODES:,} nodes and {CLIENTS:,} clients are there after", f"{took:.1f} s", ""
        time.sleep(5.0)
        each = (swarm.memory() - empty) / (NODES + CLIENTS)
        yield "memory a session", f"{each / 1e3:.1f} KB", "40 KB"
        yield "CPU while nothing is asked", f"{cpu_share(swarm.gateway, 20.0):.0%}", "25%"
        took = max(swarm.tell("ask", CLIENTS, "clients"))
        yield "one call of each client is answered after", f"{took:.2f} s", ""
        took = max(swarm.tell("churn", 200, "nodes", "clients"))
        yield "400 go and 400 others come", f"{took:.2f} s", ""
        took = max(swarm.tell("cut", 0, "nodes", "clients"))
        yield "storm: all are back after", f"{took:.1f} s", "45 s"
        took = max(swarm.tell("ask", CLIENTS, "clients"))
        yield "then one call of each client is answered after", f"{took:.2f} s", ""
        each = (swarm.memory() - empty) / (NODES + CLIENTS)
        yield "memory a session after that", f"{each / 1e3:.1f} KB", "40 KB"


@click.command()
@click.option("--simulate", default="", hidden=True)
def main(simulate: str) -> None:
    if simulate:
        kind, number = simulate.split("-")
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(Simulator(kind, number).run())
        return
    print(f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}\n")
    print("| | measured | budget |\n|---|---|---|")
    for row in measure():
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
