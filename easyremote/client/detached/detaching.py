"""`Detaching`: what a client can do with detached calls. `RemoteExecutor` is one.

``tests/client/detached/test_detached.py`` proves it with real processes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, overload

from easyremote.client.connection import Line
from easyremote.client.detached.job import DetachedJob
from easyremote.client.job import RemoteJob
from easyremote.client.remote_options import CallOptions
from easyremote.errors import CannotShip, UsageError
from easyremote.protocol.builtins import CALL, DETACHED, job_name
from easyremote.protocol.requests import DetachedCall, DetachedCalls
from easyremote.serialize.values import dump_call
from easyremote.times import read_seconds

__all__ = ["DAY", "Detaching"]

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that an outcome is kept, where nothing else is said.
DAY = 24 * 3600.0


class Detaching(Executor):
    """Starts detached calls, and finds them again."""

    #: Seconds that the outcome of a detached call is kept.
    keep: float = DAY
    #: Of each function that it calls, or sends.
    _options: CallOptions

    @abstractmethod
    def start(self, *args: Any, **options: Any) -> RemoteJob[Any]:
        """As of `RemoteExecutor`."""

    @abstractmethod
    def ask(self, *args: Any, **options: Any) -> RemoteJob[Any]:
        """As of `RemoteExecutor`."""

    @abstractmethod
    def python_of(self, node_id: str) -> tuple[int, int] | None:
        """As of `RemoteExecutor`."""

    @property
    @abstractmethod
    def line(self) -> Line:
        """The connection that calls go by."""

    @overload
    def detach(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> DetachedJob[T]: ...

    @overload
    def detach(self, fn: str, /, *args: Any, **kwargs: Any) -> DetachedJob[Any]: ...

    def detach(
        self, fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any
    ) -> DetachedJob[Any]:
        """Start a call that goes on whoever is gone; returns when the gateway's disk has it.

        Its outcome is kept for a day after its end, or as ``client.on(keep="7d")`` says.

        Parameters
        ----------
        fn
            A function, which is sent to a node that runs code; or the name of a registered one.

        Raises
        ------
        CannotShip
            The function or an argument can't travel, or it needs files of this machine.
        Busy
            The key has as much at the gateway as it may.
        StorageFull, StorageFailed
            The gateway can't write it. It did not run.

        Examples
        --------
        >>> job = client.on("gpu-node").detach(train, data)          # doctest: +SKIP
        >>> job.call_id                                              # doctest: +SKIP
        '6f1c...'

        From any machine with the same key, hours later:

        >>> client.attach("6f1c...").result()                        # doctest: +SKIP
        """
        return self.detach_call(fn, args, kwargs, **self._options)

    def detach_call(
        self,
        fn: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        node_id: str = "",
        keep: float | str | None = None,
        **options: Any,
    ) -> DetachedJob[Any]:
        """`detach`, with options of the call as of `RemoteExecutor.start`."""
        kept = self.keep if keep is None else read_seconds(keep, "keep")
        if isinstance(fn, str):
            function, dumped = fn, dump_call(args, kwargs, name=fn)
        else:
            function, dumped = CALL, self._packed(fn, args, kwargs, node_id)
        accepted = self.start(function, dumped, node_id=node_id, keep=kept, **options)
        accepted.result()
        return DetachedJob(self, self.line, accepted.call_id, job_name(function), accepted.node_id)

    def attach(self, call_id: str) -> DetachedJob[Any]:
        """A detached call of this key, wherever it was started.

        Parameters
        ----------
        call_id
            The call's, whole.

        Raises
        ------
        NotFound
            There is none: its outcome was released, its time is over, or it is another key's.
        """
        found: DetachedCalls = self.ask(DETACHED, session=call_id).result()
        (call,) = found.calls
        return DetachedJob(self, self.line, call.call_id, call.function, call.node_id or "")

    def outstanding(self) -> list[DetachedCall]:
        """The detached calls of this key that the gateway has, the oldest first.

        Examples
        --------
        >>> for call in client.outstanding():                        # doctest: +SKIP
        ...     print(call.call_id, call.function, call.state)
        """
        found: DetachedCalls = self.ask(DETACHED).result()
        return list(found.calls)

    def _packed(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], node_id: str
    ) -> Any:
        import inspect

        from easyremote.serialize.calls import pack_call  # with it come `inspect` and `dis`

        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise UsageError(GENERATES.format(f"{getattr(fn, '__name__', fn)}()"))
        packed = pack_call(fn, args, kwargs, python=self.python_of(node_id))
        if packed.files:
            names = ", ".join(file.name for file in packed.files)
            raise CannotShip(
                f"A detached call takes no files along ({names}): they may not be on its node any "
                "more when it begins. Give their contents as arguments."
            )
        return packed.dumped()


GENERATES = (
    "{} is a generator: nobody would take its items while it is detached. Call it plainly, or "
    "detach a function that returns all items at once."
)
