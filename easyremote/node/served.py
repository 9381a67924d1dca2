"""`ServedNode`: a node while it is served; all that happens on its event loop.

It owns the connection. A call goes to what runs registered functions (``registered/runner.py``) or
to what passes shipped code on to processes (``processes/sessions.py``). Nothing is unpickled here.
``tests/node/test_compute_node.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import easyremote
from easyremote.background import run_every
from easyremote.config import Settings
from easyremote.errors import EasyRemoteError
from easyremote.node.blob_store import remove_left_blobs
from easyremote.node.folders import remove_left_folders
from easyremote.node.functions import Functions
from easyremote.node.handover.control import Control
from easyremote.node.handover.handover import Handover, Parts
from easyremote.node.handover.state import State
from easyremote.node.handover.taken import go_on, tell
from easyremote.node.in_force import RulesInForce
from easyremote.node.leaving import LOOK, Leaving
from easyremote.node.offering import Offering
from easyremote.node.policy import NodePolicy
from easyremote.node.processes.lending import Lending
from easyremote.node.processes.pools import Pooled
from easyremote.node.processes.process import RelayedCall
from easyremote.node.processes.relay import RelayedCalls
from easyremote.node.processes.sessions import Sessions
from easyremote.node.resources import ResourceMeter
from easyremote.node.spool import NodeSpool, Spooled
from easyremote.protocol.builtins import OF_NODES, RULES, is_builtin
from easyremote.protocol.call import HeldCall
from easyremote.protocol.callee import Callee, LocalCall
from easyremote.protocol.held import Outcome, failure
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    PROTOCOL,
    Dispatch,
    GoingAway,
    Hello,
    Message,
    NotOffered,
    Resources,
    Resume,
    Resumed,
    Watch,
    Welcome,
)
from easyremote.transport.dial import Line

if TYPE_CHECKING:  # what runs registered functions may unpickle; this module never does
    from easyremote.node.registered.runner import Runner

#: Seconds between two measurements, while somebody looks.
METER_INTERVAL = 1.0
#: Seconds between two looks for processes that nobody uses.
TIDY_INTERVAL = 10.0
#: Seconds between two looks at what processes use of the memory that they may use.
MEMORY_INTERVAL = 0.5
#: Seconds between two looks at the owner's rules.
RULES_INTERVAL = 1.0

_log = logging.getLogger("easyremote.node")
_STARTED = time.monotonic()


class ServedNode:
    """A node that is being served: what happens on its event loop.

    Parameters
    ----------
    settings
        The gateway and the key.
    node_id
        What the node is called.
    functions
        What is registered.
    runner
        What runs that.
    policy
        What the node does for others.
    rules
        When its owner lends the machine, and how much of it.
    online
        Is set when the node is connected.
    pooled
        The registered functions that run in processes. What comes to it is looked at by `offer`.
    meter
        Measures the machine.
    spool
        Keeps durable calls on the disk.
    control
        The path of the socket where the node is asked for a handover; None where nobody can.
    before
        What the program before this one has left of the node in this process.
    """

    def __init__(
        self,
        settings: Settings,
        node_id: str,
        functions: Functions,
        runner: Runner,
        policy: NodePolicy,
        rules: RulesInForce,
        online: threading.Event,
        pooled: Mapping[str, Pooled],
        meter: ResourceMeter,
        spool: NodeSpool,
        control: Path | None = None,
        before: State | None = None,
    ) -> None:
        self._settings = settings
        self._node_id = node_id
        self._control, self._before = control, before
        self._functions = functions
        self._policy, self._rules = policy, rules
        self._online, self._pooled = online, pooled
        self._instance = before.instance if before is not None else os.urandom(16)
        self._started = before.started if before is not None else _STARTED
        self.link: Link | None = None
        self._watched = asyncio.Event()
        self._runner = runner
        self._runner.bind(asyncio.get_running_loop())
        self._meter = meter
        self._sessions = Sessions(node_id, policy, spool)
        self._sessions.gpus.meter, self._sessions.gpus.told = meter, self._tell
        self._offering = Offering(node_id, functions, policy, rules, self._sessions)
        self._lending = Lending(node_id, rules, self._sessions, self.offer)
        #: The calls that are run here, and those that are passed on to processes.
        self._registered, self._relayed = runner.callee, self._sessions.calls
        self.leaving = Leaving(self._registered, self._relayed)
        self._spool = spool
        self._line = Line(settings, self)
        loop = asyncio.get_running_loop()
        spool.found = lambda spooled: loop.call_soon_threadsafe(self._revive, spooled)
        #: What was named in RESUME, in this order.
        self._named: tuple[list[LocalCall], list[RelayedCall]] = ([], [])

    async def run(self) -> None:
        self._offering.machine = await asyncio.to_thread(self._meter.machine)
        if self._before is not None:
            self._rules.take_over(self._before.rules)
        await self._lending.look()
        if self._before is not None:
            self.offer()
            go_on(self._before, self._sessions, self._registered)
        await asyncio.to_thread(_remove_leftovers)
        await asyncio.to_thread(self._spool.look)
        if self._policy.allow_code:
            self._sessions.processes.get_ready()
        tidy_interval = min(TIDY_INTERVAL, self._policy.session_idle)
        tasks = [
            asyncio.create_task(self._line.run()),
            asyncio.create_task(self.leaving.asked()),
            asyncio.create_task(
                run_every(METER_INTERVAL, self._measure, "Measuring the machine", _log)
            ),
            asyncio.create_task(
                run_every(tidy_interval, self._tidy, "Ending processes that nobody uses", _log)
            ),
            asyncio.create_task(
                run_every(METER_INTERVAL, self._sessions.gpus.sample, "Looking at the GPUs", _log)
            ),
            asyncio.create_task(
                run_every(
                    MEMORY_INTERVAL, self._sessions.memory.look, "Looking at memory limits", _log
                )
            ),
            asyncio.create_task(
                run_every(RULES_INTERVAL, self._lending.look, "Looking at the rules", _log)
            ),
        ]
        if self._control is not None:
            tasks.append(asyncio.create_task(self._be_handed_over(self._control)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # what the gateway refused us for
            await self._drain()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._sessions.processes.close()
            self._runner.close()
            await asyncio.to_thread(self._spool.close)

    async def _be_handed_over(self, path: Path) -> None:
        """Make way for newer code whenever somebody asks for it."""
        handover = Handover(
            Parts(
                *(self._instance, self._started, self._line, lambda: self.link, self.leaving),
                *(self._rules, self._registered, self._hand_back, self._sessions, self._spool),
            )
        )
        async with Control(path, self._node_id, handover.hand_over).listening():
            if self._before is not None:
                tell(self._before, self._node_id)  # who has asked may ask once more now
            await asyncio.get_running_loop().create_future()

    def _hand_back(self) -> None:
        """Hand back what waits."""
        self._runner.hand_back()
        self._sessions.hand_back()

    async def _drain(self) -> None:
        """Take nothing new, hand back what waits, and let finish what runs."""
        self.leaving.begin(self.link)
        self._hand_back()
        await self.leaving.finish(lambda: self.link)
        await self._spool.settled()
        await asyncio.sleep(LOOK)  # what the spool let go of leaves

    # -- the connection's owner --------------------------------------------------------------------

    def hello(self) -> Hello:
        return Hello(
            *(PROTOCOL, "node", str(self._settings.key("node")), self._node_id, self._instance),
            time.monotonic() - self._started,
            {"easyremote": easyremote.__version__, "python": platform.python_version()},
        )

    def opened(self, link: Link, welcome: Welcome, now: float) -> None:
        self.link = link
        self.offer()
        self.leaving.opened(link)
        self._named = self._registered.attach(link), self._relayed.attach(link)
        both: list[HeldCall] = [*self._named[0], *self._named[1]]
        link.send(
            Resume(tuple(call.call_id for call in both), fences=tuple(call.fence for call in both))
        )
        self._online.set()
        _log.info("%s is online at %s", self._node_id, self._settings.gateway)

    def _revive(self, spooled: Sequence[Spooled]) -> None:
        """Hold what a process before this one has spooled, and say that there is a journal."""
        for each in spooled:
            if each.call_id in self._registered or each.call_id in self._relayed:
                continue  # this process has begun it, and goes on with it
            is_relayed = each.begun.function in (OF_NODES | self._pooled.keys())
            calls = self._relayed if is_relayed else self._registered
            calls.revive(each.call_id, each.begun.fence, each.begun.function, each.outcome)
        self.offer()

    def offer(self) -> None:
        """Say what the node has; again whenever that changes."""
        self._sessions.processes.most = self._offering.processes
        self._sessions.processes.offer(self._pooled.values())
        if self.link is not None:
            self.link.send(self._offering.register(self._spool.identity))

    def receive(self, message: Message, now: float) -> None:
        match message:
            case Dispatch():  # most of them
                self._dispatch(message)
            case Resumed():
                registered, relayed = self._named
                self._registered.resumed(registered, message.calls[: len(registered)])
                self._relayed.resumed(relayed, message.calls[len(registered) :])
            case NotOffered():
                self._offering.log_withheld(message.functions)
            case GoingAway():
                self.leaving.agreed()
            case Watch():
                (self._watched.set if message.on else self._watched.clear)()
            case _:
                for calls in self._holders(message):
                    calls.receive(message)

    def _dispatch(self, message: Dispatch) -> None:
        if self.leaving.refuses(message, self.link):
            return
        function = self._functions.get(message.function)
        if message.function in self._sessions.processes.pooled:
            if function is not None:
                if limit := function.spec.timeout:
                    message.run_timeout = min(message.run_timeout or limit, limit)
                message.needs = function.spec.requirements
            self._relayed.receive(message)
        elif self._is_forbidden(message.function):
            self._relayed.refuse(message, self._no_code())
        else:
            for calls in self._holders(message):
                calls.receive(message)

    def _holders(self, message: Message) -> tuple[Callee | RelayedCalls, ...]:
        """Who holds the call that a message is about; each ignores what is not its own."""
        if isinstance(message, Dispatch):
            return (self._relayed,) if message.function in OF_NODES else (self._registered,)
        return self._registered, self._relayed

    def _is_forbidden(self, function: str) -> bool:
        is_code = is_builtin(function) and function != RULES
        return is_code and not self._policy.allow_code

    def _no_code(self) -> Outcome:
        # The gateway knows this, and sends no such call: a gateway that lies does.
        return failure(
            "not-found",
            f"Node {self._node_id!r} runs only the functions that it registered, no cells and no "
            "shipped code. Its owner can allow them: start it without --no-code.",
            may_have_run=False,
        )

    def failed(self, message: Message, error: Exception) -> None:
        kind = type(message).__name__
        text = f"Node {self._node_id!r} can't handle a {kind}. Please report it, with its log."
        for calls in self._holders(message):
            calls.fail(message, text)

    def flush(self, now: float) -> None:
        """Nothing is kept back for a batch."""

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None:
        self.link = None
        self._watched.clear()
        if link is not None:
            self._registered.detach(link)
            self._relayed.detach(link)
        if error is not None:
            _log.warning("%s", error)

    # -- beside it ---------------------------------------------------------------------------------

    async def _measure(self) -> None:
        """Send how the machine is doing, only while somebody looks."""
        await self._watched.wait()
        self._tell(self._sessions.gpus.describe(await asyncio.to_thread(self._meter.read)))

    def _tell(self, reading: Resources) -> None:
        if self.link is not None and self._watched.is_set():
            self.link.send(reading)

    def _tidy(self) -> None:
        self._sessions.processes.end_idle(time.monotonic())
        self._sessions.processes.keep_least()


def _remove_leftovers() -> None:
    """Remove what killed nodes left behind."""
    try:
        remove_left_folders()
        remove_left_blobs()
    except Exception:  # the node is of use all the same
        _log.exception("What killed nodes left behind can't be removed.")
