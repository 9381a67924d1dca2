"""What a program leaves, as plain data: nothing of a call is forgotten, and versions are told."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

import easyremote
from easyremote.errors import UsageError
from easyremote.node.handover.state import (
    VERSION,
    Call,
    LocalCallLeft,
    RelayedCallLeft,
    State,
    read,
    written,
)
from easyremote.node.processes.process import RelayedCall
from easyremote.options.requirements import Requirements
from easyremote.protocol.call import CallState, HeldCall
from easyremote.protocol.callee import LocalCall
from easyremote.protocol.held import Outcome, failure

#: What the next program finds out by itself: a call's number comes with RESUME, its outcome is its
#: ending, its process is in `ProcessLeft`, its timers are what is left of its time, and how much
#: is unseen is counted.
OTHERWISE = {"call", "outcome", "process", "timers", "unseen_bytes"}


def state(registered: list[LocalCallLeft]) -> State:
    return State(
        is_trial=True,
        instance=b"i" * 16,
        started=1.0,
        began=2.0,
        asker=3,
        rules={"hours": "22-7", "only_when_idle": True},
        forks=[],
        processes=[],
        relayed=[],
        relayed_before=b"",
        registered=registered,
        registered_before=b"o" * 16,
        known=[("ann", "ab", 0)],
        promises=[(b"c" * 16, 0, ("GPU-1",))],
    )


@pytest.mark.parametrize(
    ("left", "kind"), [(Call, HeldCall), (LocalCallLeft, LocalCall), (RelayedCallLeft, RelayedCall)]
)
def test_every_field_of_a_call_is_left(left: type[Call], kind: type[HeldCall]) -> None:
    fields = {each.name for each in dataclasses.fields(kind)}
    told = set(left.__struct_fields__) - {"ending", "left", "is_held"}
    assert told == fields - OTHERWISE


def test_a_call_is_the_same_in_the_next_program() -> None:
    held = LocalCall(7, b"c" * 16, 2, "f", "", "ann", 1.0, 2.0, 3.0, "there", "trace")
    held.needs, held.gpus = Requirements(cpu=2.0, labels=("a100",)), ("GPU-1",)
    held.state, held.has_arguments, held.last_event = CallState.FINISHED, True, 5
    held.is_durable = held.is_kept = True
    held.outcome = Outcome([b"val", memoryview(b"ue")], 5, "pickle5", "", False, 0.5)
    held.unseen.append((5, [b"it", b"em"], 4, "pickle5"))
    held.unseen_bytes = 4
    told = read(written(state([LocalCallLeft.of(held)])))
    (again,) = (each.local() for each in told.registered)
    assert again.outcome == Outcome((b"value",), 5, "pickle5", "", False, 0.5)
    assert list(again.unseen) == [(5, (b"item",), 4, "pickle5")]
    for name in {each.name for each in dataclasses.fields(LocalCall)} - {
        "call",
        "outcome",
        "unseen",
    }:
        assert getattr(again, name) == getattr(held, name), name
    assert (told.rules, told.registered_before) == (
        {"hours": "22-7", "only_when_idle": True},
        b"o" * 16,
    )


def test_a_call_without_an_outcome_has_none_in_the_next_program() -> None:
    held = LocalCall(7, b"c" * 16, 2, "f", "", "ann", 1.0, 2.0, 3.0, "")
    assert LocalCallLeft.of(held).local().outcome is None
    held.outcome = failure("lost", "gone")
    assert LocalCallLeft.of(held).local().outcome == held.outcome


def test_a_state_of_another_version_is_refused_with_both_programs_named() -> None:
    other = {"version": VERSION + 1, "easyremote": "9.9", "what": "nobody knows"}
    with pytest.raises(UsageError) as caught:
        read(msgspec.msgpack.encode(other))
    assert f"easyremote {easyremote.__version__} can't go on" in str(caught.value)
    assert f"easyremote 9.9 leaves (layout {VERSION + 1}" in str(caught.value)
