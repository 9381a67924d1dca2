"""Background cells, and the magics about jobs: in a real kernel, with a real gateway and node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jupyter_extension.conftest import Kernel, notebook_environment
from tests.processes import Gateway, until_there, wait_until

TOUCH = "pathlib.Path({!r}).touch()\n"


def gated(gate: Path) -> str:
    """The first lines of a cell that waits for the file."""
    return f"import time, pathlib\n{until_there(gate)}\n"


def panel(kernel: Kernel, line: str, code: str) -> tuple[str, str]:
    """Start a background cell; the id of its display, and of its job."""
    shown = kernel.run(f"%%remote gpu-node {line}\n{code}")
    (display,) = shown.of("display_data")
    listed = kernel.run("%remote_jobs").value
    return display["transient"]["display_id"], listed.splitlines()[-1].split()[0]


def last_update(kernel: Kernel, display_id: str, gate: Path) -> dict[str, str]:
    """What the display of a background cell shows at its end, which comes in another cell.

    A front end hears of it whenever it comes; this one while a cell runs.
    """
    code = f"import pathlib\n{TOUCH.format(str(gate))}%remote_jobs --wait 30"
    updates = kernel.run(code).of("update_display_data")
    shown = [u["data"] for u in updates if u["transient"]["display_id"] == display_id]
    return dict(shown[-1])


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """For a job that begins when this file is there."""
    return tmp_path / "gate"


def test_a_background_cell_returns_at_once_and_its_output_lands_in_its_own_display(
    kernel: Kernel, gate: Path
) -> None:
    code = gated(gate) + "print('from', 'behind')\nfound = 6 * 7\nfound + 1"
    display_id, _ = panel(kernel, "--bg fit", code)
    assert kernel.run("fit.done()").value == "False"
    assert kernel.run("'found' in dir()").value == "False"
    text = last_update(kernel, display_id, gate)["text/plain"]
    assert "from behind" in text
    assert "done" in text
    assert kernel.run("print('mine')").text() == "mine\n"
    assert kernel.run("found").value == "42"
    assert kernel.run("fit.result()").value == "43"


def test_its_result_binds_its_variables(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node --bg soon\nhere_soon = 5\n'value'")
    assert kernel.run("soon.result(), here_soon").value == "('value', 5)"
    assert kernel.run("await soon").value == "'value'"


def test_without_a_name_the_job_is_the_value_of_the_cell(kernel: Kernel) -> None:
    shown = kernel.run("%%remote gpu-node --bg\n1 + 1")
    assert shown.value.startswith("<RemoteJob cell ")
    assert kernel.run("_.result()").value == "2"


def test_figures_bars_and_html_are_shown_in_the_panel(kernel: Kernel, gate: Path) -> None:
    code = gated(gate) + (
        "from IPython.display import HTML, display\nfrom tqdm import tqdm\n"
        "for _ in tqdm(range(3), desc='steps'): pass\n"
        "display(HTML('<b>bold</b>'))\n"
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
    )
    display_id, _ = panel(kernel, "--bg", code)
    html = last_update(kernel, display_id, gate)["text/html"]
    assert "steps" in html and "100%" in html
    assert "<b>bold</b>" in html
    assert "data:image/png;base64," in html


def test_a_failed_background_cell_shows_its_traceback_and_raises_when_asked(
    kernel: Kernel, gate: Path
) -> None:
    display_id, job = panel(kernel, "--bg bad", f"{gated(gate)}before = 1\n1 / 0")
    text = last_update(kernel, display_id, gate)["text/plain"]
    assert "failed" in text
    assert "ZeroDivisionError" in text
    assert kernel.run("before").value == "1"
    assert "ZeroDivisionError" in kernel.run("bad.result()", fails=True).traceback
    assert "failed" in kernel.run("%remote_jobs").value


def test_a_long_text_is_cut_in_the_panel_and_whole_on_the_node(kernel: Kernel, gate: Path) -> None:
    code = f"{gated(gate)}for n in range(10_000): print('line', n)"
    display_id, job = panel(kernel, "--bg", code)
    text = last_update(kernel, display_id, gate)["text/plain"]
    assert f"characters before this: %remote_job {job} shows all" in text
    assert "line 9999" in text
    assert len(text) < 15_000
    whole = kernel.run(f"%remote_job {job}").text()
    assert whole == "".join(f"line {n}\n" for n in range(10_000))


def test_a_job_is_followed_to_its_end(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    _, job = panel(kernel, "--bg", f"print('begun')\n{gated(gate)}print('ended')")
    kernel.run(
        f"import threading, pathlib\nthreading.Timer(1, pathlib.Path({str(gate)!r}).touch).start()"
    )
    assert kernel.run(f"%remote_job {job} --follow").text() == "begun\nended\n"


def test_what_runs_is_shown_so_far(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    _, job = panel(kernel, "--bg named", f"print('begun')\n{gated(gate)}print('ended')")
    wait_until(lambda: kernel.run("%remote_job named").text() == "begun\n")
    shown = kernel.run("%remote_job named")
    gate.touch()
    assert "The job still runs. Follow it to its end: %remote_job" in shown.text("stderr")


def test_interrupting_the_following_leaves_the_job_alone(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    _, job = panel(kernel, "--bg left", f"print('begun')\n{gated(gate)}'whole'")
    kernel.run(f"%remote_job {job} --follow", interrupt_at="begun")
    gate.touch()
    assert kernel.run("left.result(30)").value == "'whole'"


def test_a_cell_of_another_kernel_is_found_by_its_id(kernel: Kernel, gateway: Gateway) -> None:
    kernel.run("%%remote gpu-node\nprint('seen by', 'both')\n1 / 0", fails=True)
    job = kernel.run("%remote_jobs").value.splitlines()[-1].split()[0]
    other = Kernel(notebook_environment(gateway))
    try:
        shown = other.run(f"%remote_job {job}")
        unknown = other.run("%remote_job ffffffff", fails=True)
    finally:
        other.close()
    assert shown.text() == "seen by both\n"
    assert "ZeroDivisionError" in shown.text("stderr")
    assert "There is no job 'ffffffff'" in unknown.story()


def test_a_cancelled_job_is_interrupted_and_its_session_lives(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nkept_there = 'kept'")
    _, job = panel(kernel, "--bg slow", "import time\nprint('on')\ntime.sleep(600)")
    assert "told to stop" in kernel.run(f"%remote_cancel {job}").text()
    shown = kernel.run("slow.result(30)", fails=True)
    assert shown.reply["ename"] == "CallCancelled"
    assert (
        shown.traceback == f"CallCancelled: Job {job} was cancelled: %remote_job {job} shows where."
    )
    assert "Cell In[" in kernel.run(f"%remote_job {job}").text("stderr")
    caught = "try: await slow\nexcept easyremote.CallCancelled: print('cancelled')"
    assert kernel.run(f"import easyremote\n{caught}").text() == "cancelled\n"
    assert "cancelled" in kernel.run("%remote_jobs").value.splitlines()[-1]
    assert kernel.run("%%remote gpu-node\nkept_there").value == "'kept'"
    assert "is over" in kernel.run(f"%remote_cancel {job}").text()


def test_a_job_of_another_notebook_is_cancelled_by_its_id(gateway: Gateway, kernel: Kernel) -> None:
    other = Kernel(notebook_environment(gateway))
    try:
        _, job = panel(other, "--bg slow", "import time\ntime.sleep(600)")
        told = kernel.run(f"%remote_cancel {job}").text()
        assert told == f"Job {job} on gpu-node is told to stop.\n"
        assert other.run("slow.result(30)", fails=True).reply["ename"] == "CallCancelled"
        wait_until(lambda: "is over: cancelled" in kernel.run(f"%remote_cancel {job}").text())
    finally:
        other.close()


def test_a_cell_is_interrupted_while_its_session_starts(kernel: Kernel) -> None:
    _, job = panel(kernel, "-s starting --bg slow", "import time\ntime.sleep(600)")
    kernel.run(f"%remote_cancel {job}")
    assert kernel.run("slow.result(30)", fails=True).reply["ename"] == "CallCancelled"
    assert kernel.run("%%remote gpu-node -s starting\n1 + 1").value == "2"


def test_a_killed_job_takes_its_session_along(kernel: Kernel, tmp_path: Path) -> None:
    deaf, code = tmp_path / "deaf", "import time, signal, pathlib\n"
    code += "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    _, job = panel(kernel, "-s doomed --bg slow", f"{code}{TOUCH.format(str(deaf))}time.sleep(600)")
    wait_until(deaf.exists)
    kernel.run(f"%remote_cancel {job}")
    assert "cancelling" in kernel.run("%remote_jobs").value
    assert "killed" in kernel.run(f"%remote_cancel {job} --kill").text()
    assert kernel.run("slow.result(30)", fails=True).reply["ename"] == "CallCancelled"
    assert "cancelled" in kernel.run("%remote_jobs").value


def test_a_background_cell_that_can_not_be_sent_says_so_at_once(kernel: Kernel) -> None:
    kernel.run("import threading\nlock = threading.Lock()")
    shown = kernel.run("%%remote gpu-node --bg never\nlock.locked()", fails=True)
    assert "'lock'" in shown.story()
    assert "not sent" in shown.of("update_display_data")[-1]["data"]["text/plain"]
    assert kernel.run("'never' in dir()").value == "False"


def test_variables_are_sent_as_they_were_when_the_cell_was_run(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node --bg first\nimport time\ntime.sleep(0.5)")
    kernel.run("given = [1]")
    kernel.run("%%remote gpu-node --bg second\nlist(given)")
    kernel.run("given.append(2)")
    assert kernel.run("second.result(30)").value == "[1]"


def test_a_background_job_in_a_session_of_its_own_ends_it(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node --fresh --bg alone\nimport os\nos.getpid()")
    pid = kernel.run("alone.result(30)").value
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_background_cell_can_not_ask(kernel: Kernel, gate: Path) -> None:
    display_id, _ = panel(kernel, "--bg", f"{gated(gate)}input('Name? ')")
    shown = last_update(kernel, display_id, gate)
    assert "it runs in the background" in shown["text/plain"]


def test_jobs_elsewhere_are_listed_with_all(
    kernel: Kernel, gateway: Gateway, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    other = Kernel(notebook_environment(gateway))
    try:
        _, job = panel(other, "--bg far", gated(gate))
        assert job in kernel.run("%remote_jobs --all").value
        assert job not in kernel.run("%remote_jobs").value
        gate.touch()
        other.run("far.result(30)")
    finally:
        other.close()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("%remote_job", "required: job"),
        ("%remote_job 'open", "'open: No closing quotation"),
        ("%remote_jobs --wat", "unrecognized arguments: --wat"),
        ("%remote_cancel nothing", "There is no job 'nothing'"),
    ],
)
def test_slips_are_one_line(kernel: Kernel, line: str, text: str) -> None:
    shown = kernel.run(line, fails=True)
    assert text in shown.text("stderr") + shown.story()
    assert not re.search("File .*job_magics", shown.story())


@pytest.fixture
def restarted(gateway: Gateway) -> Iterator[Kernel]:
    started = Kernel(notebook_environment(gateway))
    yield started
    started.close()


def test_a_background_job_outlives_its_kernel(
    kernel: Kernel, restarted: Kernel, tmp_path: Path
) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    code = f"{gated(gate)}pathlib.Path({str(done)!r}).touch()\nprint('whole')"
    _, job = panel(restarted, "-s lasting --bg", code)
    restarted.kill()
    gate.touch()
    assert kernel.run(f"%remote_job {job} --follow").text() == "whole\n"
    assert done.exists()
