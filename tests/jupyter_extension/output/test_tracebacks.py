"""What was raised on a node is shown as the node has shown it, whatever kind of error it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from easyremote.errors import RemoteError, from_wire
from easyremote.node.outcomes import remote_error
from easyremote_jupyter.output.tracebacks import install, uninstall


@pytest.fixture
def shell() -> Iterator[Any]:
    made: Any = InteractiveShell()  # type: ignore[no-untyped-call]
    install(made)
    yield made
    uninstall(made)


def there(error: BaseException) -> RemoteError:
    found = remote_error(error, "the node's traceback")
    again = from_wire("raised", str(found), found.details)
    assert isinstance(again, RemoteError)
    return again


ERRORS = [
    ValueError("x"),
    SyntaxError("bad", ("cell", 1, 2, "a b", 1, 3)),
    ExceptionGroup("two", [ValueError(1)]),
    KeyError(1),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_nodes_traceback_is_shown_and_no_other(
    shell: Any, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.user_ns["error"] = there(error)
    result = shell.run_cell("raise error")
    assert result.error_in_exec is shell.user_ns["error"]
    out, err = capsys.readouterr()
    assert (out.splitlines()[1:], err) == (["the node's traceback"], "")
    assert sys.last_value is shell.user_ns["error"]


def test_a_cause_that_is_a_group_changes_nothing(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ValueError("x")
    error.__cause__ = error.__context__ = ExceptionGroup("two", [ValueError(1)])
    shell.user_ns["error"] = there(error)
    shell.run_cell("raise error")
    assert capsys.readouterr().out.splitlines()[1:] == ["the node's traceback"]


def test_a_wrong_magic_is_told_in_one_line(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.user_ns["error"] = there(UsageError("Line magic `%x` not found."))
    shell.run_cell("raise error")
    assert capsys.readouterr().err.strip() == "UsageError: Line magic `%x` not found."


def test_a_handler_of_the_users_own_stays(capsys: pytest.CaptureFixture[str]) -> None:
    made: Any = InteractiveShell()  # type: ignore[no-untyped-call]
    made.set_custom_exc((ValueError,), lambda *args, **kwargs: [])
    install(made)
    uninstall(made)
    assert made.custom_exceptions == (ValueError,)
