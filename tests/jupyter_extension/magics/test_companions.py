"""The magics beside ``%%remote``, in a real kernel with a real gateway and real nodes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.jupyter_extension.conftest import Kernel
from tests.processes import Gateway, end_node


@pytest.fixture(scope="module")
def second(gateway: Gateway, node: object) -> Iterator[subprocess.Popen[str]]:
    process = gateway.start_node("cpu-node", "--label", "fast")
    yield process
    end_node(process)


@pytest.fixture
def kernel_apart(kernel: Kernel, second: object) -> Iterator[Kernel]:
    """The kernel, with nothing attached before and after."""
    yield kernel
    kernel.run("%remote_detach")


def where(kernel: Kernel, cell: str) -> int:
    return int(kernel.run(f"{cell}\nimport os\nos.getpid()").value)


def test_nodes_are_a_table_with_what_they_have(kernel: Kernel, second: object) -> None:
    shown = kernel.run("%remote_nodes")
    html = shown.of("execute_result")[0]["data"]["text/html"]
    for text in ("gpu-node", "cpu-node", "online", "cores", "GB", "fast", "divide"):
        assert text in shown.value and text in html


def test_nodes_as_json_can_be_read_by_programs(kernel: Kernel, second: object) -> None:
    nodes = {
        each["node_id"]: each for each in json.loads(kernel.run("%remote_nodes --json").text())
    }
    assert nodes["cpu-node"]["labels"] == ["fast"]
    assert nodes["cpu-node"]["state"] == "online"
    assert nodes["cpu-node"]["cores"] >= 1
    assert nodes["cpu-node"]["memory_total"] > 1_000_000


def test_nodes_are_watched_until_the_cell_is_interrupted(kernel: Kernel) -> None:
    seen = kernel.run_until(
        "%remote_nodes --watch", lambda shown: "% of" in str(shown.of("update_display_data"))
    )
    assert len(seen.of("display_data")) == 1
    assert "gpu-node" in seen.of("update_display_data")[-1]["data"]["text/html"]
    assert seen.reply["status"] == "ok"


def test_an_attached_node_is_where_cells_without_a_target_run(kernel_apart: Kernel) -> None:
    there = where(kernel_apart, "%%remote cpu-node")
    text = kernel_apart.run("%remote_attach cpu-node").text()
    assert text == "%%remote cells without a target run on cpu-node.\n"
    assert where(kernel_apart, "%%remote") == there
    assert where(kernel_apart, "%%remote gpu-node") != there
    assert kernel_apart.run("%remote_attach").text() == text
    kernel_apart.run("%remote_detach")
    assert "No node is attached" in kernel_apart.run("%remote_attach").text()


def test_any_with_conditions_and_a_session_can_be_attached(kernel_apart: Kernel) -> None:
    text = kernel_apart.run("%remote_attach any/mine --where 'fast, cores>=1'").text()
    assert text == ("%%remote cells without a target run on any/mine --where 'fast, cores>=1'.\n")
    assert where(kernel_apart, "%%remote") == where(kernel_apart, "%%remote cpu-node/mine")


def test_with_auto_every_plain_cell_runs_there_until_it_is_detached(kernel_apart: Kernel) -> None:
    here = where(kernel_apart, "")
    text = kernel_apart.run("%remote_attach gpu-node --auto").text()
    assert text == "Plain cells, and %%remote cells without a target run on gpu-node.\n"
    there = where(kernel_apart, "")
    assert there != here
    assert where(kernel_apart, "%%local") == here
    assert where(kernel_apart, "%%remote cpu-node") not in (here, there)
    kernel_apart.run("%remote_detach")
    assert where(kernel_apart, "") == here


def test_with_auto_variables_results_and_lines_are_as_ever(kernel_apart: Kernel) -> None:
    kernel_apart.run("base = 20")
    kernel_apart.run("%remote_attach gpu-node --auto")
    kernel_apart.run("doubled = base * 2")
    assert kernel_apart.run("%%local\ndoubled + 2").value == "42"
    assert kernel_apart.run("doubled + 1").value == "41"
    assert kernel_apart.run("_ + 1").value == "42"
    shown = kernel_apart.run("x = 0\n1 / x", fails=True)
    assert f"Cell In[{shown.reply['execution_count']}], line 2" in shown.traceback
    shown = kernel_apart.run("x = 1\n%%remote gpu-node\nx", fails=True)
    assert "Line 2: a cell that runs on a node" in shown.text("stderr")


def test_a_local_cell_is_an_ordinary_one_with_its_own_lines(kernel: Kernel) -> None:
    shown = kernel.run("%%local\nx = 0\n1 / x", fails=True)
    assert "----> 3 1 / x" in shown.traceback
    shown = kernel.run("%%local now\n1", fails=True)
    assert "%%local has to be the first line of its cell" in shown.text("stderr")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%remote_attach gpu-nod", "There is no node 'gpu-nod'. Did you mean 'gpu-node'?"),
        ("%remote_attach gpu-node -t 5", "%remote_attach takes a target, --where and --auto"),
        ("%remote_attach --auto", "%remote_attach takes a target, --where and --auto"),
        ("%remote_attach any --where gpus>1", "a node has no 'gpus' to compare."),
        ("%remote_detach now", "%remote_detach has no option now."),
        ("%remote_nodes --wach", "%remote_nodes has no option --wach. Did you mean '--watch'?"),
        ("%remote_nodes --watch --json", "%remote_nodes takes one of --watch, --json."),
        ("%remote_restart gpu-nod", "There is no node 'gpu-nod'."),
    ],
)
def test_slips_of_the_companions_are_one_line(
    kernel: Kernel, second: object, line: str, message: str
) -> None:
    shown = kernel.run(line, fails=True)
    assert message in shown.text("stderr")
    assert shown.text("stderr").count("\n") == 1
    assert "No node is attached" in kernel.run("%remote_attach").text()


def test_the_doctor_tells_every_step(kernel: Kernel, second: object) -> None:
    lines = kernel.run("%remote_doctor gpu-node").text().splitlines()
    assert [line[:6] for line in lines] == ["ok    "] * 4
    assert "the gateway answers in" in lines[2]
    assert "node gpu-node runs code; a call took" in lines[3]
    text = kernel.run("%remote_doctor gpu-nod").text()
    assert "wrong There is no node 'gpu-nod'. Did you mean 'gpu-node'?" in text


def test_the_help_of_the_magic_has_all_options_and_examples(kernel: Kernel) -> None:
    (page,) = kernel.run("%%remote?").reply["payload"]
    text = page["data"]["text/plain"]
    for part in ("--where", "--fresh", "--queue-timeout", "--dry-run", "y = %remote gpu-node f(x)"):
        assert part in text


def test_loading_the_extension_again_hooks_in_once(kernel: Kernel) -> None:
    count = (
        "len([t for t in get_ipython().input_transformers_cleanup "
        "if type(t).__name__ == 'CellTransformer']), "
        "len([m for m in get_ipython().Completer.custom_matchers "
        "if getattr(m, 'matcher_identifier', '') == 'easyremote'])"
    )
    assert kernel.run(count).value == "(1, 1)"
    kernel.run("%reload_ext easyremote")
    assert kernel.run(count).value == "(1, 1)"
    kernel.run("%unload_ext easyremote")
    assert kernel.run(count).value == "(0, 0)"
    kernel.run("%load_ext easyremote")
    assert kernel.run(count).value == "(1, 1)"
