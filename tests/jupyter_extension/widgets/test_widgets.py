"""Widgets of cells on a node, in a real kernel: what a front end gets, and what it says to them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.jupyter_extension.conftest import LIMIT, Kernel, Shown
from tests.processes import until_there

pytestmark = pytest.mark.timeout(180)

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass
class FrontEnd:
    """As much of a front end as widgets need: their models, and messages to them."""

    kernel: Kernel
    #: The state of each model, by comm id; those that were closed are gone.
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    buffers: dict[str, list[bytes]] = field(default_factory=dict)

    def run(self, code: str, **how: Any) -> Shown:
        shown = self.kernel.run(code, has_user=True, **how)
        self.take(shown)
        return shown

    def take(self, shown: Shown) -> None:
        for message in shown.messages:
            content = message["content"]
            match message["msg_type"]:
                case "comm_open":
                    assert content["target_name"] == "jupyter.widget"
                    self.models[content["comm_id"]] = content["data"]["state"]
                case "comm_msg" if content["data"].get("method") == "update":
                    self.models[content["comm_id"]].update(content["data"]["state"])
                case "comm_close":
                    del self.models[content["comm_id"]]
            if message["msg_type"].startswith("comm_") and message.get("buffers"):
                self.buffers[content["comm_id"]] = [bytes(b) for b in message["buffers"]]

    def shown_view(self, shown: Shown) -> str:
        """The id of the model whose view a cell shows."""
        kinds = ("display_data", "execute_result")
        (bundle,) = [c["data"] for k in kinds for c in shown.of(k) if VIEW in c["data"]]
        return str(bundle[VIEW]["model_id"])

    def find(self, **state: Any) -> str:
        """The newest model that has these values."""
        return [key for key, model in self.models.items() if state.items() <= model.items()][-1]

    def say(self, comm_id: str, data: dict[str, Any], buffers: list[bytes] | None = None) -> Shown:
        """Send a message to a widget; all that comes under it until the kernel has done with it."""
        session, client = self.kernel._client.session, self.kernel._client
        message = session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        session.send(client.shell_channel.socket, message, buffers=buffers)
        shown = self.until_idle(message["header"]["msg_id"])
        self.take(shown)
        return shown

    def until_idle(self, parent: str) -> Shown:
        shown, deadline = Shown(), time.monotonic() + LIMIT
        while True:
            message = self.kernel._client.get_iopub_msg(timeout=deadline - time.monotonic())
            if message["parent_header"].get("msg_id") != parent:
                continue
            shown.messages.append(message)
            if message["content"].get("execution_state") == "idle":
                return shown

    def opens(self, target: str) -> bool:
        """Whether the kernel takes a comm with this target that the front end opens."""
        client = self.kernel._client
        content = {"comm_id": "new", "target_name": target, "data": {}}
        message = client.session.msg("comm_open", content, metadata={"version": "1.0.0"})
        client.session.send(client.shell_channel.socket, message)
        return not self.until_idle(message["header"]["msg_id"]).of("comm_close")

    def set(self, comm_id: str, **state: Any) -> Shown:
        return self.say(comm_id, {"method": "update", "state": state, "buffer_paths": []})

    def click(self, comm_id: str) -> Shown:
        return self.say(comm_id, {"method": "custom", "content": {"event": "click"}})


@pytest.fixture(scope="module")
def front(kernel: Kernel) -> FrontEnd:
    return FrontEnd(kernel)


def trace(error: dict[str, Any]) -> str:
    return ESCAPES.sub("", "\n".join(error["traceback"]))


def caught(front: FrontEnd, shown: Shown) -> list[dict[str, Any]]:
    """What a front end would put into an Output: what comes while that has the message's id.

    Text may come in several messages. As in a front end, what follows on the same stream is added.
    """
    catches = False
    found: list[dict[str, Any]] = []
    for message in shown.messages:
        content, kind = message["content"], message["msg_type"]
        state = content["data"].get("state", {}) if kind == "comm_msg" else {}
        if "msg_id" in state:
            assert state["msg_id"] in ("", message["parent_header"]["msg_id"])
            catches = bool(state["msg_id"])
        elif catches and kind == "stream" and found and found[-1].get("name") == content["name"]:
            found[-1] = {**content, "text": found[-1]["text"] + content["text"]}
        elif catches and kind in ("stream", "display_data", "error"):
            found.append(content)
    assert not catches
    return found


def test_a_slider_is_shown_and_its_value_goes_there(front: FrontEnd) -> None:
    shown = front.run(
        "%%remote\nimport ipywidgets as w\nfrom IPython.display import display\n"
        "slider = w.IntSlider(3, max=9)\ndisplay(slider)"
    )
    slider = front.shown_view(shown)
    assert front.models[slider]["value"] == 3
    answered = front.set(slider, value=7)
    (echo,) = [m["data"] for m in answered.of("comm_msg")]
    assert (echo["method"], echo["state"]) == ("echo_update", {"value": 7})
    assert front.run("%%remote\nslider.value").value == "7"
    front.run("%%remote\nslider.value = 8")
    assert front.models[slider]["value"] == 8


def test_the_value_of_a_cell_can_be_a_widget_of_widgets(front: FrontEnd) -> None:
    shown = front.run(
        "%%remote\nimport ipywidgets as w\na, b = w.FloatSlider(), w.Text('x')\n"
        "w.jslink((a, 'value'), (a, 'max'))\nw.Tab([w.HBox([a, b])])"
    )
    tab = front.models[front.shown_view(shown)]
    (box,) = tab["children"]
    children = front.models[box.removeprefix("IPY_MODEL_")]["children"]
    assert [front.models[c.removeprefix("IPY_MODEL_")]["_model_name"] for c in children] == [
        "FloatSliderModel",
        "TextModel",
    ]
    assert front.find(_model_name="LinkModel")


def test_interact_shows_anew_what_a_moved_slider_makes(front: FrontEnd) -> None:
    shown = front.run(
        "%%remote\nfrom ipywidgets import interact\n@interact(x=(0, 10))\n"
        "def square(x=4): print('square', x * x)"
    )
    assert "".join(m["text"] for m in caught(front, shown)) == "square 16\n"
    slider = front.find(_model_name="IntSliderModel", value=4, max=10)
    moved = front.set(slider, value=6)
    assert "".join(m["text"] for m in caught(front, moved)) == "square 36\n"
    assert moved.of("clear_output") == [{"wait": True}]


def test_controls_and_their_output_can_be_laid_out_apart(front: FrontEnd) -> None:
    shown = front.run(
        "%%remote\nfrom ipywidgets import HBox, IntSlider, interactive_output\n"
        "from IPython.display import display\n"
        "base = IntSlider(2, description='base', continuous_update=False)\n"
        "power = IntSlider(3, description='power')\n"
        "def show(base, power): print(base ** power)\n"
        "shown = interactive_output(show, {'base': base, 'power': power})\n"
        "display(HBox([base, power]), shown)"
    )
    assert "".join(m["text"] for m in caught(front, shown)) == "8\n"
    base, power = front.find(description="base"), front.find(description="power")
    # What the front end goes by: it sends the value when the handle is let go.
    assert [front.models[each]["continuous_update"] for each in (base, power)] == [False, True]
    moved = front.set(base, value=5)
    assert "".join(m["text"] for m in caught(front, moved)) == "125\n"


def test_that_widgets_stay_on_the_node_is_no_news(front: FrontEnd) -> None:
    shown = front.run(
        "%%remote\nimport ipywidgets as w\nquiet = w.Button()\nfile = open('/dev/null', 'w')"
    )
    assert "file (TextIOWrapper)" in shown.text("stderr")
    assert "quiet" not in shown.text("stderr")
    assert "Button" in str(front.run("quiet").value)


def test_a_button_prints_into_an_output_and_its_error_is_shown_there(front: FrontEnd) -> None:
    front.run(
        "%%remote\nimport ipywidgets as w\nfrom IPython.display import display\n"
        "out, button = w.Output(), w.Button(description='go')\n"
        "@button.on_click\n@out.capture()\ndef clicked(button):\n"
        "    print('clicked'); raise KeyError('lost')\ndisplay(button, out)"
    )
    text, error = caught(front, front.click(front.find(description="go")))
    assert text == {"name": "stdout", "text": "clicked\n"}
    assert (error["ename"], error["evalue"]) == ("KeyError", "'lost'")
    assert "in clicked(button)" in trace(error)


def test_an_error_of_a_callback_is_shown_as_a_local_kernel_shows_it(front: FrontEnd) -> None:
    front.run(
        "%%remote\nimport ipywidgets as w\nlevel = w.IntSlider(1, description='level')\n"
        "def fail(change): 1 / 0\nlevel.observe(fail, 'value')\nlevel"
    )
    (error,) = front.set(front.find(description="level"), value=2).of("error")
    assert error["ename"] == "ZeroDivisionError"
    assert "in fail(change)" in trace(error)
    assert "comms.py" not in trace(error)
    assert front.run("%%remote\nlevel.value").value == "2"


def test_in_a_cell_an_output_catches_what_its_block_shows(front: FrontEnd) -> None:
    shown = front.run(
        "%%remote\nimport ipywidgets as w\nfrom IPython.display import display\n"
        "block = w.Output()\ndisplay(block)\nprint('before')\nwith block:\n    print('inside')\n"
        "    display('shown')\nprint('after')"
    )
    assert [m.get("text") or m["data"]["text/plain"] for m in caught(front, shown)] == [
        "inside\n",
        "'shown'",
    ]
    assert shown.text() == "before\ninside\nafter\n"


def test_bytes_go_both_ways(front: FrontEnd) -> None:
    front.run(
        "%%remote\nimport ipywidgets as w\nimage = w.Image(value=bytes(range(256)))\n"
        "upload = w.FileUpload()\nw.VBox([image, upload])"
    )
    assert front.buffers[front.find(_model_name="ImageModel")] == [bytes(range(256))]
    file = {"name": "a.bin", "type": "", "size": 3, "last_modified": 0}
    front.say(
        front.find(_model_name="FileUploadModel"),
        {"method": "update", "state": {"value": [file]}, "buffer_paths": [["value", 0, "content"]]},
        [b"\0\1\2"],
    )
    assert front.run("%%remote\nupload.value[0].content.tobytes()").value == repr(b"\0\1\2")


def test_a_closed_widget_is_closed_here(front: FrontEnd) -> None:
    front.run("%%remote\nimport ipywidgets as w\ngone = w.Text('gone')\ngone")
    text = front.find(value="gone")
    front.run("%%remote\ngone.close()")
    assert text not in front.models


def test_widgets_end_with_their_session_and_say_so(front: FrontEnd) -> None:
    front.run("%%remote\nimport ipywidgets as w\nlast = w.Text('last')\nlast")
    text = front.find(value="last")
    front.run("%remote_restart")
    assert text not in front.models


def test_a_message_to_a_widget_whose_session_has_died_is_answered_with_one_line(
    front: FrontEnd,
) -> None:
    front.run("%%remote\nimport ipywidgets as w, os\ndying = w.Text('dying')\ndying")
    text = front.find(value="dying")
    front.run("%%remote\nos._exit(3)", fails=True)
    answered = front.set(text, value="x")
    assert "has ended, and this widget with it: run its cell again.\n" in answered.text("stderr")
    assert text not in front.models


def test_a_front_end_that_comes_anew_asks_each_widget_for_its_state(front: FrontEnd) -> None:
    """Not all at once: this kernel's own ipywidgets would answer that, for its own widgets only."""
    front.run("import ipywidgets\nmine = ipywidgets.IntText(3)\nmine")
    front.run(
        "%%remote\nimport ipywidgets as w\nlevel = w.IntSlider(1, description='again')\nlevel"
    )
    level = front.find(description="again")
    front.set(level, value=7)
    assert front.opens("jupyter.widget.control") is False
    front.models[level]["value"] = 0
    front.say(level, {"method": "request_state"})
    assert front.models[level]["value"] == 7


def test_a_background_cells_widgets_are_in_its_own_display(front: FrontEnd, tmp_path: Path) -> None:
    gate = tmp_path / "gate"  # this front end hears only what comes while a cell of its runs
    shown = front.run(
        "%%remote --bg job\nimport ipywidgets as w, pathlib, time\n"
        "from IPython.display import display\n"
        f"{until_there(gate)}\n"
        "print('made')\ndisplay(w.IntSlider(77, description='far'))\nw.Text('value')"
    )
    (first,) = shown.of("display_data")
    ended = front.run(f"import pathlib\npathlib.Path({str(gate)!r}).touch()\njob.result()")
    last = ended.of("update_display_data")[-1]
    assert last["transient"] == first["transient"]
    children = front.models[last["data"][VIEW]["model_id"]]["children"]
    text, slider, value = (front.models[child.removeprefix("IPY_MODEL_")] for child in children)
    assert "made" in text["value"] and "IntSlider" not in text["value"]
    assert (slider["value"], value["value"]) == (77, "value")
    assert "IntSlider(value=77" in last["data"]["text/html"]
    answered = front.set(front.find(description="far"), value=78)
    assert answered.of("comm_msg")[0]["data"]["state"] == {"value": 78}
