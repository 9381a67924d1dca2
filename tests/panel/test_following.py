"""Bars of running jobs, with jobs that show what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any

import msgspec
import pytest

from easyremote.errors import CallLost, NotFound
from easyremote.events import Progress, Stream
from easyremote.panel.following import MAX_BARS, Following
from easyremote.panel.messages import JobRow
from easyremote.protocol.requests import CallStatus

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(10)]


def job(call_id: str, function: str = "cell", state: str = "running") -> JobRow:
    return JobRow(call_id, function, "gpu-node", state, 1.0)


def bar(n: float, /, key: str = "1", **changes: Any) -> Progress:
    plain = Progress(key, 0, "", n, 10, "it", None, 1.0, None, "running", leave=True)
    return msgspec.structs.replace(plain, **changes)


class FakeJob:
    """Shows what is put into its queue; None ends it with `answer`."""

    def __init__(self) -> None:
        self.script: asyncio.Queue[Any] = asyncio.Queue()
        self.answer: CallStatus | Exception = CallStatus("done")
        self.is_cancelled = False

    async def events_async(self) -> AsyncIterator[dict[str, Any]]:
        while (event := await self.script.get()) is not None:
            yield event

    def cancel(self) -> bool:
        self.is_cancelled = True
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(0).__await__()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class World:
    def __init__(self) -> None:
        self.jobs: dict[str, list[FakeJob]] = {}
        self.moved: asyncio.Queue[str] = asyncio.Queue()
        self.following = Following(self.follow, self.moved.put_nowait)

    async def follow(self, node_id: str, call_id: str) -> FakeJob:
        assert node_id == "gpu-node"
        self.jobs.setdefault(call_id, []).append(FakeJob())
        return self.jobs[call_id][-1]

    async def show(self, call_id: str, *events: Any) -> None:
        for event in events:
            self.jobs[call_id][-1].script.put_nowait(event)
            await self.moved.get()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def counts(self, call_id: str) -> list[float]:
        return [each.n for each in self.following.bars(call_id).bars]


async def test_a_running_cell_is_followed_once_and_its_newest_bars_are_known() -> None:
    world = World()
    for _ in range(3):
        world.following.update([job("a"), job("b", "train"), job("c", state="dispatched")])
        await world.settle()
    assert {key: len(each) for key, each in world.jobs.items()} == {"a": 1}
    await world.show("a", bar(1), bar(2), bar(5, "2", position=1))
    assert world.counts("a") == [2, 5]
    assert world.following.call_ids == ["a"]
    await world.following.aclose()
    assert world.jobs["a"][0].is_cancelled


async def test_a_bar_that_does_not_stay_is_gone_when_it_is_done() -> None:
    world = World()
    world.following.update([job("a")])
    await world.settle()
    await world.show("a", bar(1), bar(2, "2"), bar(10, state="done", leave=False))
    assert world.counts("a") == [2]
    await world.following.aclose()


async def test_of_very_many_bars_those_that_run_are_kept_from_the_outside_in() -> None:
    world = World()
    world.following.update([job("a")])
    await world.settle()
    for number in range(500):
        state = "done" if number % 2 else "running"
        await world.show("a", bar(number, str(number), position=499 - number, state=state))
    told = world.following.bars("a")
    assert (len(told.bars), told.count) == (MAX_BARS, 500)
    assert world.counts("a") == list(range(498, 498 - 2 * MAX_BARS, -2))
    await world.following.aclose()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"n": float("nan")}, (0.0, 10)),
        ({"total": float("inf")}, (3, None)),
        ({"total": None}, (3, None)),
        ({"n": 1e300, "total": 1}, (1e300, 1)),
    ],
)
async def test_odd_numbers_become_such_as_browsers_take(changes: Any, expected: Any) -> None:
    world = World()
    world.following.update([job("a")])
    await world.settle()
    await world.show("a", bar(3, **changes))
    [told] = world.following.bars("a").bars
    assert (told.n, told.total) == expected
    await world.following.aclose()


async def test_what_is_no_bar_and_what_is_too_long_does_no_harm() -> None:
    world = World()
    world.following.update([job("a")])
    await world.settle()
    world.jobs["a"][0].script.put_nowait(Stream("stdout", "no bar"))
    await world.show("a", bar(1, desc="x" * 10_000))
    [told] = world.following.bars("a").bars
    assert len(told.desc) == 200
    await world.following.aclose()


async def test_a_job_that_is_no_more_is_forgotten() -> None:
    world = World()
    world.following.update([job("a")])
    await world.settle()
    await world.show("a", bar(1))
    world.following.update([])
    await world.settle()
    assert world.following.call_ids == []
    assert world.jobs["a"][0].is_cancelled


@pytest.mark.parametrize(
    ("answer", "times"),
    [(CallStatus("queued"), 2), (CallStatus("done"), 1), (NotFound("no"), 1), (CallLost("no"), 1)],
)
async def test_only_one_that_had_not_begun_is_asked_again(answer: Any, times: int) -> None:
    world = World()
    world.following.update([job("a")])
    await world.settle()
    world.jobs["a"][0].answer = answer
    world.jobs["a"][0].script.put_nowait(None)
    await world.settle()
    world.following.update([job("a")])
    await world.settle()
    assert len(world.jobs["a"]) == times
    await world.following.aclose()
