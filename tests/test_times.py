"""What is a time, and what people are told of what is none."""

from __future__ import annotations

import numpy
import pytest

from easyremote.errors import UsageError
from easyremote.times import LONGEST, check_seconds, is_time

NO_TIMES = [float("nan"), float("inf"), float("-inf"), -1, -0.001, True, "5", None, 1e300, 1 + 2j]


@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
def test_what_cannot_be_waited_is_no_time(value: object) -> None:
    assert not is_time(value)
    with pytest.raises(UsageError, match="timeout is in seconds and above 0, not "):
        check_seconds(value, "timeout")


@pytest.mark.parametrize("value", [1, 0.5, LONGEST, numpy.float32(2), numpy.int64(2)], ids=repr)
def test_numbers_of_seconds_are_times(value: object) -> None:
    assert is_time(value)
    check_seconds(value, "timeout")


def test_nothing_is_a_time_only_where_it_is_allowed() -> None:
    assert is_time(0)
    check_seconds(0, "hold", zero=True)
    with pytest.raises(UsageError, match="above 0, not 0"):
        check_seconds(0, "timeout")
