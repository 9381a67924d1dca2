"""The processes of a node that run shipped code: one a session, and a pool for each owner.

A fork server makes them (``fork_server.py``): a new one is ready in some forty milliseconds.
Which call goes to which process, and what becomes of the call, is decided in ``sessions.py``.
``tests/client/test_remote.py`` and ``tests/client/test_sessions.py`` prove it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from easyremote.node.blob_store import remove_blobs, remove_unused_blobs
from easyremote.node.folders import remove_folders
from easyremote.node.gpus.visible import DEVICES_VARIABLE
from easyremote.node.policy import INSTALL_VARIABLE, NodePolicy
from easyremote.node.processes.fork_server import ForkServer
from easyremote.node.processes.process import (
    TERMINATE_TIMEOUT,
    Process,
    RelayedCall,
    memory_of,
)
from easyremote.options.scaling import Scaling
from easyremote.protocol.messages import INLINE_LIMIT
from easyremote.protocol.requests import SessionInfo

#: A pool process that nobody used for so long is ended.
POOL_IDLE = 60.0
#: Seconds after the begin of a node until its fork server starts: what is asked for comes first.
FORKS_DELAY = 1.0
#: Functions quicker than this are sent ahead, so that no process waits for the next one.
QUICK = 0.002
#: The weight of the newest call in the mean running time.
SMOOTHING = 0.1

_log = logging.getLogger("easyremote.node")


@dataclass(frozen=True, slots=True)
class Pooled:
    """A registered function, or a class, that runs in processes of its own.

    Parameters
    ----------
    name
        Of the function or the class.
    body
        What each process opens; nothing here does.
    scaling
        How many processes there are.
    functions
        The names by which it is called: one, or those of the methods.
    memory
        How many bytes each process may use; 0 for no limit.
    """

    name: str
    body: bytes
    scaling: Scaling
    functions: tuple[str, ...]
    memory: int = 0


class Pool:
    """The processes of one owner for shipped functions, and the calls that wait for one.

    A registered function that runs in processes has a pool, too.

    Parameters
    ----------
    limit
        How many processes there may be; 0 for as many as the owner's rules say.
    least
        How many are kept, also if nobody uses them.
    idle
        Seconds after which the others are ended if nobody uses them.

    Attributes
    ----------
    mean_seconds
        How long a function runs there; None before the first has run. The newest count most.
    """

    def __init__(self, limit: int, least: int = 0, idle: float = POOL_IDLE) -> None:
        self.limit, self.least, self.idle = limit, least, idle
        self.processes: list[Process] = []
        self.waiting: deque[RelayedCall] = deque()
        self.mean_seconds: float | None = None

    def ran(self, seconds: float) -> None:
        """A function took so long; the mean follows."""
        before = seconds if self.mean_seconds is None else self.mean_seconds
        self.mean_seconds = before + SMOOTHING * (seconds - before)

    def ahead(self, call: RelayedCall) -> Process | None:
        """The process that may get a call ahead, behind quick ones; None where it has to wait."""
        is_quick = self.mean_seconds is not None and self.mean_seconds < QUICK
        if not is_quick or len(call.arguments) > INLINE_LIMIT or call.is_durable:
            return None
        with_room = (process for process in self.processes if process.has_room_ahead)
        return min(with_room, key=lambda process: len(process.queue), default=None)


class Processes:
    """See the module.

    Parameters
    ----------
    serve
        Serves a process, from its start to its end.
    policy
        How many processes there are, and how long they are kept.
    """

    def __init__(
        self, serve: Callable[[Process], Coroutine[Any, Any, None]], policy: NodePolicy
    ) -> None:
        self._serve = serve
        self._policy = policy
        #: How many processes there may be for one owner's shipped functions, as the rules say now.
        self.most = policy.processes
        #: What is registered to run in processes: by the name of its pool, and by function.
        self._registered: dict[str, Pooled] = {}
        self.pooled: dict[str, Pooled] = {}
        self._environment = {} if policy.allow_install else {INSTALL_VARIABLE: "no"}
        self._sessions: dict[tuple[str, str], Process] = {}
        self._pools: dict[str, Pool] = {}
        #: Makes the processes.
        self.forks = ForkServer()
        self._getting_ready: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[Process]:
        pooled = [process for pool in self._pools.values() for process in pool.processes]
        return iter([*self._sessions.values(), *pooled])

    def pause(self) -> None:
        """Stop all where they are. Safe to repeat, for those that have started since."""
        for process in self:
            process.pause()

    def go_on(self) -> None:
        """End the pauses. Safe to repeat."""
        for process in self:
            process.go_on()

    def get_ready(self) -> None:
        """Have the fork server soon, if nothing needs it before."""
        self._getting_ready = asyncio.create_task(self._start_forks())

    async def _start_forks(self) -> None:
        await asyncio.sleep(FORKS_DELAY)
        try:
            await self.forks.ready()
        except (OSError, RuntimeError) as error:  # the first call that needs it is told
            _log.warning("The process that starts those for code can't be started: %s", error)

    def pool(self, owner: str) -> Pool:
        """The pool of an owner."""
        pool = self._pools.get(owner)
        if pool is None:
            pool = self._pools[owner] = self._new_pool(owner)
        return pool

    def _new_pool(self, owner: str) -> Pool:
        registered = self._registered.get(owner)
        if registered is None:
            return Pool(0)
        scaling = registered.scaling
        return Pool(scaling.max or 0, scaling.min, scaling.idle)

    def offer(self, pooled: Iterable[Pooled]) -> None:
        """Have pools for these registered functions, also where they are known; run them there."""
        for each in pooled:
            self._registered[_pool_name(each)] = each
            self.pooled |= dict.fromkeys(each.functions, each)
        self.keep_least()

    def registered(self) -> Iterator[Process]:
        """The processes that run registered functions; the owner of each is the function."""
        for owner in self._registered.keys() & self._pools.keys():
            yield from self._pools[owner].processes

    def memory_limit(self, process: Process) -> int:
        """How many bytes a process may use now; 0 for no limit.

        Of a registered function that is said where it is registered. A cell, or a function that
        was sent, may have asked for some: then what was asked for most counts, because variables
        stay in a session.
        """
        registered = self._registered.get(process.owner)
        if registered is not None:
            return registered.memory
        asked = memory_of(process.queue[0]) if process.queue else 0
        return max(process.promised, asked) if asked else 0

    def pool_name(self, call: RelayedCall) -> str:
        """Whose pool runs a function: that of its owner, or, of a registered one, its own."""
        pooled = self.pooled.get(call.function)
        if pooled is not None:
            return _pool_name(pooled)
        return f"{call.owner} on GPUs" if call.needs is not None and call.needs.gpu else call.owner

    def keep_least(self) -> None:
        """Start the processes that are kept ready, where they are not there."""
        for owner, each in self._registered.items():
            pool = self.pool(owner)
            while len(pool.processes) < each.scaling.min:
                pool.processes.append(self._start(owner, ""))

    def waiting(self) -> list[RelayedCall]:
        """Take out all calls that wait for a process of a pool."""
        calls = [call for pool in self._pools.values() for call in pool.waiting]
        for pool in self._pools.values():
            pool.waiting.clear()
        return calls

    def has_session(self, owner: str, session: str) -> bool:
        """Whether there is such a session here."""
        return (owner, session) in self._sessions

    def known_session(self, owner: str, session: str) -> Process | None:
        """The process of a session; None where there is none."""
        return self._sessions.get((owner, session))

    def session(self, owner: str, session: str, devices: tuple[str, ...] = ()) -> Process:
        """The process of a session, started where there is none.

        A new one sees only these GPUs, if any are named.
        """
        key = (owner, session)
        if key not in self._sessions:
            self._sessions[key] = self._start(owner, session, has_shell=True, devices=devices)
        return self._sessions[key]

    def take_session(self, owner: str, session: str) -> Process | None:
        """The process of a session. The session has no process from now on."""
        return self._sessions.pop((owner, session), None)

    def free(self, owner: str) -> Process | None:
        """An idle process of the pool, started where one may be; None if all are busy."""
        pool = self.pool(owner).processes
        found = next((process for process in pool if process.is_free), None)
        return self.start_in_pool(owner) if found is None and self.may_grow(owner) else found

    def all_free(self, owner: str) -> list[Process]:
        """The idle processes of a pool, the newest used first."""
        free = (process for process in self.pool(owner).processes if process.is_free)
        return sorted(free, key=lambda process: -process.last_used)

    def may_grow(self, owner: str) -> bool:
        """Whether a pool may have one more process."""
        pool = self.pool(owner)
        count = sum(not process.is_retired for process in pool.processes)
        return count < (pool.limit or self.most)

    def start_in_pool(self, owner: str, devices: tuple[str, ...] = ()) -> Process:
        """Start one more process of a pool; it sees only these GPUs, if any are named."""
        process = self._start(owner, "", devices=devices)
        self.pool(owner).processes.append(process)
        return process

    def any_pooled(self, owner: str) -> Process:
        """A process of the pool, idle or busy."""
        pool = self.pool(owner).processes
        if not pool:
            pool.append(self._start(owner, ""))
        return pool[0]

    def take_over(self, process: Process) -> None:
        """Go on with a process of the program before this one; a pool's gets no new call."""
        if process.session:
            self._sessions[process.owner, process.session] = process
        else:
            process.is_retired = True
            self.pool(process.owner).processes.append(process)
        process.task = asyncio.create_task(self._serve(process))

    def end_retired(self, process: Process) -> None:
        """End a process that gets no new call, once nobody wants anything of it."""
        if process.is_retired and not process.queue and not process.calls:
            process.signal(signal.SIGTERM)

    def remove(self, process: Process) -> None:
        """Forget a process that has ended."""
        if self._sessions.get((process.owner, process.session)) is process:
            del self._sessions[process.owner, process.session]
        if process in self.pool(process.owner).processes:
            self.pool(process.owner).processes.remove(process)

    def sessions_of(self, owner: str) -> tuple[SessionInfo, ...]:
        """The sessions of an owner."""
        now = time.monotonic()
        return tuple(
            _described(process, now)
            for process in self._sessions.values()
            if process.owner == owner
        )

    def end_idle(self, now: float) -> None:
        """End processes that nobody has used for long, and remove such blobs."""
        for process in self:
            if process.session:
                limit = self._policy.session_idle
            else:
                pool = self.pool(process.owner)
                limit = pool.idle
                if process in pool.processes[: pool.least]:
                    continue
            if not process.is_busy and not process.calls and now - process.last_used > limit:
                process.signal(signal.SIGTERM)
        remove_unused_blobs(os.getpid(), time.time())

    async def close(self) -> None:
        """End all processes, and remove what they left."""
        if self._getting_ready is not None:
            self._getting_ready.cancel()
        for process in self:
            process.signal(signal.SIGTERM)
        tasks = [process.task for process in self if process.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=2 * TERMINATE_TIMEOUT)
        await self.forks.close()
        await asyncio.to_thread(remove_blobs, os.getpid())
        await asyncio.to_thread(remove_folders, os.getpid())

    def _start(
        self, owner: str, session: str, *, has_shell: bool = False, devices: tuple[str, ...] = ()
    ) -> Process:
        registered = self._registered.get(owner)
        body = registered.body if registered is not None else b""
        sees = {DEVICES_VARIABLE: ",".join(devices)} if devices else {}
        environment = {**self._environment, **sees}
        process = Process(owner, session, environment, has_shell=has_shell, functions=body)
        process.devices = devices
        process.task = asyncio.create_task(self._serve(process))
        return process


def _pool_name(pooled: Pooled) -> str:
    """The name of a function's pool; no key's id looks like that."""
    return f"{pooled.name}()"


def _described(process: Process, now: float) -> SessionInfo:
    uses = sum(call.is_use for call in process.queue)
    return SessionInfo(
        session=process.session,
        busy=uses > 0,
        waiting=max(uses - 1, 0),
        idle=0.0 if uses else now - process.last_used,
        origin=process.origin,
    )
