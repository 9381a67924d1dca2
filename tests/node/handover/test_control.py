"""Asking a node of this machine for a handover, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from easyremote.errors import EasyRemoteError, NotFound, UsageError
from easyremote.node.handover.control import SUFFIX, Asker, Control, Said, ask, end
from tests.processes import LIMIT

pytestmark = pytest.mark.asyncio


async def refuse(asker: Asker) -> NoReturn:
    await asker.say(Said("Let me see."))
    raise UsageError("Not now.")


def asked(folder: Path, node_id: str | None = None) -> list[str]:
    """What a node says, with the error at the end."""
    lines: list[str] = []
    try:
        lines.extend(ask(folder, node_id))
    except EasyRemoteError as error:
        lines.append(f"{type(error).__name__}: {error}")
    return lines


async def in_thread(function: Callable[..., list[str]], *arguments: object) -> list[str]:
    async with asyncio.timeout(LIMIT):
        return await asyncio.to_thread(function, *arguments)


async def test_who_asks_hears_all_lines_and_why_there_is_no_handover(tmp_path: Path) -> None:
    path = tmp_path / f"one{SUFFIX}"
    async with Control(path, "one", refuse).listening():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for _ in range(2):
            assert await in_thread(asked, tmp_path) == ["Let me see.", "UsageError: Not now."]
    assert not path.exists()


async def test_the_next_program_says_the_last_word(tmp_path: Path) -> None:
    is_over = asyncio.Event()

    async def hand_over(asker: Asker) -> NoReturn:
        await asker.say(Said("It begins."))
        end(os.dup(asker.descriptor), Said("It is done.", is_last=True))
        await is_over.wait()
        raise UsageError("The test is over.")

    async with Control(tmp_path / f"one{SUFFIX}", "one", hand_over).listening():
        assert await in_thread(asked, tmp_path) == ["It begins.", "It is done."]
        (busy,) = await in_thread(asked, tmp_path)
        assert busy == "UsageError: The node is being handed over already."
        is_over.set()


async def test_one_of_several_nodes_has_to_be_named(tmp_path: Path) -> None:
    async with AsyncExitStack() as nodes:
        for name in ("two", "one"):
            control = Control(tmp_path / f"{name}{SUFFIX}", name, refuse)
            await nodes.enter_async_context(control.listening())
        (several,) = await in_thread(asked, tmp_path)
        assert (
            several
            == "NotFound: Several nodes run here: one, two. Name one of them, with --node-id."
        )
        assert await in_thread(asked, tmp_path, "two") == ["Let me see.", "UsageError: Not now."]
        (none,) = await in_thread(asked, tmp_path, "three")
        assert none.startswith("NotFound: No node 'three' can be handed over here.")
        assert "one, two" in none


async def test_the_socket_of_a_node_that_was_killed_is_no_node_and_is_replaced(
    tmp_path: Path,
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    path = folder / f"one{SUFFIX}"
    os.chdir(folder)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path.name)
    with pytest.raises(NotFound, match="by `easyremote node`: none"):
        next(ask(folder, None))
    async with Control(path, "one", refuse).listening():
        assert (await in_thread(asked, folder))[-1] == "UsageError: Not now."


async def test_a_node_that_ends_meanwhile_and_a_mistake_of_ours_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def die(asker: Asker) -> NoReturn:
        with socket.socket(fileno=os.dup(asker.descriptor)) as sock:
            sock.shutdown(socket.SHUT_RDWR)
        raise RuntimeError("a mistake")

    async with Control(tmp_path / f"one{SUFFIX}", "one", die).listening():
        (ended,) = await in_thread(asked, tmp_path)
    assert ended.startswith("UsageError: Node 'one' ended during the handover")
    assert "RuntimeError: a mistake" in caplog.text


async def test_where_no_socket_can_be_made_the_node_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        async with Control(tmp_path / "file" / f"one{SUFFIX}", "one", refuse).listening():
            pass
    assert "one can't be handed over to newer code" in caplog.text
