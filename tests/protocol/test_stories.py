"""One call each through client, gateway and node cores: the plain way, and what once went wrong.

The second part is what ``test_machine.py`` has found, as short as it can be told.
"""

from __future__ import annotations

from tests.protocol.world import World


def connected_world() -> World:
    world = World()
    world.connect()
    world.settle()
    return world


def test_a_call_goes_there_and_back() -> None:
    world = connected_world()
    sink = world.submit(b"a" * 1_000_000)
    world.settle()
    (held,) = world.recorder.queued
    world.recorder.begin(held)
    world.settle()
    assert sink.starts == 1
    world.recorder.emit(held, 10)
    world.recorder.finish(held)
    world.settle()
    assert sink.outcomes == [("", b"a" * 1_000_000)]
    assert len(sink.events) == 1
    assert len(world.gateway) == len(world.recorder.calls) == len(world.caller) == 0


def test_a_call_survives_a_restart_of_the_gateway_in_either_order() -> None:
    for client_first in (True, False):
        world = connected_world()
        sink = world.submit(b"abc")
        world.settle()
        (held,) = world.recorder.queued
        world.recorder.begin(held)
        world.settle()
        world.start_gateway()
        (world.connect_client if client_first else world.connect_node)()
        world.settle()
        world.connect()
        world.recorder.finish(held)
        world.settle()
        assert sink.outcomes == [("", b"cba")]


def test_a_node_that_stays_away_is_given_up() -> None:
    world = connected_world()
    sink = world.submit(b"abc")
    world.settle()
    world.cut_node()
    world.pass_time(61.0)
    world.settle()
    assert [code for code, _ in sink.outcomes] == ["lost"]
    assert sink.may_have_run


def test_what_is_handed_back_runs_elsewhere_or_later() -> None:
    world = connected_world()
    sink = world.submit(b"abc")
    world.settle()
    (held,) = world.recorder.queued
    world.recorder.hand_back(held)
    world.settle()
    world.recorder.finish_all()
    world.settle()
    assert sink.outcomes == [("", b"cba")]


# -- what the search has found ---------------------------------------------------------------------


def test_a_late_copy_of_a_cancelled_call_never_starts() -> None:
    world = connected_world()
    for tag in (b"0000", b"0001", b"0002"):
        world.submit(tag)  # two slots: the third waits at the gateway
    world.copy(*world.repeatable[2])
    world.settle()
    world.caller.cancel(world.calls[2])
    world.settle()
    world.pass_time(1.0)
    world.settle()
    world.repeat(world.copies[0])
    for _ in range(3):
        world.recorder.finish_all()
        world.settle()
    assert not world.sinks[2].may_have_run
    assert world.calls[2].call_id not in world.starts


def test_a_late_copy_of_resume_brings_nothing_back() -> None:
    world = connected_world()
    world.submit(b"0000")
    world.settle()
    world.recorder.begin(*world.recorder.queued)
    world.settle()
    world.cut_client()
    world.connect_client()
    world.copy(*world.repeatable[0])
    world.settle()
    world.recorder.finish_all()
    world.settle()
    world.pass_time(1.0)
    world.settle()
    world.repeat(world.copies[0])
    world.settle()
    assert len(world.gateway) == 0


def test_the_slot_of_a_call_that_is_given_up_goes_to_the_next() -> None:
    world = connected_world()
    for tag in (b"0000", b"0001"):
        world.submit(tag, timeout=20.0)
    world.settle()
    last = world.submit(b"0002")
    world.settle()
    world.pass_time(30.0)
    world.settle()
    world.recorder.finish_all()
    world.settle()
    assert last.outcomes == [("", b"2000")]


def test_a_call_that_nobody_may_run_again_holds_up_no_other() -> None:
    world = connected_world()
    older = world.submit(b"0000")
    world.pass_time(1.0)
    world.start_gateway()
    world.start_node()
    world.connect_client()
    newer = world.submit(b"0001")
    world.connect()
    world.settle()
    world.recorder.finish_all()
    world.settle()
    assert older.code == "lost"
    assert newer.outcomes == [("", b"1000")]


def test_a_call_does_not_grow_younger_on_its_way() -> None:
    world = connected_world()
    sink = world.submit(b"0000")
    world.settle()
    world.recorder.begin(*world.recorder.queued)
    world.start_gateway()
    world.connect_client()
    world.move_record(1)  # RESUME
    world.move_record(0)  # RESUMED: not known; it is submitted again, and that takes its time
    world.start_node()
    world.connect()
    world.settle()
    world.recorder.finish_all()
    world.settle()
    assert sink.code == "lost"
    assert world.starts[world.calls[0].call_id] == 1


def test_who_comes_back_late_is_not_told_that_a_call_did_not_run() -> None:
    world = connected_world()
    sink = world.submit(b"0000")
    world.settle()
    world.start_gateway()
    world.pass_time(70.0)
    world.recorder.begin(*world.recorder.queued)
    world.connect_client()
    world.settle()
    assert sink.code == "lost"
    assert sink.may_have_run


def test_a_late_copy_of_what_was_handed_back_is_dropped_and_the_call_still_runs() -> None:
    world = connected_world()
    sink = world.submit(b"0000" + bytes(20_000))
    world.copy(*world.repeatable[0])
    world.settle()
    world.recorder.hand_back(*world.recorder.queued)
    while world.client_wire is not None and not world.client_wire.next_record(0):
        world.move_record(3)  # HAND BACK is on its way to the client
    world.repeat(world.copies[0])
    world.settle()
    assert world.client_wire is not None
    world.recorder.finish_all()
    world.settle()
    assert sink.outcomes == [("", bytes(20_000) + b"0000")]
