"""A wrong word is refused with the right ones, and the one that was meant."""

from __future__ import annotations

import pytest

from easyremote.errors import UsageError
from easyremote.options.spelling import check_word, check_words, did_you_mean


def test_the_word_that_was_meant_is_named_and_nothing_is_guessed() -> None:
    assert did_you_mean("timout", ["timeout", "tags"]) == " Did you mean 'timeout'?"
    assert did_you_mean("colour", ["timeout", "tags"]) == ""


def test_words_are_checked_one_by_one() -> None:
    check_words(["tags", "name"], ["name", "tags"], "f() has no option")
    with pytest.raises(
        UsageError, match=r"f\(\) has no option 'tag'. Did .* 'tags'\? .*: name, ta"
    ):
        check_words(["name", "tag"], ["name", "tags"], "f() has no option")


@pytest.mark.parametrize("given", ["rond", 3, None, ["round"]])
def test_a_value_is_one_of_the_words(given: object) -> None:
    assert check_word("round", ("round", "flat"), "shape") == "round"
    with pytest.raises(UsageError, match="shape can't be .* It is one of 'round', 'flat'"):
        check_word(given, ("round", "flat"), "shape")
