"""Keeps a node to its owner's rules, and changes these for the owner while the node runs.

``tests/node/test_owner.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from easyremote.errors import EasyRemoteError
from easyremote.node.in_force import RulesInForce
from easyremote.node.processes.process import RelayedCall
from easyremote.node.processes.sessions import Sessions
from easyremote.node.rules import WhenBusy
from easyremote.protocol.builtins import RULES, open_request
from easyremote.protocol.held import Outcome, failure, plain_outcome
from easyremote.protocol.requests import RulesAnswer, RulesRequest

__all__ = ["Lending"]

_log = logging.getLogger("easyremote.node")


class Lending:
    """What is lent of a node, and when.

    Parameters
    ----------
    node_id
        For the log.
    rules
        The owner's rules.
    sessions
        What runs code here, which may have to stand still or to end.
    offer
        Tells the gateway what the node offers now.
    """

    def __init__(
        self, node_id: str, rules: RulesInForce, sessions: Sessions, offer: Callable[[], None]
    ) -> None:
        self._node_id = node_id
        self._rules, self._sessions, self._offer = rules, sessions, offer
        #: Whoever reads or changes the rules has it: both happen in threads.
        self._reading = asyncio.Lock()
        self._answering: set[asyncio.Task[None]] = set()
        sessions.at_once[RULES] = self._answer

    async def look(self) -> None:
        """Keep to the rules, also where they have just been edited."""
        rules = self._rules
        if not rules.may_change:
            return
        async with self._reading:
            before = rules.closed
            has_changed = await asyncio.to_thread(rules.look, datetime.now())
        self._pause_or_end()
        if not has_changed:
            return
        self._offer()
        if rules.closed:
            _log.info("%s takes nothing new: %s", self._node_id, rules.closed)
        elif before:
            _log.info("%s is lent again", self._node_id)

    def _pause_or_end(self) -> None:
        """Do what the rules want of what runs."""
        rules = self._rules
        if rules.stands_still:
            self._sessions.processes.pause()
        else:
            self._sessions.processes.go_on()
        if rules.when_busy is WhenBusy.BREAK_OFF:
            self._sessions.make_way(rules.closed)

    # -- for the owner -----------------------------------------------------------------------------

    def _answer(self, call: RelayedCall) -> None:
        """Answer $rules; the gateway has looked whether the caller owns the node."""

        async def answer() -> None:
            self._sessions.finish(call, await self._outcome(call))

        task = asyncio.get_running_loop().create_task(answer())
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _outcome(self, call: RelayedCall) -> Outcome:
        try:
            return plain_outcome(await self._change(open_request(RULES, call.arguments)))
        except EasyRemoteError as error:
            return failure(error.code, error.message, may_have_run=False)
        except Exception:
            _log.exception("The rules of %s can't be told or changed.", self._node_id)
            text = f"Node {self._node_id!r} can't change its rules. Its log says why."
            return failure("internal", text)

    async def _change(self, request: RulesRequest) -> RulesAnswer:
        rules = self._rules
        async with self._reading:
            refused = await asyncio.to_thread(rules.change, request.changes)
        if request.changes and not refused:
            _log.info("The owner of %s changes its rules: %s", self._node_id, request.changes)
            await self.look()
        return RulesAnswer(rules.words, rules.file, rules.at_start, rules.closed, refused)
