"""What a program asked for, what came of it, what ran: and what of that breaks a promise.

The ledger is the truth of what ran: a file to which each execution appends its call's number
(``ledger_program.py``). `History.broken` holds it to what the program saw. Seven things break a
promise: a call is lost without a word, runs twice, runs though nobody asked for it, has a wrong
value, hangs, has a gap in its stream, or says that it did not run though it did.
``tests/faults/test_history.py`` proves it with faults that are made up.
"""

from __future__ import annotations

import reprlib
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easyremote.client.executor import RemoteExecutor
from easyremote.errors import CallLost, EasyRemoteError
from tests.faults.ledger_program import answer, cargo, item

#: Seconds after which a call that is not over counts as hung.
HUNG = 100.0


class Reading:
    """Reads a stream in a thread of its own, up to its end."""

    def __init__(self, stream: Iterable[Any]) -> None:
        self.items: list[Any] = []
        self.error: BaseException | None = None
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for each in self._stream:
                self.items.append(each)
        except BaseException as error:
            self.error = error

    def is_over(self, limit: float) -> bool:
        """Whether it has come to its end within so many seconds."""
        self._thread.join(limit)
        return not self._thread.is_alive()


@dataclass
class Ending:
    """How a call ended: with a value, or with an error; neither where it did not end.

    The value of a stream is the list of its items, also where an error came after them.
    """

    value: object = None
    error: BaseException | None = None
    is_over: bool = True


@dataclass(frozen=True)
class Tally:
    """How many calls there were, how many of them were lost, and every promise that was broken."""

    calls: int = 0
    lost: int = 0
    broken: Sequence[str] = ()

    def __add__(self, other: Tally) -> Tally:
        broken = [*self.broken, *other.broken]
        return Tally(self.calls + other.calls, self.lost + other.lost, broken)


@dataclass
class History:
    """The calls of one program, by number, and the ledger of what ran."""

    ledger: Path
    #: How often each call may run.
    attempts: int = 1
    jobs: dict[int, Any] = field(default_factory=dict)
    #: What those have to return that return something else than `answer`.
    wanted: dict[int, Any] = field(default_factory=dict)
    endings: dict[int, Ending] = field(default_factory=dict)

    def call(self, client: RemoteExecutor, seconds: float, **options: Any) -> int:
        """Start one more call; its number."""
        number = len(self.jobs)
        arguments = (str(self.ledger), number, seconds)
        self.jobs[number] = client.call("work", arguments, **options)
        return number

    def carry(self, client: RemoteExecutor, size: int, **options: Any) -> int:
        """Start a call that takes so many bytes there and brings them back."""
        number = len(self.jobs)
        body = cargo(number, size)
        self.wanted[number] = body[::-1]
        self.jobs[number] = client.call("carry", (str(self.ledger), number, body), **options)
        return number

    def stream(self, client: RemoteExecutor, count: int, **options: Any) -> int:
        """Start a stream of so many items, which are read as they come."""
        number = len(self.jobs)
        self.wanted[number] = [item(number, index) for index in range(count)]
        arguments = (str(self.ledger), number, count)
        self.jobs[number] = Reading(client.call("items", arguments, stream=True, **options))
        return number

    def finish(self, limit: float = HUNG) -> None:
        """Wait for the end of all calls, and note how each ended."""
        deadline = time.monotonic() + limit
        wait([job for job in self.jobs.values() if not isinstance(job, Reading)], limit)
        for number, job in self.jobs.items():
            self.endings[number] = _ending(job, max(deadline - time.monotonic(), 0.0))

    def ran(self) -> Counter[int]:
        """How often each call ran."""
        if not self.ledger.exists():
            return Counter()
        return Counter(map(int, self.ledger.read_text().split()))

    @property
    def errors(self) -> dict[int, EasyRemoteError]:
        """The calls that ended with an error of ours."""
        found = {number: each.error for number, each in self.endings.items()}
        return {n: error for n, error in found.items() if isinstance(error, EasyRemoteError)}

    @property
    def tally(self) -> Tally:
        lost = sum(isinstance(error, CallLost) for error in self.errors.values())
        return Tally(len(self.jobs), lost, self.broken())

    def broken(self) -> list[str]:
        """Every promise that was not kept, for people."""
        ran = self.ran()
        told = [*self._phantoms(ran)]
        for number in self.jobs:
            ending = self.endings.get(number)
            faults = ["is lost: nobody knows how it ended"]
            if ending is not None:
                faults = [*self._of_call(ending, number, ran[number])]
            told += [f"call {number} {fault}" for fault in faults]
        return told

    def _phantoms(self, ran: Iterable[int]) -> list[str]:
        return [
            f"call {number} ran, and nobody asked for it"
            for number in ran
            if number not in self.jobs
        ]

    def _of_call(self, ending: Ending, number: int, ran: int) -> Iterable[str]:
        if ran > self.attempts:
            yield f"ran {ran} times"
        if not ending.is_over:
            yield "hangs"
        elif ending.error is not None and not isinstance(ending.error, EasyRemoteError):
            yield f"ended with {ending.error!r}"
        elif isinstance(self.jobs[number], Reading):
            yield from self._of_stream(ending, self.wanted[number])
        elif ending.error is None and ending.value != self.wanted.get(number, answer(number)):
            yield f"has the wrong value {reprlib.repr(ending.value)}"
        if ending.is_over and ending.error is None and not ran:
            yield "has a value, and did not run"
        if isinstance(ending.error, EasyRemoteError) and ran and not ending.error.may_have_run:
            yield f"ran, and its error says that it did not: {ending.error}"

    @staticmethod
    def _of_stream(ending: Ending, wanted: list[Any]) -> Iterable[str]:
        got = ending.value
        assert isinstance(got, list)
        for index, each in enumerate(got):
            if each != (wanted[index] if index < len(wanted) else None):
                yield f"has a gap in its stream: {reprlib.repr(each)} came as item {index}"
                return
        if ending.error is None and len(got) < len(wanted):
            yield f"ended in silence after {len(got)} of {len(wanted)} items"


def _ending(job: Any, limit: float) -> Ending:
    if isinstance(job, Reading):
        return Ending(job.items, job.error) if job.is_over(limit) else Ending(is_over=False)
    if not job.done():
        return Ending(is_over=False)
    error = job.exception()
    return Ending(error=error) if error is not None else Ending(job.result())
