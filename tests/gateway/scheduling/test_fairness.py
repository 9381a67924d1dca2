"""Start tags: equal run-seconds for keys that wait, no credit for those that slept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyremote.gateway.scheduling.fairness import AGED_EVERY, HALF_LIFE, FairShare


def test_a_key_that_was_never_here_starts_at_the_present_and_not_at_nothing() -> None:
    share = FairShare()
    for _ in range(5):
        share.charge("ann", 10.0)
    assert share.start("ann") == 50.0
    assert share.start("bob") == 40.0, "the start of the call that was dispatched last"
    share.charge("bob", 1.0)
    assert share.start("bob") == 41.0


def test_what_a_call_took_beyond_its_estimate_is_charged_when_it_is_over() -> None:
    share = FairShare()
    share.charge("ann", 1.0)
    share.correct("ann", 29.0)
    assert share.start("ann") == 30.0
    share.charge("bob", 1.0)
    share.correct("bob", -1.0)
    assert share.start("bob") == 0.0


def test_a_correction_never_puts_a_key_before_the_present() -> None:
    share = FairShare()
    share.charge("ann", 100.0)
    share.charge("bob", 5.0)
    share.charge("bob", 5.0)
    share.correct("ann", -1000.0)
    assert share.start("ann") == share.start("eve") == 5.0
    assert [share.start(key) for key in ("ann", "bob", "eve")] == [5.0, 10.0, 5.0]


def test_what_was_used_beyond_the_others_counts_half_after_an_hour() -> None:
    share = FairShare()
    share.charge("ann", 500.0)
    share.age(1000.0)  # the first look at it: nothing is old yet
    assert share.start("ann") == 500.0
    share.correct("ann", 100.0)
    share.age(1000.0 + AGED_EVERY - 1.0)
    assert share.start("ann") == 600.0
    share.age(1000.0 + HALF_LIFE)
    assert share.start("ann") == pytest.approx(300.0)
    share.age(1000.0 + 3 * HALF_LIFE)
    assert share.start("ann") == pytest.approx(75.0)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0.01, 50.0), st.floats(0.01, 50.0)),
        min_size=1,
        max_size=80,
    )
)
def test_two_keys_that_always_wait_are_never_further_apart_than_their_longest_calls(
    calls: list[tuple[str, float, float]],
) -> None:
    share, used, longest = FairShare(), dict.fromkeys("abc", 0.0), 0.0
    for _, estimate, seconds in calls:
        key = min("abc", key=lambda key: (share.start(key), key))
        share.charge(key, estimate)
        share.correct(key, seconds - estimate)
        used[key] += seconds
        longest = max(longest, estimate, seconds)
        assert max(used.values()) - min(used.values()) <= 2 * longest + 1e-6
