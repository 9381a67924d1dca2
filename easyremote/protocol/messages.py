"""The wire specification: one struct a message, in the order of a connection's life.

A message is a msgpack array: its tag, then its fields in the order given here. Trailing fields with
defaults may be missing; fields that a newer minor version appends are ignored. A message travels as
the body of a control record (``frames.py``). ``wire_document.py`` makes the document of the wire
from these docstrings. ``tests/vectors/`` holds that document, and the bytes of each message.

Every field has a size. The decoder refuses a value above it, and NaN and infinity. So a message
costs its receiver a known amount of memory, and no time in a message can stop a timer.
``tests/protocol/test_sizes.py`` proves it.

Fields that mean the same everywhere are named here only:

call: the number of a call, on this link.
calls: the numbers of calls, on this link.
call_id: 16 random bytes that name a call everywhere and for ever. The client makes them.
stream: the number that its sender gave the stream, on this link.
protocol: major and minor version; another major is refused.
versions: of ``easyremote`` and ``python``.
capabilities: none is defined yet; unknown ones are ignored.
memory_used: in bytes.
memory_total: in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from easyremote.options.reading import MOST_PRIORITY
from easyremote.options.requirements import Requirements
from easyremote.options.retries import Retry

PROTOCOL = (1, 0)
SUBPROTOCOL = "easyremote.v1"

#: Payloads up to this size ride inside their control message; larger ones are streams.
INLINE_LIMIT: Final = 16 * 1024
#: The largest payload of one call, where a gateway says nothing else.
MAX_PAYLOAD: Final = 2 * 1024**3
#: Characters of a name: of a function, a node, a session, a key.
NAME_LIMIT: Final = 1000
#: Characters of a text for people; the record that carries it is the tighter limit.
TEXT_LIMIT: Final = 2**20
#: The longest time in a message, in seconds: 31 years. A longer one is a mistake.
LONGEST_TIME: Final = 1e9
#: How many calls one message may name. A RESUME with so many fits into a control record.
MANY_CALLS: Final = 2**15
#: How many functions a node may offer, and how many entries another list may have.
MANY_FUNCTIONS: Final = 10_000
MANY_ENTRIES: Final = 1000
#: Characters of the address of a notification; and how many of them one RESUME may hold.
ADDRESS_LIMIT: Final = 2000
MANY_ADDRESSES: Final = 50

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
Name = Annotated[str, Meta(max_length=NAME_LIMIT)]
Text = Annotated[str, Meta(max_length=TEXT_LIMIT)]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_TIME)]
#: A time below 0 has a meaning of its own.
SignedSeconds = Annotated[float, Meta(ge=-LONGEST_TIME, le=LONGEST_TIME)]
#: 0 is the usual one.
Priority = Annotated[int, Meta(ge=-MOST_PRIORITY, le=MOST_PRIORITY)]
#: Bytes a second.
Rate = Annotated[float, Meta(ge=-1, le=1e15)]
Fraction = Annotated[float, Meta(ge=0, le=1e6)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
#: A stream's number has four bytes in the head of a chunk.
StreamNumber = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Numbers = Annotated[tuple[int, ...], Meta(max_length=MANY_CALLS)]
Names = Annotated[tuple[Name, ...], Meta(max_length=MANY_ENTRIES)]
#: A ``traceparent`` of W3C Trace Context, version 00.
Trace = Annotated[str, Meta(max_length=55)]
#: Of a notification, as the library apprise reads it.
Address = Annotated[str, Meta(max_length=ADDRESS_LIMIT)]
Versions = Annotated[dict[Name, Name], Meta(max_length=MANY_ENTRIES)]


class Payload(msgspec.Struct, array_like=True, gc=False):
    """Bytes that only the two ends read: arguments, a result, an event. The gateway can't.

    encoding: ``pickle5``, ``msgpack`` or ``json``.
    size: how many bytes there are.
    data: the bytes, if ``stream`` is 0.
    stream: the number of the stream that carries the bytes; 0 if they are in ``data``.
    """

    encoding: Annotated[str, Meta(max_length=32)] = "pickle5"
    size: Count = 0
    data: Annotated[bytes, Meta(max_length=INLINE_LIMIT)] = b""
    stream: StreamNumber = 0


class Function(msgspec.Struct, array_like=True, gc=False):
    """What a node says of a function that it offers.

    name: the name by which it is called.
    doc: its docstring, for people.
    signature: its signature, for people.
    timeout: seconds that a call of it may run, 0 for no limit.
    is_async: whether it is a coroutine function.
    streams: whether it is a generator.
    max_concurrency: how many calls of it may run at a time, 0 for the node's slots.
    public: whether it is an HTTP endpoint.
    auth_required: whether that endpoint asks for a key.
    tags: words that its owner chose.
    parameters: the JSON Schema of its arguments; empty if they can't be given by name.
    max_body: bytes of the largest HTTP body that calls it, 0 for the gateway's limit.
    requirements: what a call of it needs of the machine, and holds; nil for nothing.
    retry: when a call of it that failed is tried again; nil for never.
    balancing: ``round_robin``, ``latency``, ``weighted``; empty: the least loaded; or ``one_node``.
    gpu_peak: bytes of a GPU that its calls were seen to hold, where that is more than it needs.
    in_process: whether its calls run in processes of their own.
    """

    name: Name
    doc: Text = ""
    signature: Text = ""
    timeout: Seconds = 0.0
    is_async: bool = False
    streams: bool = False
    max_concurrency: Count = 0
    public: bool = False
    auth_required: bool = False
    tags: Names = ()
    parameters: Text = ""
    max_body: Count = 0
    requirements: Requirements | None = None
    retry: Retry | None = None
    balancing: Name = ""
    gpu_peak: Count = 0
    in_process: bool = False


class Withheld(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A function that a node has, and does not offer.

    name: its name.
    why: the reason, for people: "no GPU".
    """

    name: Name
    why: Name


