"""Progress: how tqdm's bars become events (`easyremote.events.Progress`) where code runs remotely.

`publish_to` patches tqdm so that every bar (``tqdm.auto``, ``tqdm.asyncio``, ``tqdm.notebook``,
nested ones, subclasses) sends events instead of writing to the terminal; `progress` is for code
that doesn't want to import tqdm. At most ten events a second and bar, the last one always. How
bars are drawn is no business of this module. ``tests/test_progress.py`` proves it.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import itertools
import sys
import time
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from weakref import WeakSet

from easyremote.events import Progress

__all__ = ["end_bars", "progress", "publish_to"]

#: Seconds between two events of a bar. Nobody reads faster, and a notebook has to draw it.
MIN_INTERVAL = 0.1

T = TypeVar("T")


def progress(
    iterable: Iterable[T] | None = None,
    *,
    total: float | None = None,
    desc: str | None = None,
    unit: str = "it",
) -> Any:
    """Show how far a loop has come, here or, in code that runs on a node, where it was called from.

    Parameters
    ----------
    iterable
        What to loop over. None makes a bar to be driven by hand: ``bar.update(n)``.
    total
        How many steps there are, when `iterable` can't tell; None shows a count alone.
    desc
        What is going on, in a word or two.
    unit
        What is counted.

    Returns
    -------
    tqdm.tqdm
        Iterates like `iterable`; as a context manager it closes itself.
    """
    from tqdm.auto import tqdm

    return tqdm(iterable, total=total, desc=desc, unit=unit)


_ids = itertools.count(1)
_open: WeakSet[Any] = WeakSet()
#: Bars whose loop was left early, with the code and the instruction that left it: a `break`, or
#: what raised. Which of the two is known when the code has ended.
_left: list[tuple[Any, types.CodeType, int]] = []


def publish_to(publish: Callable[[Progress], None]) -> None:
    """Send this process's bars to `publish` from now on, instead of to the terminal.

    `publish` is called from whichever thread moves a bar. A bar that was given a file of its own
    goes on writing to it. Calling this again only changes where events go.
    """
    import tqdm.std

    bar_class: Any = tqdm.std.tqdm
    if not hasattr(bar_class, "easyremote_publish"):
        bar_class.__init__ = _welcome(bar_class.__init__)
        bar_class.display = _publishing(bar_class.display)
        bar_class.close = _closing(bar_class.close)
        sys.modules["tqdm.notebook"] = _notebook(tqdm.std)
    bar_class.easyremote_publish = staticmethod(publish)


def end_bars(error: BaseException | None) -> None:
    """Send the last state of the bars of code that has ended, or failed with `error`.

    A bar that was driven by hand and isn't closed stays open, unless its code failed.
    """
    for bar in list(_open):
        if error is not None:
            bar.easyremote_failed = True
            bar.close()
        else:
            bar.easyremote_publish(_event(bar))
    left, _left[:] = list(_left), []
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        for bar in [
            bar for bar, *place in left if place == [trace.tb_frame.f_code, trace.tb_lasti]
        ]:
            bar.easyremote_failed = True
            bar.easyremote_publish(_event(bar))
        trace = trace.tb_next


class _Nowhere:
    """Where a published bar writes what tqdm wants to say to a terminal."""

    encoding = "utf-8"

    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...


def _welcome(init: Callable[..., None]) -> Callable[..., None]:
    """``disable=None`` means "only on a terminal": a notebook is one, as for tqdm.notebook."""

    @functools.wraps(init)
    def welcoming(bar: Any, *args: Any, **kwargs: Any) -> None:
        is_ours = kwargs.get("file") in (None, sys.stderr, sys.stdout)
        if is_ours and kwargs.get("disable", False) is None:
            kwargs["disable"] = False
        init(bar, *args, **kwargs)

    return welcoming


def _publishing(display: Callable[..., Any]) -> Callable[..., Any]:
    def publish(bar: Any, msg: str | None = None, pos: int | None = None) -> Any:
        if not hasattr(bar, "easyremote_id"):
            _adopt(bar)
        if not bar.easyremote_id:
            return display(bar, msg, pos)
        now = time.monotonic()
        if bar.disable or now - bar.easyremote_sent >= MIN_INTERVAL:
            bar.easyremote_sent = now
            bar.easyremote_publish(_event(bar))
        return True

    return publish


def _adopt(bar: Any) -> None:
    """Decide, when it is first drawn, whether a bar is ours: not if it writes to a file."""
    ours = bar.fp == sys.stderr or bar.fp == sys.stdout
    bar.easyremote_id = str(next(_ids)) if ours else ""
    bar.easyremote_failed = False
    bar.easyremote_sent = float("-inf")
    #: The exception being handled where the bar starts isn't this bar's end.
    bar.easyremote_outer = id(sys.exc_info()[1])
    if ours:
        bar.fp = _Nowhere()
        bar.sp = bar.fp.write  # it was made before, for the terminal
        _open.add(bar)


def _closing(close: Callable[[Any], None]) -> Callable[[Any], None]:
    def close_and_publish(bar: Any) -> None:
        error = sys.exc_info()[1]
        if getattr(bar, "easyremote_id", "") and not bar.disable:
            _open.discard(bar)
            if isinstance(error, GeneratorExit):
                loop = sys._getframe(2)  # above it tqdm's own __iter__, and this function
                _left.append((bar, loop.f_code, loop.f_lasti))
            elif error is not None and id(error) != bar.easyremote_outer:
                bar.easyremote_failed |= not _full(bar)
        close(bar)

    return close_and_publish


def _full(bar: Any) -> bool:
    return bar.total is not None and bar.n >= bar.total


def _event(bar: Any) -> Progress:
    shown = bar.format_dict
    n, total, elapsed = _number(bar.n), _number(bar.total), float(shown["elapsed"])
    done = n - (_number(bar.initial) or 0) if n else 0
    rate = _number(shown["rate"]) or (done / elapsed if elapsed and done else None)
    failed, closed = bar.easyremote_failed, bar.disable
    return Progress(
        id=bar.easyremote_id,
        position=abs(bar.pos),
        desc=bar.desc.removesuffix(": "),
        n=n or 0,
        total=total,
        unit=str(bar.unit),
        rate=rate,
        elapsed=elapsed,
        eta=max(total - (n or 0), 0) / rate if total is not None and rate else None,
        state="failed" if failed else "done" if closed or _full(bar) else "running",
        leave=bool(abs(bar.pos) == 0 if bar.leave is None else bar.leave),
        postfix=str(bar.postfix or ""),
        scaled=bool(bar.unit_scale),
    )


def _number(value: Any) -> float | None:
    """A number that can travel (a bar may count in NumPy's, or very far)."""
    if value is None or (isinstance(value, (int, float)) and abs(value) < 2**63):
        return value
    return float(value)


def _notebook(std: types.ModuleType) -> types.ModuleType:
    """A ``tqdm.notebook`` whose bars are published; the rest of it is tqdm's own.

    Whoever wants the widget of a bar, to put it somewhere, has it.
    """

    @functools.cache
    def own() -> Any:
        spec = importlib.machinery.PathFinder.find_spec("tqdm.notebook", tqdm_package.__path__)
        assert spec is not None and spec.loader is not None, "it belongs to tqdm"
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    class Bar(std.tqdm):  # type: ignore[name-defined, misc]  # a module that was found at run time
        """A bar of `tqdm.notebook`; with ``display=False`` it is tqdm's own, with a widget."""

        def __new__(cls, *args: Any, display: bool = True, **kwargs: Any) -> Any:
            if not display:
                return own().tqdm_notebook(*args, display=False, **kwargs)
            return super().__new__(cls, *args, **kwargs)

        def __init__(self, *args: Any, display: bool = True, **kwargs: Any) -> None:
            self._has_container = False
            super().__init__(*args, **kwargs)

        @functools.cached_property
        def container(self) -> Any:
            made = own().tqdm_notebook.status_printer(None, self.total, self.desc, self.ncols)
            made.pbar = weakref.proxy(self)
            self._has_container = True
            self.__dict__["container"] = made
            own().tqdm_notebook.display(self, check_delay=False)
            return made

        def display(self, *args: Any, **kwargs: Any) -> Any:
            if self._has_container:
                own().tqdm_notebook.display(self, check_delay=False)
            return super().display(*args, **kwargs)

    def tnrange(*args: Any, **kwargs: Any) -> Any:
        return Bar(range(*args), **kwargs)

    tqdm_package = sys.modules["tqdm"]
    # They travel by name, to a side that has tqdm's own.
    Bar.__module__ = tnrange.__module__ = "tqdm.notebook"
    Bar.__name__ = Bar.__qualname__ = "tqdm_notebook"
    tnrange.__qualname__ = "tnrange"
    module = types.ModuleType("tqdm.notebook", "EasyRemote's: its bars are published.")
    module.__dict__.update(tqdm=Bar, tqdm_notebook=Bar, trange=tnrange, tnrange=tnrange)
    module.__dict__["__getattr__"] = lambda name: getattr(own(), name)
    return module


class _CallableModule(types.ModuleType):
    """Lets ``easyremote.progress`` be the function, whether this module was imported or not."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return progress(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
