"""`ServedNode` on its own: the test plays a gateway that lies, or makes mistakes."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from easyremote.config import Settings
from easyremote.errors import ProtocolError
from easyremote.node.functions import Functions
from easyremote.node.in_force import RulesInForce
from easyremote.node.policy import NodePolicy
from easyremote.node.registered.runner import Runner
from easyremote.node.resources import ResourceMeter
from easyremote.node.served import ServedNode
from easyremote.node.spool import NodeSpool
from easyremote.protocol.builtins import BUILTINS, OF_NODES, RULES
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.messages import (
    Cancel,
    Dispatch,
    Finished,
    Message,
    Payload,
    Welcome,
)
from easyremote.serialize.values import dump_call
from tests.processes import LIMIT
from tests.protocol.wires import open_link, sent_by

pytestmark = pytest.mark.asyncio


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._path),)


def dumped(*args: object) -> bytes:
    return b"".join(bytes(part) for part in dump_call(args, {}).parts)


class Served:
    """A node that is connected to the test."""

    def __init__(self, **policy: bool) -> None:
        functions = Functions()
        functions.register(lambda *values: len(values), name="count")
        self.runner = Runner(functions, 2, "n")
        self.node = ServedNode(
            Settings("127.0.0.1:1", ""),
            "n",
            functions,
            self.runner,
            NodePolicy(slots=2, processes=1, **policy),
            RulesInForce({}),
            threading.Event(),
            {},
            ResourceMeter(),
            NodeSpool(Path("no folder"), "n", "k"),
        )
        self.link = open_link()
        self.node.opened(self.link, Welcome((1, 0), b"g" * 16), time.monotonic())
        sent_by(self.link)
        self._last = 0

    def say(self, message: Message) -> None:
        """What the connection does with a message."""
        try:
            self.node.receive(message, time.monotonic())
        except ProtocolError:
            raise
        except Exception as error:
            self.node.failed(message, error)

    def dispatch(self, function: str, body: bytes = b"", encoding: str = "pickle5") -> None:
        self._last += 1
        payload = Payload(encoding, len(body), body)
        call_id = self._last.to_bytes(16, "big")
        self.say(Dispatch(self._last, call_id, self._last, function, payload, "s", 0.0, "alice"))

    async def outcome(self) -> Finished:
        """The one outcome that the node says next."""
        async with asyncio.timeout(LIMIT):
            while not (ends := [each for each in sent_by(self.link) if type(each) is Finished]):
                await asyncio.sleep(0.01)
        (finished,) = ends
        return finished

    async def error(self) -> tuple[str, str]:
        """The code and the text of the one error that the node says next."""
        finished = await self.outcome()
        code, text, details = unpack_error(finished.payload.data)
        assert (finished.code, finished.may_have_run) == (code, details["may_have_run"])
        return code, text

    async def close(self) -> None:
        await self.node._sessions.processes.close()
        self.runner.close()


#: All but the question for the owner's rules, which runs no code.
OF_CODE = [name for name in OF_NODES if name != RULES]


@pytest.mark.parametrize("function", [*OF_CODE, "$of_a_later_version"])
async def test_a_node_without_code_refuses_every_builtin_itself(
    function: str, tmp_path: Path
) -> None:
    served = Served(allow_code=False)
    served.dispatch(function, pickle.dumps(Trap(tmp_path / "ran")))
    code, text = await served.error()
    assert code == "not-found"
    assert "runs only the functions that it registered, no cells and no shipped code" in text
    assert list(served.node._sessions.processes) == []
    assert not (tmp_path / "ran").exists()
    await served.close()


@pytest.mark.parametrize("encoding", ["msgpack", "pickle4", ""])
async def test_arguments_in_an_unknown_encoding_are_not_opened(
    encoding: str, tmp_path: Path
) -> None:
    served = Served()
    served.dispatch("count", pickle.dumps(((Trap(tmp_path / "ran"),), {})), encoding)
    code, text = await served.error()
    assert (code, "they were not opened" in text) == ("protocol", True)
    assert not (tmp_path / "ran").exists()
    await served.close()


@pytest.mark.parametrize("function", OF_NODES)
async def test_a_builtin_takes_no_arguments_in_an_encoding_that_is_not_its_own(
    function: str,
) -> None:
    served = Served(allow_code=True)
    for encoding in {"json", "pickle5", "msgpack"} - {BUILTINS[function].encoding}:
        served.dispatch(function, b"", encoding)
        code, text = await served.error()
        assert (code, text) == ("protocol", f"{function} takes no arguments in {encoding!r}.")
    assert list(served.node._sessions.processes) == []
    await served.close()


async def test_a_call_that_can_not_be_started_ends_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = Served()
    start = served.runner.start

    def broken(*args: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(served.runner, "start", broken)
    served.dispatch("count")
    assert await served.error() == (
        "internal",
        "count() can't be run: RuntimeError('a mistake of ours').",
    )
    monkeypatch.setattr(served.runner, "start", start)
    served.dispatch("count", dumped(1, 2))
    assert (await served.outcome()).code == ""
    await served.close()


async def test_a_cancel_that_breaks_down_ends_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    served, gate = Served(), threading.Event()
    served.node._functions.register(lambda: gate.wait(LIMIT), name="waits")

    def broken(*args: object, kill: bool) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(served.runner, "cancel", broken)
    served.dispatch("waits", dumped())
    served.say(Cancel(1))
    code, text = await served.error()
    assert (code, "can't handle a Cancel" in text) == ("internal", True)
    gate.set()
    await served.close()


async def test_a_gateway_that_breaks_the_protocol_is_left_to_the_connection() -> None:
    served = Served()
    with pytest.raises(ProtocolError, match="announced wrongly"):
        served.say(Dispatch(1, b"c" * 16, 1, "count", Payload("pickle5", 0, b"", 4)))
    await served.close()
