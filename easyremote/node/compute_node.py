"""`ComputeNode`: registers functions, and serves them and shipped code through a gateway.

``tests/node/test_compute_node.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import signal
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, Unpack

from easyremote.config import find_settings, home
from easyremote.errors import UsageError
from easyremote.node.functions import Registrar
from easyremote.node.handover.control import CAN_HAND_OVER, FOLDER, SUFFIX
from easyremote.node.handover.handover import STOPS
from easyremote.node.handover.state import State
from easyremote.node.in_force import RulesInForce
from easyremote.node.leaving import DRAIN_TIMEOUT
from easyremote.node.policy import SESSION_IDLE, NodePolicy
from easyremote.node.processes.pools import Pooled
from easyremote.node.registered.packed import pooled
from easyremote.node.registered.runner import Runner
from easyremote.node.resources import ResourceMeter
from easyremote.node.served import ServedNode
from easyremote.node.spool import NodeSpool, file_name
from easyremote.options.seed_words import SeedNodeOptions, in_todays_words
from easyremote.options.spelling import check_words
from easyremote.times import check_seconds
from easyremote.transport.loop import new_event_loop

_LABEL = re.compile(r"[^\W\d][\w.-]*")
_OPTIONS = (
    *("vps_address", "node_id", "gateway", "api_key", "max_workers", "labels", "session_idle"),
    *("allow_code", "allow_install", "rules", "rules_file"),
)


class ComputeNode(Registrar):
    """A node: this machine, lent to those who have a key.

    Parameters
    ----------
    vps_address, gateway
        The gateway's ``host:port`` (two names for one thing); None for what is configured.
    node_id
        What the node is called; None for the machine's name.
    api_key
        A node key; None for what is configured.
    max_workers
        How many plain functions run at a time; None for the number of cores plus 4.
    labels
        Free words by which the node can be chosen: ``%%remote any --where fast``.
    session_idle
        Seconds after which a session that nobody uses is ended, with its variables.
    allow_code
        Whether it runs cells and shipped functions, in processes of their own. That is a shell
        account for whoever has a client key, so the default is no. It is no sandbox, either way:
        the arguments of registered functions are unpickled in the node's own process, and a
        pickle can run code. Lend a node only to those whom you would let run code there.
    allow_install
        Whether a session may have packages installed for it (``%%remote --with polars``), in a
        folder beside this environment, which is not changed.
    rules
        When the owner of the machine lends it, and how much of it: any of ``max_cpu`` ("50%"),
        ``max_memory`` ("16GB"), ``only_when_idle``, ``hours`` ("22-7") and ``on_battery``.
    rules_file
        A TOML file with such rules; it may be edited while the node runs. ``rules`` count more.

    Examples
    --------
    >>> node = ComputeNode("my-vps:8080", node_id="gpu-node")   # doctest: +SKIP
    >>> @node.register                                          # doctest: +SKIP
    ... def add(a, b):
    ...     return a + b
    >>> node.serve()                                            # doctest: +SKIP
    """

    def __init__(
        self,
        vps_address: str | None = None,
        node_id: str | None = None,
        *,
        gateway: str | None = None,
        api_key: str | None = None,
        max_workers: int | None = None,
        labels: Sequence[str] = (),
        session_idle: float = SESSION_IDLE,
        allow_code: bool = False,
        allow_install: bool = True,
        rules: Mapping[str, object] | None = None,
        rules_file: str | None = None,
        **seed: Unpack[SeedNodeOptions],
    ) -> None:
        super().__init__()
        today = {"gateway": gateway or vps_address, "labels": labels}
        given = {name: value for name, value in today.items() if value}
        said = in_todays_words("ComputeNode", {**given, **seed})
        check_words(said, _OPTIONS, "ComputeNode() has no option")
        self.settings = find_settings(said.get("gateway"), api_key, kind="node")
        self.settings.key("node")
        self.node_id = node_id or platform.node() or "node"
        check_seconds(session_idle, "session_idle")
        cores = os.cpu_count() or 1
        self._policy = NodePolicy(
            slots=max_workers or cores + 4,
            processes=cores,
            labels=_checked(said.get("labels", ())),
            session_idle=session_idle,
            allow_code=allow_code,
            allow_install=allow_install,
        )
        self._rules = RulesInForce(rules or {}, rules_file)
        #: The functions that run in processes, packed for these, by name.
        self._pooled: dict[str, Pooled] = {}
        self._meter: ResourceMeter | None = None
        self._served: ServedNode | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._online = threading.Event()

    # -- serving -----------------------------------------------------------------------------------

    @property
    def is_online(self) -> bool:
        """Whether it is connected to its gateway."""
        return self._served is not None and self._served.link is not None

    @property
    def is_running(self) -> bool:
        """Whether it serves: it is online, or on its way back to its gateway."""
        return self._served is not None

    def serve(self) -> None:
        """Serve until `stop`, SIGINT or SIGTERM; what runs then may finish. Blocks.

        Raises
        ------
        EasyRemoteError
            The gateway refused the node, or another process took its id.
        """
        in_main = threading.current_thread() is threading.main_thread()
        self._run(self._serve(with_signals=in_main))

    def start(self) -> Self:
        """Serve in a thread of its own; returns when the node is online."""
        if self._thread is not None:
            raise UsageError(f"Node {self.node_id!r} is running already.")
        self._online.clear()
        self._error = None
        self._thread = threading.Thread(
            target=self._run_in_thread, name=f"easyremote-node-{self.node_id}", daemon=True
        )
        self._thread.start()
        self._online.wait()
        if self._error is not None:
            self._thread = None
            raise self._error
        return self

    def stop(self) -> None:
        """Finish what runs, tell the gateway, and stop. Safe to repeat."""
        loop, served, thread = self._loop, self._served, self._thread
        if loop is not None and served is not None and not loop.is_closed():
            loop.call_soon_threadsafe(served.leaving.ask)
        if thread is not None and thread is not threading.current_thread():
            thread.join(DRAIN_TIMEOUT)
            self._thread = None

    async def serve_async(self) -> None:
        """Serve in the running event loop, until `stop` or cancellation."""
        await self._serve(with_signals=False)

    def _registered(self) -> None:
        if self._served is not None and self._loop is not None:
            self._pack()
            self._loop.call_soon_threadsafe(self._served.offer)

    def _pack(self) -> None:
        """Pack the functions that run in processes, those that were not packed before."""
        new = [each for each in self.functions if each.pool not in self._pooled]
        has_gpus = self._meter is not None and bool(self._meter.cards.last)
        self._pooled.update((each.name, each) for each in pooled(new, has_gpus=has_gpus))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _run_in_thread(self) -> None:
        try:
            self._run(self._serve(with_signals=False))
        except BaseException as error:  # noqa: B036 - raised again in start()
            self._error = error
        finally:
            self._online.set()

    def _run(self, main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main)

    async def _serve(
        self, *, with_signals: bool, control: Path | None = None, before: State | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._meter = meter = await asyncio.to_thread(ResourceMeter)
        spool = NodeSpool(home() / "nodes", self.node_id, self.settings.key("node").key_id)
        served = ServedNode(
            self.settings,
            self.node_id,
            self.functions,
            Runner(self.functions, self._policy.slots, self.node_id, spool),
            self._policy,
            self._rules,
            self._online,
            self._pooled,
            meter,
            spool,
            control,
            before,
        )
        await asyncio.to_thread(self._pack)
        self._served = served
        if with_signals:
            for number in STOPS:
                self._loop.add_signal_handler(number, served.leaving.ask)
            if before is not None:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        try:
            await served.run()
        finally:
            self._served = None


def serve_headless(node: ComputeNode, before: State | None) -> None:
    """Serve as ``easyremote node`` does: the node can be handed over to newer code.

    Parameters
    ----------
    before
        What the program before this one has left of the node in this process; None for nothing.
    """
    name = file_name(node.node_id, node.settings.key("node").key_id)
    control = home() / FOLDER / f"{name}{SUFFIX}" if CAN_HAND_OVER else None
    node._run(node._serve(with_signals=True, control=control, before=before))


def _checked(labels: Sequence[str]) -> tuple[str, ...]:
    wrong = [labels] if isinstance(labels, str) else [x for x in labels if not _LABEL.fullmatch(x)]
    if wrong:
        raise UsageError(
            f"{wrong[0]!r} can't be a label: labels are a list of words of letters, digits, "
            "'.', '-' and '_', as in labels=['fast', 'a100']."
        )
    return tuple(labels)
