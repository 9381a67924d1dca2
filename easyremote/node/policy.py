"""What the owner of a node lends: `NodePolicy`, handed down whole to all who keep to it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CODE_CONCURRENCY", "INSTALL_VARIABLE", "SESSION_IDLE", "NodePolicy"]

#: A session that nobody used for so many seconds is ended.
SESSION_IDLE = 24 * 3600.0
#: How many calls of each builtin may be under way at a node; the processes are far fewer.
CODE_CONCURRENCY = 256
#: "no" in the environment of a process where sessions may not install packages.
INSTALL_VARIABLE = "EASYREMOTE_INSTALL"


@dataclass(frozen=True, slots=True)
class NodePolicy:
    """What a node does for others, and how much of it."""

    #: How many registered functions run at a time.
    slots: int
    #: How many shipped functions of one owner run at a time, each in a process of its own.
    processes: int
    #: Free words by which the node can be chosen.
    labels: tuple[str, ...] = ()
    #: Seconds after which a session that nobody uses is ended.
    session_idle: float = SESSION_IDLE
    #: Whether cells and shipped functions run here.
    allow_code: bool = False
    #: Whether sessions may have packages installed for them.
    allow_install: bool = True