class GpuHolder(msgspec.Struct, array_like=True, gc=False):
    """Who holds memory of a GPU.

    memory: in bytes, with what was promised and is not taken yet. A session that runs on this GPU
    is named also if it holds nothing.
    owner: the id of the key whose call or session it is; empty for a process of somebody else.
    session: the session; empty for the process of a function.
    what: a function, or a process of somebody else, for people: "python of user eve".
    idle: seconds since the session ran anything, 0 while it does.
    """

    memory: Count
    owner: Name = ""
    session: Name = ""
    what: Name = ""
    idle: Seconds = 0.0


class Gpu(msgspec.Struct, array_like=True, gc=False):
    """One GPU of a node's machine.

    name: its name, for people.
    use: how busy it is, as a fraction of its time.
    memory_free: what a further call can have, neither used nor promised; -1 if that is not known.
    The memory of idle processes that are ended when somebody needs it counts as free.
    calls: how many calls run on it.
    holders: who holds its memory, the largest first.
    """

    name: Name
    use: Fraction
    memory_used: Count
    memory_total: Count
    memory_free: Annotated[int, Meta(ge=-1, le=2**62)] = -1
    calls: Count = 0
    holders: Annotated[tuple[GpuHolder, ...], Meta(max_length=MANY_ENTRIES)] = ()


class Hello(msgspec.Struct, array_like=True, tag=1, gc=False):
    """The first message of the side that dialled, within 5 s and 4 KiB.

    role: ``client`` or ``node``.
    key: the key that admits the sender.
    name: the node's id; a client's name for itself.
    instance: 16 random bytes, new with every process.
    uptime: seconds since that process started.
    fresh: as in the CHALLENGE.
    """

    protocol: tuple[int, int]
    role: Name
    key: Name
    name: Name
    instance: Id
    uptime: Seconds = 0.0
    versions: Versions = {}
    capabilities: Names = ()
    fresh: Annotated[bytes, Meta(max_length=16)] = b""


class Welcome(msgspec.Struct, array_like=True, tag=2, gc=False):
    """The gateway's answer to HELLO: now the link is open.

    instance: 16 random bytes, new with every start of the gateway.
    max_payload: the largest payload that the gateway carries, in bytes.
    max_calls: how many calls this link may have outstanding; a client keeps the others back.
    """

    protocol: tuple[int, int]
    instance: Id
    versions: Versions = {}
    capabilities: Names = ()
    max_payload: Count = 0
    max_calls: Count = 1


class Refused(msgspec.Struct, array_like=True, tag=3, gc=False):
    """The gateway closes the link, and dialling again will not help.

    code: the code of the error, as in ``errors.py``.
    message: what happened and what to do, for people.
    """

    code: Name
    message: Text


