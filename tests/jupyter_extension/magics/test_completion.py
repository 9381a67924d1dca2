"""Tab on the lines of the magics: from the text alone, in IPython's completer, in a kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from easyremote.errors import GatewayUnreachable
from easyremote.protocol.snapshot import NodeInfo
from easyremote_jupyter.magics.completion import Known, NodeCache, complete, is_ours, matcher
from tests.jupyter_extension.conftest import Kernel
from tests.processes import LIMIT

NODES = [
    NodeInfo("gpu-node", "online", labels=("fast",)),
    NodeInfo("cpu-node", "online"),
    NodeInfo("gone", "offline"),
]
KNOWN = Known(
    lambda: NODES,
    lambda: ["gpu-node/train"],
    lambda: ["alpha", "beta", "alps"],
    lambda start: [path for path in ("data/", "data/a.csv", "b.csv") if path.startswith(start)],
)


@pytest.mark.parametrize(
    ("line", "fragment", "texts"),
    [
        ("%%remote gp", "gp", ["gpu-node"]),
        ("%%remote a", "a", ["any"]),
        ("%%remote gpu-node/", "gpu-node/", ["gpu-node/train"]),
        ("%%remote gpu-node --da", "--da", []),
        ("%%remote gpu-node --dry", "--dry", ["--dry-run"]),
        ("%%remote --fresh c", "c", ["cpu-node"]),
        ("%%remote gpu-node -i al", "al", ["alpha", "alps"]),
        ("%%remote gpu-node -i alpha,b", "b", ["beta"]),
        ("%%remote gpu-node -o mine=al", "al", ["alpha", "alps"]),
        ("%%remote --in=be", "be", ["beta"]),
        ("%%remote any --where 'gpu>=1,fa", "fa", ["fast"]),
        ("%%remote any --where p", "p", ["python"]),
        ("%%remote -s t", "t", ["train"]),
        ("%%remote --progress h", "h", ["html"]),
        ("%%remote -t 5 g", "g", ["gpu-node"]),
        ("%%remote --file da", "da", ["data/", "data/a.csv"]),
        ("%%remote gpu-node --file=data/a.csv,b", "b", ["b.csv"]),
        ("%remote gp", "gp", ["gpu-node"]),
        ("y = %remote gp", "gp", ["gpu-node"]),
        ("%remote_attach c", "c", ["cpu-node"]),
        ("%remote_attach cpu-node --a", "--a", ["--auto"]),
        ("%remote_nodes --", "--", ["--json", "--watch"]),
        ("%remote_nodes g", "g", []),
        ("%remote_restart g", "g", ["gpu-node"]),
        ("%remote_put gpu-node be", "be", ["beta"]),
        ("%remote_get a", "a", ["any", "alpha", "alps"]),
        ("%remote_cancel --", "--", ["--kill"]),
        ("%remote_fetch g", "g", ["gpu-node"]),
        ("%remote_fetch gpu-node a.csv --", "--", ["--overwrite", "--to"]),
        ("%remote_files c", "c", ["cpu-node"]),
    ],
)
def test_what_is_offered_on_a_line(line: str, fragment: str, texts: list[str]) -> None:
    assert complete(line, KNOWN) == (fragment, texts)


def test_nodes_come_first_then_options() -> None:
    found = complete("%%remote ", KNOWN)
    assert found is not None
    assert found[1][:3] == ["cpu-node", "gpu-node", "any"]
    assert all(text.startswith("--") for text in found[1][3:])
    found = complete("%%remote gpu-node ", KNOWN)
    assert found is not None
    assert {"--dry-run", "--where"} <= set(found[1])
    assert not {"gpu-node", "any"} & set(found[1])


@pytest.mark.parametrize(
    "line", ["%%time gp", "x = gp", "%remote gpu-node alp", "%remote_unknown g", "%%remote"]
)
def test_other_lines_and_expressions_are_left_to_others(line: str) -> None:
    assert complete(line, KNOWN) is None


def test_a_cell_magic_is_one_on_the_first_line_only() -> None:
    assert complete("%%remote gp", KNOWN, is_first=False) is None
    assert complete("%remote gp", KNOWN, is_first=False) is not None


def test_ipython_s_completer_offers_ours_and_nothing_else() -> None:
    shell: Any = InteractiveShell()  # type: ignore[no-untyped-call]
    shell.Completer.use_jedi = False
    shell.Completer.custom_matchers.append(matcher(KNOWN))
    assert is_ours(shell.Completer.custom_matchers[-1])
    shell.user_ns["gpu_variable"] = 1

    def texts(code: str) -> list[str]:
        with provisionalcompleter():
            return [each.text for each in shell.Completer.completions(code, len(code))]

    assert texts("%%remote gp") == ["gpu-node"]
    assert texts("gpu_") == ["gpu_variable"]


def test_a_gateway_that_is_slow_keeps_nobody_waiting() -> None:
    answer, asked = threading.Event(), threading.Event()

    def fetch() -> list[NodeInfo]:
        asked.set()
        assert answer.wait(LIMIT)
        return NODES

    cache = NodeCache(fetch)
    assert cache.get(limit=0.01) == []
    assert asked.wait(LIMIT)
    answer.set()
    assert cache.get(limit=LIMIT) == NODES


def test_what_is_known_is_used_while_the_next_answer_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [NODES[:1], NODES]
    may_answer = threading.Event()
    may_answer.set()

    def fetch() -> list[NodeInfo]:
        assert may_answer.wait(LIMIT)
        return answers.pop(0)

    cache = NodeCache(fetch)
    assert cache.get(LIMIT) == NODES[:1]
    may_answer.clear()
    monkeypatch.setattr("easyremote_jupyter.magics.completion.FRESH", 0.0)
    assert cache.get(LIMIT) == NODES[:1]  # it would wait for ever, if it waited
    may_answer.set()
    done = cache._done
    assert done is None or done.wait(LIMIT)
    assert answers == []


def test_no_gateway_is_no_error() -> None:
    def fetch() -> list[NodeInfo]:
        raise GatewayUnreachable("nobody there")

    assert NodeCache(fetch).get(LIMIT) == []


def offered(kernel: Kernel, code: str) -> tuple[list[str], str]:
    """What a front end gets on Tab at the end of `code`, and what it would replace."""
    ask: Callable[..., Any] = kernel._client.complete
    content = ask(code, reply=True, timeout=LIMIT)["content"]
    return content["matches"], code[content["cursor_start"] : content["cursor_end"]]


def test_a_kernel_answers_with_nodes_options_and_variables(kernel: Kernel) -> None:
    kernel.run("gadget = 1\nkernel_only = 2")
    kernel.run("%remote_nodes")
    assert offered(kernel, "%%remote gpu-n") == (["gpu-node"], "gpu-n")
    assert offered(kernel, "%%remote gpu-node --que") == (["--queue-timeout"], "--que")
    assert offered(kernel, "%%remote gpu-node -i gadget,kernel_o") == (["kernel_only"], "kernel_o")
    assert offered(kernel, "x = 1\n%remote_attach gpu-n") == (["gpu-node"], "gpu-n")


def test_paths_of_this_machine_are_offered_for_files(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "dates.csv").touch()
    kernel.run(f"%cd -q {tmp_path}")
    line = "%%remote gpu-node --file da"
    kernel._client.complete(line, len(line))
    found = kernel._client.get_shell_msg(timeout=LIMIT)["content"]["matches"]
    kernel.run("%cd -q /")
    assert found == ["data/", "dates.csv"]
