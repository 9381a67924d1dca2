"""The failpoint sweep: each role breaks at each edge of each message, under mixed calls.

A case is a role, a point, and what callers chose for the loss of a node. `Stage` keeps the
processes from case to case and starts again what was killed. What must hold in every case: the
promises of `History.broken`, each call over at most five seconds after its deadline, and when all
is quiet, no call left in any table.
"""

from __future__ import annotations

import json
import random
import select
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from easyremote.errors import CallCancelled, CallLost, CallTimeout, from_wire
from easyremote.options.retries import RETRY, WAIT
from easyremote.protocol.call import CallState
from tests.faults.failpoints import ACTIONS, Failpoints
from tests.faults.history import Ending, History
from tests.faults.scene import PROGRAM
from tests.processes import (
    LIMIT,
    STOP_LIMIT,
    Gateway,
    environment,
    free_port,
    online,
    wait_until,
)

NODES = ("one", "two")
CALLS = 40
#: What stands for a point where all is whole, and calls are cancelled at random instants.
CANCELS = "cancels"
#: Seconds that a call may take in a case in which what was killed comes back at once, and seconds
#: in one in which it comes back when all is over.
TIMEOUT, SHORT = 20.0, 3.0

#: Seconds in which the last messages follow an outcome.
AFTER = 2.0
#: Seconds after which all is quiet.
QUIET = 20.0
#: What is told of a case whose point was not reached, and how often such a case is played.
MISSED, TRIES = "the point was not reached", 3

#: The messages that stand at the write-ahead edges of a call, by role: those that it is sent, and
#: those that it sends.
TAKEN = {
    "gateway": "Submit Started Finished Delivered HandBack Resume Cancel Hello Register",
    "node": "Dispatch Delivered Resumed Cancel",
    "client": "Started Finished Resumed HandBack",
}
SENT = {
    "gateway": "Dispatch Started Finished Delivered HandBack Resumed Cancel Welcome",
    "node": "Started Finished HandBack Resume",
    "client": "Submit Delivered Resume Cancel",
}
#: Messages of which a case brings about many; each node has so many of them at least, because so
#: many calls name it and are not cancelled.
MANY, MOST = ("Submit", "Dispatch", "Started", "Finished", "Commit"), 8


@dataclass(frozen=True)
class Case:
    """One fault."""

    role: str
    point: str
    #: What callers chose.
    choice: str
    #: Whether what was killed comes back only when all calls are over.
    stays_away: bool = False

    def __str__(self) -> str:
        away = ", stays away" if self.stays_away else ""
        return f"{self.role} {self.point}, {self.choice}{away}"


def cases() -> Iterator[Case]:
    """Every edge, role and policy."""
    edges = [(role, edge, name) for role in TAKEN for edge, name in _edges(role)]
    for (role, edge, name), action, choice in product(edges, ACTIONS, (WAIT, RETRY)):
        yield Case(role, f"{edge}.{name}={action}", choice)
        if action == "kill" and role != "client" and name != "HandBack":
            yield Case(role, f"{edge}.{name}={action}", choice, stays_away=True)
    for role, edge, action in product(("gateway", "node"), ("taken", "done"), ("kill", "stall")):
        yield Case(role, f"{edge}.Commit={action}", WAIT)


def _edges(role: str) -> Iterator[tuple[str, str]]:
    yield from product(("taken", "done"), TAKEN[role].split())
    yield from product(("sending", "sent"), SENT[role].split())


