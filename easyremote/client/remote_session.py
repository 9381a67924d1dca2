"""`RemoteSession`: a process on a node that keeps variables between runs, as a plain object.

Variables are sent because they are named, and come back because they are named; nothing is guessed
from the code. ``tests/client/test_run.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, overload

from easyremote.client.files.fetching import RemoteFile, fetch, listed
from easyremote.client.files.sending import missing, named_files, send
from easyremote.client.job import RemoteJob
from easyremote.client.session import Session
from easyremote.client.terminal.bars import shown_bars
from easyremote.client.terminal.screen import Screen, has_terminal
from easyremote.errors import EasyRemoteError, NotFound, UsageError
from easyremote.options.reading import priority as read_priority
from easyremote.options.requirements import Needs, read_needs
from easyremote.serialize.files import File
from easyremote.times import check_seconds

__all__ = ["RemoteSession", "StrPath"]

StrPath = str | os.PathLike[str]


class RemoteSession:
    """A process on a node that keeps variables between runs; made by `session`.

    Variables are read and set as those of a dict: ``s["x"] = 1``, ``s["x"]``.
    """

    def __init__(self, engine: Session, *, is_new: bool = False, is_shared: bool = False) -> None:
        self._engine = engine
        #: The session was made for this object, and ends with it.
        self._is_new = is_new
        #: `run` uses it: its process may be another one than last time.
        self._is_shared = is_shared
        #: The process that holds the variables; None before the first run.
        self._process: str | None = None
        self._count = 0

    def __repr__(self) -> str:
        return f"<RemoteSession {self.name} on {self.node_id}>"

    @property
    def node_id(self) -> str:
        """The node that the session is on."""
        return self._engine.node_id

    @property
    def name(self) -> str:
        """The session's name."""
        return self._engine.name

    @overload
    def run(
        self,
        code: str,
        *,
        out: None = ...,
        timeout: float | None = ...,
        needs: Needs | None = ...,
        priority: int = ...,
        files: Sequence[StrPath] = ...,
        **variables: Any,
    ) -> Any: ...

    @overload
    def run(
        self,
        code: str,
        *,
        out: Sequence[str],
        timeout: float | None = ...,
        needs: Needs | None = ...,
        priority: int = ...,
        files: Sequence[StrPath] = ...,
        **variables: Any,
    ) -> dict[str, Any]: ...

    def run(
        self,
        code: str,
        *,
        out: Sequence[str] | None = None,
        timeout: float | None = None,
        needs: Needs | None = None,
        priority: int = 0,
        files: Sequence[StrPath] = (),
        **variables: Any,
    ) -> Any:
        """Run code in the session; see `run`.

        Raises
        ------
        NotFound
            The session's process has ended since the last run, and its variables with it.
        """
        how = {"timeout": timeout, "needs": needs, "priority": priority}
        return self._run(code, out, variables, files, how, started=_nobody)

    async def run_async(
        self,
        code: str,
        *,
        out: Sequence[str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the node keeps it
        needs: Needs | None = None,
        priority: int = 0,
        files: Sequence[StrPath] = (),
        **variables: Any,
    ) -> Any:
        """`run` for async code; cancelling it stops the code on the node."""
        jobs: list[RemoteJob[Any]] = []
        try:
            how = {"timeout": timeout, "needs": needs, "priority": priority}
            run = functools.partial(self._run, code, out, variables, files, how)
            return await asyncio.to_thread(run, started=jobs.append)
        except asyncio.CancelledError:
            for job in jobs:
                job.cancel()
            raise

    def __getitem__(self, name: str) -> Any:
        return self.run("", out=[name])[name]

    def __setitem__(self, name: str, value: object) -> None:
        self._run("", None, {name: value}, started=_nobody)

    def files(self) -> list[RemoteFile]:
        """The files that were sent to the session, and those that it has in ``outputs/``.

        Examples
        --------
        >>> [file.name for file in s.files()]                            # doctest: +SKIP
        ['model.bin']
        """
        try:
            return listed(self._engine.files)
        except NotFound:  # nothing has run in it
            return []

    def fetch(self, *names: str, to: StrPath = ".", overwrite: bool = False) -> list[Path]:
        """Fetch files from the session's ``outputs/``; returns their paths here.

        Parameters
        ----------
        *names
            Names below ``outputs/``, or patterns as ``"*.png"``. Hidden files come only by a name
            that begins with a dot.
        to
            The folder here.
        overwrite
            Whether to replace files here that have another content.

        Raises
        ------
        NotFound
            There is no such output.
        UsageError
            Another file has that name here, or a file changes while it is fetched.

        Examples
        --------
        >>> s.run("model.save('outputs/model.bin')")                     # doctest: +SKIP
        >>> s.fetch("model.bin", to="models")                            # doctest: +SKIP
        [PosixPath('models/model.bin')]
        """
        with shown_bars() as show:
            return fetch(self._engine.files, names, to, overwrite=overwrite, show=show)

    def end(self) -> None:
        """End the session's process; its variables and files are lost. Safe to repeat."""
        self._engine.end()
        self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._is_new:
            with contextlib.suppress(
                EasyRemoteError
            ):  # the node is out of reach: it ends idle sessions itself
                self.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.__exit__, *exc)

    # -- inside

    def _run(
        self,
        code: str,
        out: Sequence[str] | None,
        variables: dict[str, Any],
        files: Sequence[StrPath] = (),
        options: Mapping[str, Any] | None = None,
        *,
        started: Callable[[RemoteJob[Any]], object],
    ) -> Any:
        if isinstance(out, str):
            raise UsageError(f"out is a list of names, not {out!r}: write out=[{out!r}].")
        how = _read(**(options or {}))
        self._count += 1
        request = {
            "code": code,
            "count": self._count,
            "outputs": list(out) if out is not None else "none",
            "files": named_files(files),
            "no_input": "" if has_terminal() else "the program that runs it has no terminal",
        }
        answer = self._submit(request, variables, how, started)
        self._process = answer["process"]
        values, troubles = self._engine.open(answer)
        for why in troubles.values():
            sys.stderr.write(f"{why}\n")
        return values.get("") if out is None else {name: values[name] for name in out}

    def _submit(
        self,
        request: dict[str, Any],
        variables: dict[str, Any],
        how: Mapping[str, Any],
        started: Callable[[RemoteJob[Any]], object],
    ) -> dict[str, Any]:
        trusts_blobs = True
        while True:
            shipped = self._ship(variables, request["files"], trusts_blobs=trusts_blobs)
            job = self._engine.submit_cell(request | shipped, **how)
            started(job)
            Screen(job).follow()
            answer: dict[str, Any] = job.result()
            if "packed" in answer:
                return answer
            if "missing" not in answer:
                self._process = None
                raise NotFound(
                    f"The session {self.name} on {self.node_id} has ended, and its variables with "
                    "it; nothing was run. The next run starts it anew."
                )
            trusts_blobs = False

    def _ship(
        self, variables: dict[str, Any], files: dict[str, File], *, trusts_blobs: bool
    ) -> dict[str, Any]:
        modules = {n: v.__name__ for n, v in variables.items() if isinstance(v, types.ModuleType)}
        values = {name: v for name, v in variables.items() if name not in modules}
        packed = self._engine.pack(values, self._process)
        self._send([*packed.files, *files.values()])
        has_blobs = packed.blobs and trusts_blobs
        known = self._engine.known_blobs(packed.blobs) if has_blobs else set()
        shipped = {
            "packed": packed.wire(known),
            "imports": modules,
            "files": [(name, *file.content) for name, file in files.items()],
            "released": self._engine.take_released(self._process),
        }
        is_meant = self._process is not None and not self._is_shared
        return shipped | ({"process": self._process} if is_meant else {})

    def _send(self, files: Sequence[File]) -> None:
        away = missing(self._engine.files, files)
        with shown_bars() as show:
            send(self._engine.files, away, show)


def _read(
    timeout: float | None = None, needs: Needs | None = None, priority: int = 0
) -> dict[str, Any]:
    """The options of a run, checked, as `Session.submit_cell` takes them."""
    if timeout is not None:
        check_seconds(timeout, "timeout")
    held = read_needs(needs) if needs is not None else None
    return {"timeout": timeout, "needs": held, "priority": read_priority(priority, "priority")}


def _nobody(job: RemoteJob[Any]) -> None:
    """The job is not needed: `run` waits for it."""
