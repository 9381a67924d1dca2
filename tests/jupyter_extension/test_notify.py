"""``--notify``: somebody is told that a cell is over, also when its notebook is closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.identity import write_private
from tests.jupyter_extension.conftest import Kernel, notebook_environment
from tests.processes import Gateway, end, start_gateway, until_there, wait_until
from tests.webhook import Webhook, webhook


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, hook: Webhook) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("home")
    write_private(home / "notify.json", {"me": hook.address("from-a-name")})
    started = start_gateway(home, 0, "--notify-host", "127.0.0.1")
    yield started
    end(started.process)


@pytest.fixture(autouse=True)
def nothing_posted(hook: Webhook) -> None:
    hook.posted.clear()


def test_a_cell_is_told_of_by_a_name_that_was_saved(kernel: Kernel, hook: Webhook) -> None:
    assert kernel.run("%%remote gpu-node --notify me\n6 * 7").value == "42"
    assert hook.wait()[0].startswith("a cell on gpu-node: done")
    assert hook.posted[0][0] == "/from-a-name"
    job = kernel.run("%remote_jobs").value.splitlines()[-1].split()[0]
    wait_until(lambda: "Its notification: sent." in kernel.run(f"%remote_job {job}").text("stderr"))


def test_a_background_cell_whose_kernel_was_killed_is_told_of(
    gateway: Gateway, node: object, hook: Webhook, tmp_path: Path
) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    doomed = Kernel(notebook_environment(gateway))
    doomed.run(
        f"%%remote gpu-node --bg --notify me\nimport pathlib, time\n"
        f"pathlib.Path({str(begun)!r}).touch()\n{until_there(gate)}\n1 / 0"
    )
    wait_until(begun.exists)
    doomed.kill()
    assert hook.posted == []
    gate.touch()
    assert hook.wait()[0].startswith("a cell on gpu-node: failed after ")


def test_an_address_in_the_line_does_not_go_to_the_node(kernel: Kernel, hook: Webhook) -> None:
    code = "import linecache, sys\nlinecache.getlines(sys._getframe().f_code.co_filename)[0]"
    line = kernel.run(f"%%remote gpu-node --notify {hook.address()} -q\n{code}").value
    assert line == repr("# %%remote gpu-node --notify ... -q\n")
    hook.wait()


@pytest.mark.parametrize(
    ("who", "why"),
    [("nobody", "no address is called 'nobody' here"), ("https://a/b", "there is no service")],
)
def test_who_can_not_be_told_is_refused_in_one_line(
    kernel: Kernel, tmp_path: Path, who: str, why: str
) -> None:
    ran = tmp_path / "ran"
    code = f"import pathlib\npathlib.Path({str(ran)!r}).touch()"
    shown = kernel.run(f"%%remote gpu-node --notify {who}\n{code}", fails=True)
    assert why in shown.story()
    assert "Traceback" not in shown.story()
    assert not ran.exists()
