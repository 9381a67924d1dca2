"""Shows here what was raised on a node: the node's traceback, without the frames of our own code.

``tests/jupyter_extension/output/test_tracebacks.py`` proves it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from IPython.core.error import UsageError as IPythonUsageError

from easyremote.errors import EasyRemoteError, RemoteError, UsageError

__all__ = ["install", "one_line_errors", "show_error", "uninstall"]


def install(shell: Any) -> None:
    """Let the shell show remote errors with `show_error`, unless the user has such a handler.

    IPython shows SyntaxError and groups of exceptions by rules of its own, past the traceback that
    an error brings along.
    """
    if not shell.custom_exceptions:
        shell.set_custom_exc((RemoteError,), show_error)


def uninstall(shell: Any) -> None:
    """Undo `install`."""
    if shell.custom_exceptions == (RemoteError,):
        shell.set_custom_exc((), None)


def show_error(
    shell: Any, kind: type[RemoteError], error: RemoteError, trace: Any, tb_offset: object = None
) -> None:
    """Show a remote error as the node has shown it."""
    shell._get_exc_info((kind, error, trace))  # notes it for %tb and %debug
    if isinstance(error, IPythonUsageError):
        shell.show_usage_error(error)
    else:
        shell._showtraceback(kind, error, error._render_traceback_())


class _RemoteInterrupt(KeyboardInterrupt):
    """A KeyboardInterrupt that shows where the cell was on the node."""

    def __init__(self, error: RemoteError) -> None:
        super().__init__()
        self._lines = error._render_traceback_()

    def _render_traceback_(self) -> list[str]:
        return self._lines


_RemoteInterrupt.__name__ = _RemoteInterrupt.__qualname__ = "KeyboardInterrupt"


@contextlib.contextmanager
def one_line_errors(node_id: str = "", hint: Callable[[RemoteError], str] | None = None) -> Any:
    """Let errors of EasyRemote be shown without the frames of our own code.

    Parameters
    ----------
    node_id
        Where the cell runs, for its tracebacks.
    hint
        Makes a line to show below a traceback, or nothing.
    """
    try:
        yield
    except RemoteError as error:
        error.details.setdefault("node_id", node_id)
        if error.type_name == "KeyboardInterrupt":
            raise _RemoteInterrupt(error) from None
        line = hint(error) if hint is not None else ""
        if line:
            error.remote_traceback = f"{error.remote_traceback.rstrip()}\n{line}"
        raise
    except UsageError as error:
        raise IPythonUsageError(str(error)) from None
    except EasyRemoteError as error:
        line = f"{type(error).__name__}: {error}"
        error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]  # IPython looks for it
        raise
