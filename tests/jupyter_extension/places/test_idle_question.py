"""The owner of an idle session is asked for its GPU memory while the notebook is idle.

A gateway, a node with a fake driver (``tests/fakes/pynvml.py``) and two kernels with keys of their
own are real.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.command import easyremote
from tests.fakes import pynvml
from tests.jupyter_extension.conftest import Kernel, Shown, notebook_environment
from tests.processes import LIMIT, REPOSITORY, Gateway, end, online, start_gateway, wait_until

VIEW = "application/vnd.jupyter.widget-view+json"
#: Any cell of the session's owner takes 31 GB and keeps them.
TAKE = """%%remote gpu-node --needs gpu_memory=31GB
import pynvml
pynvml.take(31)
"""
WAIT = "%%remote gpu-node --bg waiting --needs gpu_memory=24GB\n6 * 7"
ASKED = (
    "key lab-2 waits for 24 GB of GPU memory on gpu-node; this session has held 31 GB idle for 1 s"
)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that asks soon, and a node with a fake GPU of 48 GB."""
    started = start_gateway(tmp_path_factory.mktemp("home"), 0, "--ask-idle-after", "0.5")
    driver = tmp_path_factory.mktemp("driver") / "gpus.json"
    pynvml.gpus(driver, pynvml.card("GPU-a", 48))
    paths = [str(REPOSITORY / "tests" / "fakes"), str(REPOSITORY)]
    node = subprocess.Popen(
        [sys.executable, "-m", "easyremote.node", "--node-id", "gpu-node"],
        env={
            **started.environment(),
            "PYTHONPATH": os.pathsep.join(paths),
            pynvml.FILE: str(driver),
        },
        text=True,
    )
    with started.client() as client:
        wait_until(lambda: "gpu-node" in online(client) or node.poll() is not None)
    yield started
    end(node)
    end(started.process)


@pytest.fixture(scope="module")
def ann(asking: Gateway) -> Iterator[Kernel]:
    kernel = Kernel(notebook_environment(asking))
    yield kernel
    kernel.close()


@pytest.fixture(scope="module")
def bob(asking: Gateway) -> Iterator[Kernel]:
    key = easyremote(asking.home, "key", "create", "--name", "lab-2").out.strip()
    kernel = Kernel({**notebook_environment(asking), "EASYREMOTE_API_KEY": key})
    yield kernel
    kernel.close()


def questions(shown: Shown) -> list[dict[str, Any]]:
    """The messages that show a question."""
    return [
        message
        for message in shown.messages
        if message["msg_type"] == "display_data"
        and "Release it?" in message["content"]["data"].get("text/plain", "")
    ]


def answers(shown: Shown) -> list[str]:
    """What was shown in the place of a question."""
    updates = shown.of("update_display_data")
    return [str(content["data"]["text/plain"]) for content in updates]


def button(shown: Shown, label: str) -> str:
    """The id of the comm of a button."""
    (opened,) = [
        content
        for content in shown.of("comm_open")
        if content["data"]["state"].get("description") == label
    ]
    return str(opened["comm_id"])


def shows(part: Callable[[Shown], list[Any]]) -> Callable[[Shown], bool]:
    return lambda shown: bool(part(shown))


def test_the_question_comes_while_the_kernel_is_idle_and_a_button_answers_it(
    asking: Gateway, ann: Kernel, bob: Kernel
) -> None:
    took = ann.run(TAKE)
    cell = took.messages[0]["parent_header"]["msg_id"]
    ann.run("later = 1")
    bob.run(WAIT)
    shown = ann.idle_until(shows(questions))
    (asked,) = questions(shown)
    assert asked["parent_header"]["msg_id"] == cell, "it is below the newest cell of the session"
    data = asked["content"]["data"]
    text = data["text/plain"]
    assert text.startswith(ASKED[:-4])
    assert text.endswith("Release it? %remote_restart gpu-node ends it.")
    assert VIEW in data
    keep, release = button(shown, "Keep"), button(shown, "Release")

    ann.press(keep)
    kept = ann.idle_until(shows(answers))
    assert answers(kept) == ["You keep it. You are not asked again for 10 min."]
    ann.press(release)  # the buttons are gone: it does nothing
    assert bob.run("print(waiting.done())").text() == "False\n"
    assert "has 17 GB of 48 GB free" in bob.run("print(waiting.explain())").text()
    after = ann.run("%%remote gpu-node\nkept = True")
    assert not questions(after)
    assert "Release it?" not in after.text("stderr"), "nor at the next cell"
    bob.run("waiting.cancel()")


