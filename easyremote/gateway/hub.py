"""All calls of one gateway, for whoever has a connection: the one object that links talk to. Pure.

A call goes SUBMIT, DISPATCH, STARTED, FINISHED, DELIVERED; CANCEL, lost connections and timers can
end it on the way. What clients send goes to ``intake.py``, what nodes send to ``returns.py``, what
both say after a new connection to ``recovery.py``, time to ``deadlines.py``; what is known of a
call is in ``table.py``. ``tests/gateway/test_calls.py`` and ``tests/protocol/test_machine.py``
prove it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from easyremote.errors import EasyRemoteError, InternalError, ProtocolError
from easyremote.gateway.deadlines import Deadlines
from easyremote.gateway.dispatch import Dispatcher
from easyremote.gateway.intake import Intake
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.notify.notices import Notices
from easyremote.gateway.recent import ENDINGS, Recent
from easyremote.gateway.records import ClientLink, GatewayCall, Node
from easyremote.gateway.recovery import Recovery
from easyremote.gateway.returns import Returns
from easyremote.gateway.scheduling.lending import Lent, why_closed
from easyremote.gateway.table import CallTable, failed
from easyremote.gateway.usage.spans import tell_spans
from easyremote.gateway.usage.tally import Tally
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Cancel,
    Delivered,
    Event,
    Finished,
    GoingAway,
    HandBack,
    Message,
    Register,
    Resources,
    Resume,
    Seen,
    Started,
    Submit,
)

_log = logging.getLogger("easyremote.gateway")

#: What a node says of its calls, by their numbers.
_OF_CALLS = frozenset({Started, Event, Finished, HandBack})

#: What handles a message of a peer; each handler takes one kind of message.
Handler = Callable[[Any, Any, float], None]


class Hub:
    """All calls of one gateway.

    Parameters
    ----------
    nodes
        The nodes that it has seen.
    max_payload
        The largest payload of one call, in bytes.
    first
        Calls are numbered from here.
    """

    def __init__(self, nodes: Nodes, *, max_payload: int, first: int = 0) -> None:
        self.nodes = nodes
        self.table = table = CallTable(nodes, first=first)
        self.recent = Recent()
        table.listen(self.recent.note, ENDINGS)
        self.notices = Notices(self.recent.notified)
        table.listen(self.notices.note, ENDINGS)
        self.tally = Tally()
        table.listen(self.tally.note, ENDINGS)
        tell_spans(table)
        self._dispatcher = dispatcher = Dispatcher(table)
        self._deadlines = Deadlines(table, dispatcher)
        self._recovery = recovery = Recovery(table, dispatcher)
        self._intake = intake = Intake(
            *(table, dispatcher, recovery, self.notices), max_payload=max_payload
        )
        self._returns = returns = Returns(table, dispatcher)
        #: Messages that are not in these tables are ignored.
        self._of_clients: dict[type, Handler] = {
            Submit: intake.submit,
            Delivered: intake.delivered,
            Seen: intake.seen,
            Cancel: intake.cancel,
            Resume: recovery.client_resumes,
        }
        self._of_nodes: dict[type, Handler] = {
            Finished: returns.finished,
            Started: returns.started,
            Event: returns.event,
            HandBack: returns.handed_back,
            Register: returns.register,
            Resources: returns.resources,
            GoingAway: returns.going_away,
            Resume: recovery.node_resumes,
        }

    def __len__(self) -> int:
        return len(self.table.by_id)

    # -- clients -----------------------------------------------------------------------------------

    def receive_from_client(self, client: ClientLink, message: Message, now: float) -> None:
        """Handle a message of a client; a mistake of ours ends the call that it is about."""
        handle = self._of_clients.get(type(message))
        if handle is None:
            return
        try:
            handle(client, message, now)
        except ProtocolError:
            raise  # the peer's mistake: the connection is closed
        except Exception:
            call = client.calls.get(getattr(message, "call", 0))
            if isinstance(message, Submit):
                call = self.table.by_id.get(message.call_id)
            self._broke(call, message, now)
            if call is None and isinstance(message, Submit):
                text = "The gateway made a mistake with this call. Please report this."
                client.link.send(failed(message.call, InternalError(text), may_have_run=True))

    def client_left(self, client: ClientLink, now: float) -> None:
        """A client's connection is gone: its calls run on, and wait for it."""
        self._intake.client_left(client, now)

    def cancel(self, call: GatewayCall, *, kill: bool, now: float) -> None:
        """Cancel a call for somebody who may do so."""
        self._dispatcher.cancel(call, kill=kill, now=now)

    def key_is_over(self, key_id: str, now: float) -> None:
        """A key was revoked, or has expired: refuse its calls that wait. What runs goes on."""
        self._intake.key_is_over(key_id, now)

    # -- detached calls ----------------------------------------------------------------------------

    def keep_with(self, detach: Callable[[ClientLink, Submit, float], None]) -> None:
        """Have detached calls taken on by ``detach``."""
        self._intake.detach = detach

    def refusal(self, client: ClientLink, message: Submit, now: float) -> EasyRemoteError | None:
        """Why a call that is not in the table can't be accepted; None if it can."""
        return self._intake.refusal(client, message, now)

    # -- nodes -------------------------------------------------------------------------------------

    def receive_from_node(self, node: Node, message: Message, now: float) -> None:
        """Handle a message of a node; a mistake of ours ends the call that it is about."""
        handle = self._of_nodes.get(type(message))
        if handle is None:
            return
        if not node.has_resumed and type(message) in _OF_CALLS:
            # Its numbers may be those of the connection before, and mean other calls on this one.
            if isinstance(message, Event | Finished) and node.link is not None:
                node.link.drop(message.payload)
            return
        number = getattr(message, "call", 0)  # handlers change it when they pass a message on
        try:
            handle(node, message, now)
        except ProtocolError:
            raise  # the peer's mistake: the connection is closed
        except Exception:
            self._broke(node.calls.get(number), message, now)

    def node_left(self, node: Node, link: Link, now: float) -> None:
        """A node's connection is gone: its calls wait for its return."""
        self._returns.node_left(node, link, now)

    def node_restarted(self, node: Node, now: float) -> None:
        """A new process has a node's id: the calls of the old process are lost."""
        self._recovery.node_restarted(node, now)

    def lend(self, node: Node, lent: Lent, now: float) -> None:
        """The owner of a node pauses, drains or resumes it."""
        node.lent, node.closed = lent, why_closed(node)
        if node.online:
            self._returns.register(node, node.said, now)

    # -- time, and the end -------------------------------------------------------------------------

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        self._deadlines.handle_timeout(now)

    @property
    def is_leaving(self) -> bool:
        """Whether the gateway stops: it accepts no more calls."""
        return self._intake.is_leaving

    def leave(self, now: float) -> None:
        """The gateway stops: hand the calls that wait back to their clients."""
        self._intake.leave(now)

    def _broke(self, call: GatewayCall | None, message: Message, now: float) -> None:
        if call is not None:
            self.table.broke(call, now)
        else:
            _log.exception("A mistake of the gateway with a %s", type(message).__name__)
