"""Connections and wrong keys of strangers: who is cut, who is not admitted, what is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyremote.gateway.http import strangers
from easyremote.gateway.http.strangers import (
    MANY,
    MAX_CONNECTIONS,
    MAX_WRONG_KEYS,
    NEW,
    WINDOW,
    Strangers,
    Visit,
    WrongKeys,
    group_of,
)


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", ""),
        ("127.9.9.9", ""),
        ("::1", ""),
        ("::ffff:127.0.0.1", ""),
        ("", ""),
        ("no address", ""),
    ],
)
def test_an_address_stands_for_its_owner(address: str, group: str) -> None:
    assert group_of(address) == group


class Cut(Visit):
    """A visit that notes its end."""

    def __init__(self, group: str = "") -> None:
        super().__init__(group)
        self.is_cut = False
        self.cut = self._note

    def _note(self) -> None:
        self.is_cut = True


def test_who_is_silent_longest_makes_room() -> None:
    door = Strangers(limit=100, limit_of_strangers=3)
    visits = [Cut() for _ in range(5)]
    for visit in visits[:3]:
        door.came(visit, 0.0)
    door.is_known(visits[0])  # a call runs
    door.came(visits[3], 0.0)
    assert [visit.is_cut for visit in visits[:4]] == [False] * 4
    door.is_silent(visits[0], 0.0)  # now the newest of the silent ones, and one too many
    door.came(visits[4], 0.0)
    assert [visit.is_cut for visit in visits] == [False, True, False, False, False]


def test_while_many_come_at_once_the_next_one_waits() -> None:
    door = Strangers(limit=1000, limit_of_strangers=1000)
    visits = [Cut() for _ in range(MANY)]
    for visit in visits[1:]:
        door.came(visit, 5.0)
    assert not door.are_many_and_new(5.0)
    door.came(visits[0], 5.0)
    assert door.are_many_and_new(5.0)
    door.is_known(visits[0])
    assert not door.are_many_and_new(5.0)
    door.is_silent(visits[0], 6.0)
    assert door.are_many_and_new(6.0)


def test_who_is_silent_holds_up_nobody_for_long() -> None:
    door = Strangers(limit=1000, limit_of_strangers=1000)
    for _ in range(2 * MANY):
        door.came(Cut(), 0.0)
    assert not door.are_many_and_new(NEW)


def test_known_connections_are_never_cut() -> None:
    door = Strangers(limit=2, limit_of_strangers=2)
    known, late = [Cut(), Cut()], Cut()
    for visit in known:
        door.came(visit, 0.0)
        door.is_known(visit)
    door.came(late, 0.0)
    assert [visit.is_cut for visit in known] == [False, False]
    assert late.is_cut


def test_an_address_has_a_number_of_connections_without_a_key() -> None:
    door = Strangers(limit=1000, limit_of_strangers=1000)
    visits = [Cut("203.0.113.9") for _ in range(MAX_CONNECTIONS)]
    for visit in visits:
        assert door.admits(visit.group)
        door.came(visit, 0.0)
    assert not door.admits("203.0.113.9")
    assert door.admits("203.0.113.10")
    assert door.admits("")
    door.is_known(visits[0])
    assert door.admits("203.0.113.9")
    door.is_silent(visits[0], 0.0)
    door.left(visits[1])
    door.left(visits[1])
    assert door.admits("203.0.113.9")


STEPS = st.lists(
    st.tuples(st.sampled_from(["came", "is_known", "is_silent", "left"]), st.integers(0, 5))
)


@given(STEPS)
def test_nothing_stays_of_those_who_left(steps: list[tuple[str, int]]) -> None:
    door = Strangers(limit=4, limit_of_strangers=3)
    visits = [Cut(f"203.0.113.{number % 2}") for number in range(6)]
    came = set()
    for step, number in steps:
        if step == "came" and (number in came or visits[number].is_cut):
            continue
        came.add(number)
        when = (0.0,) if step in ("came", "is_silent") else ()
        getattr(door, step)(visits[number], *when)
        assert len(door) <= 4
    for visit in visits:
        door.left(visit)
    assert len(door) == 0
    assert not door._counts
    assert not door._visits


def test_wrong_keys_are_counted_for_a_minute() -> None:
    wrong = WrongKeys()
    assert [wrong.note("a", 0.0) for _ in range(MAX_WRONG_KEYS + 1)] == [
        *([False] * MAX_WRONG_KEYS),
        True,
    ]
    assert not wrong.note("b", 0.0)
    assert wrong.note("a", WINDOW - 1)
    assert not wrong.note("a", WINDOW)


def test_addresses_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "MAX_ADDRESSES", 10)
    wrong = WrongKeys()
    for number in range(100):
        wrong.note(str(number), 0.0)
    assert len(wrong._seen) == 10
