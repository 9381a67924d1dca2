"""The wire specification: one struct a message, in the order of a connection's life.

A message is a msgpack array: its tag, then its fields in the order given here (trailing fields with
defaults may be missing; fields that a newer minor version appends are ignored). It travels as the
body of a control record (``frames.py``). ``wire_document.py`` makes the document of the wire from
these docstrings: what a message says, and what its fields mean. ``tests/vectors/`` holds that
document, and bytes of each message.

Every field has a size, and the decoder refuses what is above it, NaN and infinity included: so one
message costs its receiver a known amount of memory, and no time in it stops a clock.
``tests/protocol/test_sizes.py`` proves it.

Fields that mean the same everywhere are named here only:

call: the number of a call, on this link.
calls: the numbers of calls, on this link.
call_id: 16 random bytes that name a call everywhere and for ever, made before it is first sent.
stream: the number that its sender gave the stream, on this link.
protocol: major and minor version; another major is refused.
versions: of ``easyremote`` and ``python``.
capabilities: none is defined yet; unknown ones are ignored.
memory_used: in bytes.
memory_total: in bytes.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

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
#: The longest time in a message, in seconds: 31 years. Nobody means a longer one.
LONGEST_TIME: Final = 1e9
#: Calls that one message names. RESUME with so many of them fits into a control record.
MANY_CALLS: Final = 2**15
#: Functions that a node offers, and entries of any other list in a message.
MANY_FUNCTIONS: Final = 10_000
MANY_ENTRIES: Final = 1000

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
Name = Annotated[str, Meta(max_length=NAME_LIMIT)]
Text = Annotated[str, Meta(max_length=TEXT_LIMIT)]
Seconds = Annotated[float, Meta(ge=0, le=LONGEST_TIME)]
#: Below 0 has a meaning of its own.
SignedSeconds = Annotated[float, Meta(ge=-LONGEST_TIME, le=LONGEST_TIME)]
#: Bytes a second.
Rate = Annotated[float, Meta(ge=-1, le=1e15)]
Fraction = Annotated[float, Meta(ge=0, le=1e6)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
#: A stream's number has four bytes in the head of a chunk.
StreamNumber = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Numbers = Annotated[tuple[int, ...], Meta(max_length=MANY_CALLS)]
Names = Annotated[tuple[Name, ...], Meta(max_length=MANY_ENTRIES)]
Versions = Annotated[dict[Name, Name], Meta(max_length=MANY_ENTRIES)]


class Payload(msgspec.Struct, array_like=True, gc=False):
    """Opaque bytes of the two ends: arguments, a result, an event. The gateway never opens one.

    encoding: ``pickle5``, ``msgpack`` or ``json``.
    size: length of the whole in bytes.
    data: the whole, where ``stream`` is 0.
    stream: the sender's stream that carries the bytes, where they don't ride here.
    """

    encoding: Annotated[str, Meta(max_length=32)] = "pickle5"
    size: Count = 0
    data: Annotated[bytes, Meta(max_length=INLINE_LIMIT)] = b""
    stream: StreamNumber = 0


class Function(msgspec.Struct, array_like=True, gc=False):
    """What a node says of a function that it offers.

    name: by which it is called.
    doc: its docstring, for people.
    signature: for people, too.
    timeout: seconds that a call of it may run, 0 for no limit.
    is_async: whether it is a coroutine function.
    streams: whether it is a generator.
    max_concurrency: calls of it at a time, 0 for the node's slots.
    public: whether it is an HTTP endpoint.
    auth_required: whether that endpoint asks for a key.
    tags: free words of its owner.
    parameters: JSON Schema of the object of its arguments; empty where it can't be called by name.
    max_body: bytes of the largest HTTP body that calls it, 0 for the gateway's limit.
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


class Gpu(msgspec.Struct, array_like=True, gc=False):
    """One GPU of a node's machine.

    name: for people.
    use: as a fraction of its time.
    """

    name: Name
    use: Fraction
    memory_used: Count
    memory_total: Count


class Hello(msgspec.Struct, array_like=True, tag=1, gc=False):
    """The first message of the side that dialled, within 5 s and 4 KiB.

    role: ``client`` or ``node``.
    key: what admits it.
    name: the node's id, or what a client wants to be called.
    instance: 16 random bytes, new with every process.
    uptime: seconds since that process started.
    """

    protocol: tuple[int, int]
    role: Name
    key: Name
    name: Name
    instance: Id
    uptime: Seconds = 0.0
    versions: Versions = {}
    capabilities: Names = ()


