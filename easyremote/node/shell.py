"""What a cell runs in, inside a session process: IPython, with its output turned into events.

A `Shell` takes over its process: streams, ``input``, the matplotlib backend, tqdm's bars. It runs
cells one at a time on the main thread, where SIGINT interrupts them, and decides which names travel
back. What events look like is in `output`. Importing this is cheap; making a Shell is not.
``tests/node/test_shell.py`` proves it, in a process of its own.
"""

from __future__ import annotations

import atexit
import builtins
import getpass
import importlib
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from easyremote.errors import CannotReturn, CannotShip, RemoteError
from easyremote.node.streams import Capture
from easyremote.progress import end_bars, publish_to
from easyremote.serialize.functions import home
from easyremote.serialize.values import dump

__all__ = ["Shell"]

#: Bytes of one value, and of all values of a cell, that travel back without being asked for.
VALUE_LIMIT = 16_000_000
CELL_LIMIT = 64_000_000

_NO_INPUT = (
    "A cell on a node can't ask for input. "
    "Ask in a cell of your own, and use the answer in this one."
)
_NO_EXIT = "A cell can't end its session on the node; the session goes on."
#: What Python calls a cell where IPython doesn't format the message.
_CELL_FILE = re.compile(r'(File )?"?<ipython-input-(\d+)-[0-9a-f]+>"?')