class Stage:
    """A gateway, two nodes and a program with calls, all with failpoints."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.chance = home, random.Random(seed)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._modules = {
            "gateway": ["easyremote", "gateway", "--port", str(port := free_port())],
            "client": ["tests.faults.caller_program"],
            **{node: ["easyremote.node", "--node-id", node, str(PROGRAM)] for node in NODES},
        }
        self._histories = 0
        #: How many calls there were, and how many of them were lost.
        self.calls = self.lost = 0
        #: Seconds that it took to start again what was killed.
        self._away = 0.0
        #: How many outcomes are kept for programs that were killed.
        self._kept = 0
        self.start("gateway")
        self._client = Gateway(
            f"127.0.0.1:{port}",
            home,
            self._processes["gateway"],  # type: ignore[arg-type]
        ).client()
        for name in (*NODES, "client"):
            self.start(name)

    def points(self, name: str) -> Failpoints:
        return Failpoints(self.home, name)

    # -- processes ---------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a process; it answers when this returns."""
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*self.points(name).command, *self._modules[name]],
                env={**environment(self.home), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name in ("gateway", "client") else log,
                stderr=log,
            )
        if name in NODES:
            wait_until(lambda: self._is_online(name))
        else:
            self._line(name, LIMIT)

    def _is_online(self, name: str) -> bool:
        with suppress(CallTimeout):  # this program, too, dials late what was away for long
            return name in online(self._client)
        return False

    def _line(self, name: str, limit: float) -> bytes:
        """The next line that a process says."""
        output = self._processes[name].stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], limit)
        assert ready, f"{name} is silent for {limit} s"
        line = output.readline()
        assert line, f"{name} has ended: {self.home / name}.log"
        return line

    def start_what_is_gone(self) -> None:
        """Start what was killed, the gateway first."""
        begun = time.monotonic()
        for name, process in self._processes.items():
            if process.poll() is not None:
                self._forget(process)
                self.start(name)
        self._away = time.monotonic() - begun

    def _all_come_back(self, case: Case) -> None:
        self.start_what_is_gone()
        if case.stays_away:  # after a minute the others dial again late
            wait_until(lambda: all(map(self._is_online, NODES)))

    @staticmethod
    def _forget(process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def close(self) -> None:
        self._client.close()
        for process in reversed(self._processes.values()):
            process.kill()
            process.wait(STOP_LIMIT)
            self._forget(process)

    # -- a case ------------------------------------------------------------------------------------

    def play(self, case: Case) -> list[str]:
        """Have it happen; what was not as promised, for people.

        Once more where the point was missed, because a node has just begun what it would have
        handed back.
        """
        for _ in range(TRIES):
            told = self._play(case)
            if told != [MISSED]:
                break
        return told

    def _play(self, case: Case) -> list[str]:
        history = self._history(1 if case.choice == WAIT else 3)
        name = self.chance.choice(NODES) if case.role == "node" else case.role
        kind = case.point.split(".")[1].split("=")[0]
        count = self.chance.randint(1, MOST) if kind in MANY else 1
        points = self.points(name)
        points.arm(f"{case.point}@{count}")
        self._submit(history, CALLS, case)
        after = AFTER
        if kind in ("Resume", "Resumed", "Hello", "Welcome", "Register"):
            # Who is not back from the last case may reach the point by itself.
            wait_until(lambda: points.was_reached or sum(history.ran().values()) > 2)
            if not points.was_reached:
                self.points("gateway").cut()
            if case.role != "client":  # which need not come back, if it has all that it wants
                after = LIMIT
        leaver = name if name in NODES else "one"
        leaving = self._processes[leaver]
        if kind == "HandBack":
            wait_until(lambda: self._waits_at(leaver))
            leaving.send_signal(signal.SIGTERM)
            wait_until(lambda: points.was_reached or leaving.poll() is not None)
        else:
            wait_until(lambda: points.was_reached or self._has_answered())
        with suppress(AssertionError):  # what follows an outcome comes after the last answer, too
            wait_until(lambda: points.was_reached, after)
        told = [] if points.was_reached else [MISSED]
        is_killed = "kill" in case.point and points.was_reached
        if is_killed:
            self._processes[name].wait(LIMIT)
        if not case.stays_away:
            self.start_what_is_gone()
        if kind == "HandBack" and leaving.poll() is None:
            leaving.wait(LIMIT)
            self.start_what_is_gone()
        if not is_killed or case.role != "client":  # else nobody heard how they ended
            told += self._read(history, case)
            told += history.broken()
        self._all_come_back(case)
        self._disarm(name, case)
        told += [
            f"call {n} ran {c} times" for n, c in history.ran().items() if c > history.attempts
        ]
        return [*told, *self._left(case)]

    def _disarm(self, name: str, case: Case) -> None:
        process = self._processes[name]

        def is_done() -> bool:
            if process.poll() is not None:  # it has come upon the point after all, and died of it
                return True
            try:
                self.points(name).disarm()
            except OSError:  # it dies at this moment, or has just been started and listens soon
                return False
            return True

        wait_until(is_done)
        if process.poll() is not None:
            self._all_come_back(case)

    def cancel(self, calls: int) -> list[str]:
        """Cancel calls at random instants; what was not as promised, for people."""
        history = self._history()
        case = Case("client", CANCELS, WAIT)
        self._submit(history, calls, case)
        return [*self._read(history, case), *history.broken(), *self._left(case)]

    @property
    def next_ledger(self) -> Path:
        """The ledger of the next case."""
        return self.home / f"ledger-{self._histories + 1}"

    def _history(self, attempts: int = 1) -> History:
        ledger = self.next_ledger
        self._histories += 1
        return History(ledger, attempts)

    def _submit(self, history: History, calls: int, case: Case) -> None:
        batch = {
            "ledger": str(history.ledger),
            "calls": calls,
            "seed": self.chance.getrandbits(32),
            "cancels": case.point == CANCELS,
            "cancels_running": ".Cancel=" in case.point,
            "choice": case.choice,
            # Shipped functions wait at their node, and go back when it ends.
            "is_shipped": "HandBack" in case.point,
            "is_detached": "Commit" in case.point,
            "seconds": 0.5 if "HandBack" in case.point else 0.01,
            "timeout": SHORT if case.stays_away else TIMEOUT,
        }
        history.jobs = dict.fromkeys(range(calls))
        self.calls += calls
        pipe = self._processes["client"].stdin
        assert pipe is not None
        pipe.write(json.dumps(batch).encode() + b"\n")
        pipe.flush()

    def _waits_at(self, node: str) -> bool:
        """Whether a node has a call that it has not begun."""
        return any(each.endswith(CallState.DISPATCHED.value) for each in self.points(node).held())

    def _has_answered(self) -> bool:
        output = self._processes["client"].stdout
        return bool(select.select([output], [], [], 0)[0])

    def _read(self, history: History, case: Case) -> list[str]:
        """Read how the calls ended; the endings that should not be."""
        endings = json.loads(self._line("client", LIMIT))
        history.endings = {number: _ending(each) for number, each in enumerate(endings)}
        self.lost += history.tally.lost
        unexpected: Counter[str] = Counter()
        for number, error in history.errors.items():
            was_cancelled = number % 10 == 9 or case.point == CANCELS
            is_right = isinstance(error, CallCancelled) and was_cancelled
            # On a machine that is busy enough it was away for as long as that, too.
            is_away = case.stays_away or self._away > TIMEOUT / 2
            is_right |= isinstance(error, CallTimeout) and is_away
            is_lost = case.role == "node" and "kill" in case.point and case.choice == WAIT
            is_lost |= case.choice == RETRY and number % 10 == 9  # a cancel is not tried again
            # Two are gone at a time: its node, too, was ended and started.
            is_lost |= case.role == "gateway" and "HandBack=kill" in case.point
            is_right |= isinstance(error, CallLost) and is_lost
            if not is_right:
                unexpected[f"{type(error).__name__}: {error}"] += 1
        return [f"{count} calls ended with {error}" for error, count in unexpected.items()]

    def _left(self, case: Case) -> list[str]:
        """What is left in the tables when all is quiet.

        The outcomes for a program that was killed are kept for a while; the others are not.
        """
        deadline = time.monotonic() + QUIET
        while True:
            left = {name: self.points(name).held() for name in ("gateway", *NODES)}
            kept = sum(calls[each] for calls in left.values() for each in calls if _is_over(each))
            unfinished = sum(calls.total() for calls in left.values()) - kept
            if case.role == "client" and "kill" in case.point and not unfinished:
                self._kept = max(kept, self._kept)
            if not unfinished and kept <= self._kept:
                return []
            if time.monotonic() > deadline:
                return [f"left at {name}: {dict(calls)}" for name, calls in left.items() if calls]
            time.sleep(0.05)


def _is_over(held: str) -> bool:
    return held.split()[-1] in ("finished", "lost", "cancelled")


def _ending(said: Any) -> Ending:
    if said == "hangs":
        return Ending(is_over=False)
    if "error" in said:
        code, text, details = said["error"]
        return Ending(error=from_wire(code, text, details))
    return Ending(said["value"])


@contextmanager
def open_stage(home: Path, seed: int) -> Iterator[Stage]:
    home.mkdir(parents=True, exist_ok=True)
    print(f"seed {seed}: EASYREMOTE_SEED={seed} replays it")
    stage = Stage(home, seed)
    try:
        yield stage
    finally:
        stage.close()
