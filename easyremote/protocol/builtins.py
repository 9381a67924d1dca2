"""The functions of EasyRemote itself: one row for each name that starts with ``$``.

A row says who answers, whether a call of it is work that people see among their jobs, and in which
encoding the answer comes. Every other module compares names through this table; the wire document
shows it. ``tests/protocol/test_builtins.py`` proves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

#: The first character of a builtin's name; no registered function may start with it.
MARK: Final = "$"


class Answerer(Enum):
    """Who answers a call of a builtin."""

    GATEWAY = "the gateway"
    SUPERVISOR = "the node's supervisor process"
    #: The process of the session that is named, started where there is none.
    SESSION = "the session's process"
    #: A free process of the owner's pool.
    POOL = "a process for shipped functions"
    #: The process that runs, or ran, the call that is named.
    BESIDE = "the process of another call"


@dataclass(frozen=True, slots=True)
class Builtin:
    """One builtin function."""

    name: str
    answered_by: Answerer
    #: What it does, for the wire document.
    doc: str
    #: How the list of jobs calls it; empty for a question, which no list shows.
    job: str = ""
    #: The encodings in which it may be answered. Only user code answers in ``pickle5``.
    answers: tuple[str, ...] = ("msgpack",)
    #: The encodings in which its arguments may come. Only a session's process unpickles; who
    #: answers in msgpack alone, decodes the arguments without pickle, whatever they are called.
    takes: tuple[str, ...] = ("pickle5", "msgpack")


CALL: Final = "$call"
CANCEL: Final = "$cancel"
CELL: Final = "$cell"
CHANGES: Final = "$changes"
COMM: Final = "$comm"
END: Final = "$end"
FILES: Final = "$files"
HAVE: Final = "$have"
INPUT: Final = "$input"
KEEP: Final = "$keep"
KILL: Final = "$kill"
NODES: Final = "$nodes"
OUTPUT: Final = "$output"
PING: Final = "$ping"
RESTART: Final = "$restart"
SEND: Final = "$send"
SESSION: Final = "$session"
SESSIONS: Final = "$sessions"
VARIABLES: Final = "$variables"
WATCH: Final = "$watch"

_PICKLED = ("pickle5", "msgpack")

BUILTINS: Final[dict[str, Builtin]] = {
    row.name: row
    for row in (
        Builtin(PING, Answerer.GATEWAY, "Answers nothing, at once."),
        Builtin(NODES, Answerer.GATEWAY, "The nodes, their functions, and the caller's jobs."),
        Builtin(WATCH, Answerer.GATEWAY, "The same once a second, until it is cancelled."),
        Builtin(CHANGES, Answerer.GATEWAY, "Each node that comes, goes, or offers something else."),
        Builtin(CANCEL, Answerer.GATEWAY, "Stops the call whose id is in ``session``."),
        Builtin(KILL, Answerer.GATEWAY, "Stops that call and kills the process that runs it."),
        Builtin(
            *(CELL, Answerer.SESSION, "Runs a cell.", "cell"),
            answers=_PICKLED,
            takes=("pickle5",),
        ),
        Builtin(
            *(CALL, Answerer.POOL, "Runs a shipped function.", "shipped"),
            answers=_PICKLED,
            takes=("pickle5",),
        ),
        Builtin(
            *(SESSION, Answerer.SESSION, "Lists, gets, puts and deletes variables."),
            job="variables",
            answers=_PICKLED,
            takes=("pickle5",),
        ),
        Builtin(
            *(VARIABLES, Answerer.SESSION, "Lists and deletes variables; plain values only."),
            takes=("msgpack",),
        ),
        Builtin(
            *(COMM, Answerer.SESSION, "A message of the front end to a widget."),
            job="widget",
            answers=_PICKLED,
            takes=("pickle5",),
        ),
        Builtin(HAVE, Answerer.SUPERVISOR, "Which of these blobs are on the node."),
        Builtin(KEEP, Answerer.SUPERVISOR, "Keeps a blob, whose hash is in ``session``."),
        Builtin(SESSIONS, Answerer.SUPERVISOR, "The caller's sessions on the node."),
        Builtin(END, Answerer.SUPERVISOR, "Ends a session's process."),
        Builtin(RESTART, Answerer.SUPERVISOR, "Ends a session's process and starts an empty one."),
        Builtin(OUTPUT, Answerer.BESIDE, "What the call whose id is in ``session`` has shown."),
        Builtin(INPUT, Answerer.BESIDE, "The answer to what that call asks its user."),
        Builtin(SEND, Answerer.POOL, "Brings files to the node.", job="files"),
        Builtin(FILES, Answerer.SESSION, "Lists and reads the files of a session.", job="files"),
    )
}

#: What a node answers that runs cells and shipped functions.
OF_NODES: Final = tuple(
    row.name for row in BUILTINS.values() if row.answered_by is not Answerer.GATEWAY
)


def is_builtin(function: str) -> bool:
    """Whether a function's name is one of ours, known in this version or not."""
    return function.startswith(MARK)
