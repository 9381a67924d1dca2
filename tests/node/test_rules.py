"""The rules of a node's owner: how they are written, and when something new may start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from easyremote.errors import UsageError
from easyremote.node.rules import MachineState, OwnersRules

PLUGGED_IN = MachineState()
ON_BATTERY = MachineState(on_battery=True)
IN_USE = MachineState(is_in_use=True)
BERLIN = ZoneInfo("Europe/Berlin")


def closed(rules: dict[str, object], clock: str = "12:00", state: MachineState = PLUGGED_IN) -> str:
    return OwnersRules.read(rules).why_closed(datetime.fromisoformat(f"2026-11-28T{clock}"), state)


@pytest.mark.parametrize(
    ("hours", "open_at", "closed_at"),
    [
        ("22-7", ["22:00", "23:59:59", "00:00", "06:59:59"], ["07:00", "12:00", "21:59:59"]),
        ("22:30-7:15", ["22:30", "07:14:59"], ["22:29:59", "07:15"]),
        ("9-17", ["09:00", "16:59"], ["08:59", "17:00", "00:00"]),
        ("22 - 24", ["22:00", "23:59:59"], ["00:00", "21:59"]),
        ("0-7", ["00:00", "06:59"], ["07:00", "23:59"]),
        ("9:00-9:01", ["09:00:59"], ["09:01"]),
    ],
)
def test_hours_start_with_their_first_minute_and_may_go_over_midnight(
    hours: str, open_at: list[str], closed_at: list[str]
) -> None:
    assert {closed({"hours": hours}, clock) for clock in open_at} == {""}
    (why,) = {closed({"hours": hours}, clock) for clock in closed_at}
    assert why.startswith("its owner lends it from ")


def test_people_are_told_when_the_hours_start() -> None:
    assert closed({"hours": "22-7"}) == "its owner lends it from 22:00"
    assert closed({"hours": "22:30-7"}) == "its owner lends it from 22:30"


@pytest.mark.parametrize(
    ("night", "hours", "minutes"),
    [
        ("2026-03-28", "22-7", 8 * 60),  # at 2:00 the clock goes to 3:00
        ("2026-10-24", "22-7", 10 * 60),  # at 3:00 it goes back to 2:00
        ("2026-11-28", "22-7", 9 * 60),
        ("2026-03-28", "2:00-3:00", 0),  # an hour that this night does not have
        ("2026-10-24", "2:00-3:00", 2 * 60),  # one that it has twice
    ],
)
def test_the_clock_of_the_machine_decides_when_daylight_saving_starts_and_ends(
    night: str, hours: str, minutes: int
) -> None:
    rules = OwnersRules.read({"hours": hours})
    noon = datetime.fromisoformat(f"{night}T12:00").replace(tzinfo=BERLIN).astimezone(UTC)
    clock = [noon + timedelta(minutes=minute) for minute in range(24 * 60)]
    is_open = [not rules.why_closed(now.astimezone(BERLIN), PLUGGED_IN) for now in clock]
    assert sum(is_open) == minutes
    assert sum(a != b for a, b in zip(is_open, is_open[1:], strict=False)) == (2 if minutes else 0)


def test_a_rule_counts_only_where_it_is_given() -> None:
    assert closed({}, state=MachineState(True, True)) == ""
    assert closed({"on_battery": "no"}, state=ON_BATTERY) == "it runs on battery"
    assert closed({"on_battery": False}, state=PLUGGED_IN) == ""
    assert closed({"on_battery": "yes"}, state=ON_BATTERY) == ""
    assert closed({"only_when_idle": True}, state=IN_USE) == "its owner works on it"
    assert closed({"only_when_idle": "yes"}, state=PLUGGED_IN) == ""
    assert closed({"only_when_idle": False}, state=IN_USE) == ""


def test_a_share_of_the_machine_is_lent_and_at_least_one_core() -> None:
    rules = OwnersRules.read({"max-cpu": "50%", "max-memory": "16GB"})
    assert [rules.share_of(cores) for cores in (1, 2, 3, 8)] == [1, 1, 1, 4]
    assert [rules.memory_of(total) for total in (8 * 10**9, 64 * 10**9)] == [8 * 10**9, 16 * 10**9]
    everything = OwnersRules.read({})
    assert (everything.share_of(8), everything.memory_of(10**9)) == (8, 10**9)


@pytest.mark.parametrize(
    ("name", "values", "how"),
    [
        ("max_cpu", ["0%", "101%", "50", "-5%", "nan%", 0.5, True, ""], "as '50%', not"),
        ("max_memory", ["0GB", "16", "16 apples", "-1GB", 16, ""], "as '16GB', not"),
        (
            "hours",
            ["22", "22-25", "22-7:60", "7-7", "0-24", "24-0", "10pm-7am", "22-7-9", "", 22, True],
            "as '22-7' or '22:30-7:00', not",
        ),
        ("on_battery", ["nope", 1, "False"], "is yes or no (in a file: true or false), not"),
        ("when_busy", ["", "stop", True, "Pause"], "is one of go-on, pause, cancel, not"),
        ("only_when_idle", ["", 0], "is yes or no (in a file: true or false), not"),
    ],
)
def test_a_wrong_value_is_refused_with_how_it_is_written(
    name: str, values: list[object], how: str
) -> None:
    for value in values:
        with pytest.raises(UsageError) as raised:
            OwnersRules.read({name: value})
        assert raised.value.message.startswith(name)
        assert f"{how} {value!r}." in raised.value.message


def test_a_wrong_word_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match=r"^The owner's rules have no 'max_cpus'\. Did you mean"):
        OwnersRules.read({"max-cpus": "50%"})
