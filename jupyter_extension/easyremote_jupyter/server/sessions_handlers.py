"""The paths of sessions: the list of them, the variables of one, and its end.

Only sessions of the server's own key are shown. ``sessions`` asks all nodes online that run code,
or the one that is named, at the same moment; ``sessions/variables`` lists the variables of one,
unless a cell runs there. ``sessions/delete`` deletes a variable, ``sessions/restart`` and
``sessions/end`` the whole session; these need the permission to execute. Listing starts no session
and keeps none from ending, and no answer is unpickled.
``tests/jupyter_extension/server/test_sessions_handlers.py`` proves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from jupyter_server.auth.decorator import authorized
from msgspec.structs import asdict
from tornado import web

from easyremote.errors import CallTimeout, EasyRemoteError, NotFound
from easyremote.panel.feed import PanelFeed
from easyremote.panel.messages import (
    DeleteRequest,
    Done,
    SessionList,
    SessionRequest,
    SessionRow,
    Variable,
    VariableList,
)
from easyremote.protocol.requests import DeleteVariable, ListVariables
from easyremote_jupyter.server.gateway_handler import AUTH_RESOURCE, GatewayHandler

if TYPE_CHECKING:
    from easyremote.client.client import Client
    from easyremote.client.session import Session as RemoteSession

#: Seconds that a question waits for a cell to end: asking again is cheaper than waiting.
PATIENCE = 2.0
#: Seconds in which a node says what it has.
ANSWER_LIMIT = 5.0


class _SessionHandler(GatewayHandler):
    async def on_session(self, wanted: SessionRequest, act: Callable[[RemoteSession], Any]) -> Any:
        """Ask a session, in a thread because that waits; an error becomes an answer."""
        from easyremote.client.session import Session as RemoteSession

        if not wanted.session:  # which would be the one of this process
            raise web.HTTPError(400, "The request names no session.")
        async with self.gateway() as client:
            session = RemoteSession(client, wanted.node_id, wanted.session)
            try:
                return await asyncio.to_thread(act, session)
            except NotFound as error:
                raise web.HTTPError(404, str(error)) from None
            except CallTimeout:
                raise
            except (EasyRemoteError, msgspec.ValidationError) as error:  # a node can say anything
                raise web.HTTPError(502, str(error)) from None


class SessionsHandler(GatewayHandler):
    """GET: the sessions of all nodes, or of ``?node=NAME``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        only = self.get_argument("node", None)
        nodes = [
            node.node_id
            for node in (await self.snapshot()).nodes
            if node.state == "online" and node.runs_code and only in (None, node.node_id)
        ]
        async with self.gateway() as client:
            answers = await asyncio.gather(*(_sessions_on(client, node_id) for node_id in nodes))
        found = dict(zip(nodes, answers, strict=True))
        self.answer(
            SessionList(
                [session for answer in answers for session in answer or ()],
                [node_id for node_id, answer in found.items() if answer is None],
            )
        )


class VariablesHandler(_SessionHandler):
    """GET: the variables of ``?node=NAME&session=NAME``."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        wanted = SessionRequest(self.get_argument("node"), self.get_argument("session"))
        try:
            variables = await self.on_session(wanted, _variables)
        except CallTimeout:
            self.answer(VariableList(busy=True))
        else:
            self.answer(VariableList(busy=False, variables=variables))


class VariableDeleteHandler(_SessionHandler):
    """POST: delete a variable."""

    @web.authenticated
    @authorized("execute", AUTH_RESOURCE)  # type: ignore[untyped-decorator]  # Jupyter's
    async def post(self) -> None:
        wanted = self.read(DeleteRequest)
        try:
            await self.on_session(
                wanted,
                lambda session: session.ask_plainly(
                    DeleteVariable(wanted.name), queue_timeout=PATIENCE
                ),
            )
        except CallTimeout:
            text = f"{wanted.name} stays: something runs in the session. Try again when it is over."
            raise web.HTTPError(409, text) from None
        self.answer(Done(True))


class SessionReplaceHandler(_SessionHandler):
    """POST: end a session with what runs in it, or have a new, empty one in its place."""

    def initialize(self, feed: PanelFeed, how: Literal["restart", "end"]) -> None:  # type: ignore[override]  # one more
        self.feed = feed
        self.how = how

    @web.authenticated
    @authorized("execute", AUTH_RESOURCE)  # type: ignore[untyped-decorator]  # Jupyter's
    async def post(self) -> None:
        wanted = self.read(SessionRequest)
        try:
            done = await self.on_session(wanted, lambda session: getattr(session, self.how)())
        except CallTimeout as error:
            raise web.HTTPError(504, str(error)) from None
        self.answer(Done(done))


def _variables(session: RemoteSession) -> list[Variable]:
    told = session.ask_plainly(ListVariables(), queue_timeout=PATIENCE).variables
    return [
        msgspec.convert({"name": name, **asdict(what)}, Variable)
        for name, what in sorted(told.items())
    ]


async def _sessions_on(client: Client, node_id: str) -> list[SessionRow] | None:
    """The sessions of a node; None if it does not answer."""
    from easyremote.client.session import ask_for_sessions

    try:
        async with asyncio.timeout(ANSWER_LIMIT):
            # In a thread, because it may have to wait for the connection.
            told = await (await asyncio.to_thread(ask_for_sessions, client, node_id))
        return [SessionRow(node_id, **asdict(each)) for each in told.sessions]
    except (EasyRemoteError, TimeoutError, msgspec.ValidationError):
        return None
