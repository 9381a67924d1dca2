"""The guard itself: each leak that is made up is found, and a test that leaves nothing passes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults import leaks
from tests.faults.leaks import FILES, OF_CLIENTS, Guard
from tests.faults.scene import Scene

Leak = Callable[[ExitStack], object]


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these tests has a guard of its own. What stays open, stays: a moment shows it."""
    monkeypatch.setattr(leaks, "QUIET", 0.3)


def leave_sockets(stack: ExitStack) -> None:
    for each in (*socket.socketpair(), *socket.socketpair()):
        stack.enter_context(each)


def leave_files(stack: ExitStack) -> None:
    for _ in range(FILES + OF_CLIENTS + 1):
        stack.enter_context(open(os.devnull))


def leave_a_thread(stack: ExitStack) -> None:
    ending = threading.Event()
    thread = threading.Thread(target=ending.wait, name="forgotten")
    stack.callback(thread.join)
    stack.callback(ending.set)
    thread.start()


def leave_a_process(stack: ExitStack) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stack.callback(process.wait)
    assert process.stdin is not None
    stack.callback(process.stdin.close)


@pytest.fixture
def left() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (leave_sockets, "sockets, and had"),
        (leave_files, "files, and had"),
        (leave_a_thread, "the thread forgotten is left"),
        (leave_a_process, "is left"),
    ],
)
def test_what_a_test_leaves_in_its_process_is_found(
    leak: Leak, words: str, left: ExitStack
) -> None:
    guard = Guard(None)
    leak(left)
    told = guard.check()
    left.close()
    assert any(words in each for each in told), told


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_coroutine_that_nobody_awaits_is_found() -> None:
    guard = Guard(None)
    asyncio.sleep(0)
    assert "coroutine 'sleep' was never awaited" in guard.check()


def test_a_test_that_leaves_nothing_is_told_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaks, "QUIET", 30.0)
    guard = Guard(scene)
    assert scene.client().execute("answer", 1) == 8
    with contextlib.closing(socket.socket()):
        pass
    assert guard.check() == []


def test_a_call_that_goes_on_is_found(scene: Scene) -> None:
    guard, history = Guard(scene), scene.history()
    with scene.gateway.client() as other:
        history.call(other, 2.0)
        assert any("the gateway has work() " in each for each in guard.check())
        history.finish()


def test_what_a_process_of_the_scene_leaves_is_found(scene: Scene) -> None:
    guard = Guard(scene)
    address = scene.gateway.address.split(":")
    with socket.create_connection((address[0], int(address[1]))):
        (scene.home / "spool").touch()
        with (scene.home / "one.log").open("a") as log:
            log.write("RuntimeWarning: coroutine 'f' was never awaited\n")
        told = guard.check()
    (scene.home / "spool").unlink()
    assert any("the gateway has" in each and "sockets" in each for each in told), told
    assert f"{scene.home / 'spool'} is left" in told
    assert any("one.log: " in each and "'f' was never awaited" in each for each in told)
