"""`GpuGate`: lets the calls in that need GPUs, and sends those back that find too little free.

A call that needs GPUs runs in a process that sees only its own GPUs. The gateway places calls by
what nodes told it; here it is asked of the driver what is free at this moment. Idle processes of
pools are ended when somebody needs the memory that they hold, and not before.
``tests/node/gpus/`` proves it with real processes and a fake driver.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from enum import Enum, auto
from itertools import chain
from typing import Protocol

from easyremote.node.gpus.admission import Memory, Promises
from easyremote.node.gpus.foreign import Foreign, group_of
from easyremote.node.gpus.nvml import Card
from easyremote.node.gpus.peaks import Peaks
from easyremote.node.processes.pools import Processes
from easyremote.node.processes.process import Process, RelayedCall
from easyremote.node.processes.stopping import Stopping
from easyremote.node.resources import ResourceMeter
from easyremote.options.requirements import Requirements, show_size
from easyremote.protocol.held import Outcome, failure
from easyremote.protocol.messages import MANY_ENTRIES, Gpu, GpuHolder, Resources

_log = logging.getLogger("easyremote.node")


class Keeper(Protocol):
    """What knows the queues of the processes. All methods are called on the node's loop."""

    def run_at(self, process: Process, call: RelayedCall) -> None:
        """Have a process run a call after those that it has."""

    def run(self, call: RelayedCall) -> None:
        """Have the process of its session run a call that needs no GPU."""

    def turn_away(self, calls: Sequence[RelayedCall], reading: Resources) -> None:
        """Hand calls back: there is too little for them now, as the reading says."""

    def finish(self, call: RelayedCall, outcome: Outcome) -> None:
        """End a call with an outcome of the node's own."""

    def end_process(self, process: Process, why: str) -> None:
        """End a process; no call goes to it any more."""


class _Answer(Enum):
    RUNS = auto()
    WAITS = auto()
    GOES_BACK = auto()


