"""The options of `register`: each as it is understood, and refused where it can't be."""

from __future__ import annotations

from typing import Any

import pytest

from easyremote import RetryPolicy
from easyremote.errors import UsageError
from easyremote.node.functions import Functions, Registrar
from easyremote.options.requirements import Requirements
from easyremote.options.retries import Retry
from easyremote.options.strategies import ONE_NODE


def spec(function: Any = lambda x: x, **options: Any) -> Any:
    functions = Functions()
    functions.register(function, **{"name": "f", **options})
    (registered,) = functions
    return registered.spec


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"description": "  What it does.\n  More."}, "doc", "What it does.\nMore."),
        ({"tags": ["maths", "slow"]}, "tags", ("maths", "slow")),
        ({"tags": {"team": "vision"}}, "tags", ("team=vision",)),
        ({"tags": {"b", "a"}}, "tags", ("a", "b")),
        ({"public": True}, "public", True),
        ({"public": True, "auth_required": True}, "auth_required", True),
        ({"stream": True}, "streams", True),
        ({"timeout": 60}, "timeout", 60.0),
        ({"timeout_seconds": 60}, "timeout", 60.0),
        ({"retry_policy": "fixed"}, "retry", Retry(is_fixed=True)),
        ({"retry_policy": RetryPolicy(on=(OSError,))}, "retry", Retry(on=("OSError",))),
        (
            {"resource_requirements": {"gpu": True, "memory": "8GB"}},
            "requirements",
            Requirements(gpu=1, memory=8 * 10**9),
        ),
        ({"max_concurrency": 2}, "max_concurrency", 2),
        ({"load_balancing": "round_robin"}, "balancing", "round_robin"),
        ({"load_balancing": "resource_aware"}, "balancing", ""),
        ({"load_balancing": True}, "balancing", ""),
        ({"load_balancing": False}, "balancing", ONE_NODE),
        ({"max_body": 5000}, "max_body", 5000),
        (dict.fromkeys(["timeout", "tags", "public", "retry_policy"]), "timeout", 0.0),
    ],
)
def test_each_option_is_said_of_the_function(
    options: dict[str, Any], field: str, value: object
) -> None:
    assert getattr(spec(**options), field) == value
    assert getattr(spec(), field) != value or options.get("timeout", 1) is None or value == ""


def test_the_first_line_of_the_issue_runs_as_it_stands() -> None:
    node = Registrar()

    @node.register(
        async_func=True,
        stream=True,
        timeout=60,
        retry_policy="exponential_backoff",
        resource_requirements={"gpu": True, "memory": "8GB"},
    )
    async def train(data):  # type: ignore[no-untyped-def]
        yield data

    @node.register(load_balancing="resource_aware")
    def other() -> None: ...

    known = {each.name: each.spec for each in node.functions}
    assert (known["train"].is_async, known["train"].streams) == (True, True)
    assert known["train"].retry is None, "a stream has one attempt"
    assert known["other"].balancing == ""


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"timout": 3},
            r"register\(\) has no option 'timout'. Did you mean 'timeout'\?.*: name, d",
        ),
        ({"description": 3}, "description is a text, not 3"),
        ({"tags": "maths"}, r"tags are a list of words, as \['maths'\], not 'maths'"),
        ({"tags": [1]}, "tags are a list of words"),
        ({"tags": 3}, "tags are a list of words"),
        ({"public": "yes"}, "public is True or False, not 'yes'"),
        ({"auth_required": 1}, "auth_required is True or False"),
        ({"async_func": "no"}, "async_func is True or False"),
        ({"stream": 0}, "stream is True or False"),
        ({"timeout": "60"}, "timeout is in seconds and above 0, not '60'"),
        ({"retry_policy": "exponential"}, "Did you mean 'exponential_backoff'"),
        ({"resource_requirements": {"gpus": 1}}, "resource_requirements has no 'gpus'"),
        ({"max_concurrency": True}, "max_concurrency is at least 1, not True"),
        ({"load_balancing": "fastest"}, "load_balancing can't be 'fastest'"),
        ({"name": 3}, "3 can't be a function's name"),
    ],
)
def test_a_wrong_option_is_refused_before_there_is_a_function(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        Registrar().register(**options)
