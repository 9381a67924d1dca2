"""Publishing events, waiting for a job, and how errors look. The real kernels are elsewhere."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

from easyremote.errors import CannotShip, GatewayUnreachable, NodeOffline, RemoteError
from easyremote_jupyter.display import Output, one_line_errors, show_result, watch


class ScriptedJob:
    """A job whose events are given; None is a moment in which none comes."""

    def __init__(self, *events: dict[str, Any] | None, stubborn: bool = False) -> None:
        self.events = list(events)
        self.stubborn = stubborn
        self.interrupts = 0

    def next_event(self, timeout: float) -> dict[str, Any] | None:
        event = self.events.pop(0) if self.events else None
        if event is not None and event["type"] == "press stop":
            os.kill(os.getpid(), signal.SIGINT)
            return None
        return event

    def done(self) -> bool:
        return not self.events and not self.stubborn

    def interrupt(self) -> None:
        self.interrupts += 1
        self.events.append({"type": "last words"})


STOP = {"type": "press stop"}


def shown(job: ScriptedJob) -> list[str]:
    events: list[str] = []
    watch(job, lambda event: events.append(event["type"]))
    return events


def test_everything_is_shown_until_the_job_is_done() -> None:
    assert shown(ScriptedJob({"type": "a"}, None, {"type": "b"})) == ["a", "b"]


def test_an_interrupt_goes_to_the_node_and_its_last_words_are_shown() -> None:
    job = ScriptedJob({"type": "a"}, STOP, None)
    assert shown(job) == ["a", "last words"]
    assert job.interrupts == 1


def test_a_second_interrupt_returns_control() -> None:
    job = ScriptedJob(STOP, None, STOP, stubborn=True)
    with pytest.raises(KeyboardInterrupt):
        shown(job)
    assert job.interrupts == 1


def test_a_cell_that_does_not_stop_returns_control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easyremote_jupyter.display.INTERRUPT_LIMIT", 0.0)
    with pytest.raises(KeyboardInterrupt, match="has been told to stop"):
        shown(ScriptedJob(STOP, stubborn=True))


def test_afterwards_interrupts_are_what_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)
    shown(ScriptedJob())
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_streams_and_displays_are_published(shell: InteractiveShell) -> None:
    with capture_output() as captured:
        output = Output(shell)
        output.show({"type": "stream", "name": "stdout", "text": "out"})
        output.show({"type": "stream", "name": "stderr", "text": "err"})
        output.show(
            {
                "type": "display_data",
                "data": {"text/plain": "x"},
                "metadata": {},
                "transient": {"display_id": "d"},
            }
        )
        output.finish()
    assert (captured.stdout, captured.stderr) == ("out", "err")
    (display,) = captured.outputs
    assert isinstance(display, RichOutput)
    assert (display.data, display.transient) == ({"text/plain": "x"}, {"display_id": "d"})


def test_quiet_output_keeps_displays_and_the_value(shell: InteractiveShell) -> None:
    with capture_output() as captured:
        output = Output(shell, quiet=True)
        output.show({"type": "stream", "name": "stdout", "text": "out"})
        output.show({"type": "execute_result", "data": {}, "metadata": {}})
    assert captured.stdout == ""
    assert output.result is not None


def test_the_value_is_drawn_as_the_node_drew_it_and_kept(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.displayhook", shell.displayhook)
    shell.execution_count = 7
    event = {"data": {"text/plain": "drawn there"}, "metadata": {}}
    show_result(shell, event, {"value": [1]})
    assert "drawn there" in capsys.readouterr().out
    assert shell.user_ns["_"] == [1]


def test_slips_are_ipythons_own_usage_errors() -> None:
    with pytest.raises(IPythonUsageError, match="variable 'f'"), one_line_errors():
        raise CannotShip("variable 'f' can't travel")


@pytest.mark.parametrize("kind", [GatewayUnreachable, NodeOffline])
def test_other_errors_are_one_line(kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, one_line_errors():
        raise kind("what to do next")
    lines = caught.value._render_traceback_()  # type: ignore[attr-defined]  # set for IPython
    assert lines == [f"{kind.__name__}: what to do next"]


def test_a_remote_interrupt_is_an_interrupt_with_the_remote_traceback() -> None:
    remote = RemoteError("", type_name="KeyboardInterrupt", remote_traceback="line 3")
    with pytest.raises(KeyboardInterrupt) as caught, one_line_errors("gpu"):
        raise remote
    assert type(caught.value).__name__ == "KeyboardInterrupt"
    assert caught.value._render_traceback_()[-1] == "line 3"  # type: ignore[attr-defined]  # as above


def test_a_remote_error_says_where_and_takes_a_hint() -> None:
    remote = RemoteError("no x", type_name="NameError", remote_traceback="NameError: no x\n")
    with pytest.raises(RemoteError) as caught, one_line_errors("gpu", lambda error: "send it"):
        raise remote
    banner, text = caught.value._render_traceback_()
    assert "on gpu" in banner
    assert text == "NameError: no x\nsend it"
