"""Publishing events, and how errors look. The real kernels are elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

from easyremote.errors import CannotShip, GatewayUnreachable, NodeOffline, RemoteError
from easyremote.events import Display, Progress, Stream, Value
from easyremote_jupyter.output.display import Output, draw_value, keep_value
from easyremote_jupyter.output.tracebacks import one_line_errors


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_streams_and_displays_are_published(shell: InteractiveShell) -> None:
    with capture_output() as captured:
        output = Output(shell)
        output.show(Stream("stdout", "out"))
        output.show(Stream("stderr", "err"))
        output.show(
            Display({"text/plain": "x"}, transient={"display_id": "d"}),
        )
        output.finish()
    assert (captured.stdout, captured.stderr) == ("out", "err")
    (display,) = captured.outputs
    assert isinstance(display, RichOutput)
    assert (display.data, display.transient) == ({"text/plain": "x"}, {"display_id": "d"})


def test_a_bar_on_a_terminal_is_not_drawn_over_half_a_line(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Output(shell)
    output.show(Progress("1", 0, "", 1, 4, "it", 2.0, 1.0, 1.0, "running", leave=True))
    output.show(Stream("stdout", "whole\nhalf"))
    assert capsys.readouterr().out == "whole\n"
    output.show(Stream("stdout", " done\nrest"))
    assert capsys.readouterr().out == "half done\n"
    output.finish()
    assert capsys.readouterr().out == "rest"


def test_quiet_output_keeps_displays_and_the_value(shell: InteractiveShell) -> None:
    with capture_output() as captured:
        output = Output(shell, quiet=True)
        output.show(Stream("stdout", "out"))
        output.show(Value({}))
    assert captured.stdout == ""
    assert output.result is not None


def test_the_value_is_drawn_as_the_node_drew_it_and_kept(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.displayhook", shell.displayhook)
    shell.execution_count = 7
    event = Value({"text/plain": "drawn there"})
    with Output(shell, draw=partial(draw_value, shell)) as output:
        output.show(Stream("stdout", "before\n"))
        output.show(event)
        output.show(Stream("stdout", "after\n"))
    shown = capsys.readouterr().out
    assert shown.index("before") < shown.index("drawn there") < shown.index("after")
    keep_value(shell, [1])
    assert shell.user_ns["_"] == [1]


def test_a_value_is_captured_as_the_node_drew_it(shell: InteractiveShell) -> None:
    with capture_output() as captured:
        draw_value(shell, Value({"text/plain": "drawn there"}))
        keep_value(shell, [1])
    assert [each.data for each in captured.outputs] == [{"text/plain": "drawn there"}]


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
