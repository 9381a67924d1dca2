"""Work that a process does beside everything else, again and again.

A task that ends with an exception that nobody reads is a function of the process that is gone for
good. `run_every` is the owner of such work: it logs what is raised, and goes on.
``tests/test_background.py`` proves it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn


async def run_every(
    seconds: float, work: Callable[[], Awaitable[None] | None], what: str, log: logging.Logger
) -> NoReturn:
    """Do some work again and again, until this task is cancelled.

    An exception is logged with its traceback; one that repeats is logged once, until the work
    succeeds again.

    Parameters
    ----------
    seconds
        The pause before each time.
    work
        What to do: a function, or a coroutine function.
    what
        What the work is, for the log.
    log
        Where to log.
    """
    last = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            begun = work()
            if begun is not None:
                await begun
        except Exception as error:
            if repr(error) != last:
                last = repr(error)
                log.exception("%s failed, and will be tried again in %g s", what, seconds)
        else:
            if last:
                last = ""
                log.info("%s works again", what)
