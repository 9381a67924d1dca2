"""Calls by HTTP while the gateway stops, and while its nodes are on their way back to it."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.processes import LIMIT, Gateway, end, start_gateway, wait_until

PROGRAM = """
import time
from pathlib import Path
from easyremote.node import node

@node.register(public=True, max_concurrency=1)
def hold(started):
    Path(started).touch()
    try:
        while True:
            time.sleep(0.01)
    except BaseException as error:
        Path(started).write_text(type(error).__name__)
        raise
"""


def post(gateway: Gateway, name: str, body: object) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection(gateway.address, timeout=LIMIT)
    connection.request("POST", f"/api/{name}", json.dumps(body))
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), json.loads(answer.read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_calls_under_way_are_told_to_try_again(tmp_path: Path, number: signal.Signals) -> None:
    """One runs, and one waits for its turn."""
    program, started = tmp_path / "web.py", tmp_path / "started"
    program.write_text(PROGRAM)
    gateway = start_gateway(tmp_path / "home")
    node = gateway.start_node("web-node", str(program))
    answers: dict[str, tuple[int, str | None, str | None]] = {}
    sent = threading.Semaphore(0)

    def ask(name: str, path: Path) -> None:
        connection = http.client.HTTPConnection(gateway.address, timeout=LIMIT)
        connection.request("POST", "/api/hold", json.dumps({"started": str(path)}))
        sent.release()
        answer = connection.getresponse()
        assert json.loads(answer.read())["title"] == "busy"
        headers = answer.headers
        answers[name] = answer.status, headers["Retry-After"], headers["EasyRemote-May-Have-Run"]

    threads = [
        threading.Thread(target=ask, args=("running", started)),
        threading.Thread(target=ask, args=("waiting", tmp_path / "never")),
    ]
    try:
        threads[0].start()
        wait_until(started.exists)
        threads[1].start()
        assert sent.acquire(timeout=LIMIT)
        assert sent.acquire(timeout=LIMIT)
        look = http.client.HTTPConnection(gateway.address, timeout=LIMIT)
        look.request("GET", "/healthz")  # it came after both, so they have been read
        assert look.getresponse().status == 200
        look.close()
        gateway.process.send_signal(number)
        for thread in threads:
            thread.join(LIMIT)
        assert answers["running"] == (503, "1", "yes")
        assert answers["waiting"][:2] == (503, "1")
        assert gateway.process.wait(LIMIT) == 0
        wait_until(lambda: started.read_text() != "")  # the function was ended, too
        assert not (tmp_path / "never").exists()
    finally:
        end(node)
        end(gateway.process)


def test_a_function_is_not_back_yet_where_a_gateway_has_just_started_again(
    tmp_path: Path,
) -> None:
    gateway = start_gateway(tmp_path / "home")
    end(gateway.start_node("n"))
    end(gateway.process)
    again = start_gateway(gateway.home)
    try:
        status, headers, body = post(again, "square", {"x": 1})
    finally:
        end(again.process)
    assert (status, body["title"]) == (503, "offline")
    assert int(headers["Retry-After"])
    assert "square() is not back yet" in body["detail"]


def test_a_function_that_no_node_ever_had_is_not_found(tmp_path: Path) -> None:
    gateway = start_gateway(tmp_path / "home")
    try:
        status, _, body = post(gateway, "square", {"x": 1})
    finally:
        end(gateway.process)
    assert (status, body["title"]) == (404, "not-found")
