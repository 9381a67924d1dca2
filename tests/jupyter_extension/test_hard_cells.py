"""Cells that do what one should not, or hardly: what they leave behind stays theirs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.jupyter_extension.conftest import Kernel
from tests.processes import until_there, wait_until


def run(kernel: Kernel, code: str, session: str = "hard") -> str:
    """What a cell prints on the node."""
    return kernel.run(f"%%remote gpu-node -s {session}\n{code}").text()


def test_both_processes_of_a_cell_that_forks_print_and_the_session_goes_on(
    kernel: Kernel,
) -> None:
    code = (
        "import os\nprint('before')\nchild = os.fork()\nif child: os.waitpid(child, 0)\n"
        "print('parent' if child else 'child')\nvalue = bool(child)"
    )
    assert run(kernel, code) == "before\nchild\nparent\n"
    assert kernel.run("value").value == "True"
    assert run(kernel, "print('next')") == "next\n"


def test_a_forked_child_shows_displays_as_text(kernel: Kernel) -> None:
    code = (
        "import os\nfrom IPython.display import HTML, display\nfrom tqdm import tqdm\n"
        "if not (child := os.fork()):\n"
        "    for _ in tqdm(range(3)): pass\n    display({'a': 1})\n    os._exit(0)\n"
        "_ = os.waitpid(child, 0)"
    )
    assert run(kernel, code) == "{'a': 1}\n"


def test_children_of_multiprocessing_print_here(kernel: Kernel) -> None:
    code = (
        "import multiprocessing as m\nprocesses = [m.get_context('fork').Process(target=print, "
        "args=('child',)) for n in range(3)]\n"
        "for p in processes: p.start()\nfor p in processes: p.join()"
    )
    assert run(kernel, code) == "child\n" * 3


def test_a_thread_that_outlives_its_cell_prints_into_the_one_that_runs(
    kernel: Kernel, tmp_path: Path
) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    code = (
        "import threading, time, pathlib\ndef late():\n"
        f"    {until_there(gate)}\n"
        f"    print('late')\n    pathlib.Path({str(done)!r}).touch()\n"
        "threading.Thread(target=late).start()\nprint('early')"
    )
    assert run(kernel, code) == "early\n"
    next_cell = f"pathlib.Path({str(gate)!r}).touch()\n{until_there(done)}\nprint('mine')"
    assert run(kernel, next_cell) == "late\nmine\n"


def test_what_a_thread_prints_between_two_cells_is_told_and_kept_with_its_own(
    kernel: Kernel, tmp_path: Path
) -> None:
    gate, done = tmp_path / "gate", tmp_path / "done"
    code = (
        "import threading, time, pathlib\ndef late():\n"
        f"    while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)\n"
        f"    print('late')\n    pathlib.Path({str(done)!r}).touch()\n"
        "threading.Thread(target=late).start()\nprint('early')"
    )
    assert run(kernel, code) == "early\n"
    job = kernel.run("%remote_jobs").value.splitlines()[-1].split()[0]
    gate.touch()
    wait_until(done.exists)
    shown = kernel.run("%%remote gpu-node -s hard\nprint('after')")
    assert shown.text() == "after\n"
    assert f"[job {job} has printed 5 characters since it ended" in shown.text("stderr")
    assert kernel.run(f"%remote_job {job}").text() == "early\nlate\n"


def test_values_whose_attributes_raise_go_there_and_come_back(kernel: Kernel) -> None:
    kernel.run(
        "class AttrDict(dict):\n    __getattr__ = dict.__getitem__\n"
        "class Lazy:\n    @property\n    def nbytes(self): raise RuntimeError('not loaded')\n"
        "    @property\n    def shape(self): raise RuntimeError('not loaded')\n"
        "settings = AttrDict(lr=0.1)"
    )
    code = "lazy = Lazy()\ntwice = AttrDict(lr=2 * settings.lr)\nprint(settings.lr)"
    assert run(kernel, code) == "0.1\n"
    assert kernel.run("twice.lr, type(twice) is AttrDict, type(lazy) is Lazy").value == (
        "(0.2, True, True)"
    )


@pytest.mark.parametrize("magic", ["%%bash", "%%sh", "%%script sh"])
def test_every_cell_of_a_shell_shows_what_it_prints(kernel: Kernel, magic: str) -> None:
    for word in ("one", "two", "three"):
        assert run(kernel, f"{magic}\necho {word}") == f"{word}\n"


def test_work_that_is_handed_to_a_thread_of_an_earlier_cell_prints_where_it_was_asked_for(
    kernel: Kernel,
) -> None:
    run(
        kernel,
        "import asyncio, threading\nloop = asyncio.new_event_loop()\n"
        "threading.Thread(target=loop.run_forever, daemon=True).start()\n"
        "async def say(word): print(word)",
    )
    code = "asyncio.run_coroutine_threadsafe(say('asked'), loop).result()"
    assert run(kernel, code) == "asked\n"


def test_threads_of_a_pool_print_where_they_work(kernel: Kernel) -> None:
    run(kernel, "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)")
    run(kernel, "_ = list(pool.map(str, range(10)))")
    assert run(kernel, "_ = list(pool.map(print, ['a']))") == "a\n"


def test_a_background_process_of_the_shell_prints_where_it_is(
    kernel: Kernel, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = (
        "import subprocess\nchild = subprocess.Popen(['sh', '-c', "
        f"'while [ ! -e {gate} ]; do sleep 0.05; done; echo late'])\nprint('early')"
    )
    assert run(kernel, code) == "early\n"
    assert run(kernel, f"open({str(gate)!r}, 'w').close()\n_ = child.wait()") == "late\n"


def test_the_directory_that_a_cell_changes_to_stays_for_the_next(
    kernel: Kernel, tmp_path: Path
) -> None:
    here = kernel.run("import os; os.getcwd()").value
    run(kernel, f"import os\nos.chdir({str(tmp_path)!r})")
    assert run(kernel, "print(os.getcwd())") == f"{tmp_path}\n"
    assert kernel.run("os.getcwd()").value == here


def test_a_cell_that_patches_stdout_gets_what_it_asked_for(kernel: Kernel) -> None:
    code = (
        "import io, sys, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as f:\n"
        "    print('caught')\nprint('shown', repr(f.getvalue()))"
    )
    assert run(kernel, code) == "shown 'caught\\n'\n"
    run(kernel, "usual, sys.stdout = sys.stdout, io.StringIO()\nprint('caught')")
    assert run(kernel, "print('caught too')\nsys.stdout = usual\nprint('shown')") == "shown\n"


def test_output_that_is_left_in_buffers_of_c_is_shown_at_the_end(kernel: Kernel) -> None:
    assert run(kernel, "import ctypes\n_ = ctypes.CDLL(None).printf(b'no newline')") == "no newline"


def test_a_cell_whose_child_keeps_the_pipe_open_ends(kernel: Kernel) -> None:
    text = run(
        kernel, "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('end')"
    )
    assert text == "end\n"
    run(kernel, "child.kill()\n_ = child.wait()")


@pytest.mark.parametrize(
    ("code", "line"),
    [("x = 1\n\n1 / 0", 4), ("def f():\n    1 / 0\nf()", 3), ("x = (\n", 2)],
)
def test_tracebacks_have_the_notebooks_numbers(kernel: Kernel, code: str, line: int) -> None:
    shown = kernel.run(f"%%remote gpu-node\n{code}", fails=True)
    count = kernel.run("1").of("execute_result")[0]["execution_count"] - 1
    assert re.search(rf"Cell In\[{count}\], line {line}\b", shown.traceback), shown.traceback


def test_two_notebooks_that_use_one_session_at_once_take_turns(
    kernel: Kernel, tmp_path: Path
) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    kernel.run(
        "%%remote gpu-node -s turns --bg first\nimport time, pathlib\n"
        f"pathlib.Path({str(begun)!r}).touch()\n"
        f"{until_there(gate)}\norder = ['first']"
    )
    wait_until(begun.exists)
    kernel.run(
        f"import threading, pathlib\nthreading.Timer(1, pathlib.Path({str(gate)!r}).touch).start()"
    )
    assert run(kernel, "order.append('second')\nprint(order)", "turns") == "['first', 'second']\n"


def test_a_submodule_that_was_imported_here_is_there(kernel: Kernel) -> None:
    kernel.run("import xml.etree.ElementTree")
    assert run(kernel, "print(xml.etree.ElementTree.fromstring('<a/>').tag)") == "a\n"


def test_an_instance_whose_class_is_not_named_can_be_pickled_there(kernel: Kernel) -> None:
    kernel.run("class Settings:\n    level = 3\nsettings = Settings()")
    code = "import pickle\nprint(type(pickle.loads(pickle.dumps(settings))) is type(settings))"
    assert run(kernel, code) == "True\n"
    code = (
        "import multiprocessing as m\n"
        "def level(each): return each.level\n"
        "with m.get_context('fork').Pool(1) as pool: print(pool.map(level, [settings]))"
    )
    assert run(kernel, code) == "[3]\n"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("print('caf\\udce9')", "caf\ufffd"),
        ("from IPython.display import HTML, display\ndisplay(HTML('caf\\udce9'))", "caf\ufffd"),
        ("from tqdm import tqdm\nfor _ in tqdm(range(2), desc='caf\\udce9'): pass", "caf\ufffd"),
        ("'caf\\udce9'", "udce9"),
        ("caf = 'caf\\udce9'", ""),
    ],
)
def test_text_that_is_no_utf_8_hangs_nothing(kernel: Kernel, code: str, shown: str) -> None:
    ran = kernel.run(f"%%remote gpu-node -s surrogates\n{code}")
    assert shown in ran.story()
    assert run(kernel, "print('next')", "surrogates") == "next\n"


def test_an_error_whose_message_is_no_utf_8_arrives(kernel: Kernel) -> None:
    code = "%%remote gpu-node -s surrogates\nraise ValueError('caf\\udce9')"
    assert kernel.run(code, fails=True).reply["ename"] == "ValueError"
    assert run(kernel, "print('next')", "surrogates") == "next\n"
