"""Detached calls at the door: accepted when the disk has them, found with their key only."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from easyremote.errors import StorageFull
from easyremote.gateway.durable import keeper as keeper_module
from easyremote.gateway.durable.store import Store
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.messages import (
    Cancel,
    Delivered,
    Dispatch,
    Finished,
    Function,
    Keep,
    Payload,
)
from tests.gateway.desk import ClientPeer
from tests.gateway.durable.conftest import QUESTION, Durable

Run = Callable[..., None]
Story = Callable[[Durable], Awaitable[None]]

#: Larger than what travels inside a message, and than what is a row of the journal.
LARGE = b"L" * 100_000


def refused(client: ClientPeer, number: int = 1) -> tuple[str, str]:
    """The code and text of the one error that a client heard."""
    finished = client.only(Finished)
    assert finished.call == number
    code, text, _ = unpack_error(finished.payload.data)
    return code, text


def test_a_call_is_accepted_when_the_disk_has_it_and_its_outcome_is_kept(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        desk.detach(client, b"a" * 16)
        assert client.heard(Finished) == []
        assert node.heard(Dispatch) == []
        await desk.heard(lambda: client.heard(Finished))
        dispatch = (await desk.heard(lambda: node.heard(Dispatch)))[0]
        assert dispatch.call_id == b"a" * 16
        client.leave()
        node.finish(dispatch)
        await desk.heard(lambda: node.heard(Delivered))
        other = desk.client(desk.alice)
        for _ in range(2):  # it can be read again
            finished = await desk.outcome(other, b"a" * 16)
            assert (finished.code, finished.payload.data) == ("", b"value")

    run(story)


def test_whoever_asks_before_the_end_is_answered_at_the_end(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16)
        desk.ask(client, "$collect", b"a" * 16)
        gone = desk.client(desk.alice)
        desk.ask(gone, "$collect", b"a" * 16)
        desk.feed.client_left(gone.client)
        node.finish((await desk.heard(lambda: node.heard(Dispatch)))[0])
        (finished,) = await desk.heard(lambda: client.heard(Finished))
        assert (finished.call, finished.payload.data) == (70, b"value")
        assert gone.heard(Finished) == []

    run(story)


def test_a_call_that_is_sent_again_is_accepted_again_and_runs_once(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        desk.detach(client, b"a" * 16)
        again = desk.client(desk.alice)
        desk.detach(again, b"a" * 16, number=5)  # while the first one is being written
        await desk.heard(lambda: client.heard(Finished))
        assert again.only(Finished).call == 5
        await desk.accepted(again, b"a" * 16, number=6, age=3.0)
        assert len(await desk.heard(lambda: node.heard(Dispatch))) == 1
        taken = desk.client(desk.bob)
        desk.detach(taken, b"a" * 16)
        assert refused(taken) == (
            "usage",
            "This call id is taken. Make a new one: 16 random bytes.",
        )

    run(story)


@pytest.mark.parametrize("question", ["$collect", "$release", "$detached"])
def test_another_key_is_told_that_there_is_none(run: Run, question: str) -> None:
    async def story(desk: Durable) -> None:
        desk.node()
        client, other = desk.client(desk.alice), desk.client(desk.bob)
        await desk.accepted(client, b"a" * 16)
        desk.ask(other, question, b"a" * 16)
        code, text = refused(other, QUESTION)
        assert code == "not-found"
        assert "another key has made it" in text
        assert (await desk.listed(other)).calls == ()
        desk.ask(other, "$cancel", b"a" * 16)
        assert other.only(Finished).payload.data == b"\xc2"  # no

    run(story)


def test_a_released_outcome_is_gone_and_its_call_never_runs_again(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16)
        desk.ask(client, "$release", b"a" * 16)
        assert client.only(Finished).payload.data == b"\xc2"  # it is not over
        node.finish((await desk.heard(lambda: node.heard(Dispatch)))[0])
        await desk.heard(lambda: node.heard(Delivered))
        desk.ask(client, "$release", b"a" * 16)
        assert client.only(Finished).payload.data == b"\xc3"
        await desk.restarted()
        desk.detach(client := desk.client(desk.alice), b"a" * 16, age=9.0)
        assert refused(client)[0] == "lost"
        assert (await desk.listed(client)).calls == ()

    run(story)


def test_an_outcome_is_forgotten_when_its_time_is_over(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16, keep=Keep(60.0))
        node.finish((await desk.heard(lambda: node.heard(Dispatch)))[0])
        await desk.heard(lambda: node.heard(Delivered))
        (kept,) = (await desk.listed(client)).calls
        assert kept.state == "kept"
        assert kept.keep_until == pytest.approx(time.time() + 60, abs=30)
        desk.door.handle_timeout(time.monotonic() + 30)
        assert len((await desk.listed(client)).calls) == 1
        await desk.restarted()
        desk.door.handle_timeout(time.monotonic() + 61)
        assert (await desk.listed(client)).calls == ()

    run(story)


def test_a_call_that_waits_is_cancelled_and_its_error_is_kept(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(slots=1), desk.client(desk.alice)
        for letter in (b"a", b"b"):
            await desk.accepted(client, letter * 16)
        (first,) = await desk.heard(lambda: node.heard(Dispatch))
        desk.ask(client, "$cancel", b"b" * 16)
        assert client.only(Finished).payload.data == b"\xc3"
        finished = await desk.outcome(client, b"b" * 16)
        assert finished.code == "cancelled"
        desk.ask(client, "$cancel", b"a" * 16)
        assert await desk.heard(lambda: node.heard(Cancel)) == [Cancel(first.call)]
        assert not node.heard(Dispatch)

    run(story)


def test_a_full_disk_refuses_a_call_which_never_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)

        async def full(*_: object) -> None:
            raise StorageFull("The disk is full.")

        with monkeypatch.context() as patched:
            patched.setattr(Store, "add", full)
            desk.detach(client, b"a" * 16)
            await desk.quiet()
            assert refused(client) == ("storage-full", "The disk is full.")
        assert not node.heard(Dispatch)
        await desk.accepted(client, b"a" * 16)  # there is room again
        assert await desk.heard(lambda: node.heard(Dispatch))

    run(story)


def test_an_outcome_that_cant_be_written_stays_at_its_node_and_is_written_later(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper_module, "AGAIN_AFTER", 0.01)

    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16)
        tries, is_full, end = 0, True, Store.end

        async def full(*args: Any) -> None:
            nonlocal tries
            tries += 1
            if is_full:
                raise StorageFull("The disk is full.")
            await end(*args)

        desk.ask(client, "$collect", b"a" * 16)
        monkeypatch.setattr(Store, "end", full)
        node.finish((await desk.heard(lambda: node.heard(Dispatch)))[0])
        await desk.heard(lambda: tries > 2)
        assert not node.heard(Delivered)
        assert not client.heard(Finished)
        is_full = False
        await desk.heard(lambda: node.heard(Delivered))
        assert client.only(Finished).payload.data == b"value"

    run(story)
    assert "can't be written; it is tried again" in caplog.text
    caplog.clear()


def test_a_key_keeps_only_so_much(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16)
        desk.detach(client, b"b" * 16, payload=Payload("pickle5", 900, b"x" * 900))
        code, text = refused(client)
        assert code == "busy"
        assert "Release some" in text
        other = desk.client(desk.bob)
        await desk.accepted(other, b"c" * 16)
        node.finish((await desk.heard(lambda: node.heard(Dispatch)))[0])
        await desk.heard(lambda: node.heard(Delivered))
        desk.ask(client, "$release", b"a" * 16)
        client.heard(Finished)
        await desk.accepted(client, b"b" * 16)

    run(story, max_kept=2000)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"function": "items"}, "items() is a generator"),
        ({"function": "$session"}, "can't be detached"),
        ({"payload": Payload("json", 2, b"{}")}, "pickled arguments"),
        ({"function": "nothing"}, "nothing"),
        ({"priority": 5}, "priority"),
    ],
)
def test_what_can_never_be_detached_is_refused_at_once(
    run: Run, more: dict[str, object], why: str
) -> None:
    async def story(desk: Durable) -> None:
        desk.node("n", "f", Function("items", streams=True))
        client = desk.client(desk.alice)
        desk.detach(client, b"a" * 16, **more)
        assert why in refused(client)[1]
        assert (await desk.listed(client)).calls == ()

    run(story)


def test_attached_calls_and_questions_write_nothing(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        client.submit()
        node.finish(node.start())
        assert client.only(Finished).payload.data == b"value"
        assert (await desk.listed(client)).calls == ()
        desk.door.handle_timeout(desk.now)
        assert not (desk.home / "journal").exists()

    run(story)


def test_arguments_whose_client_goes_on_the_way_are_forgotten(run: Run) -> None:
    async def story(desk: Durable) -> None:
        desk.node()
        client = desk.client(desk.alice)
        client.announce(len(LARGE), 1000, call_id=b"a" * 16, keep=Keep(60.0))
        client.leave()
        again = desk.client(desk.alice)
        assert (await desk.listed(again)).calls == ()
        await desk.sent(again, b"a" * 16, LARGE)
        (call,) = (await desk.listed(again)).calls
        assert call.call_id == (b"a" * 16).hex()

    run(story)


def test_a_journal_that_cant_be_read_is_tried_again_and_loses_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(desk: Durable) -> None:
        desk.node()
        await desk.accepted(desk.client(desk.alice), b"a" * 16)

        def broken(_: Store) -> None:
            raise StorageFull("The disk is full.")

        with monkeypatch.context() as patched:
            patched.setattr(Store, "calls", broken)
            await desk.restarted("n")
        client = desk.client(desk.alice)
        desk.ask(client, "$detached")
        assert refused(client, QUESTION)[0] == "storage-full"
        desk.detach(client, b"b" * 16)
        assert refused(client)[0] == "storage-full"
        desk.door.handle_timeout(time.monotonic())
        await desk.heard(lambda: desk.door._closed is None)
        assert len((await desk.listed(client)).calls) == 1

    run(story)
    assert "The detached calls can't be read" in caplog.text
    caplog.clear()
