"""Which GPUs a call gets: what is free now, minus what was promised and not yet taken. Pure.

A *promise* is what a call needs, from the moment when it is let in until it is over. A process
takes what it was promised little by little, so what it has taken is no second time away.
``tests/node/gpus/test_admission.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from easyremote.node.gpus.nvml import Card
from easyremote.options.requirements import Requirements

__all__ = ["Left", "Memory", "Promises"]

P = TypeVar("P", bound=Hashable)
#: What the processes of this node hold: by process, by the GPU's UUID, in bytes.
Memory = Mapping[Hashable, Mapping[str, int]]


class _Promise(NamedTuple):
    process: Hashable
    uuids: tuple[str, ...]
    #: On each of these GPUs; 0 for all of it.
    memory: int


class Left(NamedTuple):
    """What a further call can have of one GPU: so many bytes, beside so many calls."""

    memory: int
    calls: int


class Promises:
    """What the calls that run were promised."""

    def __init__(self) -> None:
        self._promises: dict[Hashable, _Promise] = {}

    def __len__(self) -> int:
        return len(self._promises)

    def __iter__(self) -> Iterator[tuple[Hashable, Hashable, tuple[str, ...]]]:
        """Each call that runs, its process and its GPUs."""
        return ((call, each.process, each.uuids) for call, each in self._promises.items())

    def promise(
        self, call: Hashable, process: Hashable, uuids: Sequence[str], needs: Requirements
    ) -> None:
        """A call is let in: it will run in this process, on these GPUs."""
        self._promises[call] = _Promise(process, tuple(uuids), needs.gpu_memory)

    def end(self, call: Hashable) -> bool:
        """A call is over; whether something was promised to it. Safe to repeat."""
        return self._promises.pop(call, None) is not None

    def of(self, process: Hashable, card: Card) -> int:
        """What the calls of a process were promised of a GPU; they run one after the other."""
        return max(
            (
                each.memory or card.memory_total
                for each in self._promises.values()
                if each.process == process and card.uuid in each.uuids
            ),
            default=0,
        )

    def left(self, card: Card, taken: Memory, without: Iterable[Hashable] = ()) -> Left:
        """What a further call can have of a GPU.

        Parameters
        ----------
        taken
            What the processes of this node hold.
        without
            Processes whose memory, and whose promises, are not counted: they are ended for the
            call, or the call runs in one of them.
        """
        left_out = set(without)
        used = card.memory_used - sum(taken.get(each, {}).get(card.uuid, 0) for each in left_out)
        others = {
            each.process
            for each in self._promises.values()
            if card.uuid in each.uuids and each.process not in left_out
        }
        untaken = sum(
            max(self.of(each, card) - taken.get(each, {}).get(card.uuid, 0), 0) for each in others
        )
        return Left(max(card.memory_total - used - untaken, 0), len(others))

    def choose(
        self,
        needs: Requirements,
        cards: Sequence[Card],
        taken: Memory,
        without: Iterable[Hashable] = (),
    ) -> tuple[str, ...]:
        """The GPUs that a call gets now, by UUID; empty where it has to wait.

        Of those that will do the fullest are taken, so that large pieces stay for those who need
        them; for whole GPUs the emptiest.
        """
        without = set(without)
        left = {card.uuid: self.left(card, taken, without) for card in cards}
        fit = sorted(
            (uuid for uuid, each in left.items() if fits(needs, each)),
            key=lambda uuid: left[uuid].memory,
            reverse=not needs.gpu_memory,
        )
        return tuple(fit[: needs.gpu]) if len(fit) >= needs.gpu else ()

    def to_end(
        self,
        needs: Requirements,
        cards: Sequence[Card],
        taken: Memory,
        idle: Sequence[P],
        without: Iterable[Hashable] = (),
    ) -> list[P]:
        """Which idle processes must end so that the call finds what it needs; none if that is vain.

        Parameters
        ----------
        idle
            The processes that may be ended, the longest unused first.
        """
        without = set(without)
        chosen = self.choose(needs, cards, taken, without | set(idle))
        rest = [card for card in cards if card.uuid in chosen]
        ended: list[P] = []
        for process in idle:
            if not chosen or self.choose(needs, rest, taken, without | set(ended)):
                break
            if any(taken.get(process, {}).get(uuid) for uuid in chosen):
                ended.append(process)
        return ended


def fits(needs: Requirements, left: Left) -> bool:
    """Whether a GPU will do: with enough memory free, or, where none is named, free as a whole."""
    return needs.gpu_memory <= left.memory if needs.gpu_memory else not left.calls
