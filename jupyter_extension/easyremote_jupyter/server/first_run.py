"""What a newcomer does first: start a gateway and a node here, or connect to a gateway elsewhere.

The Jupyter server owns the processes, and they end with it. An address and a key are tried and then
kept where ``easyremote login`` keeps them; the key goes nowhere else. If an environment variable or
a login already names a gateway, none is started here, because nobody would use it.
``tests/jupyter_extension/server/test_first_run.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from typing import Literal

import msgspec

from easyremote import config
from easyremote.errors import EasyRemoteError, InternalError, NotAuthorized, UsageError
from easyremote.identity import Key
from easyremote_jupyter.owned import END_LIMIT, READY

#: Seconds in which a gateway and a node are online, on a busy machine.
START_LIMIT = 60.0

Missing = Literal["gateway", "node", ""]


class Setup(msgspec.Struct):
    """What can be done about the gateway, for the panel."""

    #: What "start one here" would start; empty where it would not help.
    start: Missing
    #: Whether another gateway can be named.
    connect: bool


class BadInput(Exception):
    """A field of the form that has to change, and why."""

    def __init__(self, field: Literal["address", "key"], message: str) -> None:
        super().__init__(message)
        self.field = field


class FirstRun:
    """The gateway and the node that this Jupyter server owns, if any."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._starting = asyncio.Lock()

    def setup(self, *, is_connected: bool) -> Setup:
        """What can be done now. Reads files."""
        address, source = config.find_gateway()
        missing: Missing = ""
        if not address:
            missing = "gateway"
        elif source == config.FROM_HERE:
            missing = "node" if is_connected else "gateway"
        return Setup(missing, not _variables())

    async def start(self, *, is_connected: bool) -> None:
        """Start what is missing; returns when the node is online.

        Raises
        ------
        UsageError
            Another gateway is configured.
        EasyRemoteError
            It did not start; the message says why.
        """
        async with self._starting:
            missing = (await asyncio.to_thread(self.setup, is_connected=is_connected)).start
            if not missing:
                address, source = config.find_gateway()
                raise UsageError(
                    f"The gateway {address} is in use, from {source}. Start a node for it on the "
                    "machine that computes: easyremote node"
                )
            await self._end()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "easyremote_jupyter.owned", missing),
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,  # Ctrl-C is for the Jupyter server, which asks first
            )
            await self._wait_until_ready(self._process)

    async def connect(self, address: str, text: str) -> None:
        """Try a gateway and a client key for it, and keep them.

        Raises
        ------
        BadInput
            The address or the key is wrong; the error names which.
        """
        if variables := _variables():
            raise BadInput(
                "address",
                f"{variables} of the Jupyter server says which gateway is used. Unset it, and "
                "start the Jupyter server again.",
            )
        try:
            config.normalise(address)
        except UsageError as error:
            raise BadInput("address", str(error)) from None
        try:
            key = Key.parse(text)
        except UsageError as error:
            raise BadInput("key", str(error)) from None
        if key.kind != "client":
            raise BadInput("key", f"That is a {key.kind} key. The panel needs a client key.")
        await asyncio.to_thread(_try, address.strip(), key)

    async def aclose(self) -> None:
        """End what was started here. Safe to repeat."""
        async with self._starting:
            await self._end()

    async def _wait_until_ready(self, process: Process) -> None:
        assert process.stdout is not None, "it is a pipe"
        line = b""
        with contextlib.suppress(TimeoutError):
            line = await asyncio.wait_for(process.stdout.readline(), START_LIMIT)
        said = line.decode(errors="replace").strip()
        if said != READY:
            await self._end()
            raise InternalError(
                said or "It did not start. The log of the Jupyter server has the details."
            )

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None, "it is a pipe"
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 2 * END_LIMIT)
        except TimeoutError:
            process.kill()
            await process.wait()


def _variables() -> str:
    """The environment variables that override what could be done here, as text."""
    names = (config.GATEWAY_VARIABLE, config.KEY_VARIABLE)
    return " and ".join(name for name in names if os.environ.get(name))


def _try(address: str, key: Key) -> None:
    from easyremote import Client

    try:
        with Client(address, str(key)) as client:
            client.connect()
    except NotAuthorized as error:
        raise BadInput("key", str(error)) from None
    except EasyRemoteError as error:
        raise BadInput("address", str(error)) from None
    config.save_login(address, key)
