"""The rules that are in force: those given at the start, and a file that is edited meanwhile."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from easyremote.errors import UsageError
from easyremote.node import presence
from easyremote.node.in_force import RulesInForce

NOON = datetime(2026, 11, 28, 12)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text("hours = '22-7'\nmax-cpu = '50%'\n")
    return path


def test_an_edited_file_counts_from_the_next_look(file: Path) -> None:
    rules = RulesInForce({}, str(file))
    assert rules.look(NOON)
    assert (rules.closed, rules.rules.share_of(8)) == ("its owner lends it from 22:00", 4)
    assert not rules.look(NOON)
    file.write_text("hours = '8-20'")
    assert rules.look(NOON)
    assert (rules.closed, rules.rules.share_of(8)) == ("", 8)
    assert rules.look(NOON.replace(hour=20))
    assert rules.closed == "its owner lends it from 08:00"


def test_what_was_given_at_the_start_counts_more_than_the_file(file: Path) -> None:
    rules = RulesInForce({"hours": "8-20", "max_memory": None}, str(file))
    rules.look(NOON)
    assert (rules.closed, rules.rules.share_of(8)) == ("", 4)


def test_the_next_program_goes_on_with_what_was_changed_and_knows_what_it_was_started_with() -> (
    None
):
    before, after = RulesInForce({"hours": "22-7"}), RulesInForce({"hours": "22-7"})
    before.change({"hours": None, "max-cpu": "50%"})
    after.take_over(before.given)
    after.look(NOON)
    assert (after.closed, after.words) == ("", {"max_cpu": "50%"})
    assert after.at_start == {"hours": "22-7"}


@pytest.mark.parametrize("text", ["hours = 22-7", "hours = '25-7'", "max = 1", None])
def test_a_file_that_is_wrong_leaves_the_rules_as_they_were_and_is_told_once(
    file: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    rules = RulesInForce({}, str(file))
    rules.look(NOON)
    file.unlink() if text is None else file.write_text(text)
    assert not rules.look(NOON)
    assert not rules.look(NOON)
    assert rules.closed == "its owner lends it from 22:00"
    (told,) = caplog.messages
    assert told.startswith("The rules before it stay in force: ")
    assert str(file) in told
    with pytest.raises(UsageError, match=file.name):
        RulesInForce({}, str(file))


def test_what_its_owner_changes_counts_from_the_next_look_and_is_kept_in_the_file(
    file: Path,
) -> None:
    file.write_text("# nights\nhours = '22-7'  # sleep\nmax-cpu = '50%'\n")
    file.chmod(0o640)
    link = file.with_name("link.toml")
    link.symlink_to(file)
    rules = RulesInForce({"max_cpu": "25%", "on-battery": "no"}, str(link))
    assert rules.change({"hours": "8-20", "max-cpu": None, "only_when_idle": True}) == {}
    assert rules.rules.share_of(8) == 2
    assert rules.look(NOON)
    assert rules.rules.share_of(8) == 8
    assert rules.words == {"hours": "8-20", "only_when_idle": "yes", "on_battery": "no"}
    assert rules.at_start == {"max_cpu": "25%", "on_battery": "no"}
    kept = '# nights\nhours = "8-20"  # sleep\nonly_when_idle = true\n'
    assert (file.read_text(), file.stat().st_mode & 0o777) == (kept, 0o640)
    assert sorted(each.name for each in file.parent.iterdir()) == ["link.toml", "rules.toml"]
    assert link.is_symlink()


def test_without_a_file_a_change_holds_and_the_last_rule_can_be_lifted() -> None:
    rules = RulesInForce({"hours": "22-7"})
    rules.look(NOON)
    assert rules.closed
    assert rules.change({"hours": None}) == {}
    assert rules.may_change
    assert rules.look(NOON)
    assert (rules.closed, rules.words, rules.may_change) == ("", {}, False)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"hours": "7-7", "max_cpu": None}, ["hours"]),
        ({"hours": 5, "max_cpu": "0%", "on_battery": "no"}, ["hours", "max_cpu"]),
        ({"hour": None}, ["hour"]),
    ],
)
def test_a_wrong_change_changes_nothing(
    file: Path, changes: dict[str, object], wrong: list[str]
) -> None:
    before = file.read_text()
    rules = RulesInForce({}, str(file))
    refused = rules.change(changes)
    assert list(refused) == wrong
    assert all(name in refused[name] for name in wrong)
    rules.look(NOON)
    assert (rules.words, file.read_text()) == ({"hours": "22-7", "max_cpu": "50%"}, before)


@pytest.mark.parametrize("text", [None, "hours = "])
def test_a_file_that_cannot_be_changed_is_told(file: Path, text: str | None) -> None:
    rules = RulesInForce({}, str(file))
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(UsageError, match=r"The rules in .* can't be changed"):
        rules.change({"hours": "8-20"})
    assert text is None or file.read_text() == text


def test_nobody_looks_where_no_rule_was_given() -> None:
    assert not RulesInForce({"max_cpu": None}).may_change
    assert RulesInForce({"hours": "22-7"}).may_change


@pytest.mark.parametrize(
    ("battery", "why"),
    [
        (SimpleNamespace(power_plugged=False), "it runs on battery"),
        (SimpleNamespace(power_plugged=True), ""),
        (SimpleNamespace(power_plugged=None), ""),
        (None, ""),
    ],
)
def test_a_battery_that_is_not_known_is_none(
    monkeypatch: pytest.MonkeyPatch, battery: object, why: str
) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    rules = RulesInForce({"on_battery": "no"})
    rules.look(NOON)
    assert rules.closed == why
    monkeypatch.delattr(psutil, "sensors_battery")
    rules.look(NOON)
    assert rules.closed == ""


def test_somebody_works_on_it_who_has_typed_lately(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = datetime.now().timestamp()
    typed = {"/dev/pts/0": now - 5000, "/dev/pts/1": now - 500}
    look_up(monkeypatch, typed)
    users = [SimpleNamespace(terminal=name) for name in ("pts/0", None, "gone")]
    monkeypatch.setattr(psutil, "users", lambda: users)
    rules = RulesInForce({"only_when_idle": True})
    rules.look(NOON)
    assert rules.closed == ""
    users.append(SimpleNamespace(terminal="pts/1"))
    rules.look(NOON)
    assert rules.closed == "its owner works on it"


def look_up(monkeypatch: pytest.MonkeyPatch, typed: dict[str, float]) -> None:
    def stat(path: str) -> SimpleNamespace:
        if path not in typed:
            raise FileNotFoundError(path)
        return SimpleNamespace(st_atime=typed[path])

    monkeypatch.setattr(presence.os, "stat", stat)


@pytest.mark.parametrize(("cores", "is_in_use"), [(0.5, True), (0.2, False)])
def test_somebody_works_on_it_whose_programs_are_busy_for_a_while(
    monkeypatch: pytest.MonkeyPatch, cores: float, is_in_use: bool
) -> None:
    clock, used = [1000.0], [50.0]
    monkeypatch.setattr(presence.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(presence, "_used_by_others", lambda: used[0])
    monkeypatch.setattr(presence.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(psutil, "users", list)
    watched = presence.Presence()
    after(clock, used, 10.0, 10.0)
    assert not watched.is_in_use()  # it may be a short burst
    after(clock, used, 20.0, 30.0 * cores - 10.0)
    assert watched.is_in_use() is is_in_use
    after(clock, used, 30.0, 0.0)
    assert not watched.is_in_use()


def after(clock: list[float], used: list[float], seconds: float, of_others: float) -> None:
    clock[0] += seconds
    used[0] += of_others
