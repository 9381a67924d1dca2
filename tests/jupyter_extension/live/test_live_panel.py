"""``%remote_panel`` in a real kernel: what a front end would draw, and a click on a button."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from easyremote.errors import CallCancelled
from tests.jupyter_extension.conftest import Kernel, Shown
from tests.processes import LIMIT, Gateway


class FrontEnd:
    """A front end of the test's own: the state of every widget, as the kernel tells it."""

    def __init__(self, kernel: Kernel) -> None:
        self._client = kernel._client
        self.models: dict[str, dict[str, Any]] = {}

    def until(self, found: Callable[[], Any]) -> Any:
        """Take messages until something is found among the widgets."""
        deadline = time.monotonic() + LIMIT
        while not (result := found()):
            assert time.monotonic() < deadline, self.models
            self.take(self._client.get_iopub_msg(timeout=LIMIT))
        return result

    def run(self, code: str) -> Shown:
        """Run a cell; what the panel says meanwhile is of no cell, and is taken too."""
        shown = Shown()
        asked = self._client.execute(code, allow_stdin=False)
        while not any(content["execution_state"] == "idle" for content in shown.of("status")):
            message = self._client.get_iopub_msg(timeout=LIMIT)
            self.take(message)
            if message["parent_header"].get("msg_id") == asked:
                shown.messages.append(message)
        return shown

    def take(self, message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "comm_open":
            self.models[content["comm_id"]] = dict(content["data"]["state"])
        elif message["msg_type"] == "comm_msg" and content["comm_id"] in self.models:
            self.models[content["comm_id"]].update(content["data"].get("state", {}))
        elif message["msg_type"] == "comm_close":
            self.models.pop(content["comm_id"], None)

    def find(self, model: str, **state: str) -> str:
        """The id of a widget whose state has these texts; empty if there is none."""
        for comm_id, known in self.models.items():
            named = known.get("_model_name") == model
            if named and all(text in str(known.get(key)) for key, text in state.items()):
                return comm_id
        return ""

    def button(self, text: str) -> str:
        """The button in the row of a job with this text: rows of other jobs may be there, too."""
        for row in self.models.values():
            ids = [each.removeprefix("IPY_MODEL_") for each in row.get("children", ())]
            shown = {each: self.models[each] for each in ids if each in self.models}
            if any(text in str(model.get("value")) for model in shown.values()):
                return next(i for i, each in shown.items() if each["_model_name"] == "ButtonModel")
        return ""

    def click(self, comm_id: str) -> None:
        data = {"method": "custom", "content": {"event": "click"}}
        message = self._client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self._client.shell_channel.send(message)


@pytest.fixture
def front_end(kernel: Kernel) -> FrontEnd:
    made = FrontEnd(kernel)
    (display,) = made.run("%remote_panel").of("display_data")
    assert "application/vnd.jupyter.widget-view+json" in display["data"]
    return made


def test_nodes_are_shown_with_their_load_and_what_folds_below_them(front_end: FrontEnd) -> None:
    front_end.until(lambda: front_end.find("HTMLModel", value="<b>gpu-node</b> idle"))
    front_end.until(lambda: front_end.find("HTMLModel", value="CPU"))
    front_end.until(lambda: front_end.find("HTMLModel", value="RAM"))
    front_end.until(lambda: front_end.find("HTMLModel", value="add(a"))
    assert front_end.find("AccordionModel", titles="Sessions")


def test_a_running_job_is_shown_and_can_be_cancelled(front_end: FrontEnd) -> None:
    front_end.run("%%remote gpu-node --bg slow\nimport time\nwhile True: time.sleep(0.01)")
    front_end.click(front_end.until(lambda: front_end.button("on gpu-node: running")))
    (error,) = front_end.run("slow.result()").of("error")
    assert error["ename"] == "CallCancelled"
    front_end.until(lambda: not front_end.find("HTMLModel", value="on gpu-node: "))


def test_a_second_panel_takes_the_place_of_the_first(kernel: Kernel, front_end: FrontEnd) -> None:
    threads = (
        "len([t for t in __import__('threading').enumerate() if t.name == 'easyremote-panel'])"
    )
    root = front_end.until(lambda: front_end.find("VBoxModel"))
    shown = kernel.run("%remote_panel")
    closed = [content["comm_id"] for content in shown.of("comm_close")]
    assert closed
    assert root in front_end.models
    kernel.run("%remote_panel --close\n%remote_panel\n%unload_ext easyremote")
    kernel.run("%load_ext easyremote")
    kernel.run(
        "import time\nend = time.monotonic() + 20\n"
        f"while {threads} and time.monotonic() < end: time.sleep(0.01)"
    )
    assert kernel.run(threads).value == "0"


def test_a_job_has_its_bars_and_its_session_is_listed(kernel: Kernel, front_end: FrontEnd) -> None:
    code = (
        "import time\nfrom tqdm import tqdm\nfor _ in tqdm(range(9), desc='steps'): time.sleep(60)"
    )
    front_end.run(f"%%remote gpu-node -s shown --bg stepping\n{code}")
    front_end.until(lambda: front_end.find("HTMLModel", value="steps: "))
    front_end.until(lambda: front_end.find("HTMLModel", value="shown"))
    kernel.run("%remote_cancel stepping")


def test_a_job_of_another_notebook_is_cancelled_too(
    gateway: Gateway, kernel: Kernel, front_end: FrontEnd
) -> None:
    with gateway.client() as elsewhere:
        job = elsewhere.submit(_sleep, 600)
        front_end.click(front_end.until(lambda: front_end.button("shipped on gpu-node: running")))
        with pytest.raises((CallCancelled, KeyboardInterrupt)):
            job.result(LIMIT)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


@pytest.fixture
def without_ipywidgets(kernel: Kernel) -> Iterator[None]:
    kernel.run("import sys\nheld = sys.modules.get('ipywidgets')\nsys.modules['ipywidgets'] = None")
    yield
    kernel.run("%remote_panel --close\nsys.modules.pop('ipywidgets')")
    kernel.run("if held: sys.modules['ipywidgets'] = held")


def test_without_ipywidgets_it_is_one_display_that_says_how_to_cancel(
    kernel: Kernel, without_ipywidgets: None
) -> None:
    shown = kernel.run("%remote_panel")
    (first,) = shown.of("display_data")
    assert first["data"]["text/plain"] == "EasyRemote: connecting ..."
    kernel.run("%%remote gpu-node --bg slow\nimport time\nwhile True: time.sleep(0.01)")
    job = kernel.run("slow.call_id[:8]").value.strip("'")
    deadline, data = time.monotonic() + LIMIT, first["data"]
    while f"(%remote_cancel {job})" not in data["text/plain"]:
        assert time.monotonic() < deadline, data
        content = kernel._client.get_iopub_msg(timeout=LIMIT)["content"]
        if content.get("transient") == first["transient"]:
            data = content["data"]
    assert "gpu-node: 1 of " in data["text/plain"]
    assert f"%remote_cancel {job}" in data["text/html"]
    assert "<summary>Functions</summary>" in data["text/html"]
    kernel.run("%remote_cancel slow")
