"""Output while a cell runs: how it arrives in a real kernel, how much of it, and how fast."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from tests.jupyter_extension.conftest import Kernel, Shown

#: Jupyter Server's limits, and the seconds over which it counts.
MESSAGES, BYTES, WINDOW = 1000, 1_000_000, 3.0


def run(kernel: Kernel, code: str, limit: float = 120.0) -> Shown:
    """Run a cell that may take its time: much output is slowed down."""
    shown = Shown()
    reply = kernel._client.execute_interactive(
        f"%%remote gpu-node\n{code}",
        allow_stdin=False,
        output_hook=shown.messages.append,
        timeout=limit,
    )
    shown.reply = reply["content"]
    assert shown.reply["status"] == "ok", shown.story()[-2000:]
    return shown


def sizes(shown: Shown) -> list[tuple[float, int]]:
    """When each message was made, and about how large it is."""
    return [
        (_moment(message["header"]["date"]), len(str(message["content"])))
        for message in shown.messages
    ]


def _moment(date: Any) -> float:
    return date.timestamp() if isinstance(date, datetime) else time.time()


def stays_below_the_limits(shown: Shown) -> None:
    sent = sizes(shown)
    for start, _ in sent:
        window = [size for when, size in sent if start <= when < start + WINDOW]
        assert len(window) <= MESSAGES * WINDOW
        assert sum(window) <= BYTES * WINDOW


def test_ten_thousand_prints_all_arrive_in_few_messages(kernel: Kernel) -> None:
    shown = run(kernel, "for n in range(10_000): print('line', n)")
    assert shown.text() == "".join(f"line {n}\n" for n in range(10_000))
    assert len(shown.messages) < 200
    stays_below_the_limits(shown)


def test_prints_to_both_streams_in_turn_all_arrive(kernel: Kernel) -> None:
    shown = run(
        kernel,
        "import sys\nfor n in range(5_000):\n print('o', n)\n print('e', n, file=sys.stderr)",
    )
    assert shown.text() == "".join(f"o {n}\n" for n in range(5_000))
    assert shown.text("stderr") == "".join(f"e {n}\n" for n in range(5_000))
    stays_below_the_limits(shown)


def test_ten_thousand_updates_a_second_of_a_bar_are_ten_messages(kernel: Kernel) -> None:
    code = (
        "import time\nfrom tqdm import tqdm\nend = time.monotonic() + 2\n"
        "with tqdm(total=10**9, mininterval=0, miniters=1) as bar:\n"
        "    while time.monotonic() < end: bar.update()\n    count = bar.n\ncount"
    )
    shown = run(kernel, code)
    shows = shown.of("display_data") + shown.of("update_display_data")
    drawn = [show for show in shows if "it/s" in show["data"]["text/plain"]]
    assert len(drawn) <= 40
    assert int(shown.value) > 10_000
    assert f"{shown.value}/" in drawn[-1]["data"]["text/plain"].replace("k", "")


def test_five_hundred_bars_stay_below_the_limits_and_all_end(kernel: Kernel) -> None:
    code = (
        "from tqdm import tqdm\nbars = [tqdm(total=20, desc=f'b{n}') for n in range(500)]\n"
        "for _ in range(20):\n    for bar in bars: bar.update()\nfor bar in bars: bar.close()"
    )
    shown = run(kernel, code)
    stays_below_the_limits(shown)
    last = shown.of("update_display_data")[-1]["data"]["text/plain"]
    assert "... 480 more" in last
    assert last.count("100%") == 20


@pytest.mark.long
def test_of_fifty_megabytes_head_and_tail_are_shown_and_the_rest_is_counted(
    kernel: Kernel,
) -> None:
    code = "line = 'x' * 992\nfor n in range(50_000): print(f'{n:05}', line)"
    shown = run(kernel, code)
    text = shown.text()
    assert text.startswith("00000 xxx")
    assert text.endswith("x\n")
    assert "49999 xxx" in text
    assert "MB left out here]" in shown.text("stderr")
    assert 9_000_000 < len(text) < 10_100_000
    stays_below_the_limits(shown)


def test_one_text_of_fifty_megabytes_too(kernel: Kernel) -> None:
    shown = run(kernel, "print('a' * 25_000_000 + 'b' * 25_000_000)")
    counted = Counter(shown.text())
    assert counted["a"] == 8_000_000
    assert 1_990_000 < counted["b"] <= 2_000_000
    assert "left out here]" in shown.text("stderr")


def test_what_c_and_children_print_is_shown_in_order(kernel: Kernel) -> None:
    code = (
        "import ctypes, os, subprocess\nprint('python')\nos.write(1, b'descriptor\\n')\n"
        "subprocess.run(['echo', 'child'])\nctypes.CDLL(None).puts(b'c')\n"
        "ctypes.CDLL(None).fflush(None)\n!echo shell\nprint('end')"
    )
    text = run(kernel, code).text().replace("\r", "")
    assert text == "python\ndescriptor\nchild\nc\nshell\nend\n"


def test_carriage_returns_are_worked_out(kernel: Kernel) -> None:
    code = "import sys\nfor n in range(10_000): sys.stdout.write(f'\\r{n} %')\nprint()"
    text = run(kernel, code).text()
    assert text.endswith("\r9999 %\n")
    assert len(text) < 2_000


def test_displays_are_updated_across_cells(kernel: Kernel) -> None:
    first = "from IPython.display import display\nh = display('first', display_id='d1')"
    kernel.run(f"%%remote gpu-node\n{first}")
    shown = kernel.run(
        "%%remote gpu-node\nh.update('second')\ndisplay('third', display_id='d1', update=True)"
    )
    updates = shown.of("update_display_data")
    assert {u["transient"]["display_id"] for u in updates} == {"d1"}
    assert updates[-1]["data"]["text/plain"] == "'third'"


def test_frames_replace_each_other(kernel: Kernel) -> None:
    code = (
        "from IPython.display import clear_output\nfor n in range(300):\n"
        "    clear_output(wait=True)\n    print('frame', n)"
    )
    shown = run(kernel, code)
    assert shown.of("clear_output")[-1] == {"wait": True}
    cleared = [n for n, m in enumerate(shown.messages) if m["msg_type"] == "clear_output"]
    assert Shown(shown.messages[cleared[-1] :]).text() == "frame 299\n"
    assert len(shown.of("clear_output")) < 60


@pytest.mark.parametrize(
    ("code", "mime"),
    [
        ("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()", "image/png"),
        ("from IPython.display import *\ndisplay(HTML('<b>x</b>'))", "text/html"),
        ("from IPython.display import *\ndisplay(Latex('$x$'))", "text/latex"),
        (
            "from IPython.display import *\n"  # noqa: ISC004 - one cell
            "display({'application/vnd.plotly.v1+json': {}, 'text/plain': 'p'}, raw=True)",
            "application/vnd.plotly.v1+json",
        ),
    ],
)
def test_figures_and_mimebundles_pass_through(kernel: Kernel, code: str, mime: str) -> None:
    assert mime in run(kernel, code).of("display_data")[-1]["data"]


def test_a_long_cell_has_a_header_that_collapses(kernel: Kernel) -> None:
    code = "import time\ntime.sleep(4.5)"
    first, *_, live, last = kernel.run(f"%%remote gpu-node\n{code}").headers()
    assert re.match(r"gpu-node 00:0[2-9]", first)
    assert "memory" in live
    assert re.fullmatch(r"gpu-node 00:\d\d", last)
    assert kernel.run(f"%%remote gpu-node -q\n{code}").headers() == []


def test_a_widget_moves_and_leaves_a_static_bar(kernel: Kernel) -> None:
    code = "import time\nfrom tqdm import tqdm\nfor _ in tqdm(range(3), desc='w'): time.sleep(.2)"
    shown = kernel.run(f"%%remote gpu-node --progress widget\n{code}")
    (first,) = shown.of("display_data")
    assert "application/vnd.jupyter.widget-view+json" in first["data"]
    assert len(shown.of("comm_msg")) >= 1
    assert "w: 100%" in shown.of("update_display_data")[-1]["data"]["text/plain"]