class Shell:
    """IPython for one session.

    Parameters
    ----------
    emit
        Takes one event after the other, from any thread.
    """

    def __init__(self, emit: Callable[[dict[str, object]], None]) -> None:
        emit = _Uninterrupted(emit)
        self._capture = Capture(
            lambda name, text: emit({"type": "stream", "name": name, "text": text})
        )
        # Set before anything imports matplotlib; the backend then finds this shell by itself.
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        publish_to(lambda progress: emit(dict(progress)))
        _refuse_input()
        self._ip = _ipython(emit)
        home.set(self._ip.user_ns)
        self._process = secrets.token_hex(8)

    def run_cell(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one cell.

        Parameters
        ----------
        request
            ``code``: the source. ``count``: the notebook's number for it. ``variables``: names
            and values to set before. ``imports``: names and modules to import before.
            ``outputs``: the names that must come back, ``"*"`` for all that the cell changed,
            ``"none"``, or ``"auto"``: those of ``writes`` that are small enough. ``process``: in
            which process the sender believes the session to be; left out while it knows of none.

        Returns
        -------
        dict
            ``process``: which process this is. If that isn't the one that was meant, nothing else,
            and nothing was run: what the sender doesn't send because it is there, isn't.
            ``names``: name to value. ``imports``: name to module. ``kept``: for each name that
            stays here, its ``type`` and its ``size`` (in bytes; 0 for what can't travel).
            ``has_value``: whether the cell ended with an expression's value; ``value``: that value,
            if it can travel and isn't too large.

        Raises
        ------
        RemoteError
            The cell raised.
        CannotReturn
            A name that must come back can't.
        """
        if request.get("process", self._process) != self._process:
            return {"process": self._process}
        space = self._ip.user_ns
        space.update(request.get("variables", {}))
        self._import(request.get("imports", {}))
        before = dict(space)
        value = self._execute(request["code"], request["count"])
        answer: dict[str, Any] = {"process": self._process, "names": {}, "imports": {}, "kept": {}}
        answer["has_value"] = value is not None
        outputs = request.get("outputs", "auto")
        if outputs == "auto":
            self._offer(request.get("writes", ()), answer)
        elif outputs == "*":
            self._offer([n for n, v in space.items() if _is_new(n, v, before)], answer)
        elif outputs != "none":
            self._bring(outputs, answer)
        if value is not None and 0 < _size(value) <= CELL_LIMIT:
            answer["value"] = value
        return answer

    def _import(self, imports: dict[str, str]) -> None:
        for name, module in imports.items():
            try:
                self._ip.user_ns[name] = importlib.import_module(module)
            except ModuleNotFoundError as error:
                raise _error(
                    "ModuleNotFoundError",
                    f"The cell uses {name!r}, but {error.name!r} is not installed on the node.",
                ) from None

    def _execute(self, code: str, count: int) -> object:
        """Run `code`; the value of its last expression, or None."""
        ip = self._ip
        ip.execution_count, ip.shown_traceback = count, ""
        result = ip.run_cell(code, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        end_bars(error)
        self._capture.flush()
        if isinstance(error, SystemExit):
            raise _error("SystemExit", _NO_EXIT)
        if error is not None:
            raise _error(type(error).__name__, str(error), ip.shown_traceback)
        value: object = result.result
        return value

    def _offer(self, names: Iterable[str], answer: dict[str, Any]) -> None:
        """Return those of `names` that are small enough and can travel."""
        left = CELL_LIMIT
        for name in sorted(set(names) & self._ip.user_ns.keys()):
            value = self._ip.user_ns[name]
            if isinstance(value, types.ModuleType):
                answer["imports"][name] = value.__name__
                continue
            size = _size(value)
            if 0 < size <= min(VALUE_LIMIT, left):
                answer["names"][name] = value
                left -= size
            else:
                answer["kept"][name] = {"type": type(value).__name__, "size": size}

    def _bring(self, names: Iterable[str], answer: dict[str, Any]) -> None:
        """Return `names`, or fail."""
        for name in names:
            if name not in self._ip.user_ns:
                raise _error("NameError", f"The cell ran, but left no {name!r} to bring back.")
            value = self._ip.user_ns[name]
            if isinstance(value, types.ModuleType):
                answer["imports"][name] = value.__name__
                continue
            try:
                dump(value)
            except CannotShip as error:
                raise CannotReturn(f"The cell ran, but {name!r} stays: {error}") from None
            answer["names"][name] = value


class _Uninterrupted:
    """Calls `emit`; an interrupt that comes meanwhile waits until it is done.

    Raised inside, KeyboardInterrupt could leave a batch of output that is never sent.
    """

    def __init__(self, emit: Callable[[dict[str, object]], None]) -> None:
        self._emit = emit
        self._depth = 0
        self._is_pending = False
        signal.signal(signal.SIGINT, self._interrupt)

    def __call__(self, event: dict[str, object]) -> None:
        if threading.current_thread() is not threading.main_thread():
            self._emit(event)
            return
        self._depth += 1
        try:
            self._emit(event)
        finally:
            self._depth -= 1
        if self._is_pending and not self._depth:
            self._is_pending = False
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: types.FrameType | None) -> None:
        if self._depth:
            self._is_pending = True
        else:
            raise KeyboardInterrupt


def _size(value: object) -> int:
    """The bytes that `value` takes on the way back; 0 if it can't travel."""
    size = getattr(value, "nbytes", 0)  # an array tells before it is serialised
    if isinstance(size, int) and size > CELL_LIMIT:
        return size
    try:
        return dump(value).size
    except CannotShip:
        return 0


def _is_new(name: str, value: object, before: dict[str, object]) -> bool:
    missing = object()
    return not name.startswith("_") and before.get(name, missing) is not value


def _error(type_name: str, message: str, traceback: str = "") -> RemoteError:
    text = traceback or f"{type_name}: {message}"
    return RemoteError(
        _CELL_FILE.sub(r"Cell In[\2]", message),
        type_name=type_name,
        remote_traceback=_CELL_FILE.sub(r"Cell In[\2]", text),
    )


def _ipython(emit: Callable[[dict[str, object]], None]) -> Any:
    from traitlets.config import Config

    from easyremote.node.interactive import NodeShell

    # The user's own profile and history are for their terminal; nothing of a session goes there.
    folder = tempfile.mkdtemp(prefix="easyremote-ipython-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    config = Config()
    config.HistoryManager.enabled = False
    config.Completer.use_jedi = False
    shell = NodeShell.instance(config=config, ipython_dir=folder, emit=emit)
    warnings.filterwarnings("ignore", message="To exit: use 'exit', 'quit'")
    return shell


def _refuse_input() -> None:
    def refuse(prompt: object = "", *args: object, **kwargs: object) -> NoReturn:
        raise EOFError(_NO_INPUT)

    builtins.input = refuse
    getpass.getpass = refuse
    sys.stdin = open(os.devnull)
