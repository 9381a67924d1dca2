"""The thread that talks to gateways: order, one wake-up for many, and none after a fork."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from easyremote.client.io_thread import AT_ONCE, IOThread, io_thread
from easyremote.errors import InternalError
from tests.processes import LIMIT


def test_functions_run_there_in_the_order_in_which_they_were_handed_over() -> None:
    thread, seen, done = io_thread(), [], threading.Event()
    for number in range(1000):
        thread.call(seen.append, number)
    thread.call(done.set)
    assert done.wait(LIMIT)
    assert seen == list(range(1000))


def test_no_hand_over_of_many_threads_is_lost() -> None:
    thread = IOThread()
    count, arrived, done = 4 * 5000, [], threading.Event()

    def arrive() -> None:
        arrived.append(threading.current_thread().name)
        if len(arrived) == count:
            done.set()

    def hand_over() -> None:
        for _ in range(5000):
            thread.call(arrive)

    threads = [threading.Thread(target=hand_over) for _ in range(4)]
    for each in threads:
        each.start()
    assert done.wait(LIMIT)
    assert set(arrived) == {"easyremote-io"}


def test_the_loop_does_other_things_between_many_functions() -> None:
    thread, gate, done = IOThread(), threading.Event(), threading.Event()
    seen: list[int] = []
    before: list[int] = []
    thread.call(gate.wait)
    for number in range(3 * AT_ONCE):
        thread.call(seen.append, number)
    thread.call(done.set)
    thread.loop.call_soon_threadsafe(lambda: before.append(len(seen)))
    gate.set()
    assert done.wait(LIMIT)
    assert before[0] <= AT_ONCE
    assert seen == list(range(3 * AT_ONCE))


def test_waiting_on_the_thread_itself_is_refused() -> None:
    thread = io_thread()
    caught: list[BaseException] = []
    done = threading.Event()

    def wait_there() -> None:
        try:
            thread.check_not_current()
        except InternalError as error:
            caught.append(error)
        done.set()

    thread.check_not_current()
    thread.call(wait_there)
    assert done.wait(LIMIT)
    assert "Callbacks run on the thread" in str(caught[0])


def test_there_is_one_for_the_process_and_another_in_a_forked_child() -> None:
    thread = io_thread()
    assert io_thread() is thread
    pid = os.fork()
    if pid == 0:
        done = threading.Event()
        io_thread().call(done.set)
        os._exit(0 if io_thread() is not thread and done.wait(LIMIT) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


class InterruptedOnce:
    """A loop whose first wake-up is interrupted, as by the stop button; then the real one."""

    def __init__(self, loop: Any, after: bool) -> None:
        self._loop, self._after, self._is_first = loop, after, True

    def call_soon_threadsafe(self, function: Any) -> None:
        is_first, self._is_first = self._is_first, False
        if not is_first or self._after:
            self._loop.call_soon_threadsafe(function)
        if is_first:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_interrupt_of_a_hand_over_leaves_the_thread_at_work(after: bool) -> None:
    thread, seen, done = IOThread(), list[int](), threading.Event()
    thread.loop = InterruptedOnce(thread.loop, after)  # type: ignore[assignment]  # as far as used
    with pytest.raises(KeyboardInterrupt):
        thread.call(seen.append, 1)
    thread.call(seen.append, 2)
    thread.call(done.set)
    assert done.wait(LIMIT)
    assert seen == [1, 2]


def test_a_function_that_raises_keeps_no_other_from_running() -> None:
    thread, done = IOThread(), threading.Event()
    heard: list[dict[str, object]] = []
    thread.loop.call_soon_threadsafe(
        thread.loop.set_exception_handler, lambda loop, context: heard.append(context)
    )

    def wrong() -> None:
        raise RuntimeError("a mistake")

    gate = threading.Event()
    thread.call(gate.wait)  # both are handed over in one batch
    thread.call(wrong)
    thread.call(done.set)
    gate.set()
    assert done.wait(LIMIT)
    assert isinstance(heard[0]["exception"], RuntimeError)
