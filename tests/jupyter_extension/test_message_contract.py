"""What front ends without our JupyterLab extension (VS Code, Colab, nbclient) rely on.

They can't be had here, so this is the contract that they draw by: a cell is a sequence of standard
messages, between busy and idle; what moves is a display with an id of its own, in HTML and text;
and nothing needs scripts, style sheets or other files that only JupyterLab has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, output_from_msg

from tests.jupyter_extension.conftest import Kernel, Shown
from tests.processes import until_there

#: What can be put into a saved notebook.
SAVED = {"stream", "display_data", "execute_result", "error"}
STANDARD = SAVED | {"status", "execute_input", "update_display_data", "clear_output"}

CELLS = {
    "prints": "print('a')\nimport sys; print('b', file=sys.stderr)\n'value'",
    "a bar": "import time\nfrom tqdm.auto import tqdm\nfor _ in tqdm(range(30)): time.sleep(.01)",
    "nested bars": (
        "from tqdm import tqdm\n"
        "for i in tqdm(range(3)):\n    for j in tqdm(range(3), leave=False): 1"
    ),
    "an error": "from tqdm import tqdm\nfor _ in tqdm(range(3)):\n    1 / 0",
    "a figure": "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
    "a display that changes": (
        "from IPython.display import display, HTML, clear_output\n"
        "h = display(HTML('<b>1</b>'), display_id=True)\nh.update(HTML('<b>2</b>'))\n"
        "clear_output(wait=True)\nprint('after')"
    ),
    "a long one": "import time; time.sleep(2.3)",
}


@pytest.fixture(scope="module", params=CELLS)
def shown(request: pytest.FixtureRequest, kernel: Kernel) -> Shown:
    """What such a cell shows; all of a front end's messages, not only those that we expect."""
    name: str = request.param
    return kernel.run(f"%%remote gpu-node\n{CELLS[name]}", fails=name == "an error")


def test_a_cell_is_standard_messages_between_busy_and_idle(shown: Shown) -> None:
    kinds = [message["msg_type"] for message in shown.messages]
    assert set(kinds) <= STANDARD
    states = [m["content"]["execution_state"] for m in shown.messages if m["msg_type"] == "status"]
    assert states == ["busy", "idle"]
    # VS Code takes a cell for done at this moment, and shows nothing more of it.
    assert (kinds[0], kinds[-1]) == ("status", "status")


def test_all_of_it_belongs_to_the_cell(shown: Shown) -> None:
    parents = {message["parent_header"]["msg_id"] for message in shown.messages}
    assert len(parents) == 1


def test_only_what_is_shown_is_updated_and_by_its_id(shown: Shown) -> None:
    ids: set[str] = set()
    for message in shown.messages:
        display = message["content"].get("transient", {}).get("display_id")
        if message["msg_type"] == "display_data" and display:
            ids.add(display)
        if message["msg_type"] == "update_display_data":
            assert display in ids


def test_everything_can_be_saved(shown: Shown) -> None:
    outputs = [output_from_msg(m) for m in shown.messages if m["msg_type"] in SAVED]
    cell = new_code_cell(outputs=outputs)
    nbformat.validate(new_notebook(cells=[cell]))


def test_every_display_of_ours_has_text_and_html_that_stands_alone(shown: Shown) -> None:
    for bundle in bundles(shown):
        assert "text/plain" in bundle
        page = str(bundle.get("text/html", ""))
        assert "<script" not in page and "http" not in page and "<link" not in page
        # A colour of JupyterLab's theme is used where there is one, and is not needed.
        assert all("," in name for name in re.findall(r"var\(([^)]*)\)", page))


def test_a_background_job_updates_its_own_display_from_later_cells(
    kernel: Kernel, tmp_path: Path
) -> None:
    """Colab and VS Code find a display by its id, whichever cell runs at the time."""
    gate = tmp_path / "gate"
    first = kernel.run(
        "%%remote gpu-node --bg\nimport pathlib, time\n"
        f"{until_there(gate)}\n"
        "print('in the background')"
    )
    (display,) = first.of("display_data")
    touch = f"import pathlib\npathlib.Path({str(gate)!r}).touch()"
    updates = kernel.run(f"{touch}\n%remote_jobs --wait").of("update_display_data")
    later = kernel.run("1")
    job_id = display["transient"]["display_id"]
    assert {update["transient"]["display_id"] for update in updates} == {job_id}
    assert "in the background" in updates[-1]["data"]["text/plain"]
    assert not later.of("stream") and not later.of("display_data")


def bundles(shown: Shown) -> list[dict[str, Any]]:
    kinds = "display_data", "update_display_data"
    return [m["content"]["data"] for m in shown.messages if m["msg_type"] in kinds]
