"""IPython in a session process: runs cells, and turns their output into events.

A `Shell` takes over its process: streams, ``input``, the matplotlib backend, tqdm's bars. It runs
cells one at a time on the main thread, where SIGINT interrupts them, and decides which names travel
back. What events look like is in `output`. Importing this is cheap; making a Shell is not.
``tests/node/worker/test_shell.py`` proves it, in a process of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import secrets
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from easyremote.errors import RemoteError
from easyremote.events import Event, Stream
from easyremote.generators import Generators
from easyremote.node.blob_store import BlobMissing
from easyremote.node.folders import own_folder
from easyremote.node.outcomes import remote_error
from easyremote.node.worker import workplace
from easyremote.node.worker.comms import Comms
from easyremote.node.worker.environment import Environment
from easyremote.node.worker.modules import Modules, ModulesMissing, imported
from easyremote.node.worker.printed import Capture
from easyremote.node.worker.stdin import NOBODY, Stdin
from easyremote.node.worker.variables import Blob, Limits, Parcel, Variables
from easyremote.progress import end_bars, publish_to
from easyremote.protocol.requests import WidgetAnswer, WidgetMessage
from easyremote.raised import text_of
from easyremote.serialize.classes import live_in
from easyremote.serialize.files import arrived, named
from easyremote.serialize.functions import home
from easyremote.serialize.graph.graph import Stale

__all__ = ["Shell"]

_NO_EXIT = "A cell can't end its session on the node; the session goes on."
#: How Python names a cell in a message that IPython doesn't format.
_CELL_FILE = re.compile(r'(File )?"?<ipython-input-(\d+)-[0-9a-f]+>"?')


class Shell:
    """IPython for one session.

    Parameters
    ----------
    emit
        Takes one event after the other, from any thread.
    blob
        As for `Variables`.
    """

    def __init__(self, emit: Callable[[Event], None], blob: Blob | None = None) -> None:
        emit = self._uninterrupted = _Uninterrupted(emit)
        self._capture = Capture(lambda name, text: emit(Stream(name, text)))
        # Set before anything imports matplotlib; the backend then finds this shell by itself.
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        publish_to(emit)
        #: Takes the answers to what a cell asks its user.
        self.stdin = Stdin(emit)
        self.stdin.install()
        self._ip = _ipython(emit)
        home.set(self._ip.user_ns)
        live_in(self._ip.user_ns)
        self._process = secrets.token_hex(8)
        self._comms = Comms(emit, self._process)
        self._modules = Modules()
        self._environment = Environment(_say)
        self._generators = Generators()
        #: The states of generators that the caller knows.
        self._seeds = self._generators.states()
        self._beside = workplace.Beside()
        #: The session's variables: what arrives, what goes back.
        self.variables = Variables(self._ip.user_ns, self._process, _as_text, blob)

    def warm_up(self) -> None:
        """Do once what takes long the first time, with a cell that leaves nothing."""
        self._ip.run_cell("None", silent=True)
        self._capture.flush()

    def run_cell(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one cell.

        Parameters
        ----------
        request
            ``code``: the source. ``count``: the notebook's number for it. ``packed``: names and
            values to set before. ``shared``: what belongs to it, as `Graph.hear` takes it; left out
            where ``packed`` is variables only. ``names``: the caller's variables that the cell may
            change. ``imports``: names and modules to import before. ``released``:
            numbers of values that nobody refers to any more. ``outputs``: the names that must come
            back; ``"none"`` for changes of ``names`` only; ``"*"`` for those and for all that the
            cell set; ``"auto"`` for ``writes`` besides, where that is small enough.
            ``limits``: see `Limits`. ``process``: in which
            process the sender believes the session to be; left out while it knows of none.
            ``requirements``: see `Environment.add`. ``modules``: the notebook's own, see `Modules`.
            ``files``: name, digest and size of those that lie in the session's folder then.
            ``beside``: files beside the notebook that the cell names: ``files`` (name and content
            of those that have changed), ``folders``, ``removed``; None where no files go back.
            Left out, nothing of that is looked at.
            ``no_input``: why the cell can't ask for input. ``imported``: see `imported`.
            ``seeds``: states of the generators of random numbers, see `Generators`; left out where
            the sender wants none back.
            ``parent``: the id of the message that runs the cell, for `Comms`.

        Returns
        -------
        dict
            ``process``: which process this is. If that isn't the one that was meant, nothing else,
            and nothing was run: what the sender doesn't send because it is there, isn't. Likewise
            with ``missing`` where a blob isn't here, and with ``stale`` where the caller's graph is
            another one. ``has_value``: whether the cell ended with an
            expression's value. ``overwritten``: the names whose values had changed here, unseen.
            ``gone``: names that the sender may take to be here, but aren't. ``deleted``: those that
            the cell has deleted.
            ``imported``: functions and classes by name that are to be imported, not sent: the
            module of each, and its name there.
            ``seeds``: the states of generators that the cell has used.
            ``written``: see `workplace.Beside.changed`.
            The rest is that of `Parcel.answer`.

        Raises
        ------
        RemoteError
            The cell raised. What it left to bring back is asked for by ``collect``.
        CannotReturn
            A name that must come back can't.
        """
        if request.get("process", self._process) != self._process:
            return {"process": self._process}
        self.stdin.refusal = request.get("no_input", NOBODY)
        self._comms.parent = request.get("parent", "")
        self.variables.left = dict
        self._environment.add(request.get("requirements", ()))
        try:
            self._modules.install(request.get("modules", {}))
        except ModulesMissing:
            return {"process": self._process}
        try:
            overwritten = self._receive(request)
        except BlobMissing:
            return {"process": self._process, "missing": True}
        except Stale:
            return {"process": self._process, "stale": True}
        self._import(request.get("imports", {}), request.get("submodules", ()))
        self._take_files(request)
        request["seeds"] = self._seed(request.get("seeds"))
        value = self._execute(request)
        limits = Limits(*request.get("limits", ()))
        parcel, by_name = self._parcel(request, request.pop("changed"), limits)
        if value is not None:
            parcel.add("", value)
        return {
            "process": self._process,
            "has_value": value is not None,
            "overwritten": overwritten,
            "imported": by_name,
            "seeds": request["seeds"](),
            "written": self._written(request),
            **self._gone(request),
            **parcel.answer(),
        }

    def _gone(self, request: dict[str, Any]) -> dict[str, Any]:
        gone = self.variables.gone(request.get("writes", ()), _key(request))
        return {"gone": gone, "deleted": request["deleted"]}

    def call_over(self) -> None:
        """Do what need not be done before the caller has the outcome."""
        self._uninterrupted.install()  # a cell's own handler of SIGINT ends with the cell

    def receive_comm(self, request: WidgetMessage) -> WidgetAnswer:
        """Hand a message of the front end to a widget."""
        if request.process != self._process:
            return WidgetAnswer(is_open=False)
        self.stdin.refusal = "a widget's callback runs beside the notebook's cells"
        self._comms.parent = request.parent
        is_open, error = True, None
        try:
            is_open = self._comms.receive(request.event)
        except BaseException as raised:  # noqa: B036 - whatever a callback raises is shown
            error = raised
            self._ip.showtraceback()
        end_bars(error)
        self._capture.flush()
        return WidgetAnswer(is_open)

    def _receive(self, request: dict[str, Any]) -> list[str]:
        if "packed" not in request:
            return []
        try:
            # Nothing else may hold on to that memory.
            return self.variables.receive(
                request.pop("packed"), request.get("shared"), request.get("released", ())
            )
        except ModuleNotFoundError as error:
            missing = f"needs {error.name!r}, which is not installed on the node."
            raise _module_missing(f"A variable of the cell {missing}", error) from None

    def _import(self, imports: dict[str, str], submodules: Iterable[str]) -> None:
        for name, module in [*imports.items(), *(("", each) for each in submodules)]:
            try:
                imported = importlib.import_module(module)
                if name:
                    self._ip.user_ns[name] = imported
            except ModuleNotFoundError as error:
                missing = f"but {error.name!r} is not installed on the node."
                text = f"The cell uses {name or module!r}, {missing}"
                raise _module_missing(text, error) from None

    def _take_files(self, request: dict[str, Any]) -> None:
        beside = request.get("beside") or {}
        came = [(name, arrived(name, *content)) for name, content in beside.get("files", ())]
        self._beside.take(came, beside.get("folders", ()))
        self._beside.remove(beside.get("removed", ()))
        for name, digest, size in request.get("files", ()):
            self._beside.give_way(name)
            named[name] = workplace.place(name, os.fspath(arrived(name, digest, size)))

    def _written(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the cell has written beside it, where the sender wants that."""
        if "beside" not in request:
            return {}
        written = self._beside.changed()
        return {} if request["beside"] is None else written

    def _seed(self, states: dict[str, bytes] | None) -> Callable[[], dict[str, bytes]]:
        """Set the generators of random numbers; returns what tells which ones have gone on."""
        if states is None:
            return dict
        if states:
            self._generators.set(states)
            self._seeds = self._generators.states()
        return self._changed_seeds

    def _changed_seeds(self) -> dict[str, bytes]:
        before, self._seeds = self._seeds, self._generators.states()
        return {name: each for name, each in self._seeds.items() if before.get(name) != each}

    def _execute(self, request: dict[str, Any]) -> object:
        """Run the code; the value of its last expression, or None."""
        ip, before = self._ip, dict(self._ip.user_ns)
        if ip.execution_count != request["count"]:  # to set a trait takes long
            ip.execution_count = request["count"]
        ip.kept_error = None
        value: object = None
        error: BaseException | None
        try:
            result = ip.run_cell(request["code"], store_history=True)
            # Of an interrupt and a second one behind it, the first knows where the cell was.
            error = result.error_in_exec or result.error_before_exec
            value = result.result
        except KeyboardInterrupt as late:  # it came when the code had ended already
            error = late
        end_bars(error)
        self._capture.flush()
        # Names only: the values must not be kept alive here.
        request["changed"] = _new_names(ip.user_ns, before)
        request["deleted"] = [n for n in before if n not in ip.user_ns and n[:1] != "_"]
        self.variables.left = lambda: self._left(request) if error is not None else {}
        if error is not None:
            shown = ip.kept_error.traceback if ip.kept_error else ""
            raise _as_remote(error, shown)
        if ip.kept_error is not None:  # of a %run, say: the cell went on
            ip.emit(ip.kept_error)
        return value

    def _parcel(
        self, request: dict[str, Any], changed: list[str], limits: Limits
    ) -> tuple[Parcel, dict[str, tuple[str, str]]]:
        """What goes back by value, and what goes back as an import."""
        space, key = self._ip.user_ns, _key(request)
        taken = imported(request.get("imported", ()), space)
        by_name = {name: origin for name, origin in taken.items() if callable(space[name])}
        touched = {*request.get("names", ()), *changed}
        match request.get("outputs", "auto"):
            case "auto":
                names = {*touched, *request.get("writes", ()), *taken} - by_name.keys()
                return self.variables.offer(names, limits, key), by_name
            case "*":
                return self.variables.offer(touched - by_name.keys(), limits, key), by_name
            case "none":
                return self.variables.offer(request.get("names", ()), limits, key), {}
            case names:
                return self.variables.bring(names, key), {}

    def _left(self, request: dict[str, Any]) -> dict[str, Any]:
        """The variables that a failed cell had assigned before it failed."""
        outputs = request.get("outputs", "auto")
        if not isinstance(outputs, str):
            outputs = [name for name in outputs if name in request["changed"]]
        limits = Limits(*request.get("limits", ()))
        parcel, by_name = self._parcel(request | {"outputs": outputs}, request["changed"], limits)
        more = {"seeds": request["seeds"](), "written": self._written(request)}
        return {"imported": by_name, **more, **self._gone(request), **parcel.answer()}


class _Uninterrupted:
    """Calls `emit`; an interrupt that comes meanwhile waits until it is done.

    Raised inside, KeyboardInterrupt could leave a batch of output that is never sent.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._depth = 0
        self._is_pending = False
        self.install()

    def install(self) -> None:
        """Make SIGINT ours."""
        signal.signal(signal.SIGINT, self._interrupt)

    def __call__(self, event: Event) -> None:
        with self.deferred():
            self._emit(event)

    @contextlib.contextmanager
    def deferred(self, *, is_news: bool = True) -> Iterator[None]:
        """Hold back an interrupt until the end of the block; drop it where ``is_news`` is False."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._is_pending and not self._depth:
            self._is_pending = False
            if is_news:
                raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: types.FrameType | None) -> None:
        if self._depth:
            self._is_pending = True
        else:
            raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _as_text(value: object) -> str:
    from IPython.lib.pretty import pretty

    untyped: Any = pretty
    text: str = untyped(value)
    return text


def _new_names(space: dict[str, object], before: dict[str, object]) -> list[str]:
    """The names that mean another object than before."""
    known, missing = before.get, object()
    new = [name for name, value in space.items() if known(name, missing) is not value]
    return [name for name in new if name[:1] != "_"]


def _key(request: dict[str, Any]) -> str | None:
    """What the caller calls the graph that it shares; None where it shares none."""
    key: str | None = request.get("shared", {}).get("key")
    return key


def _as_remote(error: BaseException, shown: str) -> RemoteError:
    if isinstance(error, SystemExit):
        shown = f"SystemExit: {text_of(error)}\n{_NO_EXIT}"
    message = _CELL_FILE.sub(r"Cell In[\2]", text_of(error))
    return remote_error(error, _CELL_FILE.sub(r"Cell In[\2]", shown), message)


def _module_missing(text: str, error: ModuleNotFoundError) -> RemoteError:
    return remote_error(ModuleNotFoundError(text, name=error.name, path=error.path))


def _ipython(emit: Callable[[Event], None]) -> Any:
    from traitlets.config import Config

    from easyremote.node.worker.interactive import NodeShell

    # The user's own profile and history are for their terminal; nothing of a session goes there.
    folder = str(own_folder("ipython"))
    config = Config()
    config.HistoryManager.enabled = False
    config.Completer.use_jedi = False
    shell = NodeShell.instance(config=config, ipython_dir=folder, emit=emit)
    warnings.filterwarnings("ignore", message="To exit: use 'exit', 'quit'")
    return shell
