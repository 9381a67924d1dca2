"""Widgets in a session: what they say as events, what is said to them, and who catches output."""

from __future__ import annotations

from typing import Any

from tests.node.conftest import Ran, Session

SLIDER = "import ipywidgets as w\nslider = w.IntSlider(3, max=9)"


def opened(ran: Ran, model: str) -> dict[str, Any]:
    (found,) = [
        event
        for event in ran.of("comm_open")
        if event["data"].get("state", {}).get("_model_name") == f"{model}Model"
    ]
    return found


def update(**state: Any) -> dict[str, Any]:
    return {"method": "update", "state": state, "buffer_paths": []}


def test_a_session_without_widgets_does_not_load_them(session: Session) -> None:
    ran = session.run("import sys\nprint({'comm', 'ipywidgets', 'ipykernel'} & {*sys.modules})")
    assert ran.text() == "set()\n"


def test_a_widget_opens_a_comm_and_what_it_says_is_an_event(session: Session) -> None:
    ran = session.run(f"{SLIDER}\nslider.value = 5\nslider.close()")
    slider = opened(ran, "IntSlider")
    assert slider["target_name"] == "jupyter.widget"
    assert slider["metadata"]["version"].startswith("2.")
    assert slider["data"]["state"]["value"] == 3
    (said,) = [e for e in ran.of("comm_msg") if e["comm_id"] == slider["comm_id"]]
    assert said["data"] == update(value=5)
    assert ran.of("comm_close")[0]["comm_id"] == slider["comm_id"]


def test_what_the_front_end_says_reaches_the_widget_and_is_echoed(session: Session) -> None:
    slider = opened(session.run(SLIDER), "IntSlider")
    said = session.say(slider, update(value=7))
    assert said.end["is_open"]
    assert [event["data"]["method"] for event in said.events] == ["echo_update"]
    assert session.run("slider.value").end["value"] == 7


def test_what_a_callback_prints_and_draws_comes_before_the_answer(session: Session) -> None:
    ran = session.run(
        f"{SLIDER}\nimport os\nfrom tqdm import tqdm\ndef show(change):\n"
        "    print(change.new)\n    os.write(1, b'C')\n    for _ in tqdm(range(3)): pass\n"
        "slider.observe(show, 'value')"
    )
    said = session.say(opened(ran, "IntSlider"), update(value=6))
    assert said.text() == "6\nC"
    assert said.of("progress")[-1]["state"] == "done"


def test_an_output_catches_by_the_id_of_the_cell_and_of_the_message(session: Session) -> None:
    def routes(ran: Ran) -> str:
        found = []
        for event in ran.events:
            state = event["data"].get("state", {}) if event["type"] == "comm_msg" else {}
            found += [state["msg_id"]] if "msg_id" in state else []
            found += [event["text"].strip()] if event["type"] == "stream" else []
        return " ".join(found)

    ran = session.run(
        f"{SLIDER}\nout = w.Output()\nwith out: print('in')\nprint('out')\n"
        "@out.capture()\ndef show(change): print('moved')\nslider.observe(show, 'value')",
        parent="cell",
    )
    assert routes(ran) == "cell in   out "
    assert routes(session.say(opened(ran, "IntSlider"), update(value=1))) == "m1 moved  "
    assert routes(session.run("with out: print('plain')")) == "plain "


def test_an_error_that_did_not_end_the_cell_is_shown_where_it_came(session: Session) -> None:
    ran = session.run(
        "import ipywidgets as w\nout = w.Output()\nwith out: 1 / 0\nprint('goes on')",
        parent="cell",
    )
    assert ran.end["type"] == "answer", ran.end
    kinds = [event["type"] for event in ran.events]
    assert kinds.index("error") < kinds.index("stream")
    assert ran.of("error")[0]["ename"] == "ZeroDivisionError"
    own = session.run("1 / 0")
    assert (own.of("error"), own.end["type"]) == ([], "error")


def test_an_interrupt_ends_a_callback_and_is_shown(session: Session) -> None:
    ran = session.run(
        f"{SLIDER}\nimport time\ndef wait(change):\n    print('begun')\n    time.sleep(60)\n"
        "slider.observe(wait, 'value')"
    )
    said = session.say(opened(ran, "IntSlider"), update(value=1), interrupt_at="begun")
    assert said.of("error")[0]["ename"] == "KeyboardInterrupt"
    assert session.run("slider.value").end["value"] == 1


def test_bytes_travel_beside_the_rest(session: Session) -> None:
    ran = session.run("import ipywidgets as w\nw.Image(value=b'abc')")
    image = opened(ran, "Image")
    assert (image["buffers"], image["data"]["buffer_paths"]) == (["b'abc'"], [["value"]])
    said = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    session.say(image, said, buffers=[[1, 2]])
    assert session.run("list(_.value)").end["value"] == [1, 2]


def test_numbers_of_numpy_can_be_said_and_what_is_no_json_cannot(session: Session) -> None:
    ran = session.run(
        "import comm, numpy as np\nopen = comm.create_comm('mine', {'n': np.float32(0.5)})\n"
        "open.send({1: (np.int64(2),)})\nopen.send({'x': object()})"
    )
    assert ran.of("comm_open")[0]["data"] == {"n": 0.5}
    assert ran.of("comm_msg")[0]["data"] == {"1": [2]}
    assert "TypeError: a object can't be sent to a widget" in ran.traceback


def test_a_closed_widget_and_one_of_another_process_are_not_there(session: Session) -> None:
    slider = opened(session.run(SLIDER), "IntSlider")
    assert not session.say({**slider, "process": "another"}, update(value=1)).end["is_open"]
    assert session.say(slider, {}, type="comm_close").end["is_open"]
    assert not session.say(slider, update(value=1)).end["is_open"]


def test_a_widget_does_not_leave_its_session(session: Session) -> None:
    ran = session.run(SLIDER, writes=["slider"])
    assert ran.end["kept"]["slider"]["type"] == "IntSlider"
    assert ran.end["names"] == {}
