"""What nodes are asked, and what they answer: the contents of the builtins' calls.

``protocol/builtins.py`` says which of these belong to which builtin. All of them are msgpack. What
only the user's own code opens (a cell, a shipped function, the variables of a session) is a pickle,
and is described where it is made and opened. ``tests/protocol/test_builtins.py`` proves it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from easyremote.events import CommClose, CommMessage

#: Bytes of a file at the most: larger ones are no files of this decade.
FILE_LIMIT = 10**15
#: Bytes of one piece of a file at the most.
PIECE_LIMIT = 4_000_000

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Size = Annotated[int, msgspec.Meta(ge=0, le=FILE_LIMIT)]
PieceSize = Annotated[int, msgspec.Meta(ge=0, le=PIECE_LIMIT)]
PieceData = Annotated[bytes, msgspec.Meta(max_length=PIECE_LIMIT)]
#: At most the last second of the year 9999, in seconds since 1970.
Moment = Annotated[float, msgspec.Meta(ge=0, le=253402300799)]


# -- the gateway -----------------------------------------------------------------------------------


class DetachedCall(msgspec.Struct, frozen=True):
    """A detached call of the caller's.

    ``state``: as of any call while it waits or runs; ``kept`` when its outcome can be collected.
    ``since``: when it was accepted, and ``keep_until``: until when its outcome is kept, by the
    gateway's clock, in seconds since 1970; none before its end. ``code``: of its error, empty for a
    value. ``size``: of its outcome in bytes. ``session``: of a cell.
    """

    call_id: str
    function: str
    node_id: str | None
    state: str
    since: Moment
    keep_until: Moment | None = None
    code: str = ""
    size: int = 0
    origin: str = ""
    session: str = ""


class DetachedCalls(msgspec.Struct, frozen=True):
    """Detached calls, the oldest first."""

    calls: tuple[DetachedCall, ...]


# -- the supervisor of a node ----------------------------------------------------------------------


class Blobs(msgspec.Struct, frozen=True):
    """Parts of values, by their SHA-256. As an answer: those that are on the node."""

    hashes: tuple[Hash, ...]


class NewBlob(msgspec.Struct, frozen=True):
    """A part of a value, which the node keeps for calls to come.

    ``data`` is the last field, so that it can be sent from where it lies.
    """

    hash: Hash
    data: memoryview


class SessionInfo(msgspec.Struct, frozen=True):
    """A session of the caller's.

    ``session``: its name. ``busy``: whether something runs in it. ``waiting``: how many calls wait
    for their turn. ``idle``: seconds since its last use. ``origin``: where its newest cell came
    from.
    """

    session: str
    busy: bool
    waiting: int
    idle: float
    origin: str = ""


class SessionsAnswer(msgspec.Struct, frozen=True):
    """The sessions of the caller's on a node."""

    sessions: tuple[SessionInfo, ...]


#: A rule of a node's owner, as people write it.
RuleWords = Annotated[str, msgspec.Meta(max_length=200)]


class RulesRequest(msgspec.Struct, frozen=True):
    """The rules of a node's owner: change some, and tell all.

    ``changes``, by name: how the rule is from now on, as people write it; None lifts it. The
    gateway passes it on for the owner of the node only.
    """

    changes: dict[RuleWords, RuleWords | bool | None] = {}


class RulesAnswer(msgspec.Struct, frozen=True):
    """The owner's rules that are in force on a node.

    ``rules``, by name: as people write them; what is not there is not limited. ``file``: where they
    are kept; empty where they hold until the node ends. ``at_start``: those that the node was
    started with; they are in force again when it is started the same way. ``closed``: why nothing
    new starts by these rules now. ``refused``, by name: what is wrong with a change; then none
    was made.
    """

    rules: dict[str, str]
    file: str = ""
    at_start: dict[str, str] = {}
    closed: str = ""
    refused: dict[str, str] = {}


# -- the process of another call -------------------------------------------------------------------


