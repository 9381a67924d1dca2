"""The stop button, limits of time, and what breaks while a cell runs: in real kernels."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.jupyter_extension.conftest import Kernel, Shown, notebook_environment
from tests.processes import LIMIT, Gateway, end, online, start_gateway, until_there, wait_until

#: Prints a number until there is a file; `begun` is there when it prints.
COUNTING = (
    "import pathlib, time\nn = 0\nwhile not pathlib.Path({gate!r}).exists():\n"
    "    print(n := n + 1)\n    pathlib.Path({begun!r}).touch()\n    time.sleep(0.02)\n"
    "print('end', n)\nn"
)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that a test may kill."""
    started = start_gateway(tmp_path / "home")
    yield started
    end(started.process)


@contextlib.contextmanager
def a_kernel(gateway: Gateway) -> Iterator[Kernel]:
    started = Kernel(notebook_environment(gateway))
    try:
        yield started
    finally:
        started.close()


def run(kernel: Kernel, code: str, when: Callable[[Shown], None] | None = None) -> Shown:
    """Run a cell on the node, with something done once at its first output."""
    shown, done = Shown(), list[int]()

    def hook(message: dict[str, object]) -> None:
        shown.messages.append(message)
        if message["msg_type"] == "stream" and when is not None and not done:
            done.append(1)
            threading.Thread(target=when, args=(shown,)).start()

    reply = kernel._client.execute_interactive(
        f"%%remote {code}", allow_stdin=False, output_hook=hook, timeout=2 * LIMIT
    )
    shown.reply = reply["content"]
    return shown


# -- the stop button


def test_an_interrupt_shows_the_last_prints_and_where_it_was_and_stops_run_all(
    kernel: Kernel,
) -> None:
    code = (
        "%%remote gpu-node\nimport time\nprint('going')\ntry:\n    time.sleep(60)\n"
        "finally:\n    print('last words')"
    )
    shown = kernel.run(code, interrupt_at="going")
    assert shown.reply["ename"] == "KeyboardInterrupt"
    assert shown.text() == "going\nlast words\n"
    assert "line 5" in shown.traceback
    assert "on gpu-node" in shown.traceback


