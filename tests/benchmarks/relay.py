"""The physical limit: bare aiohttp WebSockets on uvloop that pass bytes on, in three processes.

``python -m tests.benchmarks.relay gateway|node|client PORT``: the client prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiohttp
import uvloop
from aiohttp import web

CHUNK = 64 * 1024
WINDOW = 64  # chunks under way: 4 MiB


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
            async for message in ws:
                if len(message.data) != 8:
                    await ws.send_bytes(message.data)
                    continue
                size = int.from_bytes(message.data, "little")
                await _send(ws, await _receive(ws, size))


async def _receive(ws: aiohttp.ClientWebSocketResponse, size: int) -> memoryview:
    room, at = memoryview(bytearray(size)), 0
    while at < size:
        chunk = (await ws.receive()).data
        room[at : at + len(chunk)] = chunk
        at += len(chunk)
        if at % (CHUNK * WINDOW // 2) < CHUNK:
            await asyncio.sleep(0)
    return room


async def _send(ws: aiohttp.ClientWebSocketResponse, data: memoryview) -> None:
    for start in range(0, len(data), CHUNK):
        await ws.send_bytes(bytes(data[start : start + CHUNK]))


async def client(port: int) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/ws?role=client"
        async with session.ws_connect(url, max_msg_size=0, compress=0) as ws:
            print(json.dumps({**await _small(ws), **await _bulk(ws)}), flush=True)


async def _small(ws: aiohttp.ClientWebSocketResponse) -> dict[str, float]:
    message = b"x" * 200
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
        "p50_ms": times[1000] * 1e3,
        "p99_ms": times[1980] * 1e3,
        "calls_s": count / (time.perf_counter() - began),
    }


async def _bulk(ws: aiohttp.ClientWebSocketResponse) -> dict[str, float]:
    found = {}
    for megabytes in (1, 10, 100):
        data = memoryview(bytes(megabytes * 1_000_000))
        times = []
        for _ in range(5):
            began = time.perf_counter()
            await ws.send_bytes(len(data).to_bytes(8, "little"))
            await _send(ws, data)
            await _receive(ws, len(data))
            times.append(time.perf_counter() - began)
        found[f"echo_{megabytes}_mb_s"] = megabytes / sorted(times)[2]
    return found


if __name__ == "__main__":
    role = {"gateway": gateway, "node": node, "client": client}[sys.argv[1]]
    uvloop.run(role(int(sys.argv[2])))
