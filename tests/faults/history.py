"""What a program asked for, what came of it, what ran: and what of that breaks a promise.

The ledger is the truth of what ran: a file to which each execution appends its call's number
(``ledger_program.py``). `History.broken` holds it to what the program saw.
``tests/faults/test_history.py`` proves it with faults that are made up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from easyremote.client.client import Client
from easyremote.errors import EasyRemoteError
from tests.faults.ledger_program import answer

#: Seconds after which a call that is not over counts as hung.
HUNG = 100.0


@dataclass
class Ending:
    """How a call ended: with a value, or with an error; neither where it did not end."""

    value: object = None
    error: BaseException | None = None
    is_over: bool = True


@dataclass
class History:
    """The calls of one program, by number, and the ledger of what ran."""

    ledger: Path
    #: How often each call may run.
    attempts: int = 1
    jobs: dict[int, Any] = field(default_factory=dict)
    endings: dict[int, Ending] = field(default_factory=dict)

    def call(self, client: Client, seconds: float, **options: Any) -> int:
        """Start one more call; its number."""
        number = len(self.jobs)
        arguments = (str(self.ledger), number, seconds)
        self.jobs[number] = client.call("work", arguments, **options)
        return number

    def finish(self, limit: float = HUNG) -> None:
        """Wait for the end of all calls, and note how each ended."""
        wait(self.jobs.values(), limit)
        for number, job in self.jobs.items():
            self.endings[number] = _ending(job) if job.done() else Ending(is_over=False)

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

    def broken(self) -> list[str]:
        """Every promise that was not kept, for people."""
        ran = self.ran()
        told = [*self._phantoms(ran)]
        for number, ending in self.endings.items():
            told += [f"call {number} {what}" for what in self._of_call(ending, number, ran[number])]
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
        elif ending.error is None:
            if ending.value != answer(number):
                yield f"has the wrong value {ending.value!r}"
            if not ran:
                yield "has a value, and did not run"
        elif isinstance(ending.error, EasyRemoteError):
            if ran and not ending.error.may_have_run:
                yield f"ran, and its error says that it did not: {ending.error}"
        else:
            yield f"ended with {ending.error!r}"


def _ending(job: Any) -> Ending:
    error = job.exception()
    return Ending(error=error) if error is not None else Ending(job.result())