def test_a_second_interrupt_returns_control_and_the_job_stays_cancelling(
    kernel: Kernel, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = (
        "-s deaf\nimport time, signal, pathlib\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"print('deaf')\n{until_there(gate)}\n"
    )

    def twice(shown: Shown) -> None:
        kernel._manager.interrupt_kernel()
        time.sleep(0.5)  # a person's finger: the first has been taken note of
        kernel._manager.interrupt_kernel()

    began = time.monotonic()
    shown = run(kernel, f"gpu-node {code}", twice)
    assert shown.reply["ename"] == "KeyboardInterrupt", shown.story()
    assert "%remote_cancel ID --kill" in shown.traceback
    assert time.monotonic() - began < LIMIT
    assert "cancelling" in kernel.run("%remote_jobs").value.splitlines()[-1]
    gate.touch()
    assert kernel.run("%%remote gpu-node -s deaf\n1 + 1").value == "2"


def test_a_handler_of_a_cell_ends_with_the_cell(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nimport signal\n_ = signal.signal(signal.SIGINT, signal.SIG_IGN)")
    shown = kernel.run(
        "%%remote gpu-node\nimport time\nprint('going')\ntime.sleep(60)", interrupt_at="going"
    )
    assert shown.reply["ename"] == "KeyboardInterrupt"
    assert "on gpu-node" in shown.traceback  # it was heeded there


# -- limits of time


def test_a_cell_that_runs_too_long_says_so(kernel: Kernel) -> None:
    shown = kernel.run("%%remote gpu-node -t 1\nimport time\ntime.sleep(60)", fails=True)
    assert shown.reply["ename"] == "CallTimeout"
    assert "ran longer than 1 s" in shown.reply["evalue"]


def test_waiting_does_not_count_as_running(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    kernel.run(f"%%remote gpu-node --bg first\nimport time, pathlib\n{until_there(gate)}")
    timer = threading.Timer(3, gate.touch)
    timer.start()
    assert kernel.run("%%remote gpu-node -t 2\n1 + 1").value == "2"
    timer.join()


def test_a_cell_that_waits_too_long_does_not_run(kernel: Kernel, tmp_path: Path) -> None:
    gate, ran = tmp_path / "gate", tmp_path / "ran"
    kernel.run(f"%%remote gpu-node --bg first\nimport time, pathlib\n{until_there(gate)}")
    code = (
        f"%%remote gpu-node --queue-timeout 1\nimport pathlib\npathlib.Path({str(ran)!r}).touch()"
    )
    shown = kernel.run(code, fails=True)
    gate.touch()
    assert shown.reply["ename"] == "CallTimeout", shown.story()
    kernel.run("first.result(30)")
    assert not ran.exists()


# -- what breaks


def test_a_killed_gateway_in_mid_cell_costs_no_line_of_output(own: Gateway, tmp_path: Path) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    node, again = own.start_node("gpu-node"), list[Gateway]()

    def restart(shown: Shown) -> None:
        os.kill(own.process.pid, signal.SIGKILL)
        own.process.wait(LIMIT)
        time.sleep(2)  # long enough to be worth a notice
        again.append(start_gateway(own.home, int(own.address.split(":")[1])))
        lines = len(shown.text())
        wait_until(lambda: len(shown.text()) > lines)
        gate.touch()

    try:
        with a_kernel(own) as kernel:
            code = COUNTING.format(gate=str(gate), begun=str(begun))
            shown = run(kernel, f"gpu-node\n{code}", restart)
            assert shown.reply["status"] == "ok", shown.story()
            count = int(shown.value)
            assert shown.text() == "".join(f"{n}\n" for n in range(1, count + 1)) + f"end {count}\n"
            assert "reconnecting ... (the job keeps running)" in shown.text("stderr")
            assert "Connected again." in shown.text("stderr")
    finally:
        end(node)
        for gateway in again:
            end(gateway.process)


def test_a_node_killed_in_mid_cell_is_named_and_the_bars_are_red(
    own: Gateway, tmp_path: Path
) -> None:
    nodes = [own.start_node("gpu-node")]

    def restart(shown: Shown) -> None:
        nodes[0].kill()
        nodes[0].wait(LIMIT)
        nodes.append(own.start_node("gpu-node"))

    try:
        with a_kernel(own) as kernel:
            code = (
                "import time\nfrom tqdm import tqdm\nfor n in tqdm(range(1000)):\n"
                "    time.sleep(0.2)\n    if n == 3: print('on')"
            )
            shown = run(kernel, f"gpu-node\n{code}", restart)
            assert shown.reply["ename"] == "CallLost", shown.story()
            assert "'gpu-node' was restarted" in shown.reply["evalue"]
            last = shown.of("update_display_data")[-1]["data"]
            bars = [u for u in shown.of("update_display_data") if "%|" in u["data"]["text/plain"]]
            assert "--jp-error-color1" in bars[-1]["data"]["text/html"], last
            assert run(kernel, "gpu-node\n1 + 1").value == "2"
    finally:
        for node in nodes:
            end(node)


def test_a_session_killed_from_outside_is_told_and_the_next_cell_has_a_new_one(
    kernel: Kernel,
) -> None:
    kernel.run("there = 5")
    kernel.run("%%remote gpu-node -s killed\nonly_there = lambda: there")
    pid = kernel.run("%%remote gpu-node -s killed\nimport os\nos.getpid()").value
    code = "gpu-node -s killed\nimport time\nprint('on')\ntime.sleep(60)"
    shown = run(kernel, code, lambda shown: os.kill(int(pid), signal.SIGKILL))
    assert shown.reply["ename"] == "WorkerCrashed"
    assert "SIGKILL" in shown.reply["evalue"]
    assert kernel.run("%%remote gpu-node -s killed\nthere").value == "5"


def test_a_kernel_killed_in_mid_cell_leaves_its_output_to_the_next(
    kernel: Kernel, gateway: Gateway, tmp_path: Path
) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    code = COUNTING.format(gate=str(gate), begun=str(begun))
    with a_kernel(gateway) as doomed:
        doomed._client.execute(f"%%remote gpu-node -s orphan\n{code}")
        wait_until(begun.exists)
        listed = kernel.run("%remote_jobs --all").value.splitlines()
        (job,) = [line.split()[0] for line in listed if "elsewhere" in line]
        doomed.kill()
    timer = threading.Timer(2, gate.touch)
    timer.start()
    text = kernel.run(f"%remote_job {job} --follow").text()
    timer.join()
    count = int(text.split()[-1])
    assert text == "".join(f"{n}\n" for n in range(1, count + 1)) + f"end {count}\n"


def test_a_cell_whose_kernel_is_gone_is_cancelled_when_it_says_so(
    gateway: Gateway, node: object, tmp_path: Path
) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    code = (
        "import pathlib, time\ntry:\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n    time.sleep(600)\n"
        f"finally:\n    pathlib.Path({str(ended)!r}).touch()"
    )
    with a_kernel(gateway) as doomed:
        doomed._client.execute(f"%%remote gpu-node -s left --on-disconnect cancel:1\n{code}")
        wait_until(begun.exists)
        doomed.kill()
        wait_until(ended.exists)


def test_a_gateway_that_is_gone_at_the_start_is_told_in_one_line(
    own: Gateway, tmp_path: Path
) -> None:
    node = own.start_node("gpu-node")
    client = own.client()
    assert "gpu-node" in online(client)
    client.close()
    end(node)
    end(own.process)
    with a_kernel(own) as kernel:
        shown = kernel.run("%%remote gpu-node\n1", fails=True)
    assert shown.reply["ename"] == "GatewayUnreachable"
    assert len(shown.traceback.splitlines()) <= 2