class GoingAway(msgspec.Struct, array_like=True, tag=4, gc=False):
    """The sender stops. From a gateway: dial again. From a node: give it no new work.

    A client answers the gateway's GOING AWAY with its own, and submits nothing after that. The
    gateway hands back what the client submitted before. The gateway answers a node's in the same
    way, and the node hands back what it was sent before.

    reason: why, for people.
    """

    reason: Text = ""


class Ping(msgspec.Struct, array_like=True, tag=5, gc=False):
    """Are you there? Sent after some seconds of silence; any byte that comes is an answer.

    nonce: the PONG has the same.
    """

    nonce: int = 0


class Pong(msgspec.Struct, array_like=True, tag=6, gc=False):
    """I am.

    nonce: as in the PING.
    """

    nonce: int = 0


class Register(msgspec.Struct, array_like=True, tag=7, gc=False):
    """From a node: all that it offers now. This replaces what it said before.

    functions: the functions that can be called there.
    slots: how many calls it runs at a time.
    labels: words that its owner chose; a caller can choose a node by them.
    cores: how many cores its machine has.
    gpus: the GPUs of its machine.
    installs: whether packages may be installed for a session.
    session_idle: seconds after which an unused session is ended, 0 if the node does not say.
    processes: how many shipped functions of one owner it runs at a time, 0 if it does not say.
    withheld: the functions that it has, and does not offer.
    closed: why its owner lets nothing new start there now; empty where something may.
    journal: the id of its journal. A durable call that is not named in RESUME never began there.
    stands_still: whether what runs in processes there stands still until something may start.
    """

    functions: Annotated[tuple[Function, ...], Meta(max_length=MANY_FUNCTIONS)]
    slots: Count
    labels: Names = ()
    cores: Count = 0
    memory_total: Count = 0
    gpus: Annotated[tuple[Gpu, ...], Meta(max_length=MANY_ENTRIES)] = ()
    installs: bool = False
    session_idle: Seconds = 0.0
    processes: Count = 0
    withheld: Annotated[tuple[Withheld, ...], Meta(max_length=MANY_FUNCTIONS)] = ()
    closed: Name = ""
    journal: Annotated[bytes, Meta(max_length=16)] = b""
    stands_still: bool = False


