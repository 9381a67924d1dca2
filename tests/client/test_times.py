"""No time that can't be waited passes the client: it is refused where it is given, and not sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

import easyremote
from easyremote import remote
from easyremote.client.client import Client
from easyremote.client.executor import KEEP
from easyremote.client.job import RemoteJob
from easyremote.client.remote_session import RemoteSession
from easyremote.client.session import Session
from easyremote.errors import UsageError
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Finished, Message, Payload, Submit
from easyremote.serialize.values import dump
from tests.client.lying_gateway import LyingGateway, lying_gateway
from tests.processes import LIMIT

NO_TIMES = [float("nan"), float("inf"), float("-inf"), -1, -0.001, True, False, "5", 1e300, 1j]


class Fake:
    """A gateway with one node, which answers every other call with 7, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[Submit] = []

    def __call__(self, link: Link, message: Submit) -> Iterator[Message]:
        if message.function == "$nodes":
            nodes = [{"node_id": "n", "state": "online", "runs_code": True}]
            body = msgspec.msgpack.encode({"nodes": nodes})
            yield Finished(message.call, Payload("msgpack", len(body), body))
        elif message.function != "$changes":
            self.asked.append(message)
            if message.function != "waits":
                data = bytes(dump(7).parts[0])
                yield Finished(message.call, Payload("pickle5", len(data), data))


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def gateway(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingGateway]:
    with lying_gateway(fake) as started:
        monkeypatch.setenv("EASYREMOTE_GATEWAY", started.address)
        yield started


@pytest.fixture
def client(gateway: LyingGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with gateway.client() as made:
        monkeypatch.setenv("EASYREMOTE_API_KEY", made.settings.api_key)
        yield made
        easyremote.connect().close()


def a_stub(timeout: Any) -> object:
    @remote(timeout=timeout)
    def f() -> None: ...

    return f()


def a_map(timeout: Any) -> object:
    @remote
    def f(x: int) -> None: ...

    return list(f.map([1, 2], timeout=timeout))


EDGES: dict[str, Callable[[Client, Any], object]] = {
    "Client": lambda client, time: Client("h:1", client.settings.api_key, timeout=time),
    "on": lambda client, time: client.on(timeout=time).execute("f"),
    "call": lambda client, time: client.call("f", timeout=time),
    "call_plain": lambda client, time: client.call_plain("f", {}, timeout=time),
    "ship": lambda client, time: client.ship(len, ([],), {}, timeout=time),
    "Client.map": lambda client, time: list(client.map("f", [1, 2], timeout=time)),
    "@remote": lambda client, time: a_stub(time),
    "map": lambda client, time: a_map(time),
    "run": lambda client, time: easyremote.run("1", "n", timeout=time),
    "session.run": lambda client, time: easyremote.session("n").run("1", timeout=time),
    "run_timeout": lambda client, time: client.start("f", dump(1), run_timeout=time),
    "queue_timeout": lambda client, time: client.start("f", dump(1), queue_timeout=time),
    "hold": lambda client, time: client.start("f", dump(1), hold=time if time != -1 else -2),
    "submit_cell": lambda client, time: Session(client, "n").submit_cell({}, timeout=time),
    "result": lambda client, time: client.call("waits").result(time),
    "exception": lambda client, time: client.call("waits").exception(time),
}

OF_CALLS = ["on", "call", "call_plain", "ship", "Client.map", "@remote", "map", "run_timeout"]
OF_CALLS += ["queue_timeout", "hold", "submit_cell"]


@pytest.mark.parametrize("time", NO_TIMES, ids=repr)
@pytest.mark.parametrize("edge", EDGES)
def test_what_is_no_time_is_refused_where_it_is_given(
    client: Client, fake: Fake, edge: str, time: Any
) -> None:
    with pytest.raises(UsageError, match="is in seconds and"):
        EDGES[edge](client, time)
    client.call("last").result(LIMIT)  # what was sent before it has come, too
    assert {submit.function for submit in fake.asked} <= {"waits", "last"}


@pytest.mark.parametrize("time", [np.float32(9.5), np.float64(9), np.int64(9), 9], ids=repr)
@pytest.mark.parametrize("edge", OF_CALLS)
def test_any_kind_of_number_is_a_time(client: Client, fake: Fake, edge: str, time: Any) -> None:
    answer = EDGES[edge](client, time)
    if isinstance(answer, RemoteJob):
        answer.exception(LIMIT)
    assert fake.asked


def test_what_is_kept_goes_on_until_it_is_over(client: Client, fake: Fake) -> None:
    client.start("f", dump(1), hold=KEEP).result(LIMIT)
    assert fake.asked[-1].hold == -1.0


def test_nothing_may_be_waited(client: Client) -> None:
    with pytest.raises(TimeoutError):
        client.call("waits").result(0)
    assert isinstance(easyremote.session("n"), RemoteSession)
