"""``%%remote`` in a real kernel, with a real gateway and a real node."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.cli.command import easyremote
from tests.jupyter_extension.conftest import Kernel
from tests.processes import Gateway, end, wait_until


def test_a_cell_runs_on_the_node_and_shows_its_value(kernel: Kernel) -> None:
    here = kernel.run("import os; os.getpid()").value
    shown = kernel.run("%%remote gpu-node\nimport os\nprint('hello')\nos.getpid()")
    assert shown.text() == "hello\n"
    assert shown.value != here


def test_the_value_is_kept_as_it_is(kernel: Kernel) -> None:
    shown = kernel.run("%%remote\n{'a': [1, 2]}")
    count = shown.of("execute_result")[0]["execution_count"]
    assert kernel.run("_['a'] + [3]").value == "[1, 2, 3]"
    assert kernel.run(f"Out[{count}]").value == "{'a': [1, 2]}"


def test_the_only_node_is_the_one_that_is_meant(kernel: Kernel) -> None:
    assert kernel.run("%%remote\n1 + 1").value == "2"


def test_variables_go_there_and_come_back(kernel: Kernel) -> None:
    kernel.run("import math\nfactor = 3\ndef times(x):\n    return factor * x")
    kernel.run("%%remote\nproduct = times(14)\nroot = math.sqrt(81)")
    assert kernel.run("product, root").value == "(42, 9.0)"


def test_what_was_defined_there_works_here(kernel: Kernel) -> None:
    kernel.run("%%remote\nclass Point:\n    x = 1\ndef double(v):\n    return 2 * v\np = Point()")
    assert kernel.run("double(21), p.x, type(p) is Point").value == "(42, 1, True)"


def test_instances_of_the_notebooks_own_classes_go_and_come_back(kernel: Kernel) -> None:
    kernel.run(
        "from dataclasses import dataclass\nfrom enum import Enum\n"
        "class Color(Enum):\n    RED = 1\n"
        "@dataclass\nclass Car:\n    color: Color\n    doors: int = 4\n"
        "    def wheels(self):\n        return self.doors * factor\n"
        "    @property\n    def is_red(self):\n        return self.color is Color.RED\n"
        "factor = 1\ncar = Car(Color.RED)"
    )
    shown = kernel.run("%%remote\ncar.doors += 1\nsecond = Car(Color.RED, 3)\ncar.is_red")
    assert (shown.value, shown.text("stderr")) == ("True", "")
    here = kernel.run("car.wheels(), second.wheels(), second.is_red, type(second) is Car")
    assert here.value == "(5, 3, True, True)"
    # The classes have not changed meanwhile, so nothing is sent that would undo the node's work.
    kernel.run("held = [Car.wheels.__code__.co_consts, Car.__dict__]")
    shown = kernel.run("%%remote\ncar.doors, second.wheels()")
    assert (shown.value, shown.text("stderr")) == ("(5, 3)", "")


def test_counting_in_two_cells_counts_twice(kernel: Kernel) -> None:
    kernel.run("n = 0\nseen = []")
    for _ in range(2):
        kernel.run("%%remote\nn += 1\nseen.append(n)")
    assert kernel.run("n").value == "2"
    assert kernel.run("%%remote\nseen").value == "[1, 2]"


def test_a_change_here_reaches_the_node(kernel: Kernel) -> None:
    kernel.run("items = [1]")
    assert kernel.run("%%remote\nitems").value == "[1]"
    kernel.run("items.append(2)")
    assert kernel.run("%%remote\nitems").value == "[1, 2]"


def test_changes_in_place_come_back(kernel: Kernel) -> None:
    kernel.run("table = {'a': 1}")
    kernel.run("%%remote\ntable['b'] = 2")
    assert kernel.run("table").value == "{'a': 1, 'b': 2}"


def test_what_is_large_or_can_not_travel_stays_and_is_named(kernel: Kernel) -> None:
    shown = kernel.run("%%remote\nbig = bytes(20_000_000)\nfile = open('/dev/null')\nsmall = 1")
    assert shown.text("stderr") == (
        "Stays on gpu-node: big (bytes, 20.0 MB), file (TextIOWrapper); "
        "big.get() or -o big brings it here\n"
    )
    assert (
        kernel.run("small, type(get_ipython().user_ns['big']).__name__").value == "(1, 'RemoteRef')"
    )
    assert kernel.run("%%remote\nlen(big)").value == "20000000"
    kernel.run("%%remote -o big\npass")
    assert kernel.run("len(big)").value == "20000000"


def test_output_options_rename_and_choose(kernel: Kernel) -> None:
    kernel.run("%%remote -o mine=theirs\ntheirs = 5\nother = 6")
    assert kernel.run("mine, 'theirs' in globals(), 'other' in globals()").value == (
        "(5, False, False)"
    )
    kernel.run("%%remote -o '*'\nstar = 7")
    assert kernel.run("star").value == "7"


def test_an_explicit_name_that_can_not_travel_is_an_error(kernel: Kernel) -> None:
    shown = kernel.run("%%remote -o handle\nhandle = open('/dev/null')", fails=True)
    assert "'handle' stays" in shown.traceback
    assert "magics.py" not in shown.traceback


def test_what_can_not_be_sent_is_named_before_anything_runs(kernel: Kernel) -> None:
    kernel.run("source = open('/dev/null')")
    shown = kernel.run("%%remote\nprint('ran')\nsource.read()", fails=True)
    assert shown.text() == ""
    assert "UsageError" in shown.text("stderr")
    assert "'source'" in shown.text("stderr")
    assert kernel.run("%%remote\nif 1:\n    source = 'x'\nsource").value == "'x'"


def test_an_error_has_the_cells_lines_and_the_remote_class(kernel: Kernel) -> None:
    shown = kernel.run("%%remote\nx = 0\n\n1 / x", fails=True)
    count = shown.reply["execution_count"]
    assert shown.reply["ename"] == "ZeroDivisionError"
    assert f"Cell In[{count}], line 4" in shown.traceback
    assert "gpu-node" in shown.traceback
    for ours in ("magics.py", "shell.py", "display.py", "job.py"):
        assert ours not in shown.traceback


def test_an_error_can_be_caught_as_what_it_was(kernel: Kernel) -> None:
    code = (
        "try:\n    %remote gpu-node 1 / 0\nexcept ZeroDivisionError as e:\n    print('caught', e)"
    )
    assert kernel.run(code).text() == "caught division by zero\n"


def test_a_cell_magic_inside_keeps_its_lines(kernel: Kernel) -> None:
    shown = kernel.run("%%remote\n%%time\nfast = 5\nfast")
    assert "Wall time" in shown.text()
    assert shown.value == "5"
    assert kernel.run("fast").value == "5"


def test_a_name_that_was_not_seen_is_hinted_at(kernel: Kernel) -> None:
    kernel.run("secret = 1")
    shown = kernel.run("%%remote\neval('sec' + 'ret')", fails=True)
    assert "'secret' exists here, but was not sent: add -i secret" in shown.traceback
    assert kernel.run("%%remote -i secret\neval('sec' + 'ret')").value == "1"


def test_displays_figures_and_bars_are_live(kernel: Kernel) -> None:
    shown = kernel.run(
        "%%remote\nimport matplotlib.pyplot as plt\nfrom tqdm.auto import tqdm\n"
        "from IPython.display import HTML, display\n"
        "h = display(HTML('<b>1</b>'), display_id=True)\nh.update(HTML('<b>2</b>'))\n"
        "for _ in tqdm(range(3), desc='steps'): pass\nplt.plot([1, 2]);"
    )
    displays = shown.of("display_data")
    assert displays[0]["data"]["text/html"] == "<b>1</b>"
    assert any("image/png" in each["data"] for each in displays)
    bars = [each for each in displays if "steps" in each["data"]["text/plain"]]
    assert len(bars) == 1
    updates = shown.of("update_display_data")
    assert any(each["data"].get("text/html") == "<b>2</b>" for each in updates)
    last = [each for each in [*displays, *updates] if "3/3" in each["data"]["text/plain"]]
    assert "100%" in last[-1]["data"]["text/html"]


def test_output_comes_before_the_cell_ends_and_an_interrupt_stops_it(kernel: Kernel) -> None:
    shown = kernel.run(
        "%%remote\nimport time\nprint('started', flush=True)\nfor _ in range(1000):\n"
        "    time.sleep(0.05)",
        interrupt_at="started",
    )
    assert shown.reply["ename"] == "KeyboardInterrupt"
    assert "line 6" in shown.traceback or "line 5" in shown.traceback
    assert kernel.run("%%remote\n'alive'").value == "'alive'"


def test_a_line_gives_its_value(kernel: Kernel) -> None:
    kernel.run("base = 40")
    kernel.run("answer = %remote gpu-node base + 2")
    assert kernel.run("answer").value == "42"
    assert kernel.run("%remote base * 2").value == "80"


def test_top_level_await_and_commands_work(kernel: Kernel) -> None:
    kernel.run("word = 'hi'")
    shown = kernel.run("%%remote\nimport asyncio\nawait asyncio.sleep(0)\n!echo $word {word}")
    assert shown.text().split() == ["hi", "hi"]


def test_sessions_are_apart(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node/one -o none_back=where\nwhere = 'one'")
    shown = kernel.run("%%remote gpu-node -s two\nwhere", fails=True)
    assert shown.reply["ename"] == "NameError"
    assert kernel.run("%%remote gpu-node -s one\nwhere").value == "'one'"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gpu-nod", "There is no node 'gpu-nod'. Did you mean 'gpu-node'? Online: gpu-node."),
        ("--nonsense", "--nonsense"),
        ("-i absent", "-i absent: there is no variable of that name here"),
    ],
)
def test_slips_are_one_line(kernel: Kernel, line: str, message: str) -> None:
    shown = kernel.run(f"%%remote {line}\n1", fails=True)
    assert message in shown.text("stderr")
    assert shown.text("stderr").count("\n") == 1


def test_a_timeout_stops_the_cell(kernel: Kernel) -> None:
    shown = kernel.run("%%remote -t 0.5\nimport time\ntime.sleep(60)", fails=True)
    assert shown.reply["ename"] == "CallTimeout"
    assert "magics.py" not in shown.traceback


def test_a_session_that_died_is_told_and_replaced(kernel: Kernel) -> None:
    kernel.run("mine = 1")
    assert kernel.run("%%remote\nmine").value == "1"
    shown = kernel.run("%%remote\nimport os\nos._exit(3)", fails=True)
    assert shown.reply["ename"] == "WorkerCrashed"
    assert "magics.py" not in shown.traceback
    assert kernel.run("%%remote\nmine").value == "1"


def test_a_session_that_was_replaced_gets_its_variables_again(kernel: Kernel) -> None:
    kernel.run("mine = 2")
    process = int(kernel.run("%%remote\nimport os\nthere = mine\nos.getpid()").value)
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not _exists(process))
    shown = kernel.run("%%remote\nmine")
    assert shown.text("stderr") == "The session on gpu-node is new. Sent again: mine.\n"
    assert shown.value == "2"


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_quiet_leaves_out_prints(kernel: Kernel) -> None:
    shown = kernel.run("%%remote -q\nprint('noise')\n3")
    assert (shown.text(), shown.value) == ("", "3")


def test_capture_takes_what_the_cell_shows(kernel: Kernel) -> None:
    shown = kernel.run("%%capture caught\n%%remote\nprint('inside')\n5")
    assert shown.of("execute_result") == []
    assert kernel.run("caught.stdout").value == "'inside\\n'"


def test_nodes_are_listed(kernel: Kernel) -> None:
    shown = kernel.run("%remote_nodes")
    assert "gpu-node" in shown.value
    assert "<table" in shown.of("execute_result")[0]["data"]["text/html"]


def test_with_two_nodes_one_has_to_be_named(gateway: Gateway, kernel: Kernel) -> None:
    other: subprocess.Popen[str] = gateway.start_node("other-node")
    try:
        shown = kernel.run("%%remote\n1", fails=True)
        assert "Online: gpu-node, other-node." in shown.text("stderr")
        kernel.run("%env EASYREMOTE_NODE=other-node")
        assert kernel.run("%%remote\n1").value == "1"
    finally:
        end(other)


def test_a_function_on_the_node_sees_what_a_later_cell_assigns(kernel: Kernel) -> None:
    kernel.run("scale = 1\ndef scaled(v):\n    return scale * v")
    assert kernel.run("%%remote gpu-node\nscaled(2)").value == "2"
    assert kernel.run("%%remote gpu-node\nscale = 11\nscaled(2)").value == "22"


def test_a_function_that_came_back_sees_what_is_assigned_here(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nstep = 1\ndef stepped(v):\n    return v + step")
    kernel.run("step = 100")
    assert kernel.run("stepped(1)").value == "101"


def test_a_priority_above_0_is_for_keys_that_may(kernel: Kernel, gateway: Gateway) -> None:
    assert kernel.run("%%remote gpu-node --priority 1\n1").value == "1"
    key = easyremote(gateway.home, "key", "create", "--name", "lab-2").out.strip()
    kernel.run(f"%env EASYREMOTE_API_KEY={key}")
    try:
        shown = kernel.run("%%remote gpu-node --priority 1\n1", fails=True)
        assert "may not give the cell the priority 1" in shown.text("stderr") + shown.traceback
        assert kernel.run("%%remote gpu-node --priority -1\n1").value == "1"
    finally:
        kernel.run("import os; del os.environ['EASYREMOTE_API_KEY']")
