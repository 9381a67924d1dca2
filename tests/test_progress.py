"""Bars of tqdm become events, and `easyremote.progress` makes a bar."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest


def events_of(code: str) -> list[dict[str, Any]]:
    """Run `code` in a process whose bars are published; return what was, and nothing else."""
    program = (
        "import json, msgspec, sys\nfrom easyremote.progress import end_bars, publish_to\n"
        "import easyremote.progress as p\np.MIN_INTERVAL = 0\n"
        "publish_to(lambda e: print(msgspec.json.encode(e).decode()))\n" + textwrap.dedent(code)
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


LOOPS = {
    "tqdm": "from tqdm import tqdm\nfor _ in tqdm(range(3), desc='d'): pass",
    "trange": "from tqdm import trange\nfor _ in trange(3, desc='d'): pass",
    "auto": "from tqdm.auto import tqdm\nfor _ in tqdm(range(3), desc='d'): pass",
    "notebook": "from tqdm.notebook import tqdm\nfor _ in tqdm(range(3), desc='d'): pass",
    "by hand": "from tqdm import tqdm\nwith tqdm(total=3, desc='d') as b:\n    b.update(3)",
    "subclass": "import tqdm\nclass B(tqdm.tqdm): pass\nfor _ in B(range(3), desc='d'): pass",
    "asyncio": "import asyncio\nfrom tqdm.asyncio import tqdm\nasync def f(): pass\n"
    "async def main():\n    await tqdm.gather(f(), f(), f(), desc='d')\nasyncio.run(main())",
    "as completed": "import asyncio\nfrom tqdm.asyncio import tqdm\nasync def f(): pass\n"
    "async def main():\n    for each in tqdm.as_completed([f(), f(), f()], desc='d'): await each\n"
    "asyncio.run(main())",
    "contrib threads": "from tqdm.contrib.concurrent import thread_map\n"
    "thread_map(str, range(3), desc='d')",
    "contrib processes": "from tqdm.contrib.concurrent import process_map\n"
    "process_map(abs, range(3), desc='d')",
    "contrib enumerate": "from tqdm.contrib import tenumerate\n"
    "for _ in tenumerate(range(3), desc='d'): pass",
    "contrib map": "from tqdm.contrib import tmap\nlist(tmap(str, range(3), desc='d'))",
    "pandas": "import pandas\nfrom tqdm.auto import tqdm\ntqdm.pandas(desc='d')\n"
    "pandas.Series([1, 2, 3]).progress_apply(abs)",
    "hugging face": "from tqdm.auto import tqdm as auto\n"
    "class tqdm(auto):\n    def __init__(self, *args, **kwargs):\n"
    "        kwargs['disable'] = kwargs.pop('disable', False) or None\n"
    "        super().__init__(*args, **kwargs)\n"
    "    def __delattr__(self, name):\n        try: super().__delattr__(name)\n"
    "        except AttributeError: pass\nfor _ in tqdm(range(3), desc='d'): pass",
    "easyremote": "import easyremote\nfor _ in easyremote.progress(range(3), desc='d'): pass",
}


def test_a_bar_of_a_notebook_that_is_not_displayed_has_a_widget_and_is_not_published() -> None:
    code = """
        from tqdm.notebook import tqdm, tnrange, TqdmHBox
        bar = tqdm(range(3), display=False, desc="d")
        assert isinstance(bar.container, TqdmHBox), bar.container
        assert sum(bar) == 3
        assert bar.container.children[1].value == 3
        assert sum(tnrange(4, display=False)) == 6
        """
    assert events_of(code) == []


def test_the_widget_of_a_published_bar_follows_it() -> None:
    code = """
        import tqdm.notebook as n
        assert n.IProgress is not None
        bar = n.tqdm(total=3, desc="d")
        box = bar.container
        bar.update(2)
        bar.refresh()
        assert box.children[1].value == 2 and box is bar.container
        bar.close()
        """
    assert [event["n"] for event in events_of(code)][-1] == 2


@pytest.mark.parametrize("kind", LOOPS)
def test_every_kind_of_bar_is_published(kind: str) -> None:
    events = events_of(LOOPS[kind])
    assert {e["id"] for e in events} == {"1"}
    first, last = events[0], events[-1]
    assert (first["n"], first["total"], first["state"]) == (0, 3, "running")
    assert (last["n"], last["state"], last["desc"], last["unit"]) == (3, "done", "d", "it")
    assert last["eta"] == 0


def test_an_unknown_total_is_none_and_one_that_is_exceeded_stays_what_was_said() -> None:
    endless = events_of("from tqdm import tqdm\nfor _ in tqdm(iter('abc')): pass")[-1]
    assert (endless["n"], endless["total"], endless["eta"]) == (3, None, None)
    exceeded = events_of("from tqdm import tqdm\nwith tqdm(total=2) as b: b.update(5)")[-1]
    assert (exceeded["n"], exceeded["total"], exceeded["state"]) == (5, 2, "done")


def test_five_hundred_bars_are_told_apart() -> None:
    events = events_of(
        "from tqdm import tqdm\nbars = [tqdm(total=1, desc=str(n)) for n in range(500)]\n"
        "for bar in bars: bar.update(); bar.close()"
    )
    assert len({e["id"] for e in events}) == 500
    assert sum(e["state"] == "done" for e in events if e["n"] == 1) >= 500


def test_nested_bars_have_positions() -> None:
    events = events_of(
        """
        from tqdm import tqdm
        for _ in tqdm(range(2), desc="outer"):
            for _ in tqdm(range(2), desc="inner", leave=False): pass
        """
    )
    positions = {(e["desc"], e["position"], e["leave"]) for e in events if e["state"] == "running"}
    assert positions == {("outer", 0, True), ("inner", 1, False)}
    assert len({e["id"] for e in events}) == 3


@pytest.mark.parametrize(
    "code",
    [
        "with tqdm(total=5) as b:\n    b.update(2)\n    raise SystemExit",
        "def g():\n    yield 1\n    raise SystemExit\nfor _ in tqdm(g(), total=5): pass",
        (
            "try:\n    for i in tqdm(range(5)):\n        if i == 1: raise OSError\n"
            "except OSError as error:\n    end_bars(error)"
        ),
        (
            "def f():\n    for i in tqdm(range(5)):\n        1 / (1 - i)\n"
            "try: f()\nexcept ZeroDivisionError as error: end_bars(error)"
        ),
        "b = tqdm(total=5)\nb.update(2)\nend_bars(OSError())",
    ],
)
def test_a_bar_whose_code_fails_is_failed_and_keeps_its_count(code: str) -> None:
    last = events_of("from tqdm import tqdm\n" + code)[-1]
    assert last["state"] == "failed"
    assert 1 <= last["n"] <= 2


@pytest.mark.parametrize(
    "code",
    [
        "for _ in tqdm(range(5)): break",
        (
            "try:\n    for _ in tqdm(range(5)): break\n    raise OSError\n"
            "except OSError as error:\n    end_bars(error)"
        ),
        "try: 1/0\nexcept ZeroDivisionError:\n    for _ in tqdm(iter('abc')): pass",
    ],
)
def test_a_break_or_an_older_exception_is_no_failure(code: str) -> None:
    assert events_of("from tqdm import tqdm\n" + code)[-1]["state"] == "done"


def test_events_are_few_but_the_last_one_comes() -> None:
    events = events_of(
        "p.MIN_INTERVAL = 3600\nfrom tqdm import tqdm\n"
        "for i in tqdm(range(1000), mininterval=0): pass"
    )
    assert [(e["n"], e["state"]) for e in events] == [(0, "running"), (1000, "done")]


def test_a_bar_left_open_tells_how_far_it_came() -> None:
    events = events_of(
        "p.MIN_INTERVAL = 3600\nfrom tqdm import tqdm\nb = tqdm(total=9)\nb.update(4)\n"
        "end_bars(None)\nb.disable = True"
    )
    assert (events[-1]["n"], events[-1]["state"]) == (4, "running")


def test_a_bar_with_a_file_of_its_own_writes_to_it() -> None:
    assert events_of(
        "import io\nfrom tqdm import tqdm\nf = io.StringIO()\n"
        "for _ in tqdm(range(3), file=f): pass\nassert '3/3' in f.getvalue()"
    ) == []  # fmt: skip


def test_numpy_counts_and_postfix_are_plain() -> None:
    last = events_of(
        "import numpy as np\nfrom tqdm import tqdm\n"
        "with tqdm(total=np.int64(4), unit_scale=True) as b:\n"
        "    b.update(np.int64(4)); b.set_postfix(loss=0.5)"
    )[-1]
    assert (last["n"], last["total"], last["postfix"], last["scaled"]) == (4, 4, "loss=0.5", True)


def test_here_progress_is_a_bar_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from easyremote.progress import progress

    assert list(progress([1, 2], desc="work")) == [1, 2]
    assert "work: 100%" in capsys.readouterr().err
