"""Text that stays above lines that change."""

from __future__ import annotations

import io
import re

import pytest

from easyremote.cli.live import LiveLines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What stands on it, line by line."""
        lines = [""]
        for piece in re.findall(r"\x1b\[\d*[AJ]|\r|\n|[^\x1b\r\n]+", self.getvalue()):
            if piece.endswith("A"):
                moved = len(lines) - 1 - int(piece[2:-1])
                assert moved >= 0, "above the first line"
                del lines[moved + 1 :]  # what is erased below is always all of it
            elif piece == "\x1b[J":
                lines[-1] = ""
            elif piece == "\n":
                lines.append("")
            elif piece != "\r":
                lines[-1] = piece
        return lines[:-1]


def test_live_lines_change_in_place_below_what_stays() -> None:
    terminal = Terminal()
    live = LiveLines(terminal)
    live.write("first\n")
    live.show("bar", " 10 %")
    live.show("head", "00:01\n00:02")
    live.write("second\n")
    live.show("bar", " 90 %")
    assert terminal.screen() == ["first", "second", " 90 %", "00:01", "00:02"]


def test_what_settled_stays_and_what_comes_then_is_below_it() -> None:
    terminal = Terminal()
    live = LiveLines(terminal)
    live.show("bar", "100 %")
    live.settle()
    live.write("after\n")
    live.show("bar", " 10 %")
    assert terminal.screen() == ["100 %", "after", " 10 %"]


def test_a_line_that_has_begun_is_written_when_it_is_whole() -> None:
    terminal = Terminal()
    live = LiveLines(terminal)
    live.show("bar", "10 %")
    live.write("a")
    live.write("b\nc")
    assert terminal.screen() == ["ab", "10 %"]
    live.settle()
    assert terminal.screen() == ["ab", "c", "10 %"]


def test_a_line_is_no_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    LiveLines(terminal).show("bar", "x" * 100)
    assert terminal.screen() == ["x" * 19]


def test_where_it_is_no_terminal_only_the_last_state_is_written() -> None:
    file = io.StringIO()
    live = LiveLines(file)
    live.show("bar", "10 %")
    live.write("a\n")
    live.show("bar", "90 %")
    live.settle()
    assert file.getvalue() == "a\n90 %\n"
