"""`scaling`: what is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from easyremote import Scaling
from easyremote.errors import UsageError
from easyremote.options.scaling import parse_scaling


def test_auto_is_none_to_as_many_as_cores_for_a_minute() -> None:
    assert parse_scaling("auto") == Scaling(min=0, max=None, idle=60.0)
    assert parse_scaling(Scaling(1, 2)) == Scaling(1, 2)


@pytest.mark.parametrize("given", ["automatic", True, 3, {"max": 3}])
def test_others_are_refused(given: object) -> None:
    with pytest.raises(UsageError, match=r"scaling, if it is no Scaling.* It is one of 'auto'"):
        parse_scaling(given)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max": 0}, "max is from 1 to 1000, not 0"),
        ({"max": 1001}, "max is from 1 to 1000"),
        ({"max": True}, "max is from 1 to 1000"),
        ({"min": -1}, "min is from 0 to max"),
        ({"min": 3, "max": 2}, r"min is from 0 to max \(2\), not 3"),
        ({"min": 0.5}, "min is from 0 to max"),
        ({"idle": 0}, "idle is in seconds and above 0"),
        ({"idle": float("nan")}, "idle is in seconds"),
    ],
)
def test_numbers_that_can_not_be_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=f"Scaling: {text}"):
        Scaling(**options)
