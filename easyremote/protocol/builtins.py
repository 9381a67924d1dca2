"""The functions of EasyRemote itself: one row for each name that starts with ``$``.

A row says who answers, whether a call of it is work that people see among their jobs, and what its
arguments and its answer are. Every other module compares names through this table; the wire
document shows it. ``tests/protocol/test_builtins.py`` proves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from easyremote.errors import ProtocolError
from easyremote.events import Event
from easyremote.packing import UNREADABLE
from easyremote.protocol import requests, usage
from easyremote.protocol.snapshot import GatewaySnapshot, NodeInfo
from easyremote.protocol.streams import Buffer

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


class UserPickle:
    """Contents that only the user's own code opens: neither gateway nor supervisor can."""


@dataclass(frozen=True, slots=True)
class Builtin:
    """One builtin function."""

    name: str
    answered_by: Answerer
    #: What it does, for the wire document.
    doc: str
    #: How the list of jobs calls it; empty for a question, which no list shows.
    job: str = ""
    #: The types of its arguments, of its answer, and of each of its items if it shows some before
    #: that; None for nothing.
    takes: Any = None
    answers: Any = None
    shows: Any = None

    @property
    def encoding(self) -> str:
        """The one encoding in which its arguments and its answer may come."""
        return "pickle5" if self.answers is UserPickle else "msgpack"


CALL: Final = "$call"
CANCEL: Final = "$cancel"
CELL: Final = "$cell"
CHANGES: Final = "$changes"
COLLECT: Final = "$collect"
COMM: Final = "$comm"
DETACHED: Final = "$detached"
DRAIN: Final = "$drain"
END: Final = "$end"
EXPLAIN: Final = "$explain"
FILES: Final = "$files"
HAVE: Final = "$have"
INPUT: Final = "$input"
KEEP: Final = "$keep"
KILL: Final = "$kill"
NODES: Final = "$nodes"
OUTPUT: Final = "$output"
PAUSE: Final = "$pause"
PING: Final = "$ping"
RELEASE: Final = "$release"
RESTART: Final = "$restart"
RESUME: Final = "$resume"
RULES: Final = "$rules"
SEND: Final = "$send"
SESSION: Final = "$session"
SESSIONS: Final = "$sessions"
USAGE: Final = "$usage"
VARIABLES: Final = "$variables"
WATCH: Final = "$watch"

_PICKLED: Final[dict[str, Any]] = {"takes": UserPickle, "answers": UserPickle}

