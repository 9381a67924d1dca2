"""The document of the wire, made from ``messages.py``, ``call.py`` and ``builtins.py``.

``python -m easyremote.protocol.wire_document`` prints it as Markdown. It is for people who write
another end of the wire, in any language. `EXAMPLES` are the messages of one short story: a node
and a client connect, and a call goes there and back; the other messages follow.
``tests/protocol/test_wire_document.py`` keeps ``tests/vectors/WIRE.md`` fresh, and the diagram in
this folder's README.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from easyremote import events
from easyremote.options.requirements import Requirements
from easyremote.options.retries import Retry
from easyremote.protocol import detached, frames, link, messages, requests, snapshot, streams, usage
from easyremote.protocol.builtins import BUILTINS, UserPickle
from easyremote.protocol.call import TERMINAL, TRANSITIONS, CallState
from easyremote.protocol.detached import DetachedState
from easyremote.protocol.messages import (
    Attach,
    Cancel,
    Challenge,
    Credit,
    Delivered,
    Dispatch,
    Event,
    Finished,
    Function,
    GoingAway,
    Gpu,
    GpuHolder,
    HandBack,
    Hello,
    Keep,
    Message,
    NodeAway,
    NotOffered,
    Payload,
    Ping,
    Pong,
    Refused,
    Register,
    Resources,
    Resume,
    Resumed,
    Seen,
    Started,
    StreamReset,
    StreamStop,
    Submit,
    Watch,
    Welcome,
    Withheld,
)

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)

_ID = bytes(range(16))
_VERSIONS = {"easyremote": "1.0.0", "python": "3.11.9"}

EXAMPLES: tuple[Message, ...] = (
    Challenge(_ID),
    Hello((1, 0), "node", "en_0123", "gpu-node", _ID, 2.5, _VERSIONS, fresh=_ID),
    Welcome((1, 0), _ID, _VERSIONS, (), 2**31, 1000),
    Register(
        (
            Function("add", "Add.", "(a, b)", 30.0, tags=("math",)),
            Function("fit", requirements=Requirements(2.0, 8 * 10**9, 1), retry=Retry(3)),
        ),
        4,
        session_idle=3600.0,
        processes=2,
        withheld=(Withheld("train", "no GPU"),),
        closed="it runs on battery",
    ),
    Submit(1, _ID, "gpu-node", "add", Payload("json", 5, b"[1,2]"), "", 30.0, 10.0),
    Dispatch(7, _ID, 3, "add", Payload("json", 5, b"[1,2]"), "", 29.5, "alice"),
    Started(7),
    Event(7, 1, Payload("json", 2, b"50")),
    Seen(7, 1),
    Finished(7, Payload("json", 1, b"3"), "", True, 0.25, 3, 1),
    Delivered((7, 8)),
    Cancel(1, kill=True),
    Credit(2, 65536),
    StreamReset(2),
    StreamStop(2),
    Resume((_ID,), (1,), (), (True,)),
    Resumed((1, 0)),
    Attach(7),
    HandBack((7,), Resources(0.5, 8, 2**30, 2**34)),
    Watch(on=True),
    Resources(
        *(0.5, 8, 2**30, 2**34),
        (
            Gpu(
                "A100", 0.25, 2**32, 2**35, 2**34, 1, (GpuHolder(2**32, "alice", "main", "", 60.0),)
            ),
        ),
        2048.0,
        512.0,
    ),
    Ping(5),
    Pong(5),
    GoingAway("the gateway stops"),
    Refused("not-authorized", "The key was revoked."),
    NotOffered((Withheld("train", "it belongs to 'a100'"),)),
    NodeAway((7, 8), "a100", 60.0),
    NodeAway((7,), "desk", stands_still="its owner works on it"),
)

_LIMITS = (
    ("Body of a control record", f"{frames.MAX_CONTROL - 1:,} bytes"),
    ("The same before HELLO is answered", f"{frames.MAX_HELLO - 1:,} bytes"),
    ("Data of a chunk record", f"1 to {frames.CHUNK_SIZE:,} bytes"),
    ("WebSocket message", f"{frames.MAX_MESSAGE:,} bytes"),
    ("Payload inside its message", f"{messages.INLINE_LIMIT:,} bytes; larger ones are streams"),
    ("Bytes of a stream before any CREDIT", f"{streams.INITIAL_WINDOW:,}"),
    ("Credit that a stream may have at a time", f"{streams.WINDOW:,} bytes"),
    ("HELLO and its answer", f"{link.HELLO_TIMEOUT:g} s"),
    ("Silence before PING", f"{link.PING_INTERVAL:g} s"),
    ("Silence before the link is closed", f"{link.DEAD_AFTER:g} s"),
    ("Messages that a peer may leave unread", f"{link.MAX_BACKLOG >> 20} MiB of memory"),
)

_TYPES = {int: "int", float: "float", bool: "bool", str: "str", bytes: "bin"}
_TYPES |= {memoryview: "bin"}
_TYPES |= {NoneType: "nil", object: "anything", Any: "anything"}

_FRAMES = """\
## Records

