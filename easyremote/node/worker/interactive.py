"""IPython's shell without a terminal: whatever it would show becomes an event.

Only `easyremote.node.worker.shell` imports this, when the first cell of a session runs: IPython
takes a third of a second. ``tests/node/worker/test_shell.py`` proves it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import traceback
import types
from collections.abc import Coroutine
from typing import Any, NoReturn

import msgspec
from IPython.core import page
from IPython.core.autocall import ExitAutocall
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from traitlets import Any as AnyTrait
from traitlets import Instance, Type

from easyremote.events import ClearOutput, Display, DisplayUpdate, ErrorShown, Value
from easyremote.raised import text_of

_page_hook: Any = page.as_hook
_OURS = os.path.join(os.path.dirname(__file__), "")
#: The modules that show the error of the cell itself.
_RUN_CELLS = ("IPython.core.interactiveshell", __name__)


def _encoded(data: dict[str, Any]) -> dict[str, Any]:
    """A mimebundle as Jupyter's messages have it: binary data in base64."""
    return {mime: _plain(value) for mime, value in data.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if not isinstance(value, str):
        try:
            msgspec.msgpack.encode(value)
        except (TypeError, ValueError, OverflowError):
            return repr(value)  # a display's author can put anything there
    return value


class EventPublisher(DisplayPublisher):
    """``display(...)``, updates of it, and ``clear_output()``."""

    shell: Any

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        source: object = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **kwargs: object,
    ) -> None:
        kind = DisplayUpdate if update else Display
        self.shell.emit(kind(_encoded(data), _encoded(metadata or {}), transient or {}))

    def clear_output(self, wait: bool = False) -> None:
        self.shell.emit(ClearOutput(bool(wait)))


class EventDisplayHook(DisplayHook):
    """The value of the last expression."""

    shell: Any

    def write_output_prompt(self) -> None: ...

    def write_format_data(
        self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None
    ) -> None:
        self.shell.emit(Value(_encoded(format_dict), _encoded(md_dict or {}), self.prompt_count))

    def log_output(self, format_dict: dict[str, Any]) -> None: ...

    def finish_displayhook(self) -> None:
        self._is_active = False


class NoExit(ExitAutocall):
    """``exit`` and ``quit``, with or without parentheses."""

    def __call__(self, *args: object) -> NoReturn:
        raise SystemExit


class NodeShell(InteractiveShell):
    """See the module."""

    emit: Any = AnyTrait()
    exiter = Instance(NoExit, ())
    displayhook_class = Type(EventDisplayHook)
    display_pub_class = Type(EventPublisher)

    def __init__(self, **kwargs: Any) -> None:
        #: The error of the running cell, as the event that would show it.
        self.kept_error: ErrorShown | None = None
        self._is_cells_error = False
        self._loop: asyncio.AbstractEventLoop | None = None
        untyped: Any = super()
        untyped.__init__(**kwargs)
        self.loop_runner = self._run_coroutine
        untyped.set_hook("show_in_pager", _page_hook(page.display_page), 99)

    def init_virtualenv(self) -> None:
        """Leave ``sys.path`` as it is; the node's Python is the right one."""

    def enable_gui(self, gui: str | None = None) -> None:
        """Do nothing: no event loop of a GUI runs here."""

    # -- errors: the cell's own is kept, others are shown where they come (in a widget's `Output`)

    def showtraceback(
        self, exc_tuple: tuple[Any, Any, Any] | None = None, *args: Any, **kwargs: Any
    ) -> None:
        self._note_whose(sys._getframe(1))
        kind, error, trace = exc_tuple or sys.exc_info()
        trace = _from_users_frame(trace)
        _cut_our_frames(trace)
        if isinstance(error, BaseExceptionGroup):
            # IPython would print it itself, past us; its own frame is the first.
            lines = traceback.format_exception(kind, error, trace and trace.tb_next)
            self._keep_or_show(error, "".join(lines))
        else:
            untyped: Any = super()
            # People who press stop press twice.
            with self.emit.deferred(is_news=not isinstance(error, KeyboardInterrupt)):
                untyped.showtraceback((kind, error, trace), *args, **kwargs)

    def _format_exception_for_storage(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Newer versions of IPython format an error again for a history; a session has none."""
        return {}

    def showsyntaxerror(self, *args: Any, **kwargs: Any) -> None:
        caller = sys._getframe(1)
        if caller.f_code.co_name != "showtraceback":
            self._note_whose(caller)
        untyped: Any = super()
        untyped.showsyntaxerror(*args, **kwargs)

    def _note_whose(self, caller: types.FrameType) -> None:
        self._is_cells_error = caller.f_globals.get("__name__") in _RUN_CELLS

    def _showtraceback(self, etype: type, evalue: BaseException, stb: list[str]) -> None:
        self._keep_or_show(evalue, self.InteractiveTB.stb2text(stb))

    def show_usage_error(self, exc: BaseException) -> None:
        self._keep_or_show(exc, f"UsageError: {exc}")

    def _keep_or_show(self, error: BaseException, text: str) -> None:
        event = ErrorShown(type(error).__name__, text_of(error), text)
        if self._is_cells_error:
            self.kept_error = event
        else:
            self.emit(event)

    # -- top-level await

    def should_run_async(self, raw_cell: str, *args: Any, **kwargs: Any) -> bool:
        if "await" not in raw_cell and "async" not in raw_cell:
            return False  # IPython would compile the cell once more to find out
        untyped: Any = super()
        return bool(untyped.should_run_async(raw_cell, *args, **kwargs))

    def _run_coroutine(self, coroutine: Coroutine[Any, Any, ExecutionResult]) -> ExecutionResult:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        task = self._loop.create_task(coroutine)
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt:
            # The cell would go on in the next one's loop. Cancelled where it waits, it also tells
            # us where that was, which the interrupt of the loop can't.
            task.cancel()
            result = self._loop.run_until_complete(task)
            cancelled, result.error_in_exec = result.error_in_exec, KeyboardInterrupt()
            if cancelled is not None:
                where = cancelled.__traceback__
                self.showtraceback((KeyboardInterrupt, result.error_in_exec, where), tb_offset=1)
            return result


def _from_users_frame(trace: types.TracebackType | None) -> types.TracebackType | None:
    """A traceback without our frames at its start: those that called the user's code."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    return trace


def _cut_our_frames(trace: types.TracebackType | None) -> None:
    """End a traceback where the user's code called something of this package (``input``)."""
    while trace is not None and trace.tb_next is not None:
        if trace.tb_next.tb_frame.f_code.co_filename.startswith(_OURS):
            trace.tb_next = None
        trace = trace.tb_next
