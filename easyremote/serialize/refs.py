"""References to values that stayed on a node: they travel to that node as numbers.

A `RemoteRef` is pickled as `send_ref` says. The block `going_to` names the session that a payload
is for; a reference to a value of another session is refused there. In the session, `HELD` has the
values.
``tests/serialize/test_refs.py`` proves it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from easyremote.errors import CannotShip, NotFound

__all__ = ["HELD", "Elsewhere", "Whereabouts", "going_to", "send_ref"]


class Whereabouts(NamedTuple):
    """The node, session and process that hold a value."""

    node_id: str
    session: str
    #: The name of the session's process. After a restart another process has none of the values.
    process: str


class Elsewhere:
    """A value of this kind stands for another one, on another machine."""


#: In a session: the values that references point to, by number.
HELD: dict[int, Any] = {}

_destination: ContextVar[Whereabouts | None] = ContextVar("destination", default=None)


@contextlib.contextmanager
def going_to(where: Whereabouts) -> Iterator[None]:
    """Say that what is pickled in this block goes to that session."""
    token = _destination.set(where)
    try:
        yield
    finally:
        _destination.reset(token)


def send_ref(number: int, held: Whereabouts, name: str) -> tuple[Any, ...]:
    """What a reference is pickled as.

    Raises
    ------
    CannotShip
        What is pickled is not for the session that holds the value.
    """
    to = _destination.get()
    if to == held:
        return value_of, (number,)
    if to is not None and to[:2] == held[:2]:
        raise CannotShip(f"its session on {held.node_id} has ended, and the value with it")
    where = "in another session of that node" if to and to[0] == held[0] else "here or elsewhere"
    raise CannotShip(f"it is on {held.node_id}, of no use {where}: {name}.get() brings it here")


def value_of(number: int) -> Any:
    """The value that a reference points to. Payloads hold this function's name."""
    try:
        return HELD[number]
    except KeyError:
        raise NotFound("a value that a RemoteRef points to is no longer held on the node") from None