class Welcome(msgspec.Struct, array_like=True, tag=2, gc=False):
    """The answer to HELLO: from here on the link is open.

    instance: 16 random bytes, new with every start of the gateway.
    max_payload: the largest payload that it carries, in bytes.
    max_calls: the calls that this link may have outstanding; a client keeps the rest back.
    """

    protocol: tuple[int, int]
    instance: Id
    versions: Versions = {}
    capabilities: Names = ()
    max_payload: Count = 0
    max_calls: Count = 1


class Refused(msgspec.Struct, array_like=True, tag=3, gc=False):
    """The link will be closed, and dialling again will not help.

    code: of the error, as in ``errors.py``.
    message: what happened and what to do, for people.
    """

    code: Name
    message: Text


class GoingAway(msgspec.Struct, array_like=True, tag=4, gc=False):
    """The sender closes in good order. A gateway: dial again. A node: no new work for it.

    A client answers a gateway's with its own, and submits nothing after it: what it submitted
    before is handed back.

    reason: for people.
    """

    reason: Text = ""


class Ping(msgspec.Struct, array_like=True, tag=5, gc=False):
    """Are you there? Every 10 s of silence; any byte that comes counts as an answer.

    nonce: comes back in the PONG.
    """

    nonce: int = 0


class Pong(msgspec.Struct, array_like=True, tag=6, gc=False):
    """I am.

    nonce: the PING's.
    """

    nonce: int = 0


class Register(msgspec.Struct, array_like=True, tag=7, gc=False):
    """Node: all that it offers now; this replaces what it said before.

    functions: what can be called there.
    slots: how many calls it runs at a time.
    labels: free words of its owner, by which it can be chosen.
    cores: how many its machine has.
    gpus: each of them.
    installs: whether sessions may have packages installed for them.
    session_idle: seconds after which a session that nobody uses is ended, 0 where it isn't said.
    processes: how many shipped functions of one owner it runs at a time, 0 where it isn't said.
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


class Submit(msgspec.Struct, array_like=True, tag=8, gc=False):
    """Client: run this. Sending one ``call_id`` again is harmless in every phase.

    call: the client's number for it.
    node: where; empty for any node that has the function.
    function: a registered name, or ``$call`` and ``$cell`` for code that is shipped.
    payload: the arguments.
    session: the process that keeps state between calls; of a call about another one, that one's id.
    timeout: seconds from now in which it has to be over, those in the queue included; 0 for none.
    queue_timeout: seconds that it may wait in the queue, 0 for no limit of its own.
    age: seconds since it was first sent, 0 the first time.
    run_timeout: seconds that it may run once it has begun, 0 for no limit of its own.
    hold: seconds that it goes on when its client is gone; 0 for 600, below 0 until it is over.
    origin: by which people find where it came from; repeated (200 characters) to the same key only.
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


