"""``tests/vectors/*.json``: each reads and writes as it says, and each bad one is refused."""

from __future__ import annotations

import json
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest

from easyremote.errors import ProtocolError
from easyremote.protocol import messages
from easyremote.protocol.frames import FrameDecoder, control_record
from easyremote.protocol.messages import Message, encode
from tests.protocol.vectors import FOLDER, files, plain, read


def vectors(name: str) -> list[Any]:
    loaded: list[Any] = json.loads((FOLDER / f"{name}.json").read_text())["vectors"]
    return [pytest.param(vector, id=vector["name"]) for vector in loaded]


def built(hint: Any, value: Any) -> Any:
    """The reverse of `plain`, by the types of the fields."""
    if get_origin(hint) is UnionType:  # a struct or nothing
        return value if value is None else built(get_args(hint)[0], value)
    if hint is bytes:
        return bytes.fromhex(value)
    if isinstance(value, dict) and isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = get_type_hints(hint)
        return hint(**{name: built(hints[name], each) for name, each in value.items()})
    if isinstance(value, list):
        return tuple(built(get_args(hint)[0], each) for each in value)
    return value


@pytest.mark.parametrize("name", list(files()))
def test_the_committed_vectors_are_what_the_code_makes(name: str) -> None:
    refresh = (
        "run `python -m tests.protocol.vectors`, and say in the changelog that the wire changed"
    )
    assert (FOLDER / name).read_text() == files()[name], refresh


def test_every_message_has_a_vector() -> None:
    covered = {param.values[0]["message"] for param in vectors("messages")}
    assert covered == {kind.__name__ for kind in get_args(Message)}


@pytest.mark.parametrize("vector", vectors("messages"))
def test_a_message_is_written_as_its_record(vector: dict[str, Any]) -> None:
    message = built(getattr(messages, vector["message"]), vector["fields"])
    assert control_record(encode(message)).hex() == vector["record"]


@pytest.mark.parametrize("vector", vectors("messages"))
def test_a_record_is_read_as_its_message(vector: dict[str, Any]) -> None:
    (record,) = read(bytes.fromhex(vector["record"]))
    assert record == {"message": vector["message"], "fields": vector["fields"]}


@pytest.mark.parametrize("vector", vectors("frames"))
def test_bytes_that_arrive_are_read_as_their_records(vector: dict[str, Any]) -> None:
    assert read(bytes.fromhex(vector["bytes"])) == vector["records"]


@pytest.mark.parametrize("vector", vectors("refused"))
def test_a_bad_record_is_refused_with_its_reason(vector: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as raised:
        list(FrameDecoder().receive_data(bytes.fromhex(vector["bytes"])))
    assert raised.value.message.startswith(vector["reason"])


def test_fields_as_json_has_them_lose_nothing() -> None:
    for param in vectors("messages"):
        vector = param.values[0]
        message = built(getattr(messages, vector["message"]), vector["fields"])
        assert plain(message) == vector["fields"]
