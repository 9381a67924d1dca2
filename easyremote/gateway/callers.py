"""Who calls, how they came in, and what they want: what every record of the gateway refers to.

What somebody may do is decided in ``permissions.py``. ``tests/gateway/test_permissions.py`` and
``test_access_of_calls.py`` prove it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from easyremote.options.requirements import Requirements
from easyremote.protocol.messages import Function


class Access(Enum):
    """How a caller came in; a node's own registration decides whether it may call a function."""

    # Members are single objects; Enum's own hash is Python code, and targets are on the hot path.
    __hash__ = object.__hash__

    #: By a link of its own, with a client key: everything that a node offers.
    LINK = "link"
    #: By HTTP with a client key: what the node made public.
    HTTP = "http"
    #: By HTTP without a key: what the node made public and asks no key for.
    PUBLIC = "public"

    def allows(self, function: Function) -> bool:
        """Whether this caller may call a function that a node registered like this."""
        if self is Access.LINK:
            return True
        return function.public and (self is Access.HTTP or not function.auth_required)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who somebody is, as the gateway knows it; what that allows is decided in ``permissions.py``.

    Parameters
    ----------
    key_id
        Of the key that was shown. Calls belong to it.
    name
        Whose key it is, for people.
    scopes
        What the key is good for.
    weight
        How much of a busy node the key gets, to that of others.
    """

    key_id: str
    name: str
    scopes: frozenset[str]
    weight: float = 1.0


#: (node id or "" for any, function, who asks)
Target = tuple[str, str, Access]
#: What calls wait for that find room on a node together, or find none: their target, whether
#: arguments are still to come, what they need (of cells, whose session it is), and their priority.
Wanted = tuple[str, str, Access, bool, Requirements | tuple[str, str] | None, int]
