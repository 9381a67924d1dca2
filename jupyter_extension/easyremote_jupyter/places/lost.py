"""What a session has taken with it: the variables that were there only, and how to make them anew.

``tests/jupyter_extension/magics/test_restart.py`` proves it in real kernels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from easyremote.client.refs import RemoteRef, size_text
from easyremote.client.session import Session, own_name
from easyremote.errors import CallError, CallLost

__all__ = ["command", "only_there", "with_losses"]

#: How many variables an error names.
NAMED = 20


def only_there(there: Collection[str], space: Mapping[str, object]) -> list[str]:
    """The variables of a session that are not here, in words: ``model (Net, 1.2 GB)``."""
    words = []
    for name in sorted(there):
        value = space.get(name)
        if isinstance(value, RemoteRef):
            size = f", {size_text(value.size)}" if value.size else ""
            words.append(f"{name} ({value.type_name}{size})")
        elif name not in space:
            words.append(name)
    more = [f"{len(words) - NAMED} more"] if len(words) > NAMED else []
    return words[:NAMED] + more


def command(session: Session) -> str:
    """The line that makes a session again."""
    target = session.node_id if session.name == own_name() else f"{session.node_id}/{session.name}"
    return f"%remote_restart {target} --again"


def with_losses(
    error: CallError, session: Session, lost: list[str], *, has_cells: bool
) -> CallError:
    """The error of a cell whose session has died, or may have: it says what was there."""
    if not lost:
        return error
    if_so = "If its session is gone: it held" if isinstance(error, CallLost) else "Gone with it:"
    how = f" {command(session)} runs the cells again that made it." if has_cells else ""
    return type(error)(f"{error} {if_so} {', '.join(lost)}.{how}", **error.details)
