"""``easyremote.run`` and ``easyremote.session``, with a real gateway and real nodes."""

from __future__ import annotations

import asyncio
import io
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import easyremote
from easyremote.client.client import Client
from easyremote.client.refs import RemoteRef
from easyremote.errors import (
    CallTimeout,
    CannotReturn,
    CannotShip,
    NotFound,
    RemoteError,
    UsageError,
)
from tests.processes import LIMIT, Gateway, end, wait_until


@pytest.fixture(autouse=True)
def at_home(
    gateway: Gateway, node: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """This process is one of the gateway's user."""
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))
    monkeypatch.delenv("EASYREMOTE_NODE", raising=False)
    yield


def is_gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def test_the_value_of_the_last_expression_is_what_run_returns() -> None:
    assert easyremote.run("a + b", on="gpu-node", a=1, b=2) == 3
    assert easyremote.run("c = 1") is None
    assert easyremote.run("import os; os.getpid()", "gpu-node") != os.getpid()


def test_names_that_are_wanted_come_back_as_a_dict() -> None:
    found = easyremote.run("big = data * 2; n = len(big)", out=["big", "n"], data=bytes(20_000_000))
    assert found["n"] == len(found["big"]) == 40_000_000
    with pytest.raises(CannotReturn, match="left no 'absent' to bring back"):
        easyremote.run("1", out=["absent"])
    with pytest.raises(UsageError, match=r"write out=\['x'\]"):
        easyremote.run("x = 1", out="x")


def test_a_large_value_stays_as_a_reference() -> None:
    ref = easyremote.run("bytes(100_000_000)")
    assert isinstance(ref, RemoteRef)
    assert easyremote.run("len(it)", it=ref) == 100_000_000


def test_run_goes_on_in_a_new_process_where_the_old_one_has_ended() -> None:
    process = easyremote.run("import os; os.getpid()", "gpu-node/lasting")
    easyremote.session("gpu-node/lasting").end()
    assert easyremote.run("import os; os.getpid()", "gpu-node/lasting") != process


def test_functions_and_modules_can_be_sent() -> None:
    def double(x: int) -> int:
        return 2 * x

    assert easyremote.run("f(m.floor(2.5))", f=double, m=math) == 4


def test_what_it_prints_is_printed_here(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys\nfrom IPython.display import Markdown, display\nprint('out')\n"
        "print('err', file=sys.stderr)\ndisplay({'shown': 1})\n!echo shell"
    )
    easyremote.run(code)
    out, err = capsys.readouterr()
    assert set(out.split("\n")) >= {"out", "{'shown': 1}", "shell"}
    assert "err\n" in err


def test_bars_are_drawn_here(capsys: pytest.CaptureFixture[str]) -> None:
    easyremote.run("from tqdm.auto import tqdm\nfor i in tqdm(range(3), desc='steps'): print(i)")
    out, err = capsys.readouterr()
    assert "steps: 100%" in err and "3/3" in err
    assert out.split() == ["0", "1", "2"]


def test_a_line_half_done_waits_while_a_bar_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    easyremote.run(
        "import time\nfrom tqdm.auto import tqdm\n"
        "for i in tqdm(range(2)):\n"
        "    print('half', end='', flush=True)\n    time.sleep(0.3)\n    print(' whole')\n"
        "print('rest', end='')"
    )
    assert screen.getvalue().count("half whole\n") == 2
    assert screen.getvalue().endswith("rest")


def test_a_widget_is_shown_as_text_and_stays_there(capsys: pytest.CaptureFixture[str]) -> None:
    with easyremote.session("gpu-node") as session:
        shown = session.run(
            "import ipywidgets\nlevel = ipywidgets.IntSlider(5)\n"
            "level.observe(lambda change: print('moved to', change.new), 'value')\n"
            "display(level)\nlevel"
        )
        assert isinstance(shown, RemoteRef)
        session.run("level.value = 7")
    out = capsys.readouterr().out
    assert "IntSlider(value=5" in out
    assert "moved to 7" in out