The WebSocket's subprotocol is `{subprotocol}`; its messages are binary and hold whole records. A
pipe carries the same records, split anywhere. Numbers in a record's head are little endian.

| bytes | control record | chunk record |
|---|---|---|
| 4 | length of what follows | length of what follows |
| 1 | kind: {control} | kind: {chunk} |
| 4 | - | number of the stream |
| 8 | - | which byte of the stream comes first, counted from 0 |
| rest | a message, in msgpack | bytes of the stream |

A chunk record, `hello` on stream 3:

    {example}

A message with a payload whose `stream` is not 0 announces that stream. The sender numbers its
streams from 1, rising. The chunks of a stream follow behind the message, in order. A chunk that has
come before is dropped, and so is a message that announced its stream before. A record above its
limit, a record that is no message, a chunk that leaves bytes out, and a stream that another message
has announced before end the connection. A payload above the gateway's `max_payload` ends its call
only.

## Limits

| what | limit |
|---|---|
{limits}
"""

_STATES = """\
## States of a call

All three roles keep their calls with this table. What is not in it changes nothing. A call in a
state without a way on is over.

```mermaid
{diagram}
```
"""


def document() -> str:
    """The whole document."""
    example = frames.chunk_header(3, 5) + b"hello"
    about = _FRAMES.format(
        subprotocol=messages.SUBPROTOCOL,
        control=frames.CONTROL,
        chunk=frames.CHUNK,
        example=example.hex(" "),
        limits="\n".join(f"| {what} | {limit} |" for what, limit in _LIMITS),
    )
    structs: list[type[msgspec.Struct]] = [Payload, Function, Requirements, Retry, Withheld, Gpu]
    structs += [GpuHolder, Keep]
    kinds: tuple[type[msgspec.Struct], ...] = get_args(Message)
    lines = "\n".join(
        [
            f"# The wire, version {'.'.join(map(str, messages.PROTOCOL))}",
            "",
            "Made by `python -m easyremote.protocol.wire_document`; do not edit.",
            "",
            about,
            "## Values inside messages",
            "",
            "Msgpack arrays of their fields, without a tag. In brackets behind a type stand the",
            "values of a number, the bytes of a bin, the characters of a str, or the entries of an",
            "array or a map. A message with a value beyond them is refused.",
            "",
            *(line for struct in structs for line in _section(struct)),
            "## Messages",
            "",
            "Msgpack arrays: the tag, then the fields in this order. Trailing fields with a",
            "default may be missing; more than these are ignored. The bytes are of a whole record.",
            "",
            *(line for kind in kinds for line in _section(kind)),
            _STATES.format(diagram=state_diagram()),
            *_builtins(),
        ]
    )
    return lines.rstrip()


def state_diagram() -> str:
    """The states of a call as a Mermaid diagram, drawn from the table of transitions."""
    return _diagram(TRANSITIONS, CallState.QUEUED, [each for each in CallState if each in TERMINAL])


def detached_diagram() -> str:
    """The same of a detached call at its gateway."""
    over = [each for each in DetachedState if each in detached.OVER]
    return _diagram(detached.TRANSITIONS, DetachedState.ARRIVING, over)


def _diagram(transitions: Mapping[tuple[S, E], S], first: S, over: Sequence[S]) -> str:
    # One arrow for each pair of states; the events that lead from one to the other share it.
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), after in transitions.items():
        word = event.name.lower().replace("_", " ")
        arrows.setdefault((state.value, after.value), []).append(word)
    lines = ["stateDiagram-v2", f"    [*] --> {first.value}"]
    for (state_name, after_name), words in arrows.items():
        lines.append(f"    {state_name} --> {after_name}: {', '.join(words)}")
    lines += [f"    {state.value} --> [*]" for state in over]
    return "\n".join(lines)


def _builtins() -> Iterator[str]:
    yield "## Functions of EasyRemote itself"
    yield ""
    yield "Their names start with `$`; no registered function's name does. A call of one is a call"
    yield "like any other. An answer in another encoding than those of its row is refused."
    yield ""
    yield "| function | answered by | what it does | arguments | events | answer |"
    yield "|---|---|---|---|---|---|"
    for row in BUILTINS.values():
        takes, shows, answers = map(_contents, (row.takes, row.shows, row.answers))
        text = row.doc.replace("``", "`")
        columns = (f"`{row.name}`", row.answered_by.value, text, takes, shows, answers)
        yield f"| {' | '.join(columns)} |"
    yield ""
    yield "A pickle is opened by the user's own code only. All else is msgpack: a map by the names"
    yield "of these fields, with the tag, where there is one, as `type`."
    yield ""
    for struct in (*_structs(requests), *_structs(snapshot), *_structs(usage)):
        yield from _fields(struct)


def _contents(kind: Any) -> str:
    """What a builtin takes, shows or answers, in one cell of the table."""
    if kind is None:
        return ""
    if kind is UserPickle:
        return "a pickle"
    kinds = get_args(kind) or (kind,)
    return "an event" if kind == events.Event else " or ".join(f"`{k.__name__}`" for k in kinds)


def _structs(module: ModuleType) -> list[type[msgspec.Struct]]:
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind.__module__ == module.__name__
    ]


def _fields(struct: type[msgspec.Struct]) -> Iterator[str]:
    """A struct of a builtin's contents: its fields and their types."""
    tag = struct.__struct_config__.tag
    yield f"**{struct.__name__}**" + (f" (tag `{tag}`)" if tag is not None else "")
    yield ""
    yield _text(struct)
    yield ""
    types = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        default = "" if field.required else f", by default `{_default(field)}`"
        yield f"- `{field.name}`: {_type(types[field.name])}{default}"
    yield ""


def meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What each field means: from the docstring of its struct, else of the module."""
    common, own = _described(messages.__doc__), _described(struct.__doc__)
    return {name: own.get(name) or common[name] for name in struct.__struct_fields__}


def _section(struct: type[msgspec.Struct]) -> Iterator[str]:
    tag = struct.__struct_config__.tag
    yield f"### {struct.__name__}" + (f" (tag {tag})" if tag is not None else "")
    yield ""
    yield _text(struct)
    yield ""
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    types, told = get_type_hints(struct, include_extras=True), meanings(struct)
    for field in msgspec.structs.fields(struct):
        default = "" if field.required else f"`{_default(field)}`"
        yield f"| `{field.name}` | {_type(types[field.name])} | {default} | {told[field.name]} |"
    yield ""
    for message in EXAMPLES:
        if type(message) is struct:
            yield f"    {frames.control_record(messages.encode(message)).hex(' ')}"
            yield ""


_FIELD = re.compile(r"^(\w+): (.+)$")


def _described(docstring: str | None) -> dict[str, str]:
    found = map(_FIELD.match, inspect.cleandoc(docstring or "").splitlines())
    return {match[1]: match[2].replace("``", "`") for match in found if match is not None}


def _text(struct: type[msgspec.Struct]) -> str:
    """A docstring without what it says of the fields."""
    starts = tuple(f"{name}: " for name in struct.__struct_fields__)
    lines = inspect.cleandoc(struct.__doc__ or "").splitlines()
    text = "\n".join(line for line in lines if not line.startswith(starts))
    return text.strip().replace("``", "`")


def _default(field: Any) -> object:
    """An empty container is made anew for each struct: its default is the factory."""
    made = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    plain = msgspec.to_builtins(made)
    return msgspec.json.encode(plain).decode()


def _type(hint: Any, many: str = "") -> str:
    """A type with its limits, as the table has it; ``many`` says how many entries it may have."""
    if get_origin(hint) is Annotated:
        kind, limits = get_args(hint)
        if get_origin(kind) in (tuple, dict):
            return _type(kind, f"up to {limits.max_length:,} ")
        return f"{_type(kind)} ({_limits(limits)})"
    if hint in _TYPES:
        return _TYPES[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is dict:
        return f"map of {many}{_type(arguments[0])} to {_type(arguments[1])}"
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in arguments)
    if origin is UnionType:
        return " or ".join(_type(each) for each in arguments)
    if origin is tuple and len(set(arguments)) > 1 and arguments[-1] is not Ellipsis:
        return f"array of {', '.join(_type(each) for each in arguments)}"
    if origin is tuple:
        exactly = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"array of {many}{exactly}{_type(arguments[0])}"
    return str(hint.__name__)


def _limits(meta: msgspec.Meta) -> str:
    if meta.max_length is None:
        return f"{_number(meta.ge)} to {_number(meta.le)}"
    exact = meta.min_length == meta.max_length
    return f"{meta.max_length:,}" if exact else f"up to {meta.max_length:,}"


def _number(limit: float | None) -> str:
    assert limit is not None, "a number has both limits"
    for power in (32, 62):
        if limit in (2**power, 2**power - 1):
            return f"2^{power}" + ("" if limit == 2**power else " - 1")
    return f"{limit:g}"


if __name__ == "__main__":
    print(document())  # noqa: T201 - it is a command
