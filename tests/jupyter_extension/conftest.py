"""A real kernel with the magics, beside a real gateway and node."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.processes import LIMIT, REPOSITORY, Gateway

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def is_header(content: dict[str, Any]) -> bool:
    """Whether it is the line of a long cell, which any may have on a busy machine."""
    return "easyremote-header" in str(content.get("data", {}).get("text/html", ""))


@dataclass
class Shown:
    """What one cell showed, as messages of the kernel."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    #: The content of the reply: ``status``, and for an error ``ename``.
    reply: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[dict[str, Any]]:
        contents = [m["content"] for m in self.messages if m["msg_type"] == kind]
        return [content for content in contents if not is_header(content)]

    def headers(self) -> list[str]:
        """The line of a long cell, each time that it was drawn."""
        contents = [m["content"] for m in self.messages]
        return [content["data"]["text/plain"] for content in contents if is_header(content)]

    def text(self, name: str = "stdout") -> str:
        parts = [m["text"] for m in self.of("stream") if m["name"] == name]
        return _ESCAPES.sub("", "".join(parts))

    def story(self) -> str:
        """All of it, for a failing test."""
        lines = [f"{m['msg_type']}: {m['content']}" for m in self.messages]
        return _ESCAPES.sub("", "\n".join([*lines, str(self.reply)]).replace("\\x1b", "\x1b"))

    @property
    def value(self) -> str:
        (result,) = self.of("execute_result")
        return str(result["data"]["text/plain"])

    @property
    def traceback(self) -> str:
        (error,) = self.of("error")
        return _ESCAPES.sub("", "\n".join(error["traceback"]))


class Kernel:
    """A kernel that knows the gateway, with the extension loaded."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(env=environment)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=LIMIT)
        self.run("%load_ext easyremote")

    def run(
        self, code: str, *, interrupt_at: str = "", fails: bool = False, has_user: bool = False
    ) -> Shown:
        """Run a cell; interrupt it when `interrupt_at` was shown.

        Without a user nobody answers `input`, and Output widgets need no front end.
        """
        shown = Shown()

        def hook(message: dict[str, Any]) -> None:
            shown.messages.append(message)
            if interrupt_at and interrupt_at in str(message["content"].get("text", "")):
                self._manager.interrupt_kernel()

        reply = self._client.execute_interactive(
            code, allow_stdin=has_user, output_hook=hook, timeout=LIMIT
        )
        shown.reply = reply["content"]
        expected = "error" if fails or interrupt_at else "ok"
        assert shown.reply["status"] == expected, shown.story()
        return shown

    def run_until(self, code: str, enough: Callable[[Shown], bool]) -> Shown:
        """Run a cell that goes on until it is interrupted, which is when it has shown enough."""
        shown = Shown()

        def hook(message: dict[str, Any]) -> None:
            shown.messages.append(message)
            if enough(shown):
                self._manager.interrupt_kernel()

        reply = self._client.execute_interactive(
            code, allow_stdin=False, output_hook=hook, timeout=LIMIT
        )
        shown.reply = reply["content"]
        return shown

    def idle_until(self, enough: Callable[[Shown], bool]) -> Shown:
        """What it shows while no cell runs, until that is enough."""
        shown = Shown()
        deadline = time.monotonic() + LIMIT
        while not enough(shown):
            left = deadline - time.monotonic()
            assert left > 0, shown.story()
            with contextlib.suppress(queue.Empty):
                shown.messages.append(self._client.get_iopub_msg(timeout=left))
        return shown

    def press(self, comm_id: str) -> None:
        """What the front end says when the button of this comm is pressed."""
        data = {"method": "custom", "content": {"event": "click"}}
        content = {"comm_id": comm_id, "data": data}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", content))

    def close(self) -> None:
        """End it as Jupyter does, if it was not killed; its node then need not wait for it."""
        self._client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel()

    def kill(self) -> None:
        """End its process at once."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def notebook_environment(gateway: Gateway) -> dict[str, str]:
    paths = [str(REPOSITORY), str(REPOSITORY / "jupyter_extension")]
    return {
        **gateway.environment(),
        "PYTHONPATH": os.pathsep.join(paths),
        "IPYTHONDIR": str(gateway.home / "ipython"),
    }


@pytest.fixture(scope="module")
def kernel(gateway: Gateway, node: subprocess.Popen[str]) -> Iterator[Kernel]:
    started = Kernel(notebook_environment(gateway))
    yield started
    started.close()
