"""Cells in a `Shell`, each in a real process of its own: what they show, return and raise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.node.conftest import Session


def test_the_last_expression_is_shown_and_returned(session: Session) -> None:
    ran = session.run("x = 20\nx + 1")
    assert ran.of("execute_result") == [
        {"type": "execute_result", "data": {"text/plain": "21"}, "metadata": {}, "count": 12}
    ]
    assert (ran.end["has_value"], ran.end["value"]) == (True, 21)


@pytest.mark.parametrize("code", ["5;", "None", "x = 1", ""])
def test_a_cell_without_a_value_shows_none(session: Session, code: str) -> None:
    ran = session.run(code)
    assert (ran.events, ran.end["has_value"]) == ([], False)


def test_what_python_c_and_children_print_comes_in_order(session: Session) -> None:
    ran = session.run(
        "import ctypes, os, subprocess, sys\nprint('a')\nos.system('echo b')\nprint('c')\n"
        "subprocess.run(['echo', 'd'])\nsubprocess.run(['echo', 'e'], stdout=sys.stdout)\n"
        "os.write(1, b'f\\n')\nsys.stdout.buffer.write(b'g\\n')\n!echo h\nprint('i')\n"
        "ctypes.CDLL(None).puts(b'j');"
    )
    assert ran.text().split() == list("abcdefghij")


def test_standard_error_is_told_apart(session: Session) -> None:
    ran = session.run("import os, sys\nprint('a', file=sys.stderr)\nos.write(2, b'b\\n');")
    assert (ran.text("stderr"), ran.text()) == ("a\nb\n", "")


def test_output_comes_while_the_cell_runs(session: Session) -> None:
    ran = session.run(
        "import time\nprint('now')\nfor _ in range(1000): time.sleep(0.02)", interrupt_at="now"
    )
    assert ran.end["type_name"] == "KeyboardInterrupt"


def test_a_second_interrupt_leaves_the_traceback_of_the_first_whole(session: Session) -> None:
    ran = session.run(
        "import signal\nfrom tqdm import tqdm\nclass Stop(KeyboardInterrupt):\n"
        "    def _render_traceback_(self):\n"
        "        signal.raise_signal(signal.SIGINT)\n        return ['where it was']\n"
        "for _ in tqdm(range(9), desc='outer'): raise Stop"
    )
    assert (ran.end["type_name"], ran.traceback) == ("Stop", "where it was")
    assert ran.of("progress")[-1]["state"] == "failed"
    assert session.run("1 + 1").end["value"] == 2


def test_a_traceback_has_the_notebooks_lines_and_no_frames_of_ours(session: Session) -> None:
    ran = session.run("# %%remote\ndef f():\n    return 1 / 0\nf()", count=7)
    assert "Cell In[7], line 4" in ran.traceback
    assert "Cell In[7], line 3, in f()" in ran.traceback
    assert ran.traceback.endswith("ZeroDivisionError: division by zero")
    assert "easyremote" not in ran.traceback
    assert (ran.end["type_name"], ran.end["message"]) == ("ZeroDivisionError", "division by zero")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = = 1", "SyntaxError: invalid syntax"),
        ("%nosuch", "UsageError: Line magic function `%nosuch` not found."),
        ("raise ExceptionGroup('g', [ValueError(1)])", "Cell In[12], line 1, in <module>"),
        ("raise KeyError('a') from OSError('b')", "OSError: b"),
    ],
)
def test_every_kind_of_error_is_told_once(session: Session, code: str, expected: str) -> None:
    ran = session.run(code)
    assert expected in ran.traceback
    assert ran.events == []


def test_an_error_whose_text_fails_is_still_an_error(session: Session) -> None:
    ran = session.run("class E(Exception):\n    def __str__(self): return 1\nraise E")
    assert "Cell In[12], line 3" in ran.traceback
    assert ran.end["type_name"] == "E"
    assert "__str__ raised TypeError" in ran.end["message"]


@pytest.mark.parametrize("code", ["exit()", "exit", "quit()", "import sys; sys.exit(3)"])
def test_a_cell_can_not_end_its_session(session: Session, code: str) -> None:
    ran = session.run(code)
    assert "the session goes on" in ran.traceback
    assert ran.events == []
    assert session.run("1").end["value"] == 1


@pytest.mark.parametrize(
    "code",
    ["input('Name? ')", "import getpass; getpass.getpass()", "import sys; assert sys.stdin.read()"],
)
def test_asking_for_input_fails_at_once(session: Session, code: str) -> None:
    assert session.run(code).end["type"] == "error"


def test_asking_for_input_says_what_to_do(session: Session) -> None:
    ran = session.run("input()")
    assert (ran.end["type_name"], ran.end["message"][:32]) == (
        "EOFError",
        "A cell on a node can't ask for i",
    )
    assert "shell.py" not in ran.traceback


def test_top_level_await_works_and_tasks_live_on(session: Session) -> None:
    code = (
        "import asyncio\nt = asyncio.ensure_future(asyncio.sleep(0, 5))\nawait asyncio.sleep(0, 4)"
    )
    assert session.run(code).end["value"] == 4
    assert session.run("await t").end["value"] == 5
    session.run("async def count():\n    yield 1\n    yield 2")
    assert session.run("[each async for each in count()]").end["value"] == [1, 2]
    assert session.run("f'{await asyncio.sleep(0, 6)}'").end["value"] == "6"
    assert session.run("awaited = 'async'; awaited").end["value"] == "async"


def test_magics_and_commands_work(session: Session) -> None:
    ran = session.run("%%time\nout = !echo {1 + 1}\nout")
    assert ran.of("execute_result")[0]["data"] == {"text/plain": "['2']"}
    assert "Wall time" in ran.text()
    assert "NodeShell" in session.run("get_ipython()").of("execute_result")[0]["data"]["text/plain"]


def test_help_is_shown_as_output(session: Session) -> None:
    assert "Docstring" in session.run("len?").of("display_data")[0]["data"]["text/plain"]


@pytest.mark.parametrize(
    "code",
    [
        # One statement each: between two of them IPython compiles the next, on no line of a cell.
        "import time\nfor word in ['go']: print(word); time.sleep(60)",
        "import asyncio\nfor word in ['go']: print(word); await asyncio.sleep(60)",
    ],
)
def test_an_interrupt_shows_where_the_cell_was(session: Session, code: str) -> None:
    ran = session.run(code, interrupt_at="go")
    assert ran.end["type_name"] == "KeyboardInterrupt"
    assert re.search(r"Cell In\[12\], line 2\b", ran.traceback)
    assert "easyremote" not in ran.traceback
    assert session.run("await asyncio.sleep(0, 3)" if "await" in code else "3").end["value"] == 3


def test_displays_keep_their_ids(session: Session) -> None:
    ran = session.run(
        "from IPython.display import HTML, clear_output, display\n"
        "h = display(HTML('<b>1</b>'), display_id='me')\nh.update(HTML('2'))\n"
        "clear_output(wait=True)"
    )
    assert [event["type"] for event in ran.events] == [
        "display_data",
        "update_display_data",
        "clear_output",
    ]
    assert ran.events[0]["data"]["text/html"] == "<b>1</b>"
    assert ran.events[1]["transient"] == {"display_id": "me"}
    assert ran.events[2]["wait"] is True


def test_a_display_of_anything_can_travel(session: Session) -> None:
    ran = session.run(
        "from IPython.display import display\n"
        "display({'application/json': {1, 2**70}, 'image/png': b'x'}, raw=True)"
    )
    assert ran.events[0]["data"] == {"application/json": repr({1, 2**70}), "image/png": "eA=="}


def test_figures_are_shown_live_and_at_the_end(session: Session) -> None:
    ran = session.run(
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('between')\n"
        "plt.plot([2, 1]);"
    )
    assert [e["type"] for e in ran.events if e.get("text", "between") == "between"] == [
        "display_data",
        "stream",
        "display_data",
    ]
    assert all(e["data"]["image/png"].startswith("iVBOR") for e in ran.of("display_data"))


def test_bars_become_events_and_fail_with_their_cell(session: Session) -> None:
    ran = session.run(
        "from tqdm.auto import tqdm\nfor i in tqdm(range(4), 'work'):\n    1 / (2 - i)"
    )
    last = ran.of("progress")[-1]
    assert (last["desc"], last["n"], last["total"], last["state"]) == ("work", 2, 4, "failed")
    assert ran.text("stderr") == ""


def test_variables_and_imports_are_there_before_the_cell_runs(session: Session) -> None:
    ran = session.run("m.sqrt(v)", variables={"v": 9}, imports={"m": "math"})
    assert ran.end["value"] == 3


def test_a_module_that_is_missing_is_named(session: Session) -> None:
    ran = session.run("m", imports={"m": "no_such_module"})
    assert (ran.end["type_name"], ran.end["message"]) == (
        "ModuleNotFoundError",
        "The cell uses 'm', but 'no_such_module' is not installed on the node.",
    )


def test_small_names_come_back_and_others_stay(session: Session) -> None:
    ran = session.run(
        "import numpy as np\nbig = np.zeros(3_000_000)\ngen = iter(i for i in 'a')\nsmall = [1]",
        writes=["np", "big", "gen", "small", "missing"],
    )
    assert ran.end["names"] == {"small": [1]}
    assert ran.end["imports"] == {"np": "numpy"}
    kept = ran.end["kept"]
    assert (kept["gen"]["type"], kept["gen"]["size"]) == ("generator", 0)
    assert kept["big"]["text"] == "array([0., 0., 0., ..., 0., 0., 0.], shape=(3000000,))"
    assert kept["big"]["type"] == "ndarray"
    assert 24_000_000 <= kept["big"]["size"] < 24_001_000


def test_what_comes_back_by_itself_has_a_limit_in_all(session: Session) -> None:
    code = "\n".join(f"b{i} = bytes(15_000_000)" for i in range(5))
    ran = session.run(code, writes=[f"b{i}" for i in range(5)])
    assert (sorted(ran.end["names"]), sorted(ran.end["kept"])) == (["b0", "b1", "b2", "b3"], ["b4"])


def test_names_asked_for_come_back_whatever_their_size(session: Session) -> None:
    ran = session.run("large = bytes(17_000_000)\nother = 1", outputs=["large"])
    assert list(ran.end["names"]) == ["large"]


def test_all_means_what_the_cell_changed(session: Session) -> None:
    session.run("old = 1; changed = 1")
    assert session.run("changed = 2; _hidden = 3", outputs="*").end["names"] == {"changed": 2}


def test_nothing_comes_back_when_nothing_is_wanted(session: Session) -> None:
    assert session.run("a = 1", outputs="none", writes=["a"]).end["names"] == {}


@pytest.mark.parametrize(
    ("code", "error"),
    [("", "no 'wanted' to bring back"), ("wanted = open('/dev/null')", "'wanted' stays")],
)
def test_a_name_that_must_come_back_and_can_not_is_an_error(
    session: Session, code: str, error: str
) -> None:
    assert error in session.run(f"{code}\n1", outputs=["wanted"]).end["message"]


def test_the_users_profile_is_left_alone(session: Session, home: Path) -> None:
    session.run("1 + 1")
    assert not (home / "ipython").exists()
    assert not (home / ".ipython").exists()
