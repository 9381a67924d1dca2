"""What the server extension sends to the browser, as JSON.

The twin of this module is ``labextension/src/core/protocol.ts``; the samples in
``tests/panel/samples`` hold the two together: the tests of both sides read
them. A snapshot is copied field by field, so whatever else the gateway sends (or will send)
never reaches a browser. ``tests/panel/test_messages.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

import easyremote
from easyremote.errors import (
    CallError,
    EasyRemoteError,
    GatewayUnreachable,
    NotAuthorized,
    UsageError,
    VersionMismatch,
)

Reason = Literal["not-configured", "not-authorized", "unreachable", "version-mismatch", "failed"]


#: Samples in percents, or in kB a second, a second apart; None for what is not known.
Series = list[int | None]


class Gateway(msgspec.Struct):
    address: str
    version: str


class GpuRow(msgspec.Struct):
    name: str
    use: float | None = None  # 0 to 1
    memory_used: int | None = None  # bytes
    memory_total: int | None = None


class NodeRow(msgspec.Struct):
    node_id: str
    state: str  # online, suspect or offline; a newer gateway may know more
    since: float  # seconds in this state
    python: str
    version: str
    functions: list[str]
    running: int
    slots: int
    cores: int | None = None
    cpu: float | None = None  # 0 to 1, of all cores together
    memory_used: int | None = None  # bytes
    memory_total: int | None = None
    gpus: list[GpuRow] = []
    received: float | None = None  # bytes a second, from and to other machines
    sent: float | None = None
    labels: list[str] = []
    runs_code: bool = False  # cells and shipped functions
    installs: bool = False  # packages, for a session
    session_idle: float | None = None  # seconds after which an unused session is ended
    processes: int | None = None  # shipped functions of one key at a time
    withheld: dict[str, str] = {}  # functions that it has and does not offer, and why
    closed: str = ""  # why nothing new starts there now; empty where something may
    lent: str = "yes"  # or paused or drained: what its owner has asked the gateway for
    asked: dict[str, str] = {}  # by session: who waits for the GPU memory that it holds idle


class JobRow(msgspec.Struct):
    call_id: str
    function: str
    node_id: str | None
    state: str  # queued, dispatched, running or suspect; a newer gateway may know more
    seconds: float
    origin: str = ""  # kernel/cell, as `easyremote_jupyter.places.origin` has them
    place: int | None = None  # in its queue, where it waits
    why: str = ""  # why it waits, or stands still; a sentence


class EndedJob(msgspec.Struct):
    call_id: str
    function: str
    node_id: str | None
    code: str  # of the error; empty where there was none
    seconds: float  # that it ran
    ago: float  # seconds since it ended
    origin: str = ""


class Bar(msgspec.Struct):
    """One progress bar of a job, as `easyremote.events.Progress` has it."""

    id: str
    position: int
    desc: str
    n: float
    unit: str
    elapsed: float
    state: str  # running, done or failed
    total: float | None = None
    rate: float | None = None
    eta: float | None = None
    postfix: str = ""
    scaled: bool = False


class JobBars(msgspec.Struct):
    """The bars of one job that are worth showing, the outermost first, and how many there are."""

    bars: list[Bar]
    count: int


class Connecting(msgspec.Struct, tag_field="kind", tag="connecting"):
    """The feed is connecting; nothing is known yet."""


class Snapshot(msgspec.Struct, tag_field="kind", tag="snapshot"):
    """Everything that the panel shows, at one moment."""

    gateway: Gateway
    nodes: list[NodeRow]
    jobs: list[JobRow]
    more: int = 0  # jobs beside these
    ended: list[EndedJob] = []  # the last jobs that are over, the newest first
    seq: int = 0  # of the messages to one browser
    sample: int = 0  # the number of the newest sample of the history
    history: dict[str, list[Series]] = {}  # see `history.meters`
    after: int = 0  # the history begins after this sample
    latency: float | None = None  # seconds that the gateway takes to answer this server
    server: str = easyremote.__version__  # of this extension; the page may have another


class Delta(msgspec.Struct, tag_field="kind", tag="delta", omit_defaults=True):
    """What has changed since the message before; all that is not named is unchanged."""

    seq: int
    sample: int  # the meters have kept their values up to it
    nodes: list[NodeRow] = []
    gone: list[str] = []
    jobs: list[JobRow] = []
    over: list[str] = []  # call ids of jobs that are no more
    more: int = 0
    ended: list[EndedJob] = []  # those that were not told before
    latency: float | None = None


class BarsMoved(msgspec.Struct, tag_field="kind", tag="progress"):
    """The bars that have moved, by call id; those of other jobs are unchanged."""

    jobs: dict[str, JobBars]


class Unavailable(msgspec.Struct, tag_field="kind", tag="unavailable"):
    """Why there is nothing to show, in words for people, and when the next try is."""

    reason: Reason
    message: str
    retry_in: int  # seconds


#: What the feed knows; to a browser that has a snapshot already a delta goes instead.
Message = Connecting | Snapshot | Unavailable


class Polled(msgspec.Struct):
    """The answer to a browser that polls because it can't have a stream."""

    message: Message
    progress: BarsMoved  # all bars of all jobs