class Keep(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What is said of a detached call: the gateway writes it to its disk, and is its client then.

    It is answered with a FINISHED without a value when the disk has it, with an error where not.

    seconds: how long its outcome is kept after its end, for ``$collect``.
    retry: when the gateway tries it again if it fails; nil for what its function says.
    """

    seconds: Seconds
    retry: Retry | None = None


class Submit(msgspec.Struct, array_like=True, tag=8, gc=False):
    """From a client: run this. Sending a ``call_id`` again is harmless in every phase.

    call: the client's number for the call.
    node: the node that has to run it; empty for any node that has the function.
    function: the name of a registered function, or of a builtin (those start with ``$``).
    payload: the arguments.
    session: the session that it runs in; for a call about another call, the other call's id.
    timeout: seconds until it has to be over, with the time in the queue; 0 for no limit.
    queue_timeout: seconds that it may wait in the queue, 0 for no limit of its own.
    age: seconds since it was first sent, 0 the first time.
    run_timeout: seconds that it may run once it has begun, 0 for no limit of its own.
    hold: seconds that it goes on without its client; 0 for the default, below 0 until it is over.
    origin: where it came from, for people. 200 characters are kept, and told to the same key only.
    balancing: as of a function, ``one_node`` excepted; empty for what its nodes say of it.
    needs: what it needs of the machine, and holds while it runs; nil for what its function needs.
    priority: calls of a higher one go first, whoever's they are; above 0 only for keys that may.
    trace: its ``traceparent`` (W3C Trace Context); empty where its caller traces nothing.
    on_node_loss: ``fail`` or ``retry``: it ends at once when its node is gone; empty: it waits.
    notify: the address that is told of its end; empty for none. It is a secret: no list shows it.
    keep: what is said of a detached call; nil for any other. It is answered when it is on the disk.
    """

    call: int
    call_id: Id
    node: Name
    function: Name
    payload: Payload
    session: Name = ""
    timeout: Seconds = 0.0
    queue_timeout: Seconds = 0.0
    age: Seconds = 0.0
    run_timeout: Seconds = 0.0
    hold: SignedSeconds = 0.0
    origin: Name = ""
    balancing: Name = ""
    needs: Requirements | None = None
    priority: Priority = 0
    trace: Trace = ""
    on_node_loss: Name = ""
    notify: Address = ""
    keep: Keep | None = None


class Dispatch(msgspec.Struct, array_like=True, tag=9, gc=False):
    """From the gateway to a node: run this. A node that has this ``call_id`` says how it stands.

    call: the gateway's number for the call.
    fence: rises with every attempt; an attempt with a lower fence is refused.
    function: as in SUBMIT.
    payload: the arguments.
    session: as in SUBMIT.
    timeout: seconds that are left of the caller's, 0 for no limit.
    owner: whose call it is: the id of the key. Sessions of two owners never meet.
    queue_timeout: seconds that it may wait for its turn at the node, 0 for no limit of its own.
    run_timeout: as in SUBMIT.
    origin: as in SUBMIT.
    trace: as in SUBMIT.
    needs: as in SUBMIT.
    durable: whether the node writes to its disk that it begins, and how it ends, before it says so.
    gpus: the GPUs that a session gets with this call, by UUID; from a node to its process only.
    """

    call: int
    call_id: Id
    fence: Count
    function: Name
    payload: Payload
    session: Name = ""
    timeout: Seconds = 0.0
    owner: Name = ""
    queue_timeout: Seconds = 0.0
    run_timeout: Seconds = 0.0
    origin: Name = ""
    trace: Trace = ""
    needs: Requirements | None = None
    durable: bool = False
    gpus: Names = ()


class Started(msgspec.Struct, array_like=True, tag=10, gc=False):
    """The function began to run. A node leaves STARTED out if FINISHED follows at once.

    node: the node that runs it; only a client is told.
    retry: the retry policy of the function; only a client is told. It keeps the arguments then.
    """

    call: int
    node: Name = ""
    retry: Retry | None = None


class Event(msgspec.Struct, array_like=True, tag=11, gc=False):
    """Something that the call shows while it runs: an item of a generator, output, progress.

    seq: the number of the event: 1, 2, 3 ...
    payload: the item, the output, the progress.
    """

    call: int
    seq: int
    payload: Payload


class Seen(msgspec.Struct, array_like=True, tag=12, gc=False):
    """The client has consumed events: the node may forget them and make more.

    seq: the number of the last one.
    """

    call: int
    seq: int


class Finished(msgspec.Struct, array_like=True, tag=13, gc=False):
    """The one outcome of a call.

    payload: the value; or the error, as a msgpack array: code, message, map of details.
    code: empty for a value, else the error's code.
    may_have_run: whether the call can have had effects.
    seconds: how long it ran.
    fence: the fence of the attempt, as in DISPATCH.
    events: how many events came before the outcome, which is shown after the last of them.
    retry: with an error: the retry policy of the function; only a client is told.
    """

    call: int
    payload: Payload
    code: Name = ""
    may_have_run: bool = True
    seconds: Seconds = 0.0
    fence: Count = 0
    events: Count = 0
    retry: Retry | None = None


class Delivered(msgspec.Struct, array_like=True, tag=14, gc=False):
    """The outcomes of these calls have arrived: forget the calls."""

    calls: Numbers


class Cancel(msgspec.Struct, array_like=True, tag=15, gc=False):
    """Stop this call. FINISHED says whether it was stopped.

    kill: whether to kill its process at once, and with it its session.
    """

    call: int
    kill: bool = False


class Credit(msgspec.Struct, array_like=True, tag=16, gc=False):
    """From the receiver of a stream: the sender may send more bytes.

    size: how many more.
    """

    stream: int
    size: int


class StreamReset(msgspec.Struct, array_like=True, tag=17, gc=False):
    """From the sender of a stream: the rest will not come."""

    stream: int


class StreamStop(msgspec.Struct, array_like=True, tag=18, gc=False):
    """From the receiver of a stream: send no more of it."""

    stream: int


class Resume(msgspec.Struct, array_like=True, tag=19, gc=False):
    """The first message on a new connection: the calls that the sender still holds.

    call_ids: the ids of the calls.
    numbers: from a client: its own number of each call.
    fences: from a node: the fence of each call.
    started: from a client: whether it knows that the call has started.
    notify: from a client: the address that is told of a call's end, by its number; as in SUBMIT.
    """

    call_ids: Annotated[tuple[Id, ...], Meta(max_length=MANY_CALLS)]
    numbers: Numbers = ()
    fences: Annotated[tuple[Count, ...], Meta(max_length=MANY_CALLS)] = ()
    started: Annotated[tuple[bool, ...], Meta(max_length=MANY_CALLS)] = ()
    notify: Annotated[dict[int, Address], Meta(max_length=MANY_ADDRESSES)] = {}


class Resumed(msgspec.Struct, array_like=True, tag=20, gc=False):
    """The answer to RESUME. A node forgets a call that is not known; a client submits it again.

    calls: each call's number on this link, in the order of RESUME; 0 for a call that is not known.
    """

    calls: Numbers


class Attach(msgspec.Struct, array_like=True, tag=21, gc=False):
    """From the gateway to a node: a client is back for this call. Send again what was not seen."""

    call: int


class HandBack(msgspec.Struct, array_like=True, tag=22, gc=False):
    """From a node: these calls did not start, and will not start here.

    From the gateway: submit these calls once more. They did not start, and the gateway has not
    kept their payloads.

    resources: from a node: how its machine is doing, where there is too little for these calls.
    """

    calls: Numbers
    resources: Resources | None = None


class Watch(msgspec.Struct, array_like=True, tag=23, gc=False):
    """From the gateway to a node: whether to send RESOURCES.

    on: whether somebody looks; then RESOURCES is sent once a second.
    """

    on: bool


class Resources(msgspec.Struct, array_like=True, tag=24, gc=False):
    """How the node's machine is doing.

    cpu: how busy it is, as a fraction of all cores.
    cores: how many cores it has.
    gpus: its GPUs.
    received: bytes a second from other machines, below 0 if that is not known.
    sent: bytes a second to other machines, below 0 if that is not known.
    """

    cpu: Fraction
    cores: Count
    memory_used: Count
    memory_total: Count
    gpus: Annotated[tuple[Gpu, ...], Meta(max_length=MANY_ENTRIES)] = ()
    received: Rate = -1.0
    sent: Rate = -1.0


class NotOffered(msgspec.Struct, array_like=True, tag=25, gc=False):
    """From the gateway to a node: these functions are not offered there, and no others.

    functions: the functions, and why each is not offered.
    """

    functions: Annotated[tuple[Withheld, ...], Meta(max_length=MANY_FUNCTIONS)] = ()


class NodeAway(msgspec.Struct, array_like=True, tag=26, gc=False):
    """From the gateway to a client: the node of these calls is gone, or is back, or halts them.

    node: its id.
    seconds: how long it is waited for; 0 when it is back.
    stands_still: why these calls stand still there; empty where they go on.
    """

    calls: Numbers
    node: Name
    seconds: Seconds = 0.0
    stands_still: Name = ""


class Challenge(msgspec.Struct, array_like=True, tag=27, gc=False):
    """The first message of the gateway, as soon as somebody has dialled.

    HELLO repeats it. So a connection that somebody has recorded is refused when it is played again,
    also by a gateway that has been restarted since.

    fresh: 16 random bytes, new with every connection.
    """

    fresh: Id


Message = (
    Hello
    | Welcome
    | Refused
    | GoingAway
    | Ping
    | Pong
    | Register
    | Submit
    | Dispatch
    | Started
    | Event
    | Seen
    | Finished
    | Delivered
    | Cancel
    | Credit
    | StreamReset
    | StreamStop
    | Resume
    | Resumed
    | Attach
    | HandBack
    | Watch
    | Resources
    | NotOffered
    | NodeAway
    | Challenge
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Message)

encode = _encoder.encode
#: Decodes one control record's body. It raises a msgspec.DecodeError where that is no message of
#: this protocol (`ValidationError`, its subclass, where types are off).
decode: Callable[[bytes | memoryview], Message] = _decoder.decode


def why_not_sent(submit: Submit) -> str | None:
    """Why a receiver would refuse this message; None if it would not.

    The caller asks before it sends a call, because the receiver would close the connection, and
    all other calls on it would have to be resumed.
    """
    names = submit.node + submit.function + submit.session + submit.origin + submit.balancing
    names += submit.on_node_loss
    surely_fits = (
        len(names) <= NAME_LIMIT
        and names.isascii()  # half a surrogate has no form on the wire
        and len(submit.call_id) == 16
        and not (submit.timeout or submit.queue_timeout or submit.run_timeout or submit.hold)
        and submit.needs is None
        and not (submit.priority or submit.keep)
    )
    if surely_fits:
        return None
    try:
        decode(encode(submit))
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        return str(error)
    return None
