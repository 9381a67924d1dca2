"""Text as a terminal shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyremote.terminal_text import compacted, without_escapes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("abc", "abc"),
        ("a\r\nb", "a\nb"),
        ("\r1%\r2%\r3%", "\r3%"),
        ("x\r1\r22\r333\n", "x\r333\n"),
        ("a\nlong text\rshort", "a\nshortext\rshort"[:2] + "shorttext\rshort"),
        ("a\nlong\rlonger\nb", "a\nlonger\nb"),
        ("a\nb\r", "a\nb\r"),
        ("a\n\x1b[1mb\rc", "a\n\x1b[1mb\rc"),
    ],
)
def test_carriage_returns_are_worked_out(before: str, after: str) -> None:
    assert compacted(before) == after


def screen(written: str, chunks: str = "") -> tuple[list[str], int]:
    lines, column = [""], 0
    for char in written:
        if char == "\n":
            lines.append("")
            column = 0
        elif char == "\r":
            column = 0
        else:
            lines[-1] = lines[-1][:column] + char + lines[-1][column + 1 :]
            column += 1
    return lines, column


@given(st.lists(st.text("ab\r\n", max_size=12), max_size=4))
def test_a_screen_shows_the_same_after_compaction(batches: list[str]) -> None:
    assert screen("".join(map(compacted, batches))) == screen("".join(batches))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[38;5;12;1mblue\x1b[m", "blue"),
        ("\x1b[?25lhidden cursor\x1b[2 q", "hidden cursor"),
        ("\x1b[1;2~key", "key"),
        ("\x1b[", "\x1b["),
        ("[31m", "[31m"),
    ],
)
def test_control_sequences_are_taken_out_and_nothing_else(before: str, after: str) -> None:
    assert without_escapes(before) == after