def test_who_releases_the_session_lets_the_other_one_run(
    asking: Gateway, ann: Kernel, bob: Kernel
) -> None:
    ann.run("%remote_restart gpu-node")
    ann.run(TAKE.replace("gpu-node", "gpu-node/train"))
    bob.run(WAIT)
    shown = ann.idle_until(shows(questions))
    assert "%remote_restart gpu-node/train ends it." in str(questions(shown))
    ann.press(button(shown, "Release"))
    released = ann.idle_until(shows(answers))
    assert answers(released) == ["The session on gpu-node has ended; the next cell starts it anew."]
    assert bob.run(f"print(waiting.result({LIMIT}))").text() == "42\n"


def test_a_question_that_is_over_says_so(asking: Gateway, ann: Kernel, bob: Kernel) -> None:
    bob.run("%remote_restart gpu-node")
    ann.run(TAKE.replace("gpu-node", "gpu-node/over"))
    bob.run(WAIT)
    ann.idle_until(shows(questions))
    bob.run("waiting.cancel()")
    over = ann.idle_until(shows(answers))
    assert answers(over) == ["Nobody waits for it now, or the session is in use."]
    ann.run("%remote_restart gpu-node/over")


def test_without_widgets_the_question_says_what_to_write(asking: Gateway, bob: Kernel) -> None:
    kernel = Kernel(notebook_environment(asking))
    try:
        kernel.run("import sys; sys.modules['ipywidgets'] = None")
        kernel.run(TAKE.replace("gpu-node", "gpu-node/plain"))
        bob.run(WAIT)
        shown = kernel.idle_until(shows(questions))
        (asked,) = questions(shown)
        assert set(asked["content"]["data"]) == {"text/plain"}
        assert shown.of("comm_open") == []
        kernel.run("%remote_restart gpu-node/plain")
        assert bob.run(f"print(waiting.result({LIMIT}))").text() == "42\n"
    finally:
        kernel.close()


def test_nothing_listens_before_a_session_was_used_nor_after_the_extension_is_gone(
    asking: Gateway, ann: Kernel
) -> None:
    listening = f"""
import threading
def listening(join=False):
    found = [each for each in threading.enumerate() if each.name == "easyremote-questions"]
    for each in found if join else ():
        each.join({LIMIT})
    return len(found)
"""
    kernel = Kernel(notebook_environment(asking))
    try:
        kernel.run(listening)
        assert kernel.run("listening()").value == "0"
        kernel.run("%%remote gpu-node/quick\nx = 1")
        assert kernel.run("listening()").value == "1"
        kernel.run("%unload_ext easyremote")
        kernel.run("listening(join=True)")
        assert kernel.run("listening()").value == "0"
    finally:
        kernel.close()


def test_it_is_asked_also_after_the_gateway_was_started_again(
    asking: Gateway, ann: Kernel, bob: Kernel
) -> None:
    ann.run(TAKE.replace("gpu-node", "gpu-node/again"))
    end(asking.process)
    port = int(asking.address.rpartition(":")[2])
    again = start_gateway(asking.home, port, "--ask-idle-after", "0.5")
    try:
        bob.run(WAIT)
        shown = ann.idle_until(shows(questions))
        ann.press(button(shown, "Release"))
        assert bob.run(f"print(waiting.result({LIMIT}))").text() == "42\n"
    finally:
        end(again.process)