def test_top_level_await_works() -> None:
    assert easyremote.run("import asyncio\nawait asyncio.sleep(0, 'awaited')") == "awaited"


def test_errors_are_those_of_the_code() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        easyremote.run("def f():\n    return 1 / 0\nf()")
    assert isinstance(caught.value, RemoteError)
    assert "line 2" in caught.value.remote_traceback
    with pytest.raises(CannotShip, match="'handle'"), open(os.devnull) as handle:
        easyremote.run("1", handle=handle)
    with pytest.raises(CallTimeout):
        easyremote.run("while True: pass", timeout=0.5)
    assert easyremote.run("'alive'") == "alive"


def test_input_without_a_terminal_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(EOFError, match="the program that runs it has no terminal"):
            easyremote.run("input()")


def test_an_interrupt_stops_the_code_there(gateway: Gateway, tmp_path: Path) -> None:
    program = (
        "import easyremote\n"
        "try:\n"
        "    easyremote.run(f'print({chr(34)}in{chr(34)}, flush=True)\\nwhile True: pass',"
        " 'gpu-node/stopped')\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', easyremote.run('6 * 7', 'gpu-node/stopped'))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        env=gateway.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    process.send_signal(2)
    out, _ = process.communicate(timeout=LIMIT)
    assert out.endswith("interrupted 42\n")


def test_a_program_that_is_killed_while_it_sends_leaves_its_session_free(gateway: Gateway) -> None:
    program = (
        "from easyremote.client.session import Session\n"
        "import easyremote\n"
        "session = Session(easyremote.connect(), 'gpu-node', 'left')\n"
        "packed = session.pack({'x': bytes(500_000_000)}, None).plain_wire()\n"
        "session.submit_cell({'code': '1', 'count': 1, 'packed': packed})\n"
        "print('sends', flush=True); input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=gateway.environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sends\n"
        process.kill()
    assert easyremote.run("'free'", "gpu-node/left", timeout=LIMIT) == "free"


def test_a_session_keeps_its_variables_and_ends_with_its_block() -> None:
    with easyremote.session("gpu-node") as s:
        s["x"] = [1, 2, 3]
        s.run("total = sum(x) + y", y=10)
        assert s["total"] == 16
        assert s["x"] == [1, 2, 3]
        with pytest.raises(CannotReturn, match="left no 'nothing'"):
            _ = s["nothing"]
        process = s.run("import os; os.getpid()")
        with easyremote.session("gpu-node") as other, pytest.raises(NameError):
            other.run("total")
    wait_until(lambda: is_gone(process))


def test_a_named_session_stays_and_can_be_ended() -> None:
    with easyremote.session("gpu-node", "kept") as s:
        s["x"] = 5
    with easyremote.session("gpu-node/kept") as s:
        assert s["x"] == 5
        assert repr(s) == "<RemoteSession kept on gpu-node>"
        s.end()
        with pytest.raises(NameError):
            s.run("x")
        s.end()


def test_a_session_whose_process_has_ended_says_so_before_anything_runs() -> None:
    with easyremote.session("gpu-node") as s:
        s["x"] = 1
        easyremote.session("gpu-node", s.name).end()
        with pytest.raises(NotFound, match="has ended, and its variables with it; nothing was run"):
            s.run("y = 1")
        assert s.run("2") == 2


def test_where_chooses_and_any_is_any(gateway: Gateway) -> None:
    other = gateway.start_node("other-node", "--label", "quiet")
    try:
        with easyremote.session(where="quiet,cores>=1") as s:
            assert s.node_id == "other-node"
        assert easyremote.run("1", on="any") == 1
        with pytest.raises(UsageError, match="Which node?.*Online: gpu-node, other-node."):
            easyremote.run("1")
        with pytest.raises(UsageError, match="where= chooses a node, but 'gpu-node' is named"):
            easyremote.session("gpu-node", where="quiet")
    finally:
        end(other)
    with pytest.raises(UsageError, match="Did you mean 'gpu-node'?"):
        easyremote.run("1", on="gpu-nod")


def test_the_variable_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYREMOTE_NODE", "nowhere")
    with pytest.raises(UsageError, match="There is no node 'nowhere'"):
        easyremote.run("1")


def test_async_code_can_wait_and_cancel() -> None:
    async def main() -> None:
        assert await easyremote.run_async("x + 1", on="gpu-node", x=1) == 2
        async with easyremote.session("gpu-node") as s:
            found = await asyncio.gather(s.run_async("a = 1", out=["a"]), asyncio.sleep(0, "b"))
            assert found == [{"a": 1}, "b"]
            code = "import time\nwhile True: time.sleep(0.01)"
            running = asyncio.create_task(s.run_async(code))
            while s._count < 2:
                await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await s.run_async("'free'") == "free"

    asyncio.run(asyncio.wait_for(main(), LIMIT))


def test_cells_shipped_and_registered_functions_wait_for_what_another_call_holds(
    client: Client, tmp_path: Path
) -> None:
    all_cores = {"cpu": client.list_nodes()[0].cores}
    gate, started = tmp_path / "gate", tmp_path / "started"
    greedy = client.on("gpu-node", needs=all_cores)
    holding = greedy.submit("wait_for", str(gate), str(started))
    wait_until(started.exists)
    modest = easyremote.remote(needs="cpu=1", node_id="gpu-node", ship=True)(lambda: 5)
    waiting = [greedy.submit(lambda: 3), greedy.submit("add", 1, 3), modest.submit()]
    with ThreadPoolExecutor(1) as threads:
        cell = threads.submit(easyremote.run, "1 + 1", on="any", needs="cpu=1")
        try:
            for job in waiting:
                wait_until(lambda job=job: "(wait_for() of key" in job.explain())
                assert not job.done()
            wait_until(lambda: sum(job.function == "cell" for job in client.list_jobs()) == 1)
            assert not cell.done()
        finally:
            gate.touch()
        holding.result(LIMIT)
        assert [job.result(LIMIT) for job in waiting] == [3, 4, 5]
        assert cell.result(LIMIT) == 2


def test_what_can_never_be_given_is_refused_at_once_and_wrong_words_where_they_are_written(
    client: Client,
) -> None:
    with pytest.raises(NotFound, match="No node can ever run this. It needs 900 TB of memory"):
        client.on(needs="memory=900TB").submit(lambda: 3).result(LIMIT)
    with pytest.raises(NotFound, match="No node can ever run this"):
        easyremote.run("1", on="gpu-node", needs={"cpu": 10_000})
    with pytest.raises(UsageError, match="No node online has cores>=10K"):
        easyremote.run("1", on="any", needs={"cpu": 10_000})
    for wrong in ({"gpus": 1}, "memory=8", {"cpu": 0}, "cpu=-1"):
        with pytest.raises(UsageError, match="needs"):
            client.on(needs=wrong)
        with pytest.raises(UsageError, match="needs"):
            easyremote.run("1", needs=wrong)
    for ask in (lambda: client.on(priority=100), lambda: easyremote.run("1", priority=100)):
        with pytest.raises(UsageError, match="priority is a whole number from -10 to 10"):
            ask()


def test_what_has_a_higher_priority_goes_first_for_keys_that_may(
    client: Client, tmp_path: Path
) -> None:
    cores = {"cpu": client.list_nodes()[0].cores}
    gate, started, order = tmp_path / "gate", tmp_path / "started", tmp_path / "order"
    holding = client.on("gpu-node", needs=cores).submit("wait_for", str(gate), str(started))
    wait_until(started.exists)
    wanted = (("usual", 0), ("later", -1), ("first", 1))
    with ThreadPoolExecutor(3) as threads:
        for waiting, (name, priority) in enumerate(wanted, 1):
            code = f"with open({str(order)!r}, 'a') as f: f.write('{name} ')"
            on = f"gpu-node/{name}"
            threads.submit(easyremote.run, code, on=on, needs=cores, priority=priority)
            wait_until(lambda n=waiting: sum(j.state == "queued" for j in client.list_jobs()) == n)
        gate.touch()
    holding.result(LIMIT)
    assert order.read_text() == "first usual later "
