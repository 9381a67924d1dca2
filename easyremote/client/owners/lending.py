"""`OwnersExecutor`: what the owner of a node asks of it: pause, drain, resume, and its rules.

``tests/node/test_owner.py`` proves it with real processes.
"""

from __future__ import annotations

from collections.abc import Mapping

from easyremote.client.connection import CONNECT_LIMIT
from easyremote.client.executor import RemoteExecutor
from easyremote.errors import UsageError
from easyremote.protocol.builtins import DRAIN, PAUSE, RESUME, RULES
from easyremote.protocol.requests import RulesAnswer, RulesRequest
from easyremote.protocol.snapshot import NodeInfo

__all__ = ["OwnersExecutor"]


class OwnersExecutor(RemoteExecutor):
    """An executor for somebody who may own nodes."""

    def pause(self, node_id: str) -> NodeInfo:
        """Let nothing new start on a node of yours; what runs there goes on.

        Calls wait, and are told why. The gateway remembers it until `resume`, also while the node
        is away, but not over a restart of its own.

        Parameters
        ----------
        node_id
            The node. Its key has the same name as yours, or you are the user who started the
            gateway, on that machine.

        Returns
        -------
        NodeInfo
            The node as it is now: ``closed`` says why nothing starts, ``running`` what goes on.

        Raises
        ------
        NotAuthorized, NotFound
            The node is not yours; there is no such node.

        Examples
        --------
        >>> Client().pause("gpu-node").closed   # doctest: +SKIP
        'its owner has paused it'
        """
        return self._lend(PAUSE, node_id)

    def drain(self, node_id: str) -> NodeInfo:
        """As `pause`; but calls that name the node are refused, those that wait for it too.

        Calls for any node go to others. The node can be stopped when ``running`` is 0.
        """
        return self._lend(DRAIN, node_id)

    def resume(self, node_id: str) -> NodeInfo:
        """Lend a node again that was paused or drained."""
        return self._lend(RESUME, node_id)

    def _lend(self, function: str, node_id: str) -> NodeInfo:
        node: NodeInfo = self.ask(function, node_id=node_id, timeout=CONNECT_LIMIT).result()
        return node

    def rules(self, node_id: str) -> RulesAnswer:
        """The rules by which a node of yours is lent.

        Parameters
        ----------
        node_id
            The node; yours as for `pause`, and online.

        Returns
        -------
        RulesAnswer
            ``rules`` are the words in force, by name; what is not there is not limited. ``file`` is
            where the node keeps them; empty where they hold until it ends. ``closed`` says why
            nothing new starts by these rules now.

        Raises
        ------
        NotAuthorized, NotFound
            The node is not yours; there is no such node, or its version knows no such question.

        Examples
        --------
        >>> Client().rules("desk").rules    # doctest: +SKIP
        {'hours': '22-7', 'max_cpu': '50%'}
        """
        return self.change_rules(node_id, {})

    def set_rules(self, node_id: str, changes: Mapping[str, str | bool | None]) -> RulesAnswer:
        """Change some of the rules by which a node of yours is lent; they are in force at once.

        Parameters
        ----------
        node_id
            As for `rules`.
        changes
            Any of ``max_cpu`` ("50%"), ``max_memory`` ("16GB"), ``only_when_idle``, ``hours``
            ("22-7"), ``on_battery`` and ``when_busy`` ("go-on", "pause" or "cancel"): the words of
            ``easyremote node``. None lifts a rule; rules that are not named stay.

        Raises
        ------
        UsageError
            There is no such rule, or it is written in another way: then nothing was changed. Or the
            file in which the node keeps them can't be written.
        NotAuthorized, NotFound
            As of `rules`.

        Examples
        --------
        >>> Client().set_rules("desk", {"hours": "22-7", "max_cpu": None})  # doctest: +SKIP
        """
        answer = self.change_rules(node_id, changes)
        if answer.refused:
            raise UsageError(" ".join(answer.refused.values()))
        return answer

    def change_rules(self, node_id: str, changes: Mapping[str, str | bool | None]) -> RulesAnswer:
        """As `set_rules`; but what is wrong with a change is told in the answer, for a form."""
        request = RulesRequest(dict(changes))
        job = self.ask(RULES, request, node_id=node_id, timeout=CONNECT_LIMIT)
        answer: RulesAnswer = job.result()
        return answer