BUILTINS: Final[dict[str, Builtin]] = {
    row.name: row
    for row in (
        Builtin(PING, Answerer.GATEWAY, "Answers nothing, at once."),
        Builtin(
            *(NODES, Answerer.GATEWAY, "The nodes, their functions, and the caller's jobs."),
            answers=GatewaySnapshot,
        ),
        Builtin(
            *(WATCH, Answerer.GATEWAY, "The same once a second, until it is cancelled."),
            shows=GatewaySnapshot,
        ),
        Builtin(
            *(CHANGES, Answerer.GATEWAY, "Each node that comes, goes, or offers something else."),
            shows=NodeInfo,
        ),
        Builtin(
            *(CANCEL, Answerer.GATEWAY, "Stops the call whose id is in ``session``."),
            answers=bool,
        ),
        Builtin(
            *(KILL, Answerer.GATEWAY, "Stops that call and kills the process that runs it."),
            answers=bool,
        ),
        Builtin(
            *(
                EXPLAIN,
                Answerer.GATEWAY,
                "How the call whose id is in ``session`` stands.",
            ),
            answers=str,
        ),
        Builtin(
            *(
                COLLECT,
                Answerer.GATEWAY,
                "The outcome of the detached call whose id is in ``session``, when it is there.",
            ),
            answers=UserPickle,
        ),
        Builtin(
            *(RELEASE, Answerer.GATEWAY, "Forgets that outcome; false where the call is not over."),
            answers=bool,
        ),
        Builtin(
            *(
                DETACHED,
                Answerer.GATEWAY,
                "The caller's detached calls; only that one, if ``session`` names one.",
            ),
            answers=requests.DetachedCalls,
        ),
        Builtin(
            *(USAGE, Answerer.GATEWAY, "What was used, by key, node or function."),
            takes=usage.UsageRequest,
            answers=usage.UsageAnswer,
        ),
        Builtin(
            *(PAUSE, Answerer.GATEWAY, "Nothing new starts on a node of the caller's; calls wait."),
            answers=NodeInfo,
        ),
        Builtin(
            *(DRAIN, Answerer.GATEWAY, "As $pause, but calls that name the node are refused."),
            answers=NodeInfo,
        ),
        Builtin(
            *(RESUME, Answerer.GATEWAY, "The end of $pause and $drain."),
            answers=NodeInfo,
        ),
        Builtin(CELL, Answerer.SESSION, "Runs a cell.", "cell", **_PICKLED),
        Builtin(CALL, Answerer.POOL, "Runs a shipped function.", "shipped", **_PICKLED),
        Builtin(
            *(SESSION, Answerer.SESSION, "Lists, gets, puts and deletes variables.", "variables"),
            **_PICKLED,
        ),
        Builtin(
            *(VARIABLES, Answerer.SESSION, "Lists and deletes variables; plain values only."),
            takes=requests.VariablesRequest,
            answers=requests.VariablesAnswer,
        ),
        Builtin(
            *(COMM, Answerer.SESSION, "A message of the front end to a widget.", "widget"),
            takes=requests.WidgetMessage,
            answers=requests.WidgetAnswer,
        ),
        Builtin(
            *(HAVE, Answerer.SUPERVISOR, "Which of these blobs are on the node."),
            takes=requests.Blobs,
            answers=requests.Blobs,
        ),
        Builtin(
            *(KEEP, Answerer.SUPERVISOR, "Keeps a blob; says whether there was room for it."),
            takes=requests.NewBlob,
            answers=bool,
        ),
        Builtin(
            *(SESSIONS, Answerer.SUPERVISOR, "The caller's sessions on the node."),
            answers=requests.SessionsAnswer,
        ),
        Builtin(
            *(RULES, Answerer.SUPERVISOR, "The owner's rules of the node, told and changed."),
            takes=requests.RulesRequest,
            answers=requests.RulesAnswer,
        ),
        Builtin(END, Answerer.SUPERVISOR, "Ends a session's process.", answers=bool),
        Builtin(
            *(RESTART, Answerer.SUPERVISOR, "Ends a session's process and starts an empty one."),
            answers=bool,
        ),
        Builtin(
            *(OUTPUT, Answerer.BESIDE, "What the call whose id is in ``session`` has shown."),
            takes=requests.Replay,
            answers=requests.CallStatus,
            shows=Event,
        ),
        Builtin(
            *(INPUT, Answerer.BESIDE, "The answer to what that call asks its user."),
            takes=requests.InputReply,
            answers=bool,
        ),
        Builtin(
            *(SEND, Answerer.POOL, "Brings files to the node.", "files"),
            takes=requests.SendRequest,
            answers=requests.FileStates,
        ),
        Builtin(
            *(FILES, Answerer.SESSION, "Lists and reads the files of a session.", "files"),
            takes=requests.FilesRequest,
            answers=requests.FilesAnswer,
        ),
    )
}

#: What the gateway answers itself.
OF_GATEWAY: Final = frozenset(
    row.name for row in BUILTINS.values() if row.answered_by is Answerer.GATEWAY
)
#: What a node answers that runs cells and shipped functions.
OF_NODES: Final = tuple(
    row.name for row in BUILTINS.values() if row.answered_by is not Answerer.GATEWAY
)

#: The builtins that start something new on a node. All others ask of what is there, or end it.
_STARTING: Final = frozenset({CALL, CELL, COMM, SEND})


def starts_work(function: str) -> bool:
    """Whether a call starts something new on a node: a registered function, a cell and the like."""
    return function in _STARTING or not is_builtin(function)


def is_builtin(function: str) -> bool:
    """Whether a function's name is one of ours, known in this version or not."""
    return function.startswith(MARK)


def job_name(function: str) -> str:
    """What people call a call of a function that is work: ``add()``, or ``cell``."""
    return BUILTINS[function].job if function in BUILTINS else f"{function}()"


def open_request(function: str, arguments: Buffer) -> Any:
    """The arguments of a call of a builtin, in the types of its row.

    Raises
    ------
    ProtocolError
        They are something else.
    """
    try:
        return msgspec.msgpack.decode(arguments, type=BUILTINS[function].takes)
    except UNREADABLE as error:
        raise ProtocolError(f"The arguments of {function} can't be read: {error}.") from None
