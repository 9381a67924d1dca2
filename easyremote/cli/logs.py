"""`easyremote logs`: what a cell or a shipped function has shown, and with ``-f`` what it shows.

The gateway keeps no output: it is asked where the job is, and the job's node for its output.
``tests/cli/test_logs.py`` proves it with real processes.
"""

from __future__ import annotations

import contextlib

import click

from easyremote.client.client import Client, connect
from easyremote.client.outcome import checked
from easyremote.client.session import replay
from easyremote.client.terminal.screen import Screen
from easyremote.errors import NotFound, UsageError
from easyremote.events import Display, Event, InputRequest, Stream, Value
from easyremote.panel.following import FOLLOWED
from easyremote.panel.logs import error_text
from easyremote.protocol.snapshot import EndedJobInfo, GatewaySnapshot, JobInfo

#: Seconds after which an interrupt is seen at the latest.
_POLL = 0.5
#: The states of a job of which its node has nothing to tell yet.
_WAITING = ("queued", "dispatched")


@click.command()
@click.argument("job", default="")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends; Ctrl-C leaves it.")
def logs(job: str, follow: bool) -> None:
    """Print what a cell or a function that was sent has shown.

    JOB is the beginning of its id, as `easyremote jobs` and the panel show it. Without it: the
    newest of yours that runs, else the last one that ended.

    \b
    Examples:
      easyremote logs
      easyremote logs 3f9a02c1 -f
    """
    client = connect()
    try:
        found = _begun(client, job, follow=follow)
        if found is not None:
            _show(client, found, follow=follow)
    except KeyboardInterrupt:
        if not follow:
            raise
        click.echo("", err=True)  # after ^C


def _begun(client: Client, what: str, *, follow: bool) -> JobInfo | EndedJobInfo | None:
    """The job that is meant, as soon as it runs; None where it waits and nobody wants to."""
    with contextlib.closing(client.watch()) as stream:
        found = _find(checked(next(stream), GatewaySnapshot), what)
        if _waits(found):
            why = getattr(found, "why", "") or "it begins in a moment"
            click.echo(f"It waits: {why}.", err=True)
        while _waits(found):
            if not follow:
                return None
            found = _find(checked(next(stream), GatewaySnapshot), found.call_id)
    return found


def _show(client: Client, found: JobInfo | EndedJobInfo, *, follow: bool) -> None:
    if not found.node_id:
        raise NotFound(f"The job {found.call_id[:8]} ended before it ran, and has shown nothing.")
    job = replay(client, found.node_id, found.call_id, follow=follow)
    screen = Screen(job)
    try:
        for event in job.events(_POLL):
            for shown in _as_text(event):
                screen.show(shown)
    finally:
        screen.finish()
        job.cancel()
    answer = job.result()
    if answer.error is not None:
        click.echo(error_text(answer.error), err=True)
    elif answer.state != "done":
        click.echo(f"It goes on. Follow it: easyremote logs {found.call_id[:8]} -f", err=True)


def _as_text(event: Event | None) -> list[Event]:
    """What of an event a reader sees: a question is answered where the cell came from."""
    match event:
        case None:
            return []
        case Value():
            return [Display(event.data, event.metadata)]
        case InputRequest():
            return [Stream("stdout", f"{event.prompt}\n")]
        case _:
            return [event]


def _find(told: GatewaySnapshot, what: str) -> JobInfo | EndedJobInfo:
    """The job whose id begins like this; without one, the newest that has something to show."""
    found: list[JobInfo | EndedJobInfo] = [*told.jobs, *told.ended]
    if what:
        found = [job for job in found if job.call_id.startswith(what)]
    else:
        found = [job for job in found if job.function in FOLLOWED]
        found = sorted(found, key=_age)[:1]
    if len(found) > 1:
        raise UsageError(f"{len(found)} jobs begin with {what!r}: write more of the id.")
    if not found:
        whose = f"a job {what!r}" if what else "a cell or a shipped function"
        raise NotFound(f"The gateway knows nothing of {whose} of yours. See: easyremote jobs")
    (job,) = found
    if job.function not in FOLLOWED:
        where = job.node_id or "its node"
        raise UsageError(
            f"{job.function}() is a registered function: what it prints is in the log of {where}."
        )
    return job


def _waits(job: JobInfo | EndedJobInfo) -> bool:
    return isinstance(job, JobInfo) and job.state in _WAITING


def _age(job: JobInfo | EndedJobInfo) -> tuple[int, float]:
    """What runs comes first, then what is over, then what waits; the newest first."""
    if isinstance(job, EndedJobInfo):
        return 1, job.ago
    return (2 if _waits(job) else 0), job.seconds
