"""All calls of one gateway, for whoever has a connection: the one object that links talk to. Pure.

A call goes SUBMIT, DISPATCH, STARTED, FINISHED, DELIVERED; CANCEL, lost connections and timers can
end it on the way. What clients send goes to ``intake.py``, what nodes send to ``returns.py``, what
both say after a new connection to ``recovery.py``, time to ``deadlines.py``; what is known of a
call is in ``table.py``. ``tests/gateway/test_calls.py`` and ``tests/protocol/test_machine.py``
prove it.
"""

from __future__ import annotations

from easyremote.gateway.deadlines import Deadlines
from easyremote.gateway.dispatch import Dispatcher
from easyremote.gateway.intake import Intake
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.recovery import Recovery
from easyremote.gateway.returns import Returns
from easyremote.gateway.table import CallTable


class Hub:
    """All calls of one gateway."""

    def __init__(self, nodes: Nodes, *, max_payload: int) -> None:
        self.nodes = nodes
        self.table = CallTable(nodes)
        dispatcher = Dispatcher(self.table)
        recovery = Recovery(self.table, dispatcher)
        deadlines = Deadlines(self.table, dispatcher)
        self._intake = intake = Intake(self.table, dispatcher, recovery, max_payload=max_payload)
        returns = Returns(self.table, dispatcher, recovery, deadlines)
        self.receive_from_client = intake.receive
        self.client_left = intake.client_left
        self.leave = intake.leave
        self.receive_from_node = returns.receive
        self.node_left = returns.node_left
        self.node_restarted = returns.node_restarted
        self.cancel = dispatcher.cancel
        self.handle_timeout = deadlines.handle_timeout

    def __len__(self) -> int:
        return len(self.table.by_id)

    @property
    def is_leaving(self) -> bool:
        """Whether the gateway stops: nothing is taken on any more."""
        return self._intake.is_leaving