class Dispatch(msgspec.Struct, array_like=True, tag=9, gc=False):
    """Gateway to node: run this, or, where this ``call_id`` is there already, say how it stands.

    call: the gateway's number for it.
    fence: rises with every attempt; an older one is refused.
    function: as in SUBMIT.
    payload: the arguments.
    session: as in SUBMIT.
    timeout: seconds that are left of the caller's, 0 for none.
    owner: whose it is (the id of the key), so that sessions of two owners never meet.
    queue_timeout: seconds that it may wait there for its turn, 0 for no limit of its own.
    run_timeout: as in SUBMIT.
    origin: as in SUBMIT; told to the same owner only.
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


class Started(msgspec.Struct, array_like=True, tag=10, gc=False):
    """The function began to run (left out where FINISHED follows at once).

    node: where; for the client only.
    """

    call: int
    node: Name = ""


class Event(msgspec.Struct, array_like=True, tag=11, gc=False):
    """Something on the way: an item of a generator, output, progress.

    seq: counts from 1, without gaps.
    payload: what it is.
    """

    call: int
    seq: int
    payload: Payload


class Seen(msgspec.Struct, array_like=True, tag=12, gc=False):
    """Events are consumed: the node may forget them and make more.

    seq: the last of them.
    """

    call: int
    seq: int


class Finished(msgspec.Struct, array_like=True, tag=13, gc=False):
    """The one outcome of a call.

    payload: the value; or the error, as a msgpack array: code, message, map of details.
    code: empty for a value, else the error's code.
    may_have_run: whether it can have had effects.
    seconds: how long it ran.
    fence: of the attempt, as in DISPATCH.
    events: how many events came before it; the outcome is shown after the last of them.
    """

    call: int
    payload: Payload
    code: Name = ""
    may_have_run: bool = True
    seconds: Seconds = 0.0
    fence: Count = 0
    events: Count = 0


class Delivered(msgspec.Struct, array_like=True, tag=14, gc=False):
    """The outcomes of these calls are safe with the receiver: forget them."""

    calls: Numbers


class Cancel(msgspec.Struct, array_like=True, tag=15, gc=False):
    """Stop it; FINISHED says what came of that.

    kill: the process as well, at once, and with it its session.
    """

    call: int
    kill: bool = False


class Credit(msgspec.Struct, array_like=True, tag=16, gc=False):
    """More bytes of a stream are welcome.

    size: how many bytes more.
    """

    stream: int
    size: int


class StreamReset(msgspec.Struct, array_like=True, tag=17, gc=False):
    """Sender of a stream: the rest will not come."""

    stream: int


class StreamStop(msgspec.Struct, array_like=True, tag=18, gc=False):
    """Receiver of a stream: send no more of it."""

    stream: int


class Resume(msgspec.Struct, array_like=True, tag=19, gc=False):
    """After a new connection: the calls that the sender still holds, by id.

    call_ids: which.
    numbers: a client's own numbers of them.
    fences: a node's fences.
    started: of a client's calls, whether it knows that they have started.
    """

    call_ids: Annotated[tuple[Id, ...], Meta(max_length=MANY_CALLS)]
    numbers: Numbers = ()
    fences: Annotated[tuple[Count, ...], Meta(max_length=MANY_CALLS)] = ()
    started: Annotated[tuple[bool, ...], Meta(max_length=MANY_CALLS)] = ()


class Resumed(msgspec.Struct, array_like=True, tag=20, gc=False):
    """The answer to RESUME. A node forgets what is not known; a client submits it again.

    calls: each call's number on this link, in the order of RESUME; 0 for one that is not known.
    """

    calls: Numbers


class Attach(msgspec.Struct, array_like=True, tag=21, gc=False):
    """Gateway to node: somebody waits for this call anew; send again what was not seen."""

    call: int


class HandBack(msgspec.Struct, array_like=True, tag=22, gc=False):
    """Node: these calls did not start and will not start here.

    Gateway to client: the same; send them once more (the gateway keeps no payload).

    """

    calls: Numbers


class Watch(msgspec.Struct, array_like=True, tag=23, gc=False):
    """Gateway to node: whether to send RESOURCES.

    on: somebody looks (send them once a second), or nobody does.
    """

    on: bool


class Resources(msgspec.Struct, array_like=True, tag=24, gc=False):
    """How the node's machine is doing.

    cpu: as a fraction of all cores.
    cores: how many there are.
    gpus: each of them.
    received: bytes a second from other machines, below 0 where that isn't known.
    sent: bytes a second to other machines, likewise.
    """

    cpu: Fraction
    cores: Count
    memory_used: Count
    memory_total: Count
    gpus: Annotated[tuple[Gpu, ...], Meta(max_length=MANY_ENTRIES)] = ()
    received: Rate = -1.0
    sent: Rate = -1.0


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
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Message)

encode = _encoder.encode


def decode(body: bytes | memoryview) -> Message:
    """Decode one control record's body.

    Raises
    ------
    msgspec.DecodeError
        It is no message of this protocol (`ValidationError`, its subclass, where types are off).
    """
    message: Message = _decoder.decode(body)
    return message


def why_not_sent(submit: Submit) -> str | None:
    """What a receiver would refuse of this message; None where it would take it.

    The caller asks before it sends: the receiver would close the connection, and every other call
    on it would have to be resumed.
    """
    names = len(submit.node) + len(submit.function) + len(submit.session) + len(submit.origin)
    surely_fits = (
        names <= NAME_LIMIT
        and len(submit.call_id) == 16
        and 0 <= submit.timeout <= LONGEST_TIME
        and 0 <= submit.queue_timeout <= LONGEST_TIME
        and 0 <= submit.run_timeout <= LONGEST_TIME
        and -LONGEST_TIME <= submit.hold <= LONGEST_TIME
    )
    if surely_fits:
        return None
    try:
        decode(encode(submit))
    except msgspec.DecodeError as error:
        return str(error)
    return None
