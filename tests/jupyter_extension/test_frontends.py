"""The same cell in the other front ends: a terminal, and a notebook that is run headless."""

from __future__ import annotations

import re
import sys

import nbformat
import pexpect
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.jupyter_extension.conftest import LIMIT, is_header, notebook_environment
from tests.processes import Gateway

pytestmark = pytest.mark.usefixtures("node")

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def notebook(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> NotebookClient:
    for name, value in notebook_environment(gateway).items():
        monkeypatch.setenv(name, value)
    cells = [
        "%load_ext easyremote",
        "%%remote\nfrom tqdm.auto import tqdm\nfor _ in tqdm(range(3), desc='steps'): pass\n'end'",
        "%%remote\n\n1 / 0",
        "print('never')",
    ]
    source = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    return NotebookClient(source, timeout=LIMIT, kernel_name="python3")


def test_a_headless_run_saves_the_last_state_and_stops_at_an_error(
    notebook: NotebookClient,
) -> None:
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebook.execute()
    bars, value = (output for output in notebook.nb.cells[1].outputs if not is_header(output))
    assert "steps: 100%" in bars["data"]["text/plain"]
    assert "<script" not in bars["data"]["text/html"]
    assert value["data"]["text/plain"] == "'end'"
    (error,) = (output for output in notebook.nb.cells[2].outputs if not is_header(output))
    assert "Cell In[3], line 3" in _ESCAPES.sub("", "\n".join(error["traceback"]))
    assert notebook.nb.cells[3].outputs == []


def test_a_headless_run_may_allow_an_error_by_its_name(notebook: NotebookClient) -> None:
    notebook.allow_error_names = ["ZeroDivisionError"]
    notebook.execute()
    assert notebook.nb.cells[3].outputs[0]["text"] == "never\n"


class Terminal:
    """IPython in a terminal of its own."""

    def __init__(self, gateway: Gateway) -> None:
        environment = {**notebook_environment(gateway), "TERM": "dumb", "COLUMNS": "100"}
        self.child: pexpect.spawn[str] = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--simple-prompt", "--no-banner", "--HistoryManager.enabled=False"],
            env=environment,
            encoding="utf-8",
            timeout=LIMIT,
            dimensions=(50, 100),
        )
        self.child.expect(r"In \[1\]: ")
        self.number = 1
        self.run("%load_ext easyremote")

    def send(self, *lines: str) -> None:
        for line in [*lines, "", ""] if len(lines) > 1 else lines:  # blank lines end a cell
            self.child.sendline(line)

    def run(self, *lines: str) -> str:
        self.send(*lines)
        return self.until_prompt()

    def until_prompt(self) -> str:
        self.number += 1
        self.child.expect_exact(f"In [{self.number}]: ")
        return _ESCAPES.sub("", self.child.before or "")


@pytest.fixture
def terminal(gateway: Gateway) -> Terminal:
    started = Terminal(gateway)
    yield started
    started.child.close(force=True)


def test_a_terminal_shows_output_value_and_bars(terminal: Terminal) -> None:
    text = terminal.run(
        "%%remote", "from tqdm import tqdm", "print('hello')",
        "for _ in tqdm(range(3), desc='steps'): pass", "6 * 7",
    )  # fmt: skip
    assert "hello\r\n" in text
    assert "steps: 100%" in text
    assert "3/3" in text
    assert f"Out[{terminal.number - 1}]: 42" in text
    assert "43" in terminal.run("_ + 1")


def test_a_terminal_shows_the_remote_traceback(terminal: Terminal) -> None:
    text = terminal.run("%%remote", "1 / 0")
    assert f"Cell In[{terminal.number - 1}], line 2" in text
    assert "magics.py" not in text


def test_control_c_in_a_terminal_stops_the_cell(terminal: Terminal) -> None:
    terminal.send("%%remote", "import time", "print('go' + 'ing')", "time.sleep(60)")
    terminal.child.expect_exact("going")
    terminal.child.sendintr()
    assert "KeyboardInterrupt" in terminal.until_prompt()
    assert "3" in terminal.run("%%remote", "1 + 2")


def test_a_terminal_s_plain_lines_run_on_the_attached_node(terminal: Terminal) -> None:
    terminal.run("import os; here = os.getpid()")
    assert "Plain cells" in terminal.run("%remote_attach gpu-node --auto")
    assert "True" in terminal.run("os.getpid() != here")
    assert "42" in terminal.run("def six():", "    return 6", "six() * 7")
    assert "True" in terminal.run("%%local", "os.getpid() == here")
    terminal.run("%remote_detach")
    assert "True" in terminal.run("os.getpid() == here")


def test_a_terminal_shows_the_nodes_until_control_c(terminal: Terminal) -> None:
    terminal.send("%remote_nodes --watch")
    terminal.child.expect(r"% of \d+ cores")
    terminal.child.expect("gpu-node")
    terminal.child.sendintr()
    assert "Traceback" not in terminal.until_prompt()
    assert "needs a notebook" in terminal.run("%remote_panel")
