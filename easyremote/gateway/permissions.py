"""Who may do what with which call: the one place where the gateway decides it. Pure.

A key has the scopes of its kind, and what it was made with; `principal_of` puts them together.
``tests/gateway/test_permissions.py`` proves it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from easyremote.errors import NotAuthorized
from easyremote.gateway.callers import Principal
from easyremote.gateway.keys import KeyRecord
from easyremote.gateway.records import GatewayCall, Node
from easyremote.identity import Kind

#: May call registered functions.
FUNCTIONS: Final = "functions"
#: May run cells and shipped functions, and look at their sessions: a shell account.
CODE: Final = "code"

#: May have calls run before those of others.
PRIORITISE: Final = "prioritise"

#: The name of the keys that a gateway makes for the user who started it.
LOCAL_USER: Final = "this user, on this machine"

_SCOPES: Final[dict[Kind, frozenset[str]]] = {
    "client": frozenset({FUNCTIONS, CODE}),
    "node": frozenset(),
}
#: Whoever calls a public function by HTTP without a key.
PUBLIC: Final = Principal("public", "anyone", frozenset({FUNCTIONS}))


class Action(Enum):
    """What somebody wants to do with a call."""

    START = "run it"
    SEE = "see that it is there, and how it stands"
    STOP = "cancel it, or kill its process"
    CLAIM = "get its outcome, after a new connection or with the same id"


def principal_of(
    key_id: str, name: str, kind: Kind, *, weight: float = 1.0, may_prioritise: bool = False
) -> Principal:
    """Somebody with such a key. Whoever started the gateway may prioritise on that machine."""
    scopes = _SCOPES[kind]
    if may_prioritise or (name == LOCAL_USER and kind == "client"):
        scopes |= {PRIORITISE}
    return Principal(key_id, name, scopes, weight)


def holder_of(record: KeyRecord) -> Principal:
    """Whoever has shown the key of this record."""
    return principal_of(
        *(record.key_id, record.name, record.kind),
        weight=record.weight,
        may_prioritise=record.may_prioritise,
    )


def is_local_user(principal: Principal) -> bool:
    """Whether it is who started the gateway, on that machine; this user sees what all have used."""
    return principal.name == LOCAL_USER


def may(principal: Principal, action: Action, call: GatewayCall) -> bool:
    """Whether somebody may do this with a call.

    A key sees, stops and claims its own calls only. Which nodes take a call that may start is
    decided by what each node has registered (`Access`).
    """
    if action is Action.START:
        if call.priority > 0 and PRIORITISE not in principal.scopes:
            return False
        return (CODE if call.is_code else FUNCTIONS) in principal.scopes
    if action is Action.CLAIM and call.client is not None and call.client.is_own:
        return False  # a detached call: its outcome is asked for by its id
    return call.owner == principal.key_id


def may_lend(principal: Principal, node: Node) -> bool:
    """Whether somebody may pause, drain and resume a node, and see and change its owner's rules.

    Its owner may: whose client key has the same name as the node's key (keys without a name belong
    to nobody), and whoever started the gateway, on that machine.
    """
    return is_local_user(principal) or (bool(node.owner) and principal.name == node.owner)


def not_yours(principal: Principal, node: Node) -> NotAuthorized:
    """The error of somebody who may not do what `may_lend` is about."""
    return NotAuthorized(
        f"Node {node.node_id!r} belongs to the key {node.owner or 'without a name'!r}, and yours "
        f"is called {principal.name!r}. Whoever has a client key of the node's name may do this, "
        "or who started the gateway, on that machine."
    )
