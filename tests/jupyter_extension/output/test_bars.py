"""How bars are drawn."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from easyremote.errors import UsageError
from easyremote.events import Progress
from easyremote_jupyter.output.bars import (
    NotebookBars,
    TerminalBars,
    bars_html,
    bars_text,
    widget_bars,
)


def bar(n: float = 1, total: float | None = 4, **changes: Any) -> Progress:
    event = Progress("1", 0, "work", n, total, "it", 2.0, 1.0, 1.0, "running", leave=True)
    return msgspec.structs.replace(event, **changes)


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
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, str], bool]]:
    monkeypatch.setattr("easyremote_jupyter.output.bars.INTERVAL", 0.0)
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


def test_bars_are_drawn_ten_times_a_second_and_their_last_state_always(
    published: list[tuple[dict[str, str], bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("easyremote_jupyter.output.bars.INTERVAL", 3600.0)
    bars = NotebookBars(lambda data, update: published.append((data, update)))
    for n in range(10_000):
        bars.update(bar(n, 10_000, id=str(n % 500)))
    assert len(published) == 1
    bars.finish(failed=False)
    assert len(published) == 2
    assert "9999/10000" in published[-1][0]["text/plain"]


def test_what_still_ran_when_the_cell_failed_has_failed(
    published: list[tuple[dict[str, str], bool]],
) -> None:
    bars = NotebookBars(lambda data, update: published.append((data, update)))
    bars.update(bar(1, id="1"))
    bars.update(bar(4, id="2", state="done"))
    bars.finish(failed=True)
    drawn = published[-1][0]["text/html"]
    assert drawn.count("--jp-error-color1") == drawn.count("--jp-success-color1") == 1


def test_a_widget_shows_the_bars_while_they_move_and_is_gone_at_the_end(
    published: list[tuple[dict[str, str], bool]],
) -> None:
    bars = widget_bars(lambda data, update: published.append((data, update)))
    bars.update(bar(1))
    bars.update(bar(3))
    (first, _) = published[0]
    assert "application/vnd.jupyter.widget-view+json" in first
    assert len(published) == 1  # the widget moves by itself
    bars.update(bar(4, state="done"))
    bars.finish(failed=False)
    last, update = published[-1]
    assert update
    assert set(last) == {"text/plain", "text/html"}
    assert "100%" in last["text/plain"]


def test_without_ipywidgets_the_option_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(UsageError, match="pip install ipywidgets"):
        widget_bars(lambda data, update: None)


def test_a_terminal_has_real_bars(capsys: pytest.CaptureFixture[str]) -> None:
    bars = TerminalBars()
    bars.update(bar())
    bars.update(bar(4, state="done", postfix="loss=1"))
    bars.update(bar(1, id="2", desc="other"))
    bars.finish(failed=False)
    bars.update(bar(2, id="3", desc="failing"))
    bars.finish(failed=True)
    shown = capsys.readouterr().err
    assert "failing:  50%" in shown
    assert "\x1b[31m" in shown  # red
    assert "work: 100%" in shown
    assert "loss=1" in shown
    assert "other:  25%" in shown
