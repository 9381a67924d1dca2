"""Options that several commands have, and checks of what is given to them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import click

from easyremote import logs
from easyremote.times import LONGEST, is_time

Check = Callable[[click.Context, click.Parameter, float | None], float | None]


def duration(unit: float = 1.0) -> Check:
    """Make the callback of an option that is a length of time: a finite number above 0.

    Parameters
    ----------
    unit
        The unit of what is given, in seconds.
    """

    def check(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
        if value is not None and not (is_time(value * unit) and value):
            most = LONGEST / unit
            raise click.BadParameter(f"{value} is no finite number above 0 and up to {most:.0f}.")
        return value

    return check


def with_logging(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--log-level`` and ``--log-json``, and write its log as they say."""

    @click.option(
        "--log-level",
        type=click.Choice(logs.LEVELS),
        default="info",
        show_default=True,
        help="The least important lines of the log that are written.",
    )
    @click.option("--log-json", is_flag=True, help="Write each line of the log as a JSON object.")
    @functools.wraps(command)
    def logging(*args: object, log_level: str, log_json: bool, **kwargs: object) -> None:
        logs.configure(log_level, as_json=log_json)
        command(*args, **kwargs)

    return logging