class Piece(msgspec.Struct):
    """Some text of a log."""

    kind: str  # stdout, stderr, display or error
    text: str


class LogPage(msgspec.Struct):
    """Some of a log, and how its job stands when it ends here."""

    epoch: str  # of the numbers
    start: int  # the number of the first piece
    pieces: list[Piece]
    state: str  # queued, running, done, failed or lost


class LendRequest(msgspec.Struct):
    """From the browser: the owner of a node pauses, drains or resumes it."""

    node_id: str
    how: Literal["pause", "drain", "resume"]


class LendAnswer(msgspec.Struct):
    """The answer to it."""

    closed: str  # as of the node


class RulesChange(msgspec.Struct):
    """From the browser: the owner of a node changes some of its rules."""

    node_id: str
    changes: dict[str, str | None]  # by name, as people write them; None lifts a rule


class Rules(msgspec.Struct):
    """The owner's rules that are in force on a node."""

    rules: dict[str, str]  # by name; what is not there is not limited
    file: str  # where the node keeps them; empty where they hold until it ends
    at_start: dict[str, str]  # those that the node was started with
    refused: dict[str, str]  # what is wrong with a change, by name; then none was made


class UsageOfKey(msgspec.Struct):
    """What the calls of one key have used on a node."""

    key: str  # whose it is; its id where it has no name
    calls: int
    failed: int  # calls that ended without a value
    run_seconds: float
    gpu_seconds: float
    argument_bytes: int
    result_bytes: int


class UsageList(msgspec.Struct):
    """The keys that have used a node, the one that used most first."""

    rows: list[UsageOfKey]


class StopAnswer(msgspec.Struct):
    """The answer to a cancel or a kill."""

    stopped: bool  # False where it was over


class ErrorText(msgspec.Struct):
    """How a job failed."""

    error: str  # empty where it did not


class SessionRow(msgspec.Struct):
    """A session on a node, of the server's own key."""

    node_id: str
    session: str
    busy: bool  # something runs there
    waiting: int  # calls that wait for that
    idle: float  # seconds since it was used last
    origin: str = ""  # of its newest cell: kernel/cell


class SessionList(msgspec.Struct):
    sessions: list[SessionRow]
    silent: list[str]  # nodes that did not answer


class Variable(msgspec.Struct):
    name: str
    type: str
    size: int  # bytes, roughly
    text: str  # its repr, shortened
    shape: list[int] | None = None  # of an array


class VariableList(msgspec.Struct):
    """The variables of a session; they are unknown while a cell runs there."""

    busy: bool
    variables: list[Variable] = []


class SessionRequest(msgspec.Struct):
    """From the browser: do something to this session."""

    node_id: str
    session: str


class DeleteRequest(SessionRequest):
    """From the browser: delete this variable of it."""

    name: str


class Done(msgspec.Struct):
    """The answer to what was done to a session."""

    done: bool  # False where there was none any more


class FunctionRow(msgspec.Struct):
    """A function that a node offers."""

    node_id: str
    name: str
    signature: str
    doc: str
    streams: bool  # a generator
    parameters: msgspec.Raw  # JSON Schema of its arguments; null where a form can't have them
    timeout: float  # seconds that a call may run, 0 for no limit
    max_concurrency: int  # calls at a time, 0 for as many as the node's slots
    public: bool  # an HTTP endpoint of the gateway
    needs: str = ""  # what a call needs of the machine, and what more it was seen to hold


class FunctionList(msgspec.Struct):
    functions: list[FunctionRow]


class RunRequest(msgspec.Struct):
    """From the browser: call a function with these arguments."""

    node_id: str
    function: str
    arguments: dict[str, Any]


class RunResult(msgspec.Struct):
    """How a run stands."""

    call_id: str
    state: str  # running, done or failed
    text: str = ""  # the value as JSON, or the error


class Retry(msgspec.Struct, tag_field="kind", tag="retry"):
    """From the browser: try again now."""


#: The first class that fits gives the reason.
_REASONS: tuple[tuple[type[EasyRemoteError], Reason], ...] = (
    (UsageError, "not-configured"),
    (NotAuthorized, "not-authorized"),
    (GatewayUnreachable, "unreachable"),
    (VersionMismatch, "version-mismatch"),
    (CallError, "unreachable"),  # the watch was a call; it ends like this when the gateway goes
)


def snapshot(raw: Mapping[str, Any], address: str) -> Snapshot:
    """Keep of a client's snapshot what the panel shows; raises `msgspec.ValidationError`.

    The address is the one that this machine uses: a gateway can't know under which names it is
    reached.
    """
    ours = {
        "kind": "snapshot",
        "gateway": {**raw["gateway"], "address": address},
        "server": easyremote.__version__,
    }
    return msgspec.convert({**raw, **ours}, Snapshot)


def unavailable(error: EasyRemoteError, retry_in: int) -> Unavailable:
    """Tell the browser about an error of the connection to the gateway."""
    reasons: list[Reason] = [reason for cls, reason in _REASONS if isinstance(error, cls)]
    reason: Reason = reasons[0] if reasons else "failed"
    return Unavailable(reason, str(error), retry_in)


def encode(message: Message | Delta | BarsMoved) -> str:
    return msgspec.json.encode(message).decode()
