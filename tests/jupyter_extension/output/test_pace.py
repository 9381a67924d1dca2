"""What is published stays below the limits of Jupyter Server, and nothing waits without need."""

from __future__ import annotations

import pytest

from easyremote_jupyter.output.pace import PIECE, Pace, pieces

#: Jupyter Server's defaults, and the seconds over which it counts.
MESSAGES, BYTES, WINDOW = 1000, 1_000_000, 3.0


def sent(sizes: list[int]) -> list[tuple[float, int]]:
    """When messages of these sizes leave, if all are there at once."""
    pace, now, left = Pace(), 1000.0, []
    for size in sizes:
        now += pace.spend(size, now)
        left.append((now, size))
    return left


@pytest.mark.parametrize("sizes", [[100] * 20_000, [50_000] * 400, [1, 120_000] * 100])
def test_no_three_seconds_have_more_than_the_server_takes(sizes: list[int]) -> None:
    left = sent(sizes)
    for start, _ in left[:: max(len(left) // 100, 1)]:
        window = [size for when, size in left if start <= when < start + WINDOW]
        assert len(window) <= MESSAGES * WINDOW
        assert sum(window) <= BYTES * WINDOW


def test_little_is_sent_at_once() -> None:
    assert all(when == 1000.0 for when, _ in sent([1000] * 100))


def test_a_very_large_message_does_not_wait_for_ever() -> None:
    assert sent([50_000_000])[0][0] == 1000.0


def test_pieces_are_the_whole_text() -> None:
    text = "ab" * PIECE
    parts = list(pieces(text))
    assert "".join(parts) == text
    assert max(map(len, parts)) <= PIECE
