"""Calls by HTTP while the gateway stops, and while its nodes are on their way back to it."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from pathlib import Path
from typing import Any

from tests.conftest import LIMIT, Gateway, end, start_gateway, wait_until

PROGRAM = '''
import time
from pathlib import Path
from easyremote.node import node

@node.register(public=True, max_concurrency=1)
def hold(started):
    """Runs for ever."""
    Path(started).touch()
    while True:
        time.sleep(0.01)
'''


def post(gateway: Gateway, name: str, body: object) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection(gateway.address, timeout=LIMIT)
    connection.request("POST", f"/api/{name}", json.dumps(body))
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), json.loads(answer.read())


def test_calls_under_way_are_told_to_try_again_when_the_gateway_stops(tmp_path: Path) -> None:
    gateway = start_gateway(tmp_path / "home")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    node = gateway.start_node("n", str(program))
    answers = []
    marks = [tmp_path / "one", tmp_path / "two"]
    threads = [
        threading.Thread(
            target=lambda mark=mark: answers.append(  # type: ignore[misc]
                post(gateway, "hold", {"started": str(mark)})
            )
        )
        for mark in marks
    ]
    client = gateway.client()
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: any(mark.exists() for mark in marks))  # the other one waits for it
        gateway.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(LIMIT)
        assert gateway.process.wait(LIMIT) == 0
    finally:
        client.close()
        end(node)
        end(gateway.process)
    assert [status for status, _, _ in answers] == [503, 503]
    assert all(int(headers["Retry-After"]) for _, headers, _ in answers)
    assert {body["title"] for _, _, body in answers} == {"busy"}


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
