"""`Handover`: replaces the program of a running node by a newer one, in the same process.

The newer program is tried out first, in a process of its own. Then registered functions end, the
connection to the gateway is closed, and the links to the processes that run code come to rest:
whole messages were handled, and no large value is under way. What is left is written into memory
(``state.py``), and ``execv`` starts the newer program: the process keeps its id, its descriptors
and its children. The newer program (``taken.py``) goes on with all of it, and says RESUME to the
gateway, as after a broken connection. Until ``execv`` the older program can go on as before.
``tests/node/handover/test_handover.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from easyremote.errors import Busy, UsageError
from easyremote.node.handover.control import Asker, Said
from easyremote.node.handover.processes import Left, is_settled
from easyremote.node.handover.state import LocalCallLeft, State, written
from easyremote.node.in_force import RulesInForce
from easyremote.node.leaving import Leaving
from easyremote.node.ledger import memory_file_of
from easyremote.node.processes.sessions import Sessions
from easyremote.node.spool import NodeSpool
from easyremote.protocol.callee import Callee
from easyremote.protocol.link import DEAD_AFTER, Link
from easyremote.transport.dial import Line

__all__ = ["OPTION", "READY", "Handover", "Parts"]

#: By this a program is told that it takes over, and in which descriptor it is told what.
OPTION = "--take-over"
#: What a program says that was tried out, before its version.
READY = "ready to take over: easyremote "
#: Seconds in which the newer program has to be ready: processes give up a supervisor that is
#: silent for twice as long.
START_LIMIT = DEAD_AFTER / 2
#: Seconds that registered functions have to end.
DRAIN_LIMIT = 60.0
#: Seconds in which all else comes to rest.
REST_LIMIT = 15.0
#: Seconds between two looks at what still runs.
LOOK = 0.02
#: Turns of the event loop in which all that was read of a paused link is handled.
TURNS = 5
#: The signals that end a node in good order.
STOPS = frozenset({signal.SIGINT, signal.SIGTERM})
#: Lines that are logged of what a program said that can't take over.
SHOWN = 20

_log = logging.getLogger("easyremote.node")


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a node is handed over, or has to come to rest before."""

    instance: bytes
    started: float
    line: Line
    link: Callable[[], Link | None]
    leaving: Leaving
    rules: RulesInForce
    registered: Callee
    #: Hands back what waits for a thread or a process.
    hand_back: Callable[[], None]
    sessions: Sessions
    spool: NodeSpool


