"""`load_balancing`: the words that are accepted, and what travels."""

from __future__ import annotations

import pytest

from easyremote.errors import UsageError
from easyremote.options.strategies import ONE_NODE, parse_strategy


@pytest.mark.parametrize(
    ("given", "travels"),
    [
        *[(given, "") for given in (None, True, "least_loaded", "resource_aware")],
        *[(name, name) for name in ("round_robin", "latency", "weighted")],
        ({"strategy": "round_robin"}, "round_robin"),
        ({"strategy": "resource_aware"}, ""),
        (False, ONE_NODE),
    ],
)
def test_words_are_read(given: object, travels: str) -> None:
    assert parse_strategy(given) == travels


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("round_robbin", "can't be 'round_robbin'. Did you mean 'round_robin'"),
        ("one_node", "can't be 'one_node'"),
        (3, "can't be 3. It is one of 'least_loaded', 'round_robin', 'latency', 'weighted'"),
        ({"strategie": "latency"}, "has no 'strategie'. Did you mean 'strategy'"),
        ({}, "names no strategy"),
    ],
)
def test_others_are_refused(given: object, text: str) -> None:
    with pytest.raises(UsageError, match=f"load_balancing.*{text}"):
        parse_strategy(given)
