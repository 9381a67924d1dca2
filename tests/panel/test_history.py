"""Five minutes of samples for each meter of each node."""

from __future__ import annotations

from easyremote.panel.history import LENGTH, History, meters
from easyremote.panel.messages import GpuRow, NodeRow


def node(
    node_id: str,
    cpu: float | None = 0.5,
    state: str = "online",
    gpus: int = 0,
    received: float | None = 1_234_567.0,
) -> NodeRow:
    return NodeRow(
        *(node_id, state, 1.0, "3.11.7", "3.0.0", [], 0, 1, 2, cpu, 1000, 4000),
        gpus=[GpuRow("A100", 0.25, 1, 2)] * gpus,
        received=received,
        sent=received and 400.0,
    )


def test_the_meters_are_cpu_and_ram_the_network_then_each_gpu() -> None:
    assert meters(node("a", gpus=2)) == [50, 25, 1235, 0, 25, 50, 25, 50]


def test_what_is_not_known_is_no_zero() -> None:
    assert meters(node("a", cpu=None, received=None)) == [None, 25, None, None]
    assert meters(node("a", state="offline", gpus=1)) == [None] * 6


def test_the_series_may_begin_after_a_sample() -> None:
    history = History()
    for cpu in (0.1, 0.2, 0.3):
        history.add([node("a", cpu)])
    assert [history.series(after)["a"][0] for after in (0, 1, 3)] == [[10, 20, 30], [20, 30], []]


def test_a_value_beyond_its_whole_stays_within_it() -> None:
    assert meters(node("a", cpu=1.3))[0] == 100


def test_the_oldest_sample_makes_room_after_five_minutes() -> None:
    history = History()
    for number in range(LENGTH + 5):
        history.add([node("a", number / 1000)])
    [cpu, *others] = history.series()["a"]
    assert [len(each) for each in (cpu, *others)] == [LENGTH] * 4
    assert (cpu[0], cpu[-1]) == (1, 30)
    assert history.sample == LENGTH + 5


def test_a_node_that_came_later_has_a_shorter_series_and_one_that_left_has_none() -> None:
    history = History()
    history.add([node("a"), node("b")])
    history.add([node("a"), node("c")])
    assert {name: len(cpu) for name, [cpu, *_] in history.series().items()} == {"a": 2, "c": 1}


def test_a_second_without_news_is_a_gap() -> None:
    history = History()
    history.add([node("a")])
    history.skip()
    history.add([node("a")])
    assert history.series()["a"][0] == [50, None, 50]
    assert history.sample == 3


def test_a_gpu_that_appears_gets_a_series_of_its_own() -> None:
    history = History()
    history.add([node("a")])
    history.add([node("a", gpus=1)])
    assert history.series()["a"][4:] == [[25], [50]]
    assert [len(each) for each in history.series()["a"][:4]] == [2] * 4
