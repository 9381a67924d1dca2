"""The paths of functions: what nodes offer, and to run one from a form.

``functions`` lists the functions; ``functions/run`` starts a call with plain arguments and
needs the permission to execute; ``runs/ID`` waits a while for its value. A run is a job like all
others and is cancelled like one.
``tests/jupyter_extension/server/test_functions_handlers.py`` proves it.
"""

from __future__ import annotations

import asyncio

import msgspec
from jupyter_server.auth.decorator import authorized
from tornado import web

from easyremote.errors import EasyRemoteError
from easyremote.panel.feed import PanelFeed
from easyremote.panel.messages import (
    FunctionList,
    FunctionRow,
    RunRequest,
    RunResult,
    unavailable,
)
from easyremote.panel.runs import Runs
from easyremote.protocol.builtins import is_builtin
from easyremote_jupyter.server.gateway_handler import (
    AUTH_RESOURCE,
    PATIENCE,
    GatewayHandler,
    refusal,
)


class FunctionsHandler(GatewayHandler):
    """GET: the functions of all nodes online."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        async with self.gateway() as client:
            try:
                found = await asyncio.to_thread(client.list_functions)
            except EasyRemoteError as error:  # the gateway has just gone
                raise refusal(unavailable(error, 1)) from None
        functions = [
            FunctionRow(
                *(each.node_id, each.name, each.signature, each.doc, each.streams, schema(each)),
                *(each.timeout, each.max_concurrency, each.public, each.needs),
            )
            for each in found
        ]
        self.answer(FunctionList(functions))


class RunHandler(GatewayHandler):
    """POST: call a function with the arguments of a form."""

    def initialize(self, feed: PanelFeed, runs: Runs) -> None:  # type: ignore[override]  # one more
        self.feed = feed
        self.runs = runs

    @web.authenticated
    @authorized("execute", AUTH_RESOURCE)  # type: ignore[untyped-decorator]  # Jupyter's
    async def post(self) -> None:
        wanted = self.read(RunRequest)
        async with self.gateway() as client:
            if is_builtin(wanted.function):
                raise web.HTTPError(400, f"{wanted.function!r} is no function of a node.")
            try:
                job = await asyncio.to_thread(
                    client.call_plain, wanted.function, wanted.arguments, node_id=wanted.node_id
                )
            except EasyRemoteError as error:
                raise web.HTTPError(400, str(error)) from None
        self.runs.add(job)
        self.answer(RunResult(job.call_id, "running"))


class RunResultHandler(GatewayHandler):
    """GET: the value of a run, or how it failed."""

    def initialize(self, feed: PanelFeed, runs: Runs) -> None:  # type: ignore[override]  # one more
        self.feed = feed
        self.runs = runs

    @web.authenticated
    @authorized
    async def get(self, call_id: str) -> None:
        with self.feed.subscribe():  # the client has to stay
            result = await self.runs.result(call_id, PATIENCE)
        if result is None:
            raise web.HTTPError(
                404, "There is no such run: only the last ones are kept. Run the function again."
            )
        self.answer(result)


def schema(function: object) -> msgspec.Raw:
    """The parameters of a function as JSON text, for use inside other JSON; null for none."""
    text = getattr(function, "parameters", "")
    try:
        decoded = msgspec.json.decode(text or "null", type=dict[str, object] | None)
    except msgspec.DecodeError:
        decoded = None  # a node can say anything
    return msgspec.Raw(msgspec.json.encode(decoded))
