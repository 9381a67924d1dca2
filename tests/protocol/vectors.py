"""Makes what is drawn from the protocol's code, and committed.

``tests/vectors/*.json``, with which another implementation of the wire checks itself (bytes are
hexadecimal); ``tests/vectors/WIRE.md``; and the diagram in the README of ``easyremote/protocol``.
``python -m tests.protocol.vectors`` writes them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from easyremote.options.retries import Retry
from easyremote.protocol.frames import (
    CHUNK_SIZE,
    MAX_HELLO,
    Chunk,
    FrameDecoder,
    chunk_header,
    control_record,
)
from easyremote.protocol.messages import (
    Cancel,
    Finished,
    Keep,
    Message,
    Payload,
    Ping,
    Resume,
    Submit,
    encode,
)
from easyremote.protocol.wire_document import EXAMPLES, detached_diagram, document, state_diagram

FOLDER = Path(__file__).parents[1] / "vectors"
README = Path(__file__).parents[2] / "easyremote/protocol/README.md"

#: What the story of the document leaves out: streams, defaults, errors, limits of numbers.
MORE: dict[str, Message] = {
    "submit of a stream, again": Submit(
        2, bytes(16), "", "$call", Payload("pickle5", 100_000, b"", 4), "s", age=1.5
    ),
    "submit of a detached call": Submit(
        3, bytes(16), "", "add", Payload("pickle5", 1, b"x"), keep=Keep(86400.0, Retry(3))
    ),
    "an error": Finished(3, Payload("msgpack", 1, b"\x90"), "raised", False),
    "a large number": Ping(2**64 - 1),
    "all defaults": Ping(),
    "nothing to resume": Resume(()),
    "submit with a notification": Submit(
        3, bytes(16), "", "$cell", Payload(), notify="ntfys://ntfy.sh/my-topic"
    ),
    "text beyond ASCII": Submit(1, bytes(16), "nœud", "größe", Payload("json", 2, b"{}")),
}


def messages() -> Iterator[dict[str, Any]]:
    """Every message: its fields, and the record that carries it."""
    named = {type(message).__name__: message for message in EXAMPLES} | MORE
    for name, message in named.items():
        record = control_record(encode(message)).hex()
        yield {
            "name": name,
            "message": type(message).__name__,
            "fields": plain(message),
            "record": record,
        }


def frames() -> Iterator[dict[str, Any]]:
    """Bytes that arrive, and the records in them."""
    ping, cancel = control_record(encode(Ping(7))), control_record(encode(Cancel(9, kill=True)))
    hello = chunk_header(3, 5) + b"hello"
    yield arriving("a chunk", hello)
    yield arriving("a chunk of one byte, of the last stream", chunk_header(2**32 - 1, 1) + b"\0")
    yield arriving("a chunk from the midst of a stream", chunk_header(3, 1, 5) + b"!")
    yield arriving("records together", ping + hello + cancel)
    yield arriving("the start of a record waits for its rest", ping + hello[:-1])
    yield arriving("a message without its trailing defaults", control_record(b"\x91\x05"))
    newer = control_record(b"\x94\x05\x07\xc3\xa2hi")
    yield arriving("a message with fields that a newer version appended", newer)


def refused() -> Iterator[dict[str, str]]:
    """Bytes that end the connection, and what the reason has to say."""
    yield refusal("an unknown kind", "0200000007" + "78", "a record of kind 7")
    yield refusal("a control record without a message", "0000000000", "a control record of 0 bytes")
    yield refusal(
        "a control record that is too long", "ffffffff00", "a control record of 4294967295"
    )
    before = control_record(bytes(MAX_HELLO)).hex()
    yield refusal("too long before HELLO is answered", before, "a control record of 4097 bytes")
    yield refusal("a chunk record without its stream", "0300000001", "a chunk record of 3 bytes")
    nothing = chunk_header(3, 0).hex()
    yield refusal("a chunk of no bytes", nothing, "a chunk record of 13 bytes")
    long = chunk_header(1, CHUNK_SIZE + 1).hex()
    yield refusal("a chunk that is too long", long, f"a chunk record of {CHUNK_SIZE + 14} bytes")
    yield refusal("no msgpack", "0200000000" + "c1", "not a message")
    yield refusal("no array", "0200000000" + "05", "not a message")
    yield refusal("an unknown tag", "0400000000" + "91ccff", "not a message")
    yield refusal("no tag", "0200000000" + "90", "not a message")
    yield refusal("a missing field", "0400000000" + "920c01", "not a message")
    yield refusal("a field of another type", "0500000000" + "930ca131", "not a message")
    yield refusal("bytes behind the message", "0400000000" + "9105" + "00", "not a message")


def arriving(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "bytes": data.hex(), "records": read(data)}


def read(data: bytes) -> list[dict[str, Any]]:
    """The records in these bytes, as JSON has them."""
    return [
        {"stream": record.stream, "position": record.position, "data": bytes(record.data).hex()}
        if isinstance(record, Chunk)
        else {"message": type(record).__name__, "fields": plain(record)}
        for record in FrameDecoder().receive_data(data)
    ]


def refusal(name: str, data: str, reason: str) -> dict[str, str]:
    return {"name": name, "bytes": data, "reason": reason}


def plain(value: object) -> Any:
    """A value as JSON has it: structs by field name, bytes in hexadecimal."""
    match value:
        case msgspec.Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case bytes():
            return value.hex()
        case tuple():
            return [plain(each) for each in value]
        case _:
            return value


def files() -> dict[str, str]:
    """The name and content of each file."""
    made = {
        "messages": ("A message, its fields, and the record that carries it.", messages()),
        "frames": ("Bytes that arrive on a new link, and the records in them.", frames()),
        "refused": ("Bytes that end a link, and how the reason begins.", refused()),
    }
    return {
        f"{name}.json": json.dumps(
            {"about": f"{about} Bytes are hexadecimal.", "vectors": list(vectors)}, indent=1
        )
        + "\n"
        for name, (about, vectors) in made.items()
    }


def readme() -> str:
    """The README with the diagrams of this version."""
    text, *rest = README.read_text().split("```mermaid\n")
    for diagram, each in zip((state_diagram(), detached_diagram()), rest, strict=True):
        text += f"```mermaid\n{diagram}\n```{each.split('```', 1)[1]}"
    return text


if __name__ == "__main__":
    for name, content in files().items():
        (FOLDER / name).write_text(content)
    (FOLDER / "WIRE.md").write_text(document() + "\n")
    README.write_text(readme())
