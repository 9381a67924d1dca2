"""Detached calls over a restart of the gateway, and what it tries again by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from easyremote.gateway.durable import keeper as keeper_module
from easyremote.gateway.durable import own_client
from easyremote.options.retries import Retry
from easyremote.protocol.failures import pack_error, unpack_error
from easyremote.protocol.messages import Delivered, Dispatch, Finished, Keep, Payload, Resumed
from tests.gateway.desk import NodePeer
from tests.gateway.durable.conftest import Durable

Run = Callable[..., None]
LARGE = b"L" * 100_000


def fail(node: NodePeer, dispatch: Dispatch, code: str, *, may_have_run: bool = True) -> None:
    body = pack_error(code, "It broke.", may_have_run=may_have_run)
    failed = Payload("msgpack", len(body), body)
    node.say(Finished(dispatch.call, failed, code, may_have_run, fence=dispatch.fence))


def test_a_node_that_holds_the_call_goes_on_with_it_after_a_restart(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16)
        (dispatch,) = await desk.heard(lambda: node.heard(Dispatch))
        await desk.restarted("n")
        back = desk.node(held=[(dispatch.call_id, dispatch.fence)])
        (number,) = back.only(Resumed).calls
        assert number
        again = desk.client(desk.alice)
        (call,) = (await desk.listed(again)).calls
        assert call.state == "running"
        finished = Finished(number, Payload("pickle5", 5, b"value"), fence=dispatch.fence)
        back.say(finished)
        await desk.heard(lambda: back.heard(Delivered))
        assert not back.heard(Dispatch)
        assert (await desk.outcome(again, b"a" * 16)).payload.data == b"value"

    run(story)


def test_the_node_of_a_call_is_waited_for_after_a_restart_too(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16)
        (dispatch,) = await desk.heard(lambda: node.heard(Dispatch))
        await desk.restarted("n")
        desk.pass_time(3600.0)
        assert len((await desk.listed(desk.client(desk.alice))).calls) == 1
        back = desk.node(held=[(dispatch.call_id, dispatch.fence)], uptime=7200.0)
        (number,) = back.only(Resumed).calls
        back.say(Finished(number, Payload("pickle5", 5, b"value"), fence=dispatch.fence))
        await desk.heard(lambda: back.heard(Delivered))
        finished = await desk.outcome(desk.client(desk.alice), b"a" * 16)
        assert finished.payload.data == b"value"

    run(story)


def test_a_call_that_no_node_has_is_given_out_after_a_restart(run: Run) -> None:
    async def story(desk: Durable) -> None:
        desk.node().leave()  # it is known, and away
        client = desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16)
        await desk.restarted()
        back = desk.node(instance=b"j" * 16, uptime=0.0)  # another process by now
        (dispatch,) = await desk.heard(lambda: back.heard(Dispatch))
        back.finish(dispatch)
        assert (await desk.outcome(desk.client(desk.alice), b"a" * 16)).code == ""

    run(story)


def test_a_call_that_a_process_before_may_have_begun_is_lost(run: Run) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16)
        await desk.heard(lambda: node.heard(Dispatch))
        desk.door.handle_timeout(time.monotonic() + 10)  # now the disk knows that it was given out
        await desk.quiet()
        await desk.restarted("n")
        back = desk.node(instance=b"j" * 16, uptime=0.0)
        finished = await desk.outcome(desk.client(desk.alice), b"a" * 16)
        assert finished.code == "lost"
        assert unpack_error(finished.payload.data)[2]["may_have_run"] is True
        assert not back.heard(Dispatch)

    run(story)


def test_a_large_outcome_and_large_arguments_come_back_from_files(run: Run) -> None:
    async def story(desk: Durable) -> None:
        desk.node().leave()
        client = desk.client(desk.alice)
        await desk.sent(client, b"a" * 16, LARGE)
        files = desk.home / "journal" / "detached.payloads"
        (argument_file,) = files.iterdir()
        await desk.restarted()
        (dispatch,) = await desk.heard(lambda: desk.node().heard(Dispatch))
        assert dispatch.payload.size == len(LARGE)
        argument_file.write_bytes(b"M" * len(LARGE))
        await desk.restarted()
        finished = await desk.outcome(desk.client(desk.alice), b"a" * 16)
        assert finished.code == "storage-damaged"

    run(story)


def test_further_attempts_are_written_and_counted_over_a_restart(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Durable) -> None:
        node, client = desk.node(), desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16, keep=Keep(60.0, Retry(2, 0.01, 0.01)))
        (first,) = await desk.heard(lambda: node.heard(Dispatch))
        fail(node, first, "crashed")
        await desk.quiet()
        desk.door.handle_timeout(time.monotonic() + 1)
        (second,) = await desk.heard(lambda: node.heard(Dispatch))
        assert second.call_id != first.call_id
        await desk.restarted("n")
        back = desk.node(held=[(second.call_id, second.fence)])
        (number,) = back.only(Resumed).calls
        body = pack_error("crashed", "It broke.", may_have_run=True)
        failed = Payload("msgpack", len(body), body)
        back.say(Finished(number, failed, "crashed", fence=second.fence))
        finished = await desk.outcome(desk.client(desk.alice), b"a" * 16)
        assert finished.code == "crashed"
        assert unpack_error(finished.payload.data)[2]["attempts"] == 2
        assert not back.heard(Dispatch)

    run(story)


def test_a_call_whose_node_is_refused_for_now_waits_for_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_client, "LOOK_AGAIN", 0.01)

    async def story(desk: Durable) -> None:
        node, client = desk.node(slots=1), desk.client(desk.alice)
        for letter in (b"a", b"b"):
            await desk.accepted(client, letter * 16)
        (first,) = await desk.heard(lambda: node.heard(Dispatch))
        node.register("other")  # f() is not there any more
        desk.pass_time(1.0)
        await desk.quiet()
        states = {call.call_id: call.state for call in (await desk.listed(client)).calls}
        assert states[(b"b" * 16).hex()] == "queued"
        node.register("f", slots=2)
        await desk.quiet()
        desk.door.handle_timeout(time.monotonic() + 1)
        (second,) = await desk.heard(lambda: node.heard(Dispatch))
        assert second.fence > first.fence

    run(story)


def test_the_time_of_a_call_goes_on_while_no_gateway_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Durable) -> None:
        desk.node().leave()
        client = desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16, timeout=100.0)
        clock = time.time

        with monkeypatch.context() as later:
            later.setattr(keeper_module.time, "time", lambda: clock() + 40)
            await desk.restarted()
        (dispatch,) = await desk.heard(lambda: desk.node().heard(Dispatch))
        assert 50 < dispatch.timeout <= 61

        with monkeypatch.context() as earlier:  # a clock that was set back gives no time
            earlier.setattr(keeper_module.time, "time", lambda: clock() - 4000)
            await desk.restarted()
        (dispatch,) = await desk.heard(lambda: desk.node("n").heard(Dispatch))
        assert dispatch.timeout <= 101

    run(story)


def test_a_call_of_a_revoked_key_is_not_submitted_again(run: Run) -> None:
    async def story(desk: Durable) -> None:
        desk.node().leave()
        client = desk.client(desk.alice)
        await desk.accepted(client, b"a" * 16)
        desk.keys.revoke(desk.alice)
        await desk.restarted()
        finished = await desk.outcome(client, b"a" * 16)
        assert finished.code == "not-authorized"

    run(story)
