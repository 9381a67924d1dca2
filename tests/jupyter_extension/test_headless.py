"""Notebooks that are run headless: what is saved in the file, and under which cell."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbclient.output_widget import OutputWidget

from tests.jupyter_extension.conftest import is_header, notebook_environment
from tests.processes import LIMIT, Gateway, until_there

pytestmark = pytest.mark.usefixtures("node")


@pytest.fixture(autouse=True)
def environment(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in notebook_environment(gateway).items():
        monkeypatch.setenv(name, value)


def executed(*cells: str, **how: Any) -> list[Any]:
    """The cells of a notebook that was run, without the first, which loads the extension.

    The headers of those that took long, be it because the machine is busy, are put aside.
    """
    made = [nbformat.v4.new_code_cell(c) for c in ("%load_ext easyremote", *cells)]
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=made), timeout=LIMIT, kernel_name="python3", **how
    )
    try:
        client.execute()
    except CellExecutionError:
        if how.get("allow_error_names") is not None:
            raise
    cells = list(client.nb.cells[1:])
    for cell in cells:
        cell.headers = [output for output in cell.outputs if is_header(output)]
        cell.outputs = [output for output in cell.outputs if not is_header(output)]
    return cells


def texts(cell: Any) -> str:
    return "".join(
        o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs
    )


def test_output_of_a_background_cell_is_saved_with_its_own_cell(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    started, between, joined = executed(
        "%%remote gpu-node --bg job\nimport time, pathlib\nprint('begun')\n"
        f"{until_there(gate)}\n"
        "print('en' + 'ded')\n1 / 0",
        f"import pathlib\npathlib.Path({str(gate)!r}).touch()\nprint('between')",
        "%remote_jobs --wait 30",
    )
    (display,) = started.outputs
    assert "begun\nended" in display["data"]["text/plain"]
    assert "failed" in display["data"]["text/plain"]
    assert "ZeroDivisionError" in display["data"]["text/html"]
    assert texts(between) == "between\n"
    assert "failed" in texts(joined)


def test_of_a_header_the_collapsed_line_is_saved() -> None:
    (cell,) = executed("%%remote gpu-node\nimport time\ntime.sleep(4)")
    (header,) = cell.headers
    assert re.fullmatch(r"gpu-node 00:\d\d", header["data"]["text/plain"])
    assert not cell.outputs


@pytest.mark.parametrize("how", ["auto", "html", "widget", "text"])
def test_of_bars_the_end_state_is_saved_in_html_and_text(how: str) -> None:
    (cell,) = executed(
        f"%%remote gpu-node --progress {how}\nfrom tqdm import tqdm\n"
        "for a in tqdm(range(2), desc='outer'):\n"
        "    for b in tqdm(range(3), desc='inner', leave=False): pass"
    )
    (display,) = cell.outputs
    assert display["data"]["text/plain"].startswith("outer: 100%")
    assert "inner" not in display["data"]["text/plain"]
    kinds = {"text/plain"} if how == "text" else {"text/plain", "text/html"}
    assert set(display["data"]) == kinds


def test_a_failed_bar_is_saved_red_with_its_count() -> None:
    (cell,) = executed(
        "%%remote gpu-node\nfrom tqdm import tqdm\nfor n in tqdm(range(4), desc='d'):\n"
        "    if n == 2: raise ValueError(n)"
    )
    bars, error = cell.outputs
    assert "--jp-error-color1" in bars["data"]["text/html"]
    assert "2/4" in bars["data"]["text/plain"]
    assert error["ename"] == "ValueError"


def test_an_error_is_caught_by_its_builtin_class() -> None:
    _, cell = executed(
        "%%remote gpu-node\ndef divide(): return 1 / 0",
        "import easyremote\ntry:\n"
        "    get_ipython().run_cell_magic('remote', 'gpu-node', 'divide()')\n"
        "except ZeroDivisionError as error:\n"
        "    print(type(error).__name__, isinstance(error, easyremote.RemoteError))",
    )
    assert texts(cell) == "ZeroDivisionError True\n"


def test_an_error_that_is_allowed_by_name_stops_nothing() -> None:
    _, after = executed(
        "%%remote gpu-node\nraise KeyError('k')", "print('on')", allow_error_names=["KeyError"]
    )
    assert texts(after) == "on\n"


def test_input_fails_at_once() -> None:
    (cell,) = executed("%%remote gpu-node\ninput('Name? ')")
    (error,) = cell.outputs
    assert error["ename"] == "EOFError"


def test_the_same_notebook_runs_twice_at_once() -> None:
    cells = [
        "x = 1",
        "%%remote gpu-node\nimport time\nfor _ in range(5):\n    x += 1\n    time.sleep(0.1)\nx",
        "print(x)",
    ]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(executed, *cells) for _ in range(2)]
    assert [texts(run.result(LIMIT)[2]) for run in runs] == ["6\n", "6\n"]


def test_two_notebooks_share_a_named_session() -> None:
    executed("%%remote gpu-node -s shared\nfrom_one = [1, 2]")
    (cell,) = executed("%%remote gpu-node -s shared\nfrom_one + [3]")
    assert texts(cell) == "[1, 2, 3]"


HELPER = """
import matplotlib.pyplot as plt
import numpy as np
from ipywidgets import interact
plt.rcParams["figure.dpi"] = 300
def explore(X):
    def draw(depth=5): plt.imshow(np.add.outer(X, X * depth))
    return interact(draw, depth=(1, 5))
"""


def test_nothing_is_left_for_a_headless_front_end_to_catch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nbclient catches it sends back on the socket of the cell's reply, and may miss that."""
    sent: list[Any] = []
    monkeypatch.setattr(OutputWidget, "send", lambda widget, data, *rest: sent.append(data))
    (tmp_path / "helper_mod.py").write_text(HELPER)
    cells = [
        "%load_ext easyremote",
        "import numpy as np; X = np.arange(20)",
        "%%remote gpu-node\nimport helper_mod; helper_mod.explore(X);",
    ]
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells]),
        timeout=LIMIT,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    shown = [state["outputs"] for state in client.widget_state.values() if state.get("outputs")]
    assert [sorted(each["data"]) for (each,) in shown] == [["image/png", "text/plain"]]
    assert not sent
