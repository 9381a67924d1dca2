"""Tables as text and as HTML."""

from __future__ import annotations

from easyremote_jupyter.output.tables import html_table, text_table

ROWS = [("a", "1"), ("longer", "<b>")]


def test_columns_of_text_are_as_wide_as_their_longest_entry() -> None:
    assert text_table(("Name", "N"), ROWS) == "Name    N\na       1\nlonger  <b>"


def test_html_is_escaped_and_what_stands_out_is_bold() -> None:
    shown = html_table(("Name", "N"), ROWS, stands_out=lambda row: row[0] == "a")
    assert "<td style='text-align:left;font-weight:bold'>a</td>" in shown
    assert "<td style='text-align:left'>&lt;b&gt;</td>" in shown
    assert shown.startswith("<table><thead><tr><th style='text-align:left'>Name</th>")


def test_a_table_without_rows_has_its_headings() -> None:
    assert text_table(("Name", "N"), []) == "Name  N"
    assert "<tbody></tbody>" in html_table(("Name", "N"), [])
