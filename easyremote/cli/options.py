"""Options that several commands have, and checks of what is given to them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import click

from easyremote import logs
from easyremote.options.requirements import parse_size
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


def size(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """The callback of an option that is a number of bytes, as ``1GB``."""
    try:
        return parse_size(value)
    except ValueError:
        raise click.BadParameter(f"{value} is no size. Write it as 1GB.") from None


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


#: The rules of a node's owner, as options; what their words mean is in ``node/rules.py``.
_RULES = (
    click.option("--max-cpu", metavar="SHARE", help="The share of the cores that is lent, as 50%."),
    click.option("--max-memory", metavar="SIZE", help="How much memory is lent, as 16GB."),
    click.option(
        "--only-when-idle",
        is_flag=True,
        default=None,
        help="Nothing new starts while somebody works on this machine.",
    ),
    click.option(
        "--hours",
        metavar="FROM-TO",
        help="Something new starts in these hours of local time only, as 22-7 or 22:30-7:00.",
    ),
    click.option("--on-battery", metavar="yes|no", help="Whether something new starts on battery."),
    click.option(
        "--when-busy",
        metavar="go-on|pause|cancel",
        help="What becomes of cells and shipped functions that run when nothing new may start any "
        "more: they go on, stand still until something may start again, or are ended.",
    ),
)
#: Their names, as people write them.
RULES = ("max-cpu", "max-memory", "only-when-idle", "hours", "on-battery", "when-busy")


def with_rules(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the owner's rules; those that were given come as ``rules``."""

    @functools.wraps(command)
    def ruled(*args: object, **kwargs: object) -> None:
        words = {name: kwargs.pop(name.replace("-", "_")) for name in RULES}
        given = {name.replace("-", "_"): word for name, word in words.items() if word is not None}
        command(*args, rules=given, **kwargs)

    for option in reversed(_RULES):
        option(ruled)
    return ruled
