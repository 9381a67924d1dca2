"""How a program goes on with the node that the program before it has left in this process.

``tests/node/handover/test_handover.py`` proves it with real processes.
"""

from __future__ import annotations

import time

import easyremote
from easyremote.node.handover import processes
from easyremote.node.handover.control import Said, end
from easyremote.node.handover.state import State, read
from easyremote.node.processes.sessions import Sessions
from easyremote.protocol.callee import Callee

__all__ = ["go_on", "take", "tell"]


def take(descriptor: int) -> State:
    """What the program before this one has left in a file.

    Raises
    ------
    UsageError
        It is of another version.
    """
    with open(descriptor, "rb") as file:
        file.seek(0)
        return read(file.read())


def go_on(state: State, sessions: Sessions, registered: Callee) -> None:
    """Go on with all processes and calls."""
    registered.take_over([each.local() for each in state.registered], state.registered_before)
    processes.take_over(sessions, state)


def tell(state: State, node_id: str) -> None:
    """Tell whoever has asked for the handover what was kept."""
    kept = [process for process in state.processes if process.session]
    busy = sum(bool(process.queue) for process in kept)
    text = (
        f"Node {node_id!r} was handed over: easyremote {state.easyremote} -> "
        f"{easyremote.__version__}. Kept: {_count(len(kept), 'session')} ({busy} busy), "
        f"{_count(len(state.relayed) + len(state.registered), 'call')}. It was away for "
        f"{time.monotonic() - state.began:.1f} s."
    )
    end(state.asker, Said(text, is_last=True))
    # Whoever has read the state holds it as long as the node runs; the arguments may be large.
    state.relayed.clear()
    state.registered.clear()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
