"""Policies of retries: what people write, what travels, and what is tried again when."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from easyremote import RetryPolicy, raised
from easyremote.errors import UsageError
from easyremote.options.retries import LONGEST_WAIT, Retry, parse_retry


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        (None, None),
        ("exponential_backoff", Retry(3, 0.5, 30.0)),
        ("fixed", Retry(3, 0.5, 30.0, is_fixed=True)),
        ("none", Retry(1)),
        (
            RetryPolicy(max_attempts=5, first=1, longest=60, on=(OSError, "MyError")),
            Retry(5, 1.0, 60.0, on=("OSError", "MyError")),
        ),
    ],
)
def test_policies_are_read(given: Any, policy: Retry | None) -> None:
    assert parse_retry(given) == policy
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(policy), type=Retry | None) == policy


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("exponential", "can't be 'exponential'. Did you mean 'exponential_backoff'"),
        (3, "can't be 3. It is one of 'exponential_backoff', 'fixed', 'none'"),
    ],
)
def test_what_is_no_policy_is_refused(given: Any, text: str) -> None:
    with pytest.raises(UsageError, match=f"retry_policy.*{text}"):
        parse_retry(given)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_attempts": 0}, "max_attempts is a number from 1 to 100, not 0"),
        ({"max_attempts": True}, "max_attempts is a number"),
        ({"max_attempts": 1000}, "max_attempts is a number"),
        ({"first": -1}, "first is in seconds and 0 or more, not -1"),
        ({"longest": float("nan")}, "longest is in seconds"),
        ({"longest": 2 * LONGEST_WAIT}, "longest is at most 86400 s, a day"),
        ({"wait": "linear"}, "wait can't be 'linear'"),
        ({"on": OSError}, "on is a tuple of exceptions"),
        ({"on": "OSError"}, "on is a tuple of exceptions"),
        ({"on": (3,)}, "on is a tuple of exceptions"),
        ({"on": (int,)}, "on is a tuple of exceptions"),
        ({"on": ("E",) * 101}, "on names at most 100 exceptions"),
    ],
)
def test_a_policy_that_can_not_be_is_refused_where_it_is_made(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=f"RetryPolicy: {text}"):
        RetryPolicy(**options)


def test_waits_double_up_to_the_longest_and_a_random_part_of_each_is_waited() -> None:
    policy = Retry(10, first=0.5, longest=3.0)
    assert [policy.wait(attempts, 1.0) for attempts in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert policy.wait(3, 0.25) == 0.5
    assert policy.wait(100, 1.0) == 3.0
    assert [Retry(is_fixed=True).wait(attempts, 0.1) for attempts in (1, 2, 9)] == [0.5] * 3


class Refused(ConnectionError):
    pass


def details(error: BaseException, **more: object) -> dict[str, Any]:
    return {"type_name": type(error).__name__, "exception": raised.described(error), **more}


@pytest.mark.parametrize(
    ("code", "more", "is_covered"),
    [
        *[(code, {}, True) for code in ("lost", "crashed", "offline", "out-of-memory")],
        *[(code, {}, False) for code in ("cancelled", "timeout", "usage", "not-found", "internal")],
        ("raised", details(Refused("no")), True),  # an OSError, by its base
        ("raised", details(ValueError("no")), False),
        ("raised", details(Refused("no"), bad_arguments=True), False),
        ("raised", {"type_name": "OSError"}, True),
        ("raised", {"exception": {"class": 3}}, False),
    ],
)
def test_what_is_tried_again(code: str, more: dict[str, Any], is_covered: bool) -> None:
    assert Retry(on=("OSError",)).covers(code, more) == is_covered
