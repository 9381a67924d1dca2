"""``--keep``: cells that are found again, whoever was gone meanwhile; in real kernels."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.jupyter_extension.conftest import Kernel, notebook_environment
from tests.processes import LIMIT, Gateway, end, start_gateway, until_there, wait_until


@pytest.fixture
def doomed(gateway: Gateway, node: object) -> Iterator[Kernel]:
    """A kernel that a test kills."""
    started = Kernel(notebook_environment(gateway))
    yield started
    started.close()


def long_cell(folder: Path) -> str:
    """A cell that begins, waits for a file, and leaves variables."""
    return (
        "import pathlib, time\nprint('begun', flush=True)\n"
        f"pathlib.Path({str(folder / 'begun')!r}).touch()\n{until_there(folder / 'gate')}\n"
        "print('ended')\nfound = {'answer': 6 * 7}\nlarge = bytearray(20_000_000)\n'the value'"
    )


def kill(kernel: Kernel) -> None:
    """Kill -9 a kernel's process."""
    provisioner = kernel._manager.provisioner
    assert provisioner is not None
    os.kill(int(provisioner.pid), signal.SIGKILL)  # type: ignore[attr-defined]  # a local one
    wait_until(lambda: not kernel._client.is_alive())


def kept(kernel: Kernel) -> list[str]:
    """The ids of the cells that are kept and that are none of this kernel's."""
    lines = kernel.run("%remote_jobs").value.splitlines()
    return [line.split()[0] for line in lines if re.search(r"\bkept\b", line)]


def soon(work: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(1, work)
    timer.start()
    return timer


def test_a_kept_cell_whose_kernel_was_killed_is_collected_by_the_next_one(
    doomed: Kernel, kernel: Kernel, tmp_path: Path
) -> None:
    doomed.run(f"%%remote gpu-node --bg fit --keep 2h\n{long_cell(tmp_path)}")
    wait_until((tmp_path / "begun").exists)
    job = doomed.run("fit.call_id").value.strip("'")[:8]
    kill(doomed)
    assert kept(kernel) == [job]
    touching = soon((tmp_path / "gate").touch)
    shown = kernel.run(f"%remote_collect {job}")
    touching.join()
    assert shown.text() == "begun\nended\n"
    assert [each["data"]["text/plain"] for each in shown.of("display_data")] == ["'the value'"]
    assert "Stays on gpu-node: large (bytearray, 20.0 MB)" in shown.text("stderr")
    assert kernel.run("found, len(large.get())").value == "({'answer': 42}, 20000000)"
    assert kernel.run(f"%remote_collect {job} --release").text() == "begun\nended\n"
    assert kept(kernel) == []
    assert "keeps no cell" in kernel.run(f"%remote_collect {job}", fails=True).story()


def test_its_own_kernel_has_it_as_any_cell_in_the_background(
    kernel: Kernel, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    shown = kernel.run(f"%%remote gpu-node/own --bg mine --keep\n{long_cell(tmp_path)}")
    (display,) = shown.of("display_data")
    assert kernel.run("mine.result(60), found['answer']").value == "('the value', 42)"
    listed = kernel.run("%remote_jobs").value.splitlines()[-1]
    assert "done" in listed and "kept" not in listed
    updates = kernel.run("%remote_jobs --wait 10").of("update_display_data")
    assert display["transient"]["display_id"]
    assert all("begun\nended" in each["data"]["text/plain"] for each in updates)


def test_a_kept_cell_that_failed_tells_its_error_to_whoever_collects_it(
    doomed: Kernel, kernel: Kernel
) -> None:
    doomed.run("%%remote gpu-node/failed --bg job --keep\nprint('on')\n1 / 0")
    doomed.run("job.exception(60)")
    (job,) = kept(kernel)
    shown = kernel.run(f"%remote_collect {job}", fails=True)
    assert shown.text() == "on\n"
    assert shown.reply["ename"] == "ZeroDivisionError"
    assert "on gpu-node" in shown.traceback


def test_it_is_stopped_from_elsewhere(doomed: Kernel, kernel: Kernel, tmp_path: Path) -> None:
    doomed.run(f"%%remote gpu-node/stopped --bg job --keep\n{long_cell(tmp_path)}")
    wait_until((tmp_path / "begun").exists)
    (job,) = [each for each in kept(kernel) if each in doomed.run("job.call_id").value]
    assert "told to stop" in kernel.run(f"%remote_cancel {job}").text()
    shown = kernel.run(f"%remote_collect {job}", fails=True)
    assert shown.reply["ename"] in ("KeyboardInterrupt", "CallCancelled")


def test_kernel_and_gateway_are_killed_and_the_cell_is_collected_all_the_same(
    tmp_path: Path,
) -> None:
    first, second = start_gateway(tmp_path / "home"), None
    node = first.start_node("gpu-node")
    doomed = Kernel(notebook_environment(first))
    try:
        doomed.run(f"%%remote gpu-node --bg --keep 7d\n{long_cell(tmp_path)}")
        wait_until((tmp_path / "begun").exists)
        kill(doomed)
        first.process.kill()
        first.process.wait(LIMIT)
        second = start_gateway(first.home, int(first.address.split(":")[1]))
        after = Kernel(notebook_environment(second))
        try:
            (job,) = kept(after)
            touching = soon((tmp_path / "gate").touch)
            shown = after.run(f"%remote_collect {job}")
            touching.join()
            assert shown.text() == "begun\nended\n"
            assert after.run("found").value == "{'answer': 42}"
        finally:
            after.close()
    finally:
        doomed.close()
        end(node)
        for each in (first, second):
            if each is not None:
                end(each.process)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("gpu-node --keep", "--keep goes with --bg"),
        ("gpu-node --bg --fresh --keep", "a session that stays"),
        ("gpu-node --bg --keep 7x", "is a number with its unit"),
    ],
)
def test_slips_are_one_line(kernel: Kernel, line: str, why: str) -> None:
    shown = kernel.run(f"%%remote {line}\n1", fails=True)
    assert why in shown.story()
    assert "Traceback" not in shown.story()
