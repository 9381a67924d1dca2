"""`Threads`: work begins in order, idle threads are woken one at a time, and all of them end."""

from __future__ import annotations

import queue
import threading

import pytest

from easyremote.node.registered.threads import Threads
from tests.processes import LIMIT, wait_until


class Gated:
    """Threads whose work waits until the test lets it go on."""

    def __init__(self, count: int) -> None:
        self.began: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self.gate = threading.Semaphore(0)
        self.threads = Threads(self._run)
        for _ in range(count):
            self.threads.add()

    def _run(self, number: int) -> None:
        self.began.put((number, threading.get_ident()))
        assert self.gate.acquire(timeout=LIMIT)

    def next(self) -> tuple[int, int]:
        return self.began.get(timeout=LIMIT)

    def until_idle(self, count: int) -> None:
        wait_until(lambda: len(self.threads._idle) == count)


def test_as_much_runs_at_a_time_as_there_are_threads_and_the_rest_in_order() -> None:
    made = Gated(2)
    for number in range(6):
        made.threads.put(number)
    assert sorted(made.next()[0] for _ in range(2)) == [0, 1]
    assert made.began.empty()
    for number in range(2, 6):
        made.gate.release()
        assert made.next()[0] == number
    made.gate.release(2)
    made.threads.close()


def test_the_thread_that_has_been_idle_for_the_shortest_time_works_next() -> None:
    made = Gated(5)
    made.until_idle(5)
    used = set()
    for number in range(10):
        made.threads.put(number)
        used.add(made.next()[1])
        made.gate.release()
        made.until_idle(5)
    made.threads.close()
    assert len(used) == 1


def test_many_pieces_from_many_threads_are_done_once_each() -> None:
    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    threads = Threads(done.put)
    for _ in range(4):
        threads.add()

    def put(start: int) -> None:
        for number in range(start, start + 2000):
            threads.put(number)

    putting = [threading.Thread(target=put, args=(start,)) for start in (0, 2000, 4000)]
    for each in putting:
        each.start()
    assert sorted(done.get(timeout=LIMIT) for _ in range(6000)) == list(range(6000))
    for each in putting:
        each.join(LIMIT)
    threads.close()
    assert done.empty()


@pytest.mark.parametrize("is_idle", [True, False], ids=["idle", "at work"])
def test_the_threads_end_when_they_are_closed(is_idle: bool) -> None:
    made = Gated(3)
    mine = [each for each in threading.enumerate() if each.name.startswith("easyremote-worker-")]
    if is_idle:
        made.until_idle(3)
    else:
        for number in range(3):
            made.threads.put(number)
        for _ in range(3):
            made.next()
    made.threads.close()
    made.gate.release(3)
    for each in mine:
        each.join(LIMIT)
    assert not any(each.is_alive() for each in mine)
