"""Cells that another process of the same key has started: seen, followed, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from easyremote.client.client import Client
from easyremote.client.job import RemoteJob
from easyremote.client.session import Session, replay
from easyremote.errors import CallCancelled, RemoteError
from easyremote.events import Event, Progress
from easyremote.protocol.requests import CallStatus
from easyremote.protocol.snapshot import EndedJobInfo, JobInfo
from tests.processes import LIMIT, Gateway, wait_until

BARS = """
import time
from tqdm import tqdm
print("begun")
for _ in tqdm(range(10_000), desc="outer"):
    time.sleep(0.05)
"""


@pytest.fixture
def elsewhere(gateway: Gateway) -> Iterator[Client]:
    made = gateway.client()
    yield made
    made.close()


def start(client: Client, code: str, session: str) -> RemoteJob[dict[str, Any]]:
    return Session(client, "gpu-node", session).submit_cell(
        {"code": code, "count": 1}, origin="kernel/cell"
    )


def shown(client: Client) -> dict[str, JobInfo | EndedJobInfo]:
    answer = client._roster.ask()
    return {job.call_id: job for job in (*answer.jobs, *answer.ended)}


def test_a_cell_is_stopped_by_its_id_and_then_told_among_those_that_are_over(
    client: Client, elsewhere: Client
) -> None:
    job = start(client, BARS, "stopped")
    assert next(job.events(LIMIT)) is not None
    assert shown(elsewhere)[job.call_id].origin == "kernel/cell"
    assert elsewhere.stop(job.call_id)
    with pytest.raises(RemoteError, match="KeyboardInterrupt|^$"):
        job.result(LIMIT)
    assert not elsewhere.stop(job.call_id)
    wait_until(lambda: getattr(shown(elsewhere)[job.call_id], "code", "") == "cancelled")


def test_a_kill_ends_the_session_too(client: Client, elsewhere: Client) -> None:
    job = start(client, BARS, "killed")
    assert next(job.events(LIMIT)) is not None
    assert elsewhere.stop(job.call_id, kill=True)
    with pytest.raises(CallCancelled, match="its process killed"):
        job.result(LIMIT)
    assert Session(elsewhere, "gpu-node", "killed").end() is False


@pytest.mark.parametrize("kill", [True, False])
def test_a_cell_is_stopped_whose_process_is_still_being_started(client: Client, kill: bool) -> None:
    job = start(client, BARS, f"new-{kill}")
    assert client.stop(job.call_id, kill=kill)  # right behind it, on each link
    expected = "its process killed" if kill else "KeyboardInterrupt|^$"
    with pytest.raises(CallCancelled if kill else RemoteError, match=expected):
        job.result(LIMIT)


def test_the_bars_of_a_cell_are_followed_without_its_output_to_its_end(
    client: Client, elsewhere: Client
) -> None:
    job = start(client, BARS, "followed")
    assert next(job.events(LIMIT)) is not None

    async def follow() -> tuple[list[Event], CallStatus]:
        following = replay(elsewhere, "gpu-node", job.call_id, follow=True, bars_only=True)
        seen: list[Event] = []
        async with asyncio.timeout(LIMIT):
            async for event in following.events_async():
                seen.append(event)
                if isinstance(event, Progress) and event.n > 2:
                    elsewhere.stop(job.call_id)
            return seen, await following

    seen, answer = asyncio.run(follow())
    assert {type(event) for event in seen} == {Progress}
    last = seen[-1]
    assert isinstance(last, Progress)
    assert (last.desc, last.state) == ("outer", "failed")
    assert answer.error is not None
    code, _, details = answer.error
    assert (code, details["type_name"]) == ("raised", "KeyboardInterrupt")
