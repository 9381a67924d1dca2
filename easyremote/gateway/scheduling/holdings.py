"""What the calls on one node hold of its machine, and whether a further one fits. Pure.

A call holds what it needs from its dispatch until it is over. What other processes use counts as
well, as far as the node tells of it. ``tests/gateway/scheduling/test_holdings.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from easyremote.errors import NotFound
from easyremote.options.requirements import Gpu, Machine, Requirements, lacks, show_size
from easyremote.protocol.messages import GpuHolder, Resources

if TYPE_CHECKING:  # a record of a node has its Holdings
    from easyremote.gateway.records import GatewayCall

__all__ = ["Free", "Holdings", "never"]


#: What is counted; the rest is measured in bytes.
_UNITS = {"cpu": "core", "gpu": "GPU"}


class Free(NamedTuple):
    """How much is free of something of which more is needed."""

    #: The field of `Requirements`.
    name: str
    needed: float
    free: float
    total: float

    def __str__(self) -> str:
        """What is needed, for people: ``24 GB of GPU memory``."""
        if self.name in _UNITS:
            return f"{self.needed:g} {_UNITS[self.name]}{'' if self.needed == 1 else 's'}"
        return f"{self.show(self.needed)} of {self.name.replace('gpu_', 'GPU ')}"

    def show(self, amount: float) -> str:
        """So much of it, for people."""
        return f"{amount:g}" if self.name in _UNITS else show_size(amount)

    def held_by(self, needs: Requirements) -> float:
        """How much of it a call with these needs holds."""
        return float(getattr(needs, self.name))


class _Held(NamedTuple):
    call: GatewayCall
    needs: Requirements
    #: Which GPUs, by their places in the node's list.
    gpus: tuple[int, ...]


class Holdings:
    """What is held on one node."""

    __slots__ = ("calls", "names")

    def __init__(self) -> None:
        #: By the number of the call.
        self.calls: dict[int, _Held] = {}
        #: What the keys are called whose calls held something, by the keys' ids.
        self.names: dict[str, str] = {}

    def hold(
        self, call: GatewayCall, needs: Requirements, machine: Machine, used: Resources | None
    ) -> None:
        """The call is dispatched: from now on it holds what it needs."""
        free = self._free_gpus(needs, machine.gpus, used, call)
        # The fullest GPU that will do: large pieces stay for those who need them. As the node does.
        fit = sorted(
            (place for place in free if _fits(needs, free[place])),
            key=lambda place: free[place],
            reverse=not needs.gpu_memory,
        )
        self.calls[call.number] = _Held(call, needs, tuple(fit[: needs.gpu]))
        if call.client is not None:
            self.names[call.owner] = call.client.principal.name

    def release(self, call: GatewayCall) -> None:
        """The call is over. Safe to repeat."""
        self.calls.pop(call.number, None)

    def gpus_of(self, call: GatewayCall, machine: Machine) -> tuple[int, int]:
        """How many GPUs the call holds, and how many bytes of their memory."""
        held = self.calls.get(call.number)
        if held is None or not held.needs.gpu:
            return 0, 0
        gpus = [machine.gpus[place] for place in held.gpus if place < len(machine.gpus)]
        return held.needs.gpu, sum(held.needs.gpu_memory or gpu.memory_total for gpu in gpus)

    def short_of(
        self, call: GatewayCall, needs: Requirements, machine: Machine, used: Resources | None
    ) -> Free | None:
        """What there is too little of at the moment; None where all that is needed is free.

        Parameters
        ----------
        call
            Whose needs these are. What its own session holds is no obstacle.
        machine
            What the node's machine has.
        used
            How much of that is in use, by whomever; None where it is not known.
        """
        held = self.calls.values()
        if needs.cpu:
            cores = machine.cores - sum(each.needs.cpu for each in held)
            if needs.cpu > cores:
                return Free("cpu", needs.cpu, max(cores, 0), machine.cores)
        if needs.memory:
            promised = sum(each.needs.memory for each in held)
            memory = machine.memory_total - promised
            if used is not None:  # all that the machine has: its owner may lend a part of it
                memory = min(memory, used.memory_total - used.memory_used)
            if needs.memory > memory:
                return Free("memory", needs.memory, max(memory, 0), machine.memory_total)
        if needs.gpu:
            return self._short_of_gpus(call, needs, machine.gpus, used)
        return None

    def _short_of_gpus(
        self, call: GatewayCall, needs: Requirements, gpus: Sequence[Gpu], used: Resources | None
    ) -> Free | None:
        free = self._free_gpus(needs, gpus, used, call)
        if sum(_fits(needs, each) for each in free.values()) >= needs.gpu:
            return None
        if not needs.gpu_memory:
            whole = sum(_fits(needs, each) for each in free.values())
            return Free("gpu", needs.gpu, whole, len(gpus))
        best = max(free.values(), key=lambda each: each.bytes, default=_Gpu(0, 0, is_held=False))
        return Free("gpu_memory", needs.gpu_memory, best.bytes, best.total)

    def _free_gpus(
        self, needs: Requirements, gpus: Sequence[Gpu], used: Resources | None, call: GatewayCall
    ) -> dict[int, _Gpu]:
        """How much a call can have of each GPU; a session keeps those that it began with.

        Its node answers a call that needs what these can never give.
        """
        promised = [0] * len(gpus)
        is_held = [False] * len(gpus)
        for _, needs, places in self.calls.values():
            for place in places:
                if place < len(gpus):
                    promised[place] += needs.gpu_memory or gpus[place].memory_total
                    is_held[place] = True
        free: dict[int, _Gpu] = {}
        mine: dict[int, _Gpu] = {}
        for place, gpu in enumerate(gpus):
            left = max(gpu.memory_total - promised[place], 0)
            if used is not None and place < len(used.gpus):
                told = used.gpus[place]
                can_have = told.memory_free
                if can_have < 0:
                    can_have = told.memory_total - told.memory_used
                held = [each.memory for each in told.holders if _is_of(each, call)]
                left = max(min(left, can_have + sum(held)), 0)
                is_held[place] |= bool(told.calls)
                if held:
                    mine[place] = _Gpu(left, gpu.memory_total, is_held=is_held[place])
            free[place] = _Gpu(left, gpu.memory_total, is_held=is_held[place])
        able = sum(gpu.total >= needs.gpu_memory for gpu in mine.values())
        return mine if mine and able >= needs.gpu else free


class _Gpu(NamedTuple):
    """What is free of one GPU."""

    bytes: int
    total: int
    is_held: bool


def _is_of(holder: GpuHolder, call: GatewayCall) -> bool:
    """Whether it is the session of the call that holds this."""
    return bool(call.session) and (holder.owner, holder.session) == (call.owner, call.session)


def _fits(needs: Requirements, gpu: _Gpu) -> bool:
    """Whether a GPU will do: with enough memory free, or, where none is named, free as a whole."""
    return needs.gpu_memory <= gpu.bytes if needs.gpu_memory else not gpu.is_held


def never(needs: Requirements, machines: Iterable[tuple[str, Machine]]) -> NotFound | None:
    """The error where none of these nodes can ever give what a call needs; None where one can."""
    reasons = []
    for node_id, machine in machines:
        missing = lacks(needs, machine)
        if not missing:
            return None
        reasons.append(f"{node_id} has {', '.join(missing)}")
    if not reasons:
        return None
    return NotFound(
        f"No node can ever run this. It needs {needs}: {'; '.join(reasons)}. Ask for less, or "
        "start a node on a larger machine."
    )