class Replay(msgspec.Struct, frozen=True):
    """Show once more what a call has shown.

    ``follow``: go on until the call has ended. ``bars_only``: show its progress only.
    """

    follow: bool = False
    bars_only: bool = False


class CallStatus(msgspec.Struct, frozen=True):
    """How a call stands.

    ``state``: ``queued``, ``running`` or ``done``. ``error``: code, message and details of the
    error with which it ended.
    """

    state: str
    error: tuple[str, str, dict[str, object]] | None = None


class InputReply(msgspec.Struct, frozen=True):
    """The answer to what a cell asks its user, or why there is none."""

    number: int
    text: str
    error: str = ""


# -- files -----------------------------------------------------------------------------------------


#: What is in a file: its SHA-256, and its size in bytes.
FileContent = tuple[Hash, Size]
#: How many bytes of a file are on the node, and whether that is all of it.
FileState = tuple[Size, bool]


class AskForFiles(msgspec.Struct, frozen=True, tag="have"):
    """How much of each of these files is on the node."""

    contents: tuple[FileContent, ...]


class WritePiece(msgspec.Struct, frozen=True, tag="write"):
    """One piece of a file, which begins at ``offset`` bytes."""

    content: FileContent
    offset: Size
    data: PieceData


class FileStates(msgspec.Struct, frozen=True):
    """The states of the files that were asked about, in their order."""

    states: tuple[FileState, ...]


class ListFiles(msgspec.Struct, frozen=True, tag="list"):
    """The files of a session: those in ``outputs/``, and those that were sent."""


class DescribeFile(msgspec.Struct, frozen=True, tag="describe"):
    """What is in an output."""

    name: bytes


class ReadPiece(msgspec.Struct, frozen=True, tag="read"):
    """A piece of an output: ``size`` bytes from ``offset`` on."""

    name: bytes
    offset: Size
    size: PieceSize


class FileInfo(msgspec.Struct, frozen=True):
    """A file of a session.

    ``name``: its path below ``outputs/``, as the node's file system has it; of a file that was
    sent, the last part of its path. ``time``: when it was written or sent, by the node's clock.
    """

    name: bytes
    size: Size
    time: Moment
    is_sent: bool


class FileList(msgspec.Struct, frozen=True, tag="files"):
    """The answer to `ListFiles`."""

    files: tuple[FileInfo, ...]


class FileDescription(msgspec.Struct, frozen=True, tag="content"):
    """The answer to `DescribeFile`."""

    content: FileContent


class FilePiece(msgspec.Struct, frozen=True, tag="piece"):
    """The answer to `ReadPiece`; empty at the file's end."""

    data: PieceData


# -- a session -------------------------------------------------------------------------------------


class ListVariables(msgspec.Struct, frozen=True, tag="list"):
    """The variables of a session."""


class DeleteVariable(msgspec.Struct, frozen=True, tag="delete"):
    """Delete a variable of a session."""

    name: str


class VariableInfo(msgspec.Struct, frozen=True):
    """A variable of a session, as text.

    ``size`` in bytes, about. ``shape`` of an array or a table.
    """

    type: str
    size: int
    text: str
    shape: tuple[int, ...] | None = None
    is_widget: bool = False


class VariablesAnswer(msgspec.Struct, frozen=True):
    """The variables of a session by their names. `DeleteVariable` is answered with none."""

    variables: dict[str, VariableInfo]


class WidgetMessage(msgspec.Struct, frozen=True):
    """What the front end says to a widget.

    ``process``: in which process of the session the widget was made. ``parent``: the id of the
    front end's message.
    """

    event: CommMessage | CommClose
    process: str
    parent: str


class WidgetAnswer(msgspec.Struct, frozen=True):
    """Whether the widget is there."""

    is_open: bool


SendRequest = AskForFiles | WritePiece
FilesRequest = ListFiles | DescribeFile | ReadPiece
FilesAnswer = FileList | FileDescription | FilePiece
VariablesRequest = ListVariables | DeleteVariable
