"""What has been used: what is asked of a gateway, and how it answers.

``$usage`` takes a `UsageRequest` and answers with a `UsageAnswer`. ``tests/gateway/usage/``
proves it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from easyremote.times import LONGEST

#: What the rows of an answer are for.
By = Literal["key", "node", "function"]


class UsageRequest(msgspec.Struct, frozen=True):
    """What is asked.

    ``by``: what each row is for. ``since``: so many seconds back, and on to the beginning of that
    hour; 0 for all that is kept. ``node``: what was used there; empty for everywhere.
    """

    by: By = "key"
    since: Annotated[float, msgspec.Meta(ge=0, le=LONGEST)] = 0.0
    node: str = ""


class UsageRow(msgspec.Struct, frozen=True):
    """What the calls of one key, on one node, or of one function have used.

    ``name``: the key's id, the node's id (empty: they never came to a node) or the function's name.
    ``title``: of a key: whose it is. Each call is counted once, when it ends: ``values`` (it
    returned), ``errors`` (it raised), ``cancelled``, ``timed_out``, ``lost`` (nobody knows how it
    ended) or ``refused`` (it was not let in, or no node could run it). An attempt of a call that is
    tried again is a call. ``run_seconds``: measured by the node, of a call that failed by the
    gateway; ``gpu_seconds``: the same for each GPU that was held; ``gpu_gb_hours``: gigabytes of
    GPU memory that were held, by hours. ``argument_bytes`` went to nodes; ``result_bytes`` came
    back from them: results, items, and what cells have shown.
    """

    name: str
    title: str = ""
    values: int = 0
    errors: int = 0
    cancelled: int = 0
    timed_out: int = 0
    lost: int = 0
    refused: int = 0
    run_seconds: float = 0.0
    gpu_seconds: float = 0.0
    gpu_gb_hours: float = 0.0
    argument_bytes: int = 0
    result_bytes: int = 0

    @property
    def calls(self) -> int:
        """How many calls have ended."""
        return sum(getattr(self, outcome) for outcome in OUTCOMES)


class UsageAnswer(msgspec.Struct, frozen=True):
    """What was used, the most used first."""

    rows: tuple[UsageRow, ...]


#: The ways in which a call ends.
OUTCOMES = ("values", "errors", "cancelled", "timed_out", "lost", "refused")
