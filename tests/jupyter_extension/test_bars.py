"""How bars are drawn."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from easyremote.progress import Progress
from easyremote_jupyter.bars import NotebookBars, TerminalBars, bars_html, bars_text


def bar(n: float = 1, total: float | None = 4, **changes: Any) -> Progress:
    event: Progress = {
        "type": "progress", "id": "1", "position": 0, "desc": "work", "n": n, "total": total,
        "unit": "it", "rate": 2.0, "elapsed": 1.0, "eta": 1.0, "state": "running", "leave": True,
    }  # fmt: skip
    return {**event, **changes}  # type: ignore[typeddict-item]  # the tests' own keys


class Text(HTMLParser):
    """The text of a document whose tags are balanced."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(document)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        assert tag in ("div", "span")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_text_is_tqdms_own() -> None:
    assert bars_text([bar()]).startswith("work:  25%|██")
    assert "1/4 [00:01<00:01,  2.00it/s]" in bars_text([bar()])


def test_html_says_the_same() -> None:
    assert Text(bars_html([bar()])).text == "work:  25%  1/4 [00:01<00:01,  2.00it/s]"


def test_a_bar_without_a_total_shows_its_count() -> None:
    assert Text(bars_html([bar(7, None)])).text.split() == [
        "work:",
        "7",
        "it",
        "[00:01,",
        "2.00it/s]",
    ]


def test_what_users_write_is_escaped() -> None:
    drawn = bars_html([bar(desc="<b>&", postfix="<i>", unit="<u>")])
    assert "<b>" not in drawn and "<i>" not in drawn and "<u>" not in drawn
    assert "<b>&" in Text(drawn).text


def test_a_failed_bar_is_red_and_keeps_its_count() -> None:
    drawn = bars_html([bar(state="failed")])
    assert "--jp-error-color1" in drawn
    assert "✗ 25%" in Text(drawn).text


def test_of_very_many_bars_the_last_are_drawn() -> None:
    many = [bar(desc=f"b{n}") for n in range(50)]
    assert "... 30 more" in bars_text(many)
    assert "b49" in bars_html(many)
    assert "b29:" not in bars_html(many)


@pytest.fixture
def published() -> list[tuple[dict[str, str], bool]]:
    return []


def test_all_bars_of_a_cell_share_one_display(
    published: list[tuple[dict[str, str], bool]],
) -> None:
    bars = NotebookBars(lambda data, update: published.append((data, update)))
    bars.update(bar(desc="outer"))
    bars.update(bar(id="2", desc="inner", leave=False))
    bars.update(bar(4, id="2", desc="inner", leave=False, state="done"))
    assert [update for _, update in published] == [False, True, True]
    assert "inner" in published[1][0]["text/plain"]
    assert "inner" not in published[2][0]["text/plain"]
    assert "text/html" in published[2][0]


def test_after_a_clear_the_bars_get_a_new_display(
    published: list[tuple[dict[str, str], bool]],
) -> None:
    bars = NotebookBars(lambda data, update: published.append((data, update)), html=False)
    bars.update(bar())
    bars.redraw()
    bars.update(bar(2))
    assert [update for _, update in published] == [False, False]
    assert set(published[0][0]) == {"text/plain"}


def test_a_terminal_has_real_bars(capsys: pytest.CaptureFixture[str]) -> None:
    bars = TerminalBars()
    bars.update(bar())
    bars.update(bar(4, state="done", postfix="loss=1"))
    bars.update(bar(1, id="2", desc="other"))
    bars.finish()
    shown = capsys.readouterr().err
    assert "work: 100%" in shown
    assert "loss=1" in shown
    assert "other:  25%" in shown
