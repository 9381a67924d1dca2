"""An IPython shell that records what each cell shows, as a notebook would keep it.

``python -m tests.as_if.recorder`` reads requests, one JSON a line, and forks a process for each run
of each: so every run begins in a fresh `__main__`, and nobody waits for imports. A run of a case
executes its cells, and writes what they showed and what they left to a file.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import json
import os
import re
import select
import signal
import sys
import time
import traceback
import types
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.page import as_hook, display_page
from traitlets import Type
from traitlets.config import Config

import easyremote
import easyremote_jupyter
from easyremote.client.session import Session
from easyremote_jupyter.here.imports import DeferredModule, DeferredName
from tests.as_if.described import cleaned, described

__all__ = ["NODE"]

#: What cells import most: it is loaded before the processes are forked.
PRELOADED = ("numpy", "pandas", "matplotlib.pyplot", "sklearn.linear_model")

#: The node on which the marked cells of a case run.
NODE = "gpu-node"
MARK = "%%R"
_LINE_OF_CELL = re.compile(r"Cell In\[(\d+)\], line (\d+)")
#: Runs on the node before each case in a session that another case has used.
_CLEAN = """
import os, pathlib, shutil, sys
from IPython import get_ipython
shell = get_ipython()
for name in shell.user_ns.keys() - shell.user_ns_hidden.keys():
    if not name.startswith("_"):
        del shell.user_ns[name]
for name in ("_", "__", "___"):
    shell.user_ns[name] = ""
    setattr(shell.displayhook, name, "")
home = sys.modules.setdefault("oracle's folder", pathlib.Path.cwd())
os.chdir(home)
for path in home.iterdir():
    shutil.rmtree(path) if path.is_dir() else path.unlink()
(home / "outputs").mkdir()
"""
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
#: What a carriage return writes over; of many such lines only the last is sent.
#: The bar of a transfer, which a slow one leaves behind.
_TRANSFER = re.compile(r"^.* (?:from|to) gpu-node: +\d+%\|.*\n?", re.M)
_OVERWRITTEN = re.compile(r"[^\n\r]*\r(?=[^\n])")
_NOTICE = re.compile(r"\x1b\[2m(.*?)\x1b\[0m\n", re.S)


class _Publisher(DisplayPublisher):
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
        self.shell.record("update" if update else "display", data, transient)

    def clear_output(self, wait: bool = False) -> None:
        self.shell.record("clear", {})


class _Hook(DisplayHook):
    shell: Any

    def write_output_prompt(self) -> None: ...

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        self.shell.record("result", format_dict)

    def finish_displayhook(self) -> None:
        self._is_active = False


class RecordingShell(InteractiveShell):
    """See the module."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)

    def __init__(self, **kwargs: Any) -> None:
        self.outputs: list[Any] = []
        self._streams: dict[str, io.TextIOWrapper] = {}
        self._displays: dict[str, int] = {}
        #: The number of the cell that runs, or ran last.
        self.number = 0
        untyped: Any = super()
        untyped.__init__(**kwargs)
        untyped.set_hook("show_in_pager", as_hook(display_page), 99)

    def init_virtualenv(self) -> None: ...

    def enable_gui(self, gui: str | None = None) -> None: ...

    def record(self, kind: str, data: dict[str, Any], transient: Any = None) -> None:
        if "easyremote-header" in str(data.get("text/html", "")):
            return  # the line of EasyRemote's own that says how long a cell runs
        self._take_text("stdout")
        shown = {mime: _short(mime, value) for mime, value in sorted(data.items())}
        number = None
        if display_id := (transient or {}).get("display_id"):
            number = self._displays.setdefault(display_id, len(self._displays))
        self.outputs.append([kind, shown, number])

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        text = _ESCAPE.sub("", "\n".join(stb))
        lines = [line for cell, line in _LINE_OF_CELL.findall(text) if int(cell) == self.number]
        if issubclass(etype, SyntaxError | BaseExceptionGroup):
            lines = []  # a kernel and a shell of a terminal name its file in different ways
        self.outputs.append(["error", etype.__name__, cleaned(str(evalue)), lines])

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        kind, error, trace = exc_tuple or sys.exc_info()
        if isinstance(error, BaseExceptionGroup) and not hasattr(error, "_render_traceback_"):
            # IPython would print it past us.
            self._showtraceback(kind, error, traceback.format_exception(kind, error, trace))
            return
        untyped: Any = super()
        untyped.showtraceback((kind, error, trace), *args, **kwargs)

    # -- the streams: files that every child process writes into as well

    def redirect(self) -> None:
        for number, name in ((1, "stdout"), (2, "stderr")):
            file = os.memfd_create(name)
            os.dup2(file, number)
            stream = io.TextIOWrapper(
                os.fdopen(number, "wb", 0, closefd=False),
                "utf-8",
                "surrogatepass",
                write_through=True,
            )
            self._streams[name] = stream
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)

    def _take_text(self, name: str) -> None:
        self._streams[name].flush()
        number = {"stdout": 1, "stderr": 2}[name]
        end = os.lseek(number, 0, os.SEEK_CUR)
        start = getattr(self, f"_{name}_at", 0)
        setattr(self, f"_{name}_at", end)
        data = os.pread(number, end - start, start)
        if text := data.decode("utf-8", "surrogatepass"):
            self.outputs.append([name, text])

    def run_recorded(self, code: str) -> dict[str, Any]:
        """Run a cell; what it showed, and its error."""
        self.outputs = []
        self.number = self.execution_count
        result = self.run_cell(code, store_history=True)
        self._take_text("stdout")
        self._take_text("stderr")
        error = result.error_in_exec or result.error_before_exec
        notices = [text for name, text, *_ in self.outputs if name == "stderr"]
        return {
            "outputs": [_without_notices(each) for each in self.outputs],
            "error": described({"error": error}) if error is not None else None,
            "notices": [line for text in notices for line in _NOTICE.findall(text)],
        }


