"""A batch of joblib's tasks as it runs on a node, beside those of the other processes there."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """Tasks that run one after the other in one process.

    Parameters
    ----------
    tasks
        Runs them; the list of their results.
    threads
        How many threads a numerical library may use in them. A process is for one core, or a few;
        without a limit each library would start a thread for each core in each process.
    """

    tasks: Callable[[], list[Any]]
    threads: int

    def __call__(self) -> list[Any]:
        with _limited(self.threads):
            return self.tasks()


def _limited(threads: int) -> contextlib.AbstractContextManager[object]:
    """Limits the threads of the libraries that are loaded; scikit-learn brings what does it."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    limits: contextlib.AbstractContextManager[object] = threadpool_limits(threads)
    return limits
