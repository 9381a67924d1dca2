"""What the link's thread of a process does with a message that makes no sense."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from easyremote.node.ledger import Ledger, memory_file
from easyremote.node.worker.link_thread import LinkThread
from easyremote.node.worker.showing import Work
from easyremote.protocol.builtins import (
    BUILTINS,
    CALL,
    CELL,
    COMM,
    FILES,
    INPUT,
    OUTPUT,
    SEND,
    SESSION,
    VARIABLES,
)
from easyremote.protocol.callee import LocalCall
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.held import plain_outcome
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Dispatch, Finished, Payload
from easyremote.protocol.requests import InputReply, Replay
from easyremote.transport.connection import Connection
from tests.processes import LIMIT
from tests.protocol.wires import open_link, sent_by

ANSWERED = [CELL, COMM, FILES, INPUT, OUTPUT, SEND, SESSION, VARIABLES, "$call"]


class Thread:
    """The thread, without a thread: the test brings the messages."""

    def __init__(self) -> None:
        self.made = LinkThread(Ledger(memory_file()))
        self.link: Link = open_link()
        self.made._callee.attach(self.link)

    def say(self, function: str, body: bytes, encoding: str) -> tuple[str, str]:
        """What comes of a call: its code and, of an error, the text."""
        payload = Payload(encoding, len(body), body)
        self.made.receive(Dispatch(1, b"c" * 16, 1, function, payload, owner="alice"), 0.0)
        (finished,) = (each for each in sent_by(self.link) if isinstance(each, Finished))
        text = unpack_error(finished.payload.data)[1] if finished.code else ""
        return finished.code, text


@pytest.fixture
def thread() -> Iterator[Thread]:
    made = Thread()
    yield made
    made.made._loop.close()


@pytest.mark.parametrize("function", ANSWERED)
def test_an_encoding_that_a_builtin_does_not_take_is_refused(thread: Thread, function: str) -> None:
    assert BUILTINS[function].encoding != "json"
    code, text = thread.say(function, b"{}", "json")
    assert (code, text) == ("protocol", f"A process runs no {function!r} with arguments in 'json'.")


@pytest.mark.parametrize("function", ["add", "$sessions_of_a_later_version"])
def test_what_no_process_answers_is_refused(thread: Thread, function: str) -> None:
    code, _ = thread.say(function, b"", "pickle5")
    assert code == "protocol"


@pytest.mark.parametrize("asked", [b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa6follow\x07"])
def test_a_question_that_can_not_be_read_ends_itself_and_not_the_process(
    thread: Thread, asked: bytes
) -> None:
    code, text = thread.say(OUTPUT, asked, "msgpack")
    assert (code, "arguments of $output()" in text) == ("protocol", True)


def test_a_mistake_of_ours_ends_its_call_and_not_the_process(
    thread: Thread, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(answer: object) -> bool:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(thread.made.main, "answer", broken)
    code, text = thread.say(INPUT, msgspec.msgpack.encode(InputReply(1, "yes")), "msgpack")
    assert (code, "a mistake" in text) == ("internal", True)
    assert "RuntimeError: a mistake" in capfd.readouterr().err


def test_a_question_is_answered(thread: Thread) -> None:
    assert thread.say(OUTPUT, msgspec.msgpack.encode(Replay()), "msgpack") == ("", "")
    thread.link = open_link()
    thread.made._callee.attach(thread.link)


class Noted:
    """A channel that notes what is sent."""

    reason = ""

    def __init__(self, happened: list[str]) -> None:
        self._happened = happened

    async def receive(self) -> bytes | None:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    def send(self, data: bytes) -> bool:
        self._happened.append("the outcome was sent")
        return True

    async def drain(self) -> None:
        """There is room."""

    async def close(self, reason: str) -> None:
        """Nobody is there."""


def test_the_main_thread_goes_on_when_the_outcome_before_has_left(thread: Thread) -> None:
    """The next call may end the process at once."""
    happened: list[str] = []

    async def end_a_call() -> None:
        connection = Connection(thread.link, Noted(happened), thread.made.receive)
        running = asyncio.create_task(connection.run())
        await asyncio.sleep(0)  # it waits now for something to send
        await asyncio.sleep(0)
        gone_on = asyncio.Event()

        def go_on() -> None:
            happened.append("the next call begins")
            gone_on.set()

        held = LocalCall(1, b"c" * 16, 1, CALL, "", "alice", 0.0, 0.0, 0.0, "")
        held.has_arguments = True
        thread.made._callee.take_over([held], b"")
        thread.made._callee._bind(held, 1)
        thread.made._post((Work(held, b""), plain_outcome(None), go_on))
        async with asyncio.timeout(LIMIT):
            await gone_on.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    thread.made._loop.run_until_complete(end_a_call())
    assert happened[:2] == ["the outcome was sent", "the next call begins"]


def test_a_process_for_code_loads_no_aiohttp() -> None:
    """It talks over a pipe, and aiohttp is a third of what it would have to load."""
    look = "import sys, easyremote.node.worker.__main__; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
