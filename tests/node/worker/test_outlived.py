"""To which call a thread belongs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from easyremote.node.worker.outlived import Outlived
from tests.processes import LIMIT


def works_until(gate: threading.Event, ended: list[str | None], outlived: Outlived[str]) -> None:
    gate.wait(LIMIT)
    ended.append(outlived.of_this_thread())


@pytest.mark.parametrize(
    "kind", [lambda work: threading.Thread(target=work), lambda work: threading.Timer(0.2, work)]
)
def test_a_thread_that_works_on_belongs_to_the_call_that_started_it(
    kind: Callable[..., threading.Thread],
) -> None:
    outlived: Outlived[str] = Outlived()
    gate, ended = threading.Event(), list[str | None]()
    outlived.call_begins()
    thread = kind(lambda: works_until(gate, ended, outlived))
    thread.start()
    outlived.call_ended("first")
    outlived.call_begins()
    gate.set()
    thread.join(LIMIT)
    outlived.call_ended("second")
    assert ended == ["first"]


def test_a_thread_of_a_pool_works_for_whoever_asks_it() -> None:
    outlived: Outlived[str] = Outlived()
    outlived.call_begins()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result(LIMIT)
        while pool._idle_semaphore._value == 0:  # it says so just before it waits
            pass
        outlived.call_ended("first")
        assert pool.submit(outlived.of_this_thread).result(LIMIT) is None


def test_threads_from_before_belong_to_nobody() -> None:
    outlived: Outlived[str] = Outlived()
    gate, ended = threading.Event(), list[str | None]()
    thread = threading.Thread(target=works_until, args=(gate, ended, outlived))
    thread.start()
    outlived.call_begins()
    outlived.call_ended("first")
    gate.set()
    thread.join(LIMIT)
    assert ended == [None]
