"""The magics about jobs, as ``%remote_jobs``; their names begin with ``%remote_``.

A job of another notebook, or of this one before its kernel was restarted, is found by its id on the
nodes of the same key. ``tests/jupyter_extension/test_jobs.py`` proves it in real kernels.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from IPython.core.magic import Magics, line_magic, magics_class

import easyremote
from easyremote.client.detached.cell import KeptCell
from easyremote.client.detached.job import DetachedJob
from easyremote.client.job import RemoteJob
from easyremote.client.session import replay
from easyremote.errors import EasyRemoteError, NotFound, RemoteError, UsageError, from_wire
from easyremote.events import Display, Event, InputRequest, Value
from easyremote.protocol.requests import CallStatus, DetachedCall
from easyremote_jupyter.jobs import Jobs, JobTable, missing, stop
from easyremote_jupyter.magics.options import split_words
from easyremote_jupyter.magics.readers import seconds
from easyremote_jupyter.output.display import Output, show_notice
from easyremote_jupyter.output.tracebacks import one_line_errors
from easyremote_jupyter.output.watch import watch
from easyremote_jupyter.places.places import Place, Places

__all__ = ["JobMagics", "make_parser"]

#: A job that waits for its turn is looked at so often, in seconds.
_POLL = 0.5


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"%{self.prog}: {message}. See %{self.prog}? for what it takes.")


def make_parser(name: str) -> argparse.ArgumentParser:
    """What reads the line of a magic; slips are errors of one line."""
    return _Parser(prog=name, add_help=False, allow_abbrev=False)


#: Binds the variables of a cell that was kept.
Bind = Callable[[Place, dict[str, Any]], None]
_JOBS = make_parser("remote_jobs")
_JOBS.add_argument("--all", action="store_true")
_JOBS.add_argument("--wait", nargs="?", type=seconds, const=float("inf"))
_JOB = make_parser("remote_job")
_JOB.add_argument("job")
_JOB.add_argument("--follow", action="store_true")
_COLLECT = make_parser("remote_collect")
_COLLECT.add_argument("job")
_COLLECT.add_argument("--release", action="store_true")
_CANCEL = make_parser("remote_cancel")
_CANCEL.add_argument("job")
_CANCEL.add_argument("--kill", action="store_true")


@magics_class
class JobMagics(Magics):
    """See the module."""

    shell: Any

    def __init__(self, shell: Any, jobs: Jobs, places: Places, bind: Bind) -> None:
        untyped: Any = super()
        untyped.__init__(shell)
        self._jobs, self._places_of, self._bind = jobs, places, bind

    @line_magic
    def remote_jobs(self, line: str) -> JobTable:
        """List the jobs of this notebook.

        Cells with ``--keep`` are listed wherever they were started: %remote_collect brings them.

        --all       also the jobs of this key that run elsewhere
        --wait [S]  wait until the background jobs are done, S seconds at most; do it in the last
                    cell of a notebook that runs without a user, so that their output is saved
        """
        with one_line_errors():
            wanted = _JOBS.parse_args(split_words(line))
            if wanted.wait is not None:
                self._wait(wanted.wait)
            self._jobs.settle()
            others = self._elsewhere() if wanted.all else []
        return JobTable(self._jobs, others, self._kept())

    @line_magic
    def remote_job(self, line: str) -> None:
        """Show what a job has shown: ``%remote_job ID [--follow]``.

        ID is what ``%remote_jobs`` shows, or the name of a background job. It may be a job of
        another notebook, or of this one before its kernel was restarted.

        --follow  show its output until it ends; an interrupt does not stop the job
        """
        with one_line_errors():
            wanted = _JOB.parse_args(split_words(line))
            found = self._places(wanted.job)
            for node_id, call_id in found:
                try:
                    self._show(node_id, call_id, follow=wanted.follow)
                    return
                except NotFound:
                    continue
            raise missing(wanted.job)

    @line_magic
    def remote_collect(self, line: str) -> None:
        """Bring a cell with ``--keep`` here: ``%remote_collect ID [--release]``.

        It shows what the cell has shown, follows it to its end, and binds its variables here. The
        cell may be of this notebook before its kernel was restarted, or of another machine with
        the same key. An interrupt does not stop the cell.

        --release  then let the gateway forget its outcome
        """
        with one_line_errors():
            wanted = _COLLECT.parse_args(split_words(line))
            call = _kept_cell(wanted.job)
        node_id = call.node_id or ""
        with one_line_errors(node_id):
            self._replay(node_id, call.call_id)
            job: RemoteJob[dict[str, Any]] = easyremote.connect().attach(call.call_id)
            answer = job.result()
            self._bind(self._places_of.at(node_id, call.session), answer)
            if wanted.release and isinstance(job, DetachedJob):
                job.release()

    def _replay(self, node_id: str, call_id: str) -> None:
        """Show what a kept cell shows until its end."""
        job = KeptCell(easyremote.connect(), easyremote.connect().line, call_id, "cell", node_id)
        output = _Replay(self.shell)
        try:
            for event in job.events(0.1):
                if event is not None:
                    output.show(event)
        finally:
            output.finish()

    def _kept(self) -> list[DetachedCall]:
        """The cells that the gateway keeps and that are none of this kernel's."""
        ours = {entry.call_id for entry in self._jobs}
        try:
            kept = easyremote.connect().outstanding()
        except EasyRemoteError:
            return []  # the jobs of this notebook are listed all the same
        return [call for call in kept if call.function == "cell" and call.call_id not in ours]

    @line_magic
    def remote_cancel(self, line: str) -> None:
        """Interrupt a job: ``%remote_cancel ID [--kill]``.

        ID is what ``%remote_jobs --all`` shows, or the name of a background job. The job may be of
        another notebook with the same key.

        --kill    end its process, too, and with it the session and its variables
        """
        with one_line_errors():
            wanted = _CANCEL.parse_args(split_words(line))
            call_id, where, state = self._known(wanted.job)
            if state is None and not stop(
                easyremote.connect(), self._jobs, call_id, kill=wanted.kill
            ):
                state = "it has just ended"
        if state is not None:
            sys.stdout.write(f"Job {call_id[:8]} is over: {state}.\n")
            return
        what = "killed, and its session" if wanted.kill else "told to stop"
        sys.stdout.write(f"Job {call_id[:8]} on {where} is {what}.\n")

    # -- inside

    def _wait(self, limit: float) -> None:
        deadline = time.monotonic() + limit
        for entry in self._jobs:
            if entry.background is not None:
                while not entry.background.done() and time.monotonic() < deadline:
                    time.sleep(0.05)

    def _elsewhere(self) -> list[dict[str, Any]]:
        ours = {entry.call_id for entry in self._jobs}
        jobs = _snapshot()["jobs"]
        return [job for job in jobs if job["call_id"] not in ours and job["function"] == "cell"]

    def _known(self, what: str) -> tuple[str, str, str | None]:
        """A job of this notebook or another one with the same key: its id, its node and its end."""
        entry = self._jobs.find(what)
        if entry is not None:
            return entry.call_id, entry.node_id, entry.state if entry.job.done() else None
        snapshot = _snapshot()
        found = [job for job in snapshot["jobs"] if job["call_id"].startswith(what)]
        if len(found) > 1:
            raise UsageError(f"{len(found)} jobs begin with {what!r}: write more of the id.")
        if found:
            return found[0]["call_id"], found[0]["node_id"] or "any node", None
        for job in snapshot.get("ended", ()):
            if job["call_id"].startswith(what):
                return job["call_id"], job["node_id"] or "any node", job["code"] or "done"
        raise missing(what)

    def _places(self, what: str) -> list[tuple[str, str]]:
        """The nodes to ask for a job, each with the job's id."""
        entry = self._jobs.find(what)
        if entry is not None:
            return [(entry.node_id, entry.call_id)]
        nodes = easyremote.connect().list_nodes()
        return [(node.node_id, what) for node in nodes if node.state == "online" and node.runs_code]

    def _show(self, node_id: str, call_id: str, *, follow: bool) -> None:
        while True:
            job: RemoteJob[CallStatus] = replay(
                easyremote.connect(), node_id, call_id, follow=follow
            )
            output = _Replay(self.shell)
            try:
                watch(job, output)
                answer = job.result()
            finally:
                output.finish()
            if answer.state != "queued" or not follow:
                break
            time.sleep(_POLL)
        self._tell(node_id, call_id, answer)
        if answer.state not in ("running", "queued") and (how := _notified(call_id)):
            show_notice(f"Its notification: {how}.")

    def _tell(self, node_id: str, call_id: str, answer: CallStatus) -> None:
        """Say what the output does not show: that the job goes on, or its error."""
        if answer.state == "running":
            show_notice(
                f"The job still runs. Follow it to its end: %remote_job {call_id[:8]} --follow"
            )
        elif answer.state == "queued":
            show_notice("It waits for its turn.")
        elif answer.error is not None:
            code, message, details = answer.error
            error = from_wire(code, message, {**details, "node_id": node_id})
            if isinstance(error, RemoteError):
                lines = error._render_traceback_()
            else:
                lines = [f"{type(error).__name__}: {error}"]
            sys.stderr.write("\n".join(lines) + "\n")


