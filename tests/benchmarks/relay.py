"""The physical limit: bare aiohttp WebSockets on uvloop that pass bytes on, in three processes.

``python -m tests.benchmarks.relay gateway|node|client PORT``: the client prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from typing import Any

import aiohttp
import numpy as np
import uvloop
from aiohttp import web

CHUNK = 64 * 1024
WINDOW = 64  # chunks under way: 4 MiB
SMALL = 200
HEADER = struct.Struct("<BQ")
BEGIN, DATA, CREDIT = 1, 2, 3


async def gateway(port: int) -> None:
    peers: dict[str, web.WebSocketResponse] = {}

    async def join(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(max_msg_size=0, compress=False)
        await ws.prepare(request)
        role = request.query["role"]
        peers[role] = ws
        other = "node" if role == "client" else "client"
        async for message in ws:
            await peers[other].send_bytes(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/ws", join)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("up", flush=True)
    await asyncio.sleep(600)


async def node(port: int) -> None:
    """Small messages go back at once; a big one is gathered, then goes back whole."""
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/ws?role=node"
        async with session.ws_connect(url, max_msg_size=0, compress=0) as ws:
            print("up", flush=True)
            bulk = Bulk(ws)
            sending: asyncio.Task[None] | None = None
            async for message in ws:
                if len(message.data) == SMALL:
                    await ws.send_bytes(message.data)
                elif (whole := await bulk.receive(message.data)) is not None:
                    sending = asyncio.create_task(bulk.send(whole))
            del sending


class Bulk:
    """Frames under credits, gathered into one buffer at the end."""

    def __init__(self, ws: Any) -> None:
        self._ws = ws
        self._credit = asyncio.Semaphore(WINDOW)
        self._room = memoryview(b"")
        self._at = 0
        self._unacknowledged = 0

    async def send(self, data: memoryview) -> None:
        await self._ws.send_bytes(HEADER.pack(BEGIN, len(data)))
        for start in range(0, len(data), CHUNK):
            await self._credit.acquire()
            await self._ws.send_bytes(
                b"".join((HEADER.pack(DATA, start), data[start : start + CHUNK]))
            )

    async def receive(self, message: bytes) -> memoryview | None:
        """Handle a frame; the whole, when it was the last."""
        kind, number = HEADER.unpack_from(message)
        if kind == BEGIN:
            self._room, self._at = memoryview(bytearray(number)), 0
        elif kind == DATA:
            chunk = memoryview(message)[HEADER.size :]
            self._room[number : number + len(chunk)] = chunk
            self._at += len(chunk)
            self._unacknowledged += 1
            is_whole = self._at >= len(self._room)
            if is_whole or self._unacknowledged >= WINDOW // 4:
                await self._ws.send_bytes(HEADER.pack(CREDIT, self._unacknowledged))
                self._unacknowledged = 0
            return self._room if is_whole else None
        else:
            for _ in range(number):
                self._credit.release()
        return None


async def client(port: int) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/ws?role=client"
        async with session.ws_connect(url, max_msg_size=0, compress=0) as ws:
            print(json.dumps({**await _small(ws), **await _bulk(ws)}), flush=True)


async def _small(ws: aiohttp.ClientWebSocketResponse) -> dict[str, float]:
    message = b"x" * SMALL
    times = []
    for _ in range(2000):
        began = time.perf_counter()
        await ws.send_bytes(message)
        await ws.receive()
        times.append(time.perf_counter() - began)
    times.sort()
    count = 20_000

    async def receive() -> None:
        for _ in range(count):
            await ws.receive()

    began = time.perf_counter()
    receiver = asyncio.create_task(receive())
    for number in range(count):
        await ws.send_bytes(message)
        if number % 100 == 0:
            await asyncio.sleep(0)
    await receiver
    return {
        "call_p50_ms": times[1000] * 1e3,
        "call_p99_ms": times[1980] * 1e3,
        "calls_s": count / (time.perf_counter() - began),
    }


async def _bulk(ws: aiohttp.ClientWebSocketResponse) -> dict[str, float]:
    bulk, found = Bulk(ws), {}
    whole: asyncio.Queue[memoryview] = asyncio.Queue()

    async def receive() -> None:
        async for message in ws:
            data = await bulk.receive(message.data)
            if data is not None:
                whole.put_nowait(data)

    receiver = asyncio.create_task(receive())
    for megabytes in (1, 10, 100):
        data = memoryview(np.random.default_rng(0).bytes(megabytes * 1_000_000))
        times = []
        for _ in range(5):
            began = time.perf_counter()
            await bulk.send(data)
            await whole.get()
            times.append(time.perf_counter() - began)
        found[f"echo_{megabytes}_mb_s"] = megabytes / sorted(times)[2]
    receiver.cancel()
    return found


if __name__ == "__main__":
    role = {"gateway": gateway, "node": node, "client": client}[sys.argv[1]]
    uvloop.run(role(int(sys.argv[2])))