def _short(mime: str, value: Any) -> str:
    if isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    text = value if isinstance(value, str) else repr(value)
    text = text.strip() if mime.startswith("image/") else text
    return cleaned(text) if len(text) < 3000 else hashlib.sha1(text.encode()).hexdigest()


def _without_notices(output: list[Any]) -> list[Any]:
    """A text without the lines of EasyRemote's own, which are not the cell's."""
    if output[0] not in ("stdout", "stderr"):
        return output
    # IPython runs ``!command`` in a terminal of its own, which ends lines in its own way.
    text = cleaned(_NOTICE.sub("", output[1])).replace("\r\n", "\n")
    return [output[0], _TRANSFER.sub("", _OVERWRITTEN.sub("", text))]


def plain(cell: str) -> str:
    """A marked cell as it runs here, with the same numbers of lines where that can be."""
    if not cell.startswith(MARK):
        return cell
    first, _, body = cell.partition("\n")
    # A comment in front of an indented body would keep IPython from removing the indentation.
    is_alone = body.lstrip().startswith("%%") or body.lstrip("\n")[:1].isspace()
    return body if is_alone else f"#{first}\n{body}"


def _run(shell: RecordingShell, request: dict[str, Any]) -> dict[str, Any]:
    """Run the cells of a case in this process."""
    shell.redirect()
    os.chdir(request["folder"])
    sys.path.insert(0, "")
    is_remote, session = request["is_remote"], request["session"]
    if is_remote:
        easyremote_jupyter.load_ipython_extension(shell)
        if session:
            _empty(shell, session)
    magic = f"%%remote {NODE}/{session}" if session else f"%%remote {NODE}"
    cells = []
    for cell in request["cells"]:
        code = cell.replace(MARK, magic, 1) if cell.startswith(MARK) else cell
        cells.append(shell.run_recorded(code if is_remote else plain(cell)))
    hidden = shell.user_ns_hidden
    names = [n for n in shell.user_ns if not n.startswith("_") and n not in hidden]
    # A cell here that reads them all: what it reads is brought first, as for any cell.
    shell.run_cell("\n".join([*names, "None"]), store_history=False)
    for value in list(shell.user_ns.values()):
        if isinstance(value, DeferredModule | DeferredName):
            value.load()  # as at its first use in a cell
    left = {
        name: value
        for name, value in shell.user_ns.items()
        if not name.startswith("_") and hidden.get(name, shell) is not value
    }
    results = {f"Out[{n}]": v for n, v in shell.history_manager.output_hist.items()}
    found = {"cells": cells, "space": described({**left, **results})}
    if is_remote and not session:
        Session(easyremote.connect(), NODE).end()
    return found


def _empty(shell: RecordingShell, session: str) -> None:
    """Remove what the case before has left in a session: variables, files, the folder."""
    cell = f"%%remote {NODE}/{session} --quiet\nexec({_CLEAN!r}, {{}})"
    result = shell.run_cell(cell, store_history=False)
    result.raise_error()
    shell.run_recorded("")  # what that showed


def _child(shell: RecordingShell, request: dict[str, Any]) -> None:
    os.setpgid(0, 0)
    try:
        found = _run(shell, request)
    except BaseException:
        found = {"broken": traceback.format_exc()}
    with open(request["result"], "w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(found, file)
    os._exit(0)


def _serve(shell: RecordingShell) -> None:
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for line in requests:
        request = json.loads(line)
        children = {}
        for each in request["runs"]:
            pid = os.fork()
            if not pid:
                _child(shell, each)
            children[os.pidfd_open(pid)] = pid
        _wait(children, request["limit"])
        answers.write("{}\n")
        answers.flush()


def _wait(children: dict[int, int], limit: float) -> None:
    deadline = time.monotonic() + limit
    while children:
        ended, _, _ = select.select(list(children), [], [], max(deadline - time.monotonic(), 0))
        if not ended:
            for pid in children.values():
                os.killpg(pid, signal.SIGKILL)
            ended, deadline = [], deadline + limit
        for file in ended:
            os.waitpid(children.pop(file), 0)
            os.close(file)


def main() -> None:
    config = Config()
    config.HistoryManager.enabled = False
    config.Completer.use_jedi = False
    config.InteractiveShell.colors = "nocolor"
    shell = RecordingShell.instance(config=config)
    for module in PRELOADED:
        importlib.import_module(module)
    _serve(shell)


if __name__ == "__main__":
    del sys.modules["__main__"]
    main_module = types.ModuleType("__main__")
    sys.modules["__main__"] = main_module
    from tests.as_if import recorder

    recorder.main()
