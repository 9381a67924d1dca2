"""The words of the seed are put into those of today."""

from __future__ import annotations

import pytest

from easyremote.config import find_gateway, named_settings
from easyremote.errors import UsageError
from easyremote.options.seed_words import in_todays_words, tags_of


def test_each_word_has_its_own_of_today_and_others_stay() -> None:
    node = {"gateway_address": "vps:1", "node_capabilities": ["gpu"], "node_id": "n"}
    assert in_todays_words("ComputeNode", node) == {
        **{"gateway": "vps:1", "labels": ["gpu"]},
        "node_id": "n",
    }
    function = {"timeout_seconds": 3, "max_concurrent": 2, "colour": 1}
    assert in_todays_words("register", function) == {
        **{"timeout": 3, "max_concurrency": 2},
        "colour": 1,
    }
    assert in_todays_words("remote", {"gateway_address": "vps:1"}) == {"gateway": "vps:1"}


def test_both_words_for_one_thing_are_refused() -> None:
    with pytest.raises(UsageError, match="remote: two options mean gateway"):
        in_todays_words("remote", {"gateway": "a:1", "gateway_address": "b:1"})


def test_tags_may_be_a_set_or_a_dict() -> None:
    assert tags_of({"team": "vision", "level": 3}) == ["team=vision", "level=3"]
    assert tags_of({"b", "a"}) == ["a", "b"]
    assert tags_of(("b", "a")) == ("b", "a")


def test_the_seeds_variable_names_the_gateway_after_todays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EASYREMOTE_GATEWAY", raising=False)
    before = named_settings()
    monkeypatch.setenv("EASYREMOTE_GATEWAY_ADDRESS", "seed:1")
    assert find_gateway() == ("seed:1", "the variable EASYREMOTE_GATEWAY_ADDRESS")
    assert named_settings() != before, "a Client that was found before is looked for again"
    monkeypatch.setenv("EASYREMOTE_GATEWAY", "today:1")
    assert find_gateway() == ("today:1", "the variable EASYREMOTE_GATEWAY")