def _kept_cell(what: str) -> DetachedCall:
    """The kept cell whose id begins with this text."""
    kept = easyremote.connect().outstanding()
    found = [each for each in kept if each.function == "cell" and each.call_id.startswith(what)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} cells begin with {what!r}: write more of the id.")
    if not found:
        raise UsageError(
            f"The gateway keeps no cell {what!r} of this key: its time is over, or it ran without "
            "--keep. %remote_jobs lists those that are kept."
        )
    return found[0]


def _notified(call_id: str) -> str:
    """What became of the notification of a job that is over; empty where that is not known."""
    ended = _snapshot().get("ended", ())
    found = (job.get("notified", "") for job in ended if job["call_id"].startswith(call_id))
    return str(next(found, ""))


def _snapshot() -> dict[str, Any]:
    """The gateway's present state of the jobs of this key."""
    stream = easyremote.connect().watch()
    try:
        return next(stream)
    finally:
        stream.close()


class _Replay(Output):
    """Shows the output of a job once more; its value is shown as a display of this cell."""

    def begins(self, job: Any) -> None:
        """Nothing to do: the job is listed already."""

    def show(self, event: Event) -> None:
        if isinstance(event, Value):
            event = Display(event.data, event.metadata)
        elif isinstance(event, InputRequest):
            return
        super().show(event)
