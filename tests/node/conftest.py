"""A `Shell` in a real process of its own, for the tests of what runs in a session."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.processes import LIMIT

PROGRAM = """
import json, os, sys, msgspec
channel = os.fdopen(int(sys.argv[1]), "w")
requests = os.fdopen(int(sys.argv[2]))
def send(event):
    channel.write(json.dumps(event, default=lambda value: repr(value)[:10_000]) + "\\n")
    channel.flush()
from easyremote.node.worker.shell import Shell
from easyremote.protocol.requests import WidgetMessage
from easyremote.serialize.blobs import pack
from easyremote.serialize.graph.graph import Graph
from easyremote.serialize.values import dump, load
def travel(wire):
    return load(b"".join(dump(wire).parts))
shell = Shell(lambda event: send(msgspec.to_builtins(event, builtin_types=(bytes,))))
send({"type": "ready"})
for line in iter(requests.readline, ""):
    try:
        request = json.loads(line)
        if "event" in request:
            said = request["event"]
            said["buffers"] = [bytes(buffer) for buffer in said.get("buffers", ())]
            message = msgspec.convert(request, WidgetMessage)
            send({"type": "answer", "is_open": shell.receive_comm(message).is_open})
            continue
        if "variables" in request:
            request["packed"] = travel(pack(request["variables"]).wire())
        answer = shell.run_cell(request)
        graph = Graph(answer["shared"]["key"])
        answer["names"] = graph.hear(travel(answer["packed"]), answer["shared"]).bound
        if "" in answer["names"]:
            answer["value"] = answer["names"].pop("")
        send({"type": "answer", **answer})
    except Exception as error:
        send({"type": "error", "class": type(error).__name__, "message": str(error),
              "type_name": getattr(error, "type_name", ""),
              "traceback": getattr(error, "remote_traceback", "")})
"""
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Ran:
    """What came of one cell."""

    events: list[dict[str, Any]]
    end: dict[str, Any] = field(default_factory=dict)

    def text(self, name: str = "stdout") -> str:
        return "".join(e["text"] for e in self.events if e.get("name") == name)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def traceback(self) -> str:
        assert self.end["type"] == "error", self.end
        return ESCAPES.sub("", self.end["traceback"])


class Session:
    """A process with a Shell."""

    def __init__(self, home: Path) -> None:
        events, theirs = os.pipe()
        requests, self.requests = os.pipe()
        environment = os.environ | {"HOME": str(home), "IPYTHONDIR": str(home / "ipython")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(theirs), str(requests)],
            pass_fds=(theirs, requests),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(requests)
        self.lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, args=(events,), daemon=True).start()
        assert self.lines.get(timeout=LIMIT)["type"] == "ready"

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor) as file:
            for line in file:
                self.lines.put(json.loads(line))

    def run(self, code: str, interrupt_at: str = "", count: int = 12, **request: Any) -> Ran:
        """Run a cell; interrupt it when `interrupt_at` was printed."""
        return self._ask({"code": code, "count": count, **request}, interrupt_at)

    def say(
        self, event: dict[str, Any], data: dict[str, Any], interrupt_at: str = "", **request: Any
    ) -> Ran:
        """Say something to the widget whose ``comm_open`` this was."""
        said = {"type": "comm_msg", "comm_id": event["comm_id"], "data": data}
        said |= {name: request.pop(name) for name in ("type", "buffers") if name in request}
        asked = {"event": said, "process": event["process"], "parent": "m1", **request}
        return self._ask(asked, interrupt_at)

    def _ask(self, request: dict[str, Any], interrupt_at: str = "") -> Ran:
        os.write(self.requests, json.dumps(request).encode() + b"\n")
        ran = Ran([])
        while not ran.end:
            event = self.lines.get(timeout=LIMIT)
            if event["type"] == "answer" or "class" in event:  # an error that ended the cell
                ran.end = event
            else:
                ran.events.append(event)
                if interrupt_at and interrupt_at in event.get("text", ""):
                    self.process.send_signal(signal.SIGINT)
        return ran

    def close(self) -> None:
        os.close(self.requests)
        try:
            assert self.process.wait(10) == 0
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def session(home: Path) -> Iterator[Session]:
    session = Session(home)
    yield session
    session.close()
