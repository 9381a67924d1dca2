"""Client, gateway and node cores driven by a search; delivery.md's invariants I1-I6 hold.

What the search does to them:

- splitting: bytes go through in pieces of any size;
- loss: connections are cut with records under way, gateway and node start anew with empty tables;
- duplication: a message that a reconnection says again (SUBMIT, RESUME, FINISHED, EVENT, CANCEL,
  DELIVERED) is delivered twice on the same connection, the second time whenever it suits;
- reordering: records about different calls and streams pass one another, and so do STARTED, EVENT
  and FINISHED of one call (events have numbers); each of the four directions goes at its own pace.

The node holds its calls in one of two ways (``held.py``): it runs them itself, or it passes them on
to a process, which may be killed.

What stays in order, because an ordered WebSocket or pipe never changes it, and the protocol is
built on that: announcements of streams, chunks of one stream behind its announcement, commands
about one call (CANCEL behind its SUBMIT), and what settles a whole connection (REGISTER, RESUME,
RESUMED). Chunks are not repeated: a stream has no numbers in it, TCP has. A disturbed link may be
closed with a `ProtocolError`, as if it had been cut; an undisturbed one may not, and no other error
may appear.

One thing is known to be beyond it: a copy of SUBMIT that arrives after the gateway handed that call
back is taken for the client's second attempt. No connection delivers twice what it carried, so it
does not happen; a number of the attempt in SUBMIT would rule it out.

What the search has found is told again, by name, in ``test_stories.py``.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.protocol.world import Recorder, Supervisor, World, answer, item

CALLS = 8
DIRECTION = st.integers(0, 5)
INDEX = st.integers(0, CALLS - 1)
#: So many random runs instead of the fixed ones: EASYREMOTE_SEARCH=5000 pytest <this file>
SEARCH = int(os.environ.get("EASYREMOTE_SEARCH", "0"))


Kind = TypeVar("Kind")


def pick(things: Collection[Kind], index: int) -> Kind:
    return list(things)[index % len(things)]


class Delivery(RuleBasedStateMachine):
    """Everything may happen at any time; what is promised holds all the same."""

    kind: type[Recorder] | type[Supervisor] = Recorder

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.kind)
        self.world.connect()
        self.world.settle()
        #: By call: how often it had begun when its client saw the outcome.
        self.begun: dict[int, int] = {}
        self.item_sizes: dict[bytes, list[int]] = {}

    # -- what people do ----------------------------------------------------------------------------

    @precondition(lambda self: len(self.world.sinks) < CALLS)
    @rule(
        size=st.sampled_from([1, 100, 20_000, 400_000]),
        timeout=st.sampled_from([0.0, 20.0]),
        node=st.sampled_from(["n", ""]),
        settled=st.booleans(),
    )
    def submit(self, size: int, timeout: float, node: str, settled: bool) -> None:
        tag = len(self.world.sinks).to_bytes(4, "big")
        self.world.submit(tag + b"x" * size, node=node, timeout=timeout)
        self.settle_if(settled)

    @precondition(lambda self: self.world.sinks)
    @rule(index=INDEX, kill=st.booleans(), settled=st.booleans())
    def cancel(self, index: int, kill: bool, settled: bool) -> None:
        self.world.caller.cancel(pick(self.world.calls, index), kill=kill)
        self.settle_if(settled)

    @precondition(lambda self: any(sink.events for sink in self.world.sinks))
    @rule(index=INDEX, settled=st.booleans())
    def see(self, index: int, settled: bool) -> None:
        call = pick(self.world.calls, index)
        self.world.caller.seen(call, call.next_event - 1)
        self.settle_if(settled)

    # -- what functions do -------------------------------------------------------------------------

    @precondition(lambda self: self.world.recorder.queued)
    @rule(index=INDEX, settled=st.booleans())
    def begin(self, index: int, settled: bool) -> None:
        recorder = self.world.recorder
        recorder.begin(pick(recorder.queued, index))
        self.settle_if(settled)

    @precondition(lambda self: self.world.recorder.queued or self.world.recorder.running)
    @rule(index=INDEX, settled=st.booleans())
    def finish(self, index: int, settled: bool) -> None:
        recorder = self.world.recorder
        recorder.finish(pick([*recorder.running, *recorder.queued], index))
        self.settle_if(settled)

    @precondition(lambda self: self.world.recorder.running)
    @rule(index=INDEX, size=st.sampled_from([0, 10, 20_000, 100_000]), settled=st.booleans())
    def emit(self, index: int, size: int, settled: bool) -> None:
        recorder = self.world.recorder
        held = pick(recorder.running, index)
        if held.window_is_open:
            self.item_sizes.setdefault(held.call_id, []).append(size)
            recorder.emit(held, size)
        self.settle_if(settled)

    @precondition(lambda self: self.world.recorder.queued)
    @rule(index=INDEX, settled=st.booleans())
    def hand_back(self, index: int, settled: bool) -> None:
        recorder = self.world.recorder
        recorder.hand_back(pick(recorder.queued, index))
        self.settle_if(settled)

    # -- what the network does ---------------------------------------------------------------------

    @rule(which=DIRECTION, size=st.sampled_from([1, 50, 1000, 70_000, 1 << 20]))
    def move(self, which: int, size: int) -> None:
        self.world.move(which, size)

    @rule(which=DIRECTION)
    def move_record(self, which: int) -> None:
        self.world.move_record(which)

    @rule()
    def settle(self) -> None:
        self.world.settle()

    def settle_if(self, settled: bool) -> None:
        """Half of what happens has its effect everywhere, before the next thing happens."""
        if settled:
            self.world.settle()

    @precondition(lambda self: self.world.repeatable)
    @rule(index=INDEX)
    def copy(self, index: int) -> None:
        self.world.copy(*pick(self.world.repeatable, index))

    @precondition(lambda self: self.world.copies)
    @rule(index=INDEX)
    def repeat(self, index: int) -> None:
        self.world.repeat(pick(self.world.copies, index))

    @precondition(lambda self: self.world.swappable)
    @rule(index=INDEX)
    def swap(self, index: int) -> None:
        self.world.swap(*pick(self.world.swappable, index))

    @rule(what=st.sampled_from(["cut_client", "cut_node", "start_gateway", "start_node"]))
    def break_off(self, what: str) -> None:
        getattr(self.world, what)()

    @precondition(lambda self: self.world.recorder.pipe is not None)
    @rule()
    def start_process(self) -> None:
        self.world.recorder.start_process()

    @precondition(lambda self: self.world.client_wire is None)
    @rule(settled=st.booleans())
    def connect_client(self, settled: bool) -> None:
        self.world.connect_client()
        self.settle_if(settled)

    @precondition(lambda self: self.world.node_wire is None)
    @rule(settled=st.booleans())
    def connect_node(self, settled: bool) -> None:
        self.world.connect_node()
        self.settle_if(settled)

    @rule(size=st.sampled_from([1, 20_000]))
    def race_resumed(self, size: int) -> None:
        """A new gateway has another call before the node's; the node speaks before RESUMED."""
        world = self.world
        world.start_gateway()
        if len(world.sinks) < CALLS:
            world.connect_client()
            world.submit(len(world.sinks).to_bytes(4, "big"))
            world.settle()
        world.connect_node()
        world.move(3, 1 << 20)
        for held in world.recorder.running:
            if held.window_is_open:
                self.item_sizes.setdefault(held.call_id, []).append(size)
                world.recorder.emit(held, size)
        world.move(4, 1 << 20)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    # -- what holds --------------------------------------------------------------------------------

    @invariant()
    def what_is_promised_holds(self) -> None:
        self.i1_a_call_has_one_outcome()
        self.i2_a_call_runs_at_most_once()
        self.i3_a_delivered_value_is_what_an_attempt_computed()
        self.i4_nothing_starts_after_the_client_was_told_that_it_will_not()
        self.i5_the_items_seen_are_a_prefix_of_what_one_attempt_made()
        self.i6_credits_never_go_below_zero()
        self.world.gateway.table.check_invariants()

    def i1_a_call_has_one_outcome(self) -> None:
        assert all(len(sink.outcomes) <= 1 for sink in self.world.sinks)

    def i2_a_call_runs_at_most_once(self) -> None:
        assert all(count <= 1 for count in self.world.starts.values())

    def i3_a_delivered_value_is_what_an_attempt_computed(self) -> None:
        for call, sink in zip(self.world.calls, self.world.sinks, strict=True):
            if sink.outcomes and not sink.code:
                assert sink.outcomes[0][1] == answer(sink.argument)
                assert self.world.starts[call.call_id] == 1

    def i4_nothing_starts_after_the_client_was_told_that_it_will_not(self) -> None:
        for index, sink in enumerate(self.world.sinks):
            if not sink.outcomes:
                continue
            starts = self.world.starts[self.world.calls[index].call_id]
            begun = self.begun.setdefault(index, starts)
            if not sink.may_have_run:  # a rejection, or an end before it began
                assert starts == 0
            elif sink.code == "cancelled":  # confirmed by the node, wherever it stood
                assert starts == begun

    def i5_the_items_seen_are_a_prefix_of_what_one_attempt_made(self) -> None:
        for call, sink in zip(self.world.calls, self.world.sinks, strict=True):
            sizes = self.item_sizes.get(call.call_id, [])[: len(sink.events)]
            made = [item(seq, sink.argument, size) for seq, size in enumerate(sizes, 1)]
            assert sink.events == made

    def i6_credits_never_go_below_zero(self) -> None:
        below = [(name, credit) for name, credit in self.world.credits() if credit < 0]
        assert not below

    def teardown(self) -> None:
        """When all is well again, every call comes to its end, and nothing is left behind."""
        world = self.world
        for _ in range(4):
            world.connect()
            world.settle()
            world.recorder.finish_all()
            world.settle()
            world.pass_time(30.0)
        world.settle()
        assert all(len(sink.outcomes) == 1 for sink in world.sinks), "silence"
        assert len(world.caller) == 0
        assert not world.recorder.running
        assert not world.recorder.queued
        world.pass_time(700.0)
        world.cut_node()
        world.connect()
        world.settle()
        world.pass_time(1.0)  # what was said again then is delivered now
        world.settle()
        assert (len(world.gateway), len(world.recorder.calls)) == (0, 0)
        world.recorder.check_empty()
        for sink in world.sinks:  # a value came with all of its items
            if not sink.code:
                number = int.from_bytes(sink.argument[:4], "big")
                made = self.item_sizes.get(world.calls[number].call_id, [])
                assert len(sink.events) == len(made)
        self.what_is_promised_holds()


class DeliveryThroughProcesses(Delivery):
    """The same, of a node that passes its calls on to a process, which may be killed as well."""

    kind = Supervisor


SETTINGS = settings(
    max_examples=SEARCH or 500,
    derandomize=not SEARCH,  # what it finds is mended with the seed at hand, not in another's run
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

TestDelivery = Delivery.TestCase
TestDelivery.settings = SETTINGS
TestDeliveryThroughProcesses = DeliveryThroughProcesses.TestCase
TestDeliveryThroughProcesses.settings = settings(SETTINGS, max_examples=SEARCH or 250)
