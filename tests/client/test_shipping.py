"""Which node gets a call with large arguments, and that two threads send them once. No process."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from easyremote.client import shipping
from easyremote.client.job import RemoteJob
from easyremote.client.shipping import Shipments
from easyremote.errors import CallLost, NodeOffline
from easyremote.options.retries import FAIL
from easyremote.protocol.snapshot import NodeInfo
from easyremote.serialize.blobs import BESIDE_MIN, BLOB_MIN, Packed
from easyremote.serialize.calls import pack_call
from easyremote.serialize.sources import HERE
from tests.processes import LIMIT

SMALL = NodeInfo("small", "online", runs_code=True, processes=1)
LARGE = NodeInfo("large", "online", runs_code=True, processes=3)
NODES = [
    NodeInfo("gone", "offline", runs_code=True, processes=9),
    NodeInfo("plain", "online", processes=9),
    SMALL,
    LARGE,
]
PACKED = Packed([memoryview(b"call")])


class Started:
    """Calls that were started, and where."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shipments = Shipments()
        self.jobs: list[tuple[str, RemoteJob[Any]]] = []
        monkeypatch.setattr(shipping, "bring_blobs", lambda *_: set())

    def call(self, nodes: list[NodeInfo], node_id: str = "", stream: bool = False) -> str:
        executor: Any = None  # only `bring_blobs` uses it
        self.shipments.start(executor, PACKED, nodes, node_id, self._start, stream=stream)
        return self.jobs[-1][0]

    def _start(self, dumped: object, *, node_id: str) -> RemoteJob[Any]:
        line: Any = None
        job = RemoteJob[Any](line, "$call", b"0" * 16)
        self.jobs.append((node_id, job))
        return job

    def finish(self, node_id: str) -> None:
        """The oldest call of a node is over."""
        index = [node for node, _ in self.jobs].index(node_id)
        self.jobs.pop(index)[1].finish("", "pickle5", b"")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    return Started(monkeypatch)


def test_nodes_get_calls_by_their_processes(started: Started) -> None:
    assert Counter(started.call(NODES) for _ in range(8)) == {"large": 6, "small": 2}


def test_a_node_that_is_slower_gets_fewer(started: Started) -> None:
    for _ in range(4):
        started.call(NODES)
    for _ in range(20):  # one node ends a call after the other, the other node none
        started.finish("large")
        assert started.call(NODES) == "large"


def test_one_call_after_the_other_needs_one_copy_of_the_arguments(started: Started) -> None:
    for _ in range(5):
        assert started.call(NODES) == "large"
        started.finish("large")


def test_calls_for_a_node_that_is_named_count_there(started: Started) -> None:
    for _ in range(6):
        assert started.call(NODES, "large") == "large"
    assert [started.call(NODES) for _ in range(2)] == ["small", "small"]


def test_streams_are_not_counted_because_nobody_need_read_them_to_their_end(
    started: Started,
) -> None:
    for _ in range(5):
        assert started.call(NODES, stream=True) == "large"


def test_where_no_node_runs_code_the_gateway_says_so(started: Started) -> None:
    assert started.call(NODES[:2]) == ""


def test_two_threads_that_need_one_array_at_a_node_send_it_one_after_the_other(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_is_there, first_may_end = threading.Event(), threading.Event()
    order: list[str] = []

    def bring(*_: object) -> set[bytes]:
        name = threading.current_thread().name
        order.append(f"{name} begins")
        if name == "first":
            first_is_there.set()
            assert first_may_end.wait(LIMIT)
        order.append(f"{name} ends")
        return set()

    def other_node() -> None:  # it is another node's: it waits for nobody
        started.call([SMALL])
        first_may_end.set()

    monkeypatch.setattr(shipping, "bring_blobs", bring)
    threads = [
        threading.Thread(target=started.call, args=([LARGE],), name="first"),
        threading.Thread(target=started.call, args=([LARGE],), name="second"),
        threading.Thread(target=other_node, name="third"),
    ]
    threads[0].start()
    assert first_is_there.wait(LIMIT)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert [each for each in order if "third" not in each] == [
        *("first begins", "first ends"),
        *("second begins", "second ends"),
    ]
    assert order.index("third ends") < order.index("first ends")


def test_a_call_that_asks_for_a_large_array_asks_for_smaller_ones_too() -> None:
    numpy = pytest.importorskip("numpy")
    large, rows, few = (numpy.zeros(size, "u1") for size in (BLOB_MIN, BESIDE_MIN, 1000))

    def asked(*args: object) -> list[int]:
        return list(pack_call(max, args, {}, python=HERE).blobs.values())

    assert asked(large, rows, few) == [BLOB_MIN, BESIDE_MIN]
    assert asked(rows, few) == []


@pytest.mark.parametrize("error", [CallLost("lost", may_have_run=True), NodeOffline("offline")])
def test_where_a_node_dies_under_the_arguments_the_call_goes_to_another_one(
    started: Started, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    choices: list[tuple[str, str]] = []

    def bring(executor: object, packed: object, node_id: str, on_loss: str) -> set[bytes]:
        choices.append((node_id, on_loss))
        if node_id == "large":
            raise error
        return set()

    monkeypatch.setattr(shipping, "bring_blobs", bring)
    assert started.call(NODES) == "small"
    assert choices == [("large", FAIL), ("small", "")], "with no other node left it waits"
    for nodes, named in [(NODES, "large"), ([LARGE], "")]:
        with pytest.raises(NodeOffline, match="The function did not run") as caught:
            started.call(nodes, named)
        assert not caught.value.may_have_run
    assert started.call(NODES, "small") == "small"
    started.finish("small")
    started.finish("small")
    monkeypatch.setattr(shipping, "bring_blobs", lambda *_: set())
    assert started.call(NODES) == "large", "what was not sent is not counted"
