"""What is attached, between a real kernel and a front end that speaks over the comm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.jupyter_extension.conftest import LIMIT, Kernel

#: The start of a session on a busy machine.
pytestmark = pytest.mark.timeout(120)

GPU_NODE = {"node": "gpu-node", "session": "", "where": "", "auto": False}


class FrontEnd:
    """The toolbar's side of the comm."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._client = kernel._client
        shown = kernel.run("%reload_ext easyremote")
        (opened,) = shown.of("comm_open")
        assert opened["target_name"] == "easyremote"
        self.told = [opened["data"]["attached"]]
        self.session = opened["data"]["session"]
        self.comm_id = opened["comm_id"]

    def send(self, **data: Any) -> None:
        """Say something; what the kernel says to it."""
        content = {"comm_id": self.comm_id, "data": data}
        message = self._client.session.msg("comm_msg", content)
        self._client.shell_channel.send(message)
        while True:  # until the kernel has handled it
            said = self._client.get_iopub_msg(timeout=LIMIT)
            if said["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                if said["msg_type"] == "comm_msg":
                    self.told.append(said["content"]["data"]["attached"])
                if said["content"].get("execution_state") == "idle":
                    return

    def run(self, code: str) -> Any:
        """Run a cell; what it, or the messages before it, told the front end."""
        shown = self._kernel.run(code)
        self.told += [m["data"]["attached"] for m in shown.of("comm_msg")]
        return shown


@pytest.fixture
def front_end(kernel: Kernel) -> FrontEnd:
    kernel.run("%remote_detach")
    return FrontEnd(kernel)


def test_the_front_end_is_told_which_session_is_the_kernels_own(
    kernel: Kernel, front_end: FrontEnd
) -> None:
    kernel.run("%%remote gpu-node\nmine = 1")
    asked = "from easyremote.client.session import ask_for_sessions\nimport easyremote\n"
    asked += "print(ask_for_sessions(easyremote.connect(), 'gpu-node').result())"
    assert f"session='{front_end.session}'" in kernel.run(asked).text()


def test_what_a_cell_attaches_the_front_end_is_told(front_end: FrontEnd) -> None:
    assert front_end.told == [None]
    front_end.run("%remote_attach gpu-node/mine --auto")
    front_end.run("%remote_detach")
    assert front_end.told[1:] == [{**GPU_NODE, "session": "mine", "auto": True}, None]


def test_what_the_front_end_attaches_is_where_cells_run(front_end: FrontEnd) -> None:
    front_end.send(kind="attach", attached=GPU_NODE)
    shown = front_end.run("%remote_attach")
    assert "without a target run on gpu-node." in shown.text()
    assert front_end.run("%remote 6 * 7").value == "42"
    front_end.send(kind="attach", attached={**GPU_NODE, "auto": True})
    shown = front_end.run("%remote_attach")
    assert "Plain cells" in shown.text()
    front_end.send(kind="attach", attached=None)
    assert "No node is attached" in front_end.run("%remote_attach").text()


def test_a_front_end_that_comes_later_asks(front_end: FrontEnd) -> None:
    front_end.run("%remote_attach gpu-node")
    front_end.send(kind="ask")
    assert front_end.told[-2:] == [GPU_NODE, GPU_NODE]


def test_a_message_that_is_none_changes_nothing(front_end: FrontEnd) -> None:
    front_end.run("%remote_attach gpu-node")
    front_end.send(kind="run", code="1")
    assert "run on gpu-node." in front_end.run("%remote_attach").text()


def test_cells_that_wait_already_find_what_the_file_of_the_notebook_keeps(
    kernel: Kernel, tmp_path: Path
) -> None:
    path = tmp_path / "kept.ipynb"
    for metadata, told in (
        ({"easyremote": {"attached": {"node": "gpu-node"}}}, GPU_NODE),
        ({"easyremote": {"attached": {"node": 7}}}, None),
        ({"easyremote": "somebody else's"}, None),
        ({}, None),
    ):
        path.write_text(json.dumps({"cells": [], "metadata": metadata}))
        kernel.run(f"import os; os.environ['JPY_SESSION_NAME'] = {str(path)!r}")
        assert FrontEnd(kernel).told == [told]
    kernel.run("del os.environ['JPY_SESSION_NAME']")