class GpuGate:
    """See the module.

    Parameters
    ----------
    node_id
        For messages.
    keeper
        Runs calls, and hands them back.
    processes
        The processes of the node.
    stopping
        Ends calls that wait too long.
    """

    def __init__(
        self, node_id: str, keeper: Keeper, processes: Processes, stopping: Stopping
    ) -> None:
        self._node_id = node_id
        self._keeper = keeper
        self._processes, self._stopping = processes, stopping
        #: Reads the driver; None until the node runs.
        self.meter: ResourceMeter | None = None
        #: Is told each reading.
        self.told: Callable[[Resources], None] = lambda reading: None
        #: The calls that are not decided yet, in the order in which they came.
        self._asked: list[RelayedCall] = []
        self.promises = Promises()
        #: The processes that were told to end, and hold their memory until they have.
        self._leaving: set[Process] = set()
        self._foreign = Foreign()
        self.peaks = Peaks(node_id)
        self._is_due = False
        self._looking: asyncio.Task[None] | None = None

    # -- what `Sessions` says ----------------------------------------------------------------------

    def concerns(self, call: RelayedCall) -> bool:
        """Whether a call needs GPUs, or comes after such a call of its session."""
        if call.needs is not None and call.needs.gpu:
            return True
        return any(_session(each) == _session(call) for each in self._asked if call.session)

    def ask(self, call: RelayedCall) -> None:
        """Have a call run as soon as it gets what it needs, or hand it back."""
        self._asked.append(call)
        self._stopping.waits(call)
        self._look_soon()

    def left(self, call: RelayedCall) -> None:
        """A call waits and runs no more: what it held is free for others."""
        if call in self._asked:
            self._asked.remove(call)
        if self.promises.end(call.call_id):
            self._look_soon()

    def gone(self, process: Process) -> None:
        """A process has ended: its memory is free."""
        self._leaving.discard(process)
        if self._asked:
            self._look_soon()

    def sample(self) -> None:
        """See what calls hold that run now; the most of it is kept."""
        if self.promises:
            self._look_soon()

    def take_all(self) -> list[RelayedCall]:
        """Take out the calls that are not decided yet."""
        asked, self._asked = self._asked, []
        return asked

    # -- what is free ------------------------------------------------------------------------------

    def describe(self, reading: Resources) -> Resources:
        """A reading, with what calls can have of each GPU, and who holds the rest."""
        cards = self._cards
        taken = self._taken(cards)
        reading.gpus = tuple(self._described(card, taken) for card in cards)
        return reading

    def _described(self, card: Card, taken: Memory) -> Gpu:
        spare = {*self._idle(), *self._leaving}
        left = self.promises.left(card, taken, spare)
        holders = [
            self._holder(process, card, taken)
            for process in self._processes
            if process not in spare
        ]
        ours = {use.pid for use in card.uses if self._process_of(use.pid) is not None}
        holders += [
            GpuHolder(use.memory, what=self._foreign.name(use.pid))
            for use in card.uses
            if use.pid not in ours
        ]
        told = sorted(filter(None, holders), key=lambda each: -each.memory)
        return Gpu(
            card.name,
            card.use,
            card.memory_used,
            card.memory_total,
            left.memory,
            left.calls,
            tuple(told[:MANY_ENTRIES]),
        )

    def _holder(self, process: Process, card: Card, taken: Memory) -> GpuHolder | None:
        held = max(taken.get(process, {}).get(card.uuid, 0), self.promises.of(process, card))
        if not held and card.uuid not in process.devices:
            return None
        first = process.queue[0] if process.queue else None
        if process.session:
            idle = 0.0 if first else time.monotonic() - process.last_used
            return GpuHolder(held, process.owner, process.session, idle=idle)
        return GpuHolder(held, first.owner if first else "", what=process.title)

    @property
    def _cards(self) -> tuple[Card, ...]:
        return self.meter.cards.last if self.meter is not None else ()

    def _taken(self, cards: Iterable[Card]) -> dict[Hashable, dict[str, int]]:
        """What the processes of this node hold."""
        taken: dict[Hashable, dict[str, int]] = {}
        for card in cards:
            for use in card.uses:
                process = self._process_of(use.pid)
                if process is not None:
                    held = taken.setdefault(process, {})
                    held[card.uuid] = held.get(card.uuid, 0) + use.memory
        return taken

    def _process_of(self, pid: int) -> Process | None:
        """The process of ours that this is, or that has started it; None for a foreign one."""
        groups = {pid, *group_of(pid)}
        for process in chain(self._processes, self._leaving):
            if process.pid in groups:
                return process
        return None

    def _idle(self) -> list[Process]:
        """The processes of pools that may be ended, the longest unused first."""
        idle = [each for each in self._processes if _is_spare(each) and each not in self._leaving]
        return sorted(idle, key=lambda process: process.last_used)

    # -- what is decided ---------------------------------------------------------------------------

    def _look_soon(self) -> None:
        """Read the driver, and decide about the calls that ask."""
        self._is_due = True
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while self._is_due and self.meter is not None:
            self._is_due = False
            try:
                self._decide(await asyncio.to_thread(self.meter.read_gpus))
            except Exception:  # the calls are told; the node goes on
                _log.exception("What is free of the GPUs can't be found out.")
                for call in self.take_all():
                    text = f"Node {self._node_id!r} can't find out what is free of its GPUs."
                    self._keeper.finish(call, failure("internal", text, may_have_run=False))
        self._looking = None

    def _note_peaks(self, taken: Memory) -> None:
        for process in self._processes.registered():
            self.peaks.note(process.owner, max(taken.get(process, {}).values(), default=0))

    def _decide(self, reading: Resources) -> None:
        cards = self._cards
        taken = self._taken(cards)
        self._note_peaks(taken)
        back: list[RelayedCall] = []
        held_up: dict[tuple[str, str], _Answer] = {}
        for call in list(self._asked):
            if call not in self._asked:
                continue  # it was ended meanwhile
            answer = held_up.get(_session(call)) if call.session else None
            if answer is None:
                answer = self._answer(call, cards, taken)
            if answer is not _Answer.RUNS and call.session:
                held_up[_session(call)] = answer  # its session's calls keep their order
            if answer is _Answer.GOES_BACK:
                back.append(call)
        reading = self.describe(reading)
        if back:
            self._asked = [call for call in self._asked if call not in back]
            self._keeper.turn_away(back, reading)
        self.told(reading)

    def _answer(self, call: RelayedCall, cards: Sequence[Card], taken: Memory) -> _Answer:
        needs = call.needs
        if needs is None or not needs.gpu:
            self._asked.remove(call)
            self._keeper.run(call)
            return _Answer.RUNS
        if call.session:
            process = self._processes.known_session(call.owner, call.session)
            candidates = [process] if process is not None else []
            may_start = process is None
        else:
            name = self._processes.pool_name(call)
            candidates = self._processes.all_free(name)
            may_start = self._processes.may_grow(name)
        for process in candidates:
            seen = _seen(process, cards)
            if call.session and (text := _never(needs, seen)):
                self._keeper.finish(call, failure("usage", text, may_have_run=False))
                return _Answer.RUNS
            if uuids := self.promises.choose(needs, seen, taken, [process]):
                return self._let_in(call, process, uuids)
        if may_start and (uuids := self.promises.choose(needs, cards, taken)):
            if call.session:
                process = self._processes.session(call.owner, call.session, uuids)
            else:
                process = self._processes.start_in_pool(name, uuids)
            return self._let_in(call, process, uuids)
        return self._make_room(call, cards, taken, candidates, may_start=may_start)

    def _let_in(self, call: RelayedCall, process: Process, uuids: Sequence[str]) -> _Answer:
        assert call.needs is not None
        self._asked.remove(call)
        if not process.devices:  # a session that asks for the first time: its process is told
            process.devices = call.gpus = tuple(uuids)
        self.promises.promise(call.call_id, process, uuids, call.needs)
        self._keeper.run_at(process, call)
        return _Answer.RUNS

    def _make_room(
        self,
        call: RelayedCall,
        cards: Sequence[Card],
        taken: Memory,
        candidates: Sequence[Process],
        *,
        may_start: bool,
    ) -> _Answer:
        """End idle processes, if the call can run then."""
        assert call.needs is not None
        mine = candidates if call.session else []
        seen = _seen(mine[0], cards) if mine else cards
        leaving = [*mine, *self._leaving]
        if self._leaving and self.promises.choose(call.needs, seen, taken, leaving):
            return _Answer.WAITS
        if not call.session and not may_start:
            if not candidates:
                return _Answer.WAITS  # all processes that there may be for it are busy
            ended = [candidates[-1]]  # another one can start in its place, on other GPUs
        else:
            ended = self.promises.to_end(call.needs, seen, taken, self._idle(), leaving)
        for process in ended:
            self._leaving.add(process)
            self._keeper.end_process(process, "Its GPU memory is needed.")
        return _Answer.WAITS if ended else _Answer.GOES_BACK


def _session(call: RelayedCall) -> tuple[str, str]:
    return call.owner, call.session


def _seen(process: Process, cards: Sequence[Card]) -> list[Card]:
    """The GPUs that a process sees."""
    return [card for card in cards if not process.devices or card.uuid in process.devices]


def _is_spare(process: Process) -> bool:
    """Whether nothing is lost if a process ends."""
    return bool(process.owner) and not process.session and not process.queue and not process.calls


def _never(needs: Requirements, seen: Sequence[Card]) -> str:
    """Why a session can never give what its cell needs; empty where it can."""
    fit = [card for card in seen if card.memory_total >= needs.gpu_memory]
    if len(fit) >= needs.gpu:
        return ""
    has = ", ".join(f"{card.name} with {show_size(card.memory_total)}" for card in seen)
    return (
        f"This session keeps the GPUs that it began with ({has}), and the cell needs {needs}. "
        "Restart the session, or run the cell in another one."
    )
