"""What is expected of a function's next call."""

from __future__ import annotations

import pytest

from easyremote.gateway.scheduling import estimates
from easyremote.gateway.scheduling.estimates import SMOOTHING, UNKNOWN, Estimates, smoothed


def test_the_first_figure_is_taken_whole_and_later_ones_count_for_a_part() -> None:
    known = Estimates()
    assert (known.of("f"), known.is_known("f")) == (UNKNOWN, False)
    known.ran("f", 10.0)
    assert (known.of("f"), known.is_known("f")) == (10.0, True)
    known.ran("f", 20.0)
    assert known.of("f") == pytest.approx(10.0 + SMOOTHING * 10.0) == smoothed(10.0, 20.0)
    assert known.of("g") == UNKNOWN


def test_names_that_nobody_calls_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "REMEMBERED", 3)
    known = Estimates()
    for name in "abcd":
        known.ran(name, 5.0)
    assert [known.is_known(name) for name in "abcd"] == [False, True, True, True]
