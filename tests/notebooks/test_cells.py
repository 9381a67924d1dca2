"""What a notebook has saved when it was run from top to bottom: the outputs of `%%remote` cells.

On ipykernel 7 with a node on the same Python, and on ipykernel 6 with a node on another one.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.notebooks.conftest import Run
from tests.pythons import MINORS

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.parametrize(
        ("kernel_name", "node"),
        [("ipykernel-7", "this Python"), ("ipykernel-6", MINORS[-1])],
        indirect=True,
    ),
]

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def text(outputs: list[Any], name: str = "stdout") -> str:
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == name)


def kinds(outputs: list[Any]) -> list[str]:
    return [output.output_type for output in outputs]


def test_streams_are_saved_in_order_and_apart(run: Run) -> None:
    (outputs,) = run(
        "%%remote\nimport sys, os, subprocess\nprint('one')\nprint('two', file=sys.stderr)\n"
        "sys.stderr.flush()\nsubprocess.run(['echo', 'three'])\nprint('four')"
    )
    assert text(outputs).split() == ["one", "three", "four"]
    assert "two" in text(outputs, "stderr")


def test_the_value_is_shown_as_the_node_draws_it_and_kept_here(run: Run) -> None:
    shown, kept = run(
        "%%remote\nclass Row:\n    def _repr_html_(self): return '<b>row</b>'\n"
        "    def __repr__(self): return 'a row'\n    size = 3\nRow()",
        "print(_.size, _2.size)",
    )
    (result,) = shown
    assert result.output_type == "execute_result"
    assert result.execution_count == 2
    assert result.data == {"text/html": "<b>row</b>", "text/plain": "a row"}
    assert text(kept) == "3 3\n"


def test_rich_displays_and_their_updates_are_saved_in_their_last_state(run: Run) -> None:
    first, second = run(
        "%%remote\nfrom IPython.display import display, HTML, Latex\n"
        "handle = display(HTML('<i>first</i>'), display_id=True)\ndisplay(Latex('$x^2$'))\n"
        "plot = {'application/vnd.plotly.v1+json': {'data': []}, 'text/plain': 'a plot'}\n"
        "display(plot, raw=True)",
        "%%remote\nhandle.update(HTML('<i>second</i>'))",
    )
    assert [output.data.get("text/html") for output in first][0] == "<i>second</i>"
    assert first[1].data["text/latex"] == "$x^2$"
    assert first[2].data["application/vnd.plotly.v1+json"] == {"data": []}
    assert second == []


def test_clear_output_leaves_what_came_after(run: Run) -> None:
    (outputs,) = run(
        "%%remote\nfrom IPython.display import clear_output\nfor i in range(3):\n"
        "    clear_output(wait=True)\n    print(i)"
    )
    assert text(outputs) == "2\n"


def test_bars_are_saved_as_they_ended(run: Run) -> None:
    (outputs,) = run(
        "%%remote -q --progress html\nfrom tqdm.auto import tqdm\nfor _ in tqdm(range(2), "
        "desc='outer'):\n    for _ in tqdm(range(50), desc='inner', leave=False): pass",
    )
    assert outputs == []
    (bars,) = run(
        "%%remote\nfrom tqdm.auto import tqdm\nfor _ in tqdm(range(2), desc='outer'):\n"
        "    for _ in tqdm(range(50), desc='inner', leave=False): pass",
    )
    (shown,) = [output for output in bars if "outer" in str(output)]
    assert "outer: 100%" in shown.data["text/plain"]
    assert "<script" not in shown.data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" not in shown.data


def test_a_failed_bar_keeps_its_count(run: Run) -> None:
    outputs, _ = run(
        "%%remote\nfrom tqdm.auto import tqdm\nfor i in tqdm(range(10), desc='steps'):\n"
        "    if i == 4: raise ValueError('no more')",
        "'the end'",
        allow_error_names=["ValueError"],
    )
    (bar,) = [output for output in outputs if "steps" in str(output.get("data"))]
    assert "4/10" in bar.data["text/plain"]


def test_an_error_has_the_remote_name_and_the_notebooks_lines(run: Run) -> None:
    outputs, caught = run(
        "%%remote\n\ndef share(part, whole):\n    return part / whole\n\nshare(1, 0)",
        "try:\n    get_ipython().run_cell_magic('remote', '', '1 / 0')\n"
        "except ZeroDivisionError as error:\n    print('caught', type(error).__name__)",
        allow_error_names=["ZeroDivisionError"],
    )
    error = next(output for output in outputs if output.output_type == "error")
    assert error.ename == "ZeroDivisionError"
    shown = _ESCAPES.sub("", "\n".join(error.traceback))
    assert "Cell In[2], line 6" in shown
    assert "Cell In[2], line 4, in share" in shown
    assert "magics.py" not in shown
    assert text(caught) == "caught ZeroDivisionError\n"


def test_variables_go_there_and_come_back(run: Run) -> None:
    *_, last = run(
        "rate, items = 3, [1, 2]\ndef scaled(x):\n    return x * rate",
        "%%remote\nitems = [*items, 4]\nresult = [scaled(item) for item in items]",
        "print(items, result)",
    )
    assert text(last) == "[1, 2, 4] [3, 6, 12]\n"


def test_state_stays_on_the_node_between_cells(run: Run) -> None:
    *_, last = run(
        "%%remote\nlock = __import__('threading').Lock()\ntotal = 0",
        "%%remote\nwith lock: total += 1",
        "%%remote\nwith lock: total += 1\nprint(total)",
    )
    assert text(last) == "2\n"
