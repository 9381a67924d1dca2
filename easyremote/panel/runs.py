"""Functions that were run from the panel: their values as text, for as long as somebody asks.

Arguments and values are plain (JSON): nothing that a browser sends is ever pickled, and nothing
that comes back is unpickled. ``tests/jupyter_extension/server/test_functions_handlers.py`` proves
it.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from typing import Any

from easyremote.errors import EasyRemoteError, to_wire
from easyremote.panel.logs import error_text
from easyremote.panel.messages import RunResult

#: How many runs are kept.
MAX_RUNS = 20
#: Characters of a value that are shown.
TEXT_LIMIT = 100_000


class Runs:
    """The last runs, by call id."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Any] = OrderedDict()

    def add(self, job: Any) -> None:
        """Keep a `RemoteJob`; drop the oldest if there are too many."""
        self._jobs[job.call_id] = job
        if len(self._jobs) > MAX_RUNS:
            self._jobs.popitem(last=False)

    async def result(self, call_id: str, patience: float) -> RunResult | None:
        """Wait a while for the end of a run; its state then, or None for an unknown run."""
        job = self._jobs.get(call_id)
        if job is None:
            return None
        await asyncio.wait({asyncio.wrap_future(job)}, timeout=patience)
        return await asyncio.to_thread(_result, job)


def _result(job: Any) -> RunResult:
    if not job.done():
        return RunResult(job.call_id, "running")
    error = job.exception(0)
    if isinstance(error, EasyRemoteError):
        return RunResult(job.call_id, "failed", error_text(to_wire(error)))
    text = json.dumps(job.result(0), indent=2, ensure_ascii=False)
    if len(text) > TEXT_LIMIT:
        text = f"{text[:TEXT_LIMIT]}\n… ({len(text) - TEXT_LIMIT:,} characters more)"
    return RunResult(job.call_id, "done", text)
