"""A stream whose messages the test writes: machines that no test machine has, and a thousand."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
from playwright.sync_api import Page, WebSocketRoute

import easyremote
from easyremote.panel.history import LENGTH, meters
from easyremote.panel.messages import (
    Bar,
    BarsMoved,
    EndedJob,
    Gateway,
    GpuRow,
    JobBars,
    JobRow,
    LogPage,
    NodeRow,
    Piece,
    SessionList,
    SessionRow,
    Snapshot,
    encode,
)

GIB = 2**30
GATEWAY = Gateway("my-vps:8080", easyremote.__version__)


class FakeStream:
    """Takes the place of the server's stream in a page, and sends one snapshot, and bars."""

    def __init__(
        self,
        page: Page,
        nodes: list[NodeRow],
        jobs: list[JobRow] | None = None,
        ended: list[EndedJob] | None = None,
        bars: dict[str, JobBars] | None = None,
        server: str = easyremote.__version__,
        sessions: list[SessionRow] | None = None,
    ) -> None:
        history = {node.node_id: [_wave(value) for value in meters(node)] for node in nodes}
        snapshot = Snapshot(GATEWAY, nodes, jobs or [], 0, ended or [], sample=LENGTH)
        snapshot.history, snapshot.latency, snapshot.server = history, 0.0234, server
        self._page = page
        self._texts = [encode(snapshot), encode(BarsMoved(bars or {}))]
        page.route_web_socket(lambda url: "easyremote/stream" in url, self._open)
        self._doc = ""
        page.route(
            "**/easyremote/functions?*",
            lambda route: route.fulfill(json=functions(nodes, self._doc)),
        )
        listed = msgspec.json.encode(SessionList(sessions or [], []))
        page.route(
            re.compile(r"/easyremote/sessions(\?|$)"), lambda route: route.fulfill(body=listed)
        )

    def log(self, *pieces: tuple[str, str]) -> None:
        """What the log of every job says, in kinds and texts, before it has failed."""
        page = LogPage("one", 0, [Piece(*each) for each in pieces], "failed")
        self._page.route(
            "**/easyremote/jobs/*/log?*",
            lambda route: route.fulfill(body=msgspec.json.encode(page)),
        )

    def document(self, doc: str) -> None:
        """What the functions say of themselves, before the page is opened."""
        self._doc = doc

    def _open(self, socket: WebSocketRoute) -> None:
        for text in self._texts:
            socket.send(text)


def node(node_id: str, **changes: Any) -> NodeRow:
    plain = NodeRow(
        *(node_id, "online", 4000.0, "3.11.7", easyremote.__version__, ["train"], 0, 8),
        cores=16,
        cpu=0.24,
        memory_used=11 * GIB,
        memory_total=64 * GIB,
    )
    return msgspec.structs.replace(plain, **changes)


def functions(nodes: list[NodeRow], doc: str) -> dict[str, Any]:
    """What the server says of the functions of these nodes."""
    hints = {"properties": {"data": {}, "epochs": {"type": "integer"}}, "required": ["data"]}
    plain = {"signature": "(data, epochs=10)", "doc": doc, "streams": False, "parameters": hints}
    plain |= {"timeout": 0, "max_concurrency": 0, "public": False, "needs": "16 GB of GPU memory"}
    return {
        "functions": [
            {"node_id": node.node_id, "name": name, **plain}
            for node in nodes[:5]
            for name in node.functions
        ]
    }


def bar(desc: str, n: float, total: float | None = 100, **changes: Any) -> Bar:
    plain = Bar(desc, 0, desc, n, "it", 42.0, "running", total, 1.5)
    return msgspec.structs.replace(plain, **changes)


def gpu(use: float, used: float, name: str = "NVIDIA A100-SXM4-80GB") -> GpuRow:
    return GpuRow(name, use, int(used * GIB), 80 * GIB)


def _wave(value: int | None) -> list[int | None]:
    """Five minutes that end at a value."""
    if value is None:
        return [None] * LENGTH
    most = 100 if value <= 100 else 2 * value  # the network has no whole
    swing = most * 0.12 * abs(math.sin(value))
    past = [value + swing * math.sin((LENGTH - i) / 17) for i in range(1, LENGTH + 1)]
    return [min(max(round(each), 0), most) for each in past]