class Handover:
    """The handovers of one node.

    Parameters
    ----------
    parts
        The node.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def hand_over(self, asker: Asker) -> NoReturn:
        """Replace this program; it only returns by an exception, and then all goes on as before.

        Raises
        ------
        Busy
            What has to end first has not ended in time.
        UsageError
            The newer program can't take over, or this one is to stop.
        """
        await self._try_out(asker)
        began = time.monotonic()
        parts, link = self._parts, self._parts.link()
        try:
            parts.leaving.begin(link)
            parts.hand_back()
            if link is not None:
                await parts.leaving.until_agreed()
            await self._drain(asker)
            await parts.line.hang_up()
            await self._come_to_rest()
            self._become(self._state(asker, began))
        finally:
            await self._go_on()

    async def _try_out(self, asker: Asker) -> None:
        """See whether the newer program starts, and understands what this one leaves."""
        file = memory_file_of(written(self._state(asker)))
        try:
            done = await asyncio.to_thread(
                subprocess.run,
                _command(file),
                pass_fds=[file],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=START_LIMIT,
            )
        except subprocess.TimeoutExpired:
            raise UsageError(
                f"The newer program was not ready within {START_LIMIT:g} s, so nothing was "
                "changed: the node goes on as before. Ask again when less runs on its machine."
            ) from None
        except OSError as error:
            raise _not_started(error) from error
        finally:
            os.close(file)
        if done.returncode or READY not in done.stdout:
            said = done.stderr.strip().splitlines()[-SHOWN:] or ["nothing"]
            for line in said:
                _log.warning("The newer program says: %s", line)
            raise UsageError(
                "The newer program can't take over, so nothing was changed: the node goes on as "
                f"before. The last that it said: {said[-1]}"
            )

    async def _drain(self, asker: Asker) -> None:
        """Wait for the functions that run in this program: they end with it."""
        deadline, is_told = time.monotonic() + DRAIN_LIMIT, False
        while running := self._parts.registered.unfinished:
            names = ", ".join(sorted({f"{call.function}()" for call in running}))
            if time.monotonic() > deadline:
                raise Busy(
                    f"{names} still ran after {DRAIN_LIMIT:g} s, in the program that was to be "
                    "replaced, so nothing was changed: the node goes on as before. Ask again when "
                    "it has ended."
                )
            if not is_told:
                is_told = True
                await asker.say(Said(f"Waiting for {names} to end, {DRAIN_LIMIT:g} s at most."))
            self._check_stays()
            await asyncio.sleep(LOOK)

    async def _come_to_rest(self) -> None:
        """Wait until nothing is under way that would be lost, and stop reading."""
        sessions, spool = self._parts.sessions, self._parts.spool
        deadline = time.monotonic() + REST_LIMIT
        while True:
            while moving := self._moving():
                if time.monotonic() > deadline:
                    raise Busy(
                        f"Within {REST_LIMIT:g} s there was no moment of rest ({moving}), so "
                        "nothing was changed: the node goes on as before. Ask again later."
                    )
                self._check_stays()
                await asyncio.sleep(LOOK)
            for _ in range(TURNS):
                for process in sessions.processes:
                    process.hold()
                await asyncio.sleep(0)
            await asyncio.to_thread(spool.close)
            if not self._moving():
                return
            await self._release()

    def _check_stays(self) -> None:
        if self._parts.leaving.is_asked:
            raise UsageError("The node was stopped before it was handed over.")

    def _moving(self) -> str:
        """What is under way, in words; empty where nothing is."""
        parts = self._parts
        loud = [process.title for process in parts.sessions.processes if not process.is_quiet]
        if not is_settled(parts.sessions):
            return "a process starts or ends, or a call waits for one"
        if loud:
            return f"values are on their way to or from {', '.join(sorted(set(loud)))}"
        return "" if parts.spool.is_settled else "a detached call is being written down"

    async def _go_on(self) -> None:
        """Go on as before."""
        await self._release()
        self._parts.leaving.go_on()
        await self._parts.line.hang_up()  # with the next connection the gateway sends calls again
        self._parts.line.dial()

    async def _release(self) -> None:
        for process in self._parts.sessions.processes:
            process.release()
        await asyncio.to_thread(self._parts.spool.reopen)

    def _state(self, asker: Asker, began: float | None = None) -> State:
        """What is left; only to be tried out, where nothing has begun."""
        parts = self._parts
        left = Left(parts.sessions, asyncio.get_running_loop().time())
        return State(
            is_trial=began is None,
            instance=parts.instance,
            started=parts.started,
            began=began or 0.0,
            asker=asker.descriptor,
            rules=parts.rules.given,
            forks=parts.sessions.processes.forks.hand_over(),
            processes=left.processes,
            relayed=left.relayed,
            relayed_before=parts.sessions.calls.forgotten,
            registered=[LocalCallLeft.of(call) for call in parts.registered.all],
            registered_before=parts.registered.forgotten,
            known=left.known,
            promises=left.promises,
        )

    @staticmethod
    def _become(state: State) -> NoReturn:
        """Become the newer program."""
        file = memory_file_of(written(state))
        descriptors = [file, *state.descriptors]
        for each in descriptors:
            os.set_inheritable(each, True)
        # A signal that comes now waits until the newer program is ready for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        _log.info("A newer program takes over.")
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            os.execv(sys.executable, _command(file))
        except OSError as error:
            raise _not_started(error) from error
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            for each in descriptors:
                os.set_inheritable(each, False)
            os.close(file)


def _not_started(error: OSError) -> UsageError:
    return UsageError(f"The newer program can't be started, so nothing was changed: {error}.")


def _command(file: int) -> list[str]:
    """The command line of this program, for one that takes over what this file holds."""
    arguments = sys.orig_argv[1:]
    if arguments[-2:-1] == [OPTION]:
        del arguments[-2:]
    return [sys.executable, *arguments, OPTION, str(file)]
