"""Every field of every message has a size, and what is above it is refused when it is decoded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from msgspec import inspect

from easyremote.errors import ProtocolError
from easyremote.protocol.frames import MAX_CONTROL, FrameDecoder, control_record
from easyremote.protocol.messages import (
    ADDRESS_LIMIT,
    INLINE_LIMIT,
    MANY_ADDRESSES,
    MANY_CALLS,
    MANY_FUNCTIONS,
    NAME_LIMIT,
    Function,
    Gpu,
    GpuHolder,
    Message,
    Payload,
    Register,
    Resume,
    decode,
    encode,
)
from easyremote.protocol.wire_document import EXAMPLES

STRUCTS = [*get_args(Message), Payload, Function, Gpu, GpuHolder]
FIELDS = [(kind, field.name) for kind in STRUCTS for field in msgspec.structs.fields(kind)]
IDS = [f"{kind.__name__}.{name}" for kind, name in FIELDS]
#: Where a number below 0 has a meaning of its own.
SIGNED = {("Submit", "hold"), ("Resources", "received"), ("Resources", "sent")}
SIGNED |= {("Gpu", "memory_free")}


def field_type(kind: type[msgspec.Struct], name: str) -> inspect.Type:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return next(field.type for field in info.fields if field.name == name)


def unbounded(kind: inspect.Type) -> Iterator[str]:
    """What of a type has no upper limit."""
    match kind:
        case inspect.StrType() | inspect.BytesType() if kind.max_length is None:
            yield f"a {type(kind).__name__} without a longest length"
        case inspect.FloatType() if kind.ge is None or kind.le is None:
            yield "a float without limits lets infinity in"
        case inspect.VarTupleType():
            if kind.max_length is None:
                yield "an array without a longest length"
            yield from unbounded(kind.item_type)
        case inspect.DictType():
            if kind.max_length is None:
                yield "a map without a longest length"
            yield from unbounded(kind.key_type)
            yield from unbounded(kind.value_type)
        case _:
            pass  # an int has 64 bits, a struct is looked at by itself


def too_large(kind: inspect.Type) -> Iterator[Any]:
    """Values just above what the type takes."""
    match kind:
        case inspect.StrType(max_length=int() as most):
            yield "x" * (most + 1)
        case inspect.BytesType(max_length=int() as most):
            yield bytes(most + 1)
        case inspect.FloatType():
            yield from (math.nan, math.inf, -math.inf)
        case inspect.IntType(ge=0):
            yield -1
            yield 2**63
        case inspect.VarTupleType(max_length=int() as most):
            yield [sample(kind.item_type)] * (most + 1)
            yield from ([value] for value in too_large(kind.item_type))
        case inspect.DictType(max_length=int() as most):
            yield {str(number): "" for number in range(most + 1)}
            yield {"x" * (NAME_LIMIT + 1): ""}
        case _:
            pass


def sample(kind: inspect.Type) -> Any:
    """The smallest value that the type takes."""
    match kind:
        case inspect.StructType():
            return [sample(field.type) for field in kind.fields if field.required]
        case inspect.BytesType():
            return bytes(kind.min_length or 0)
        case inspect.StrType():
            return ""
        case inspect.FloatType():
            return 0.0
        case inspect.BoolType():
            return False
        case inspect.VarTupleType() | inspect.TupleType():
            return []
        case _:
            return 0


def written(kind: type[msgspec.Struct], name: str, value: Any) -> bytes:
    """A message (or a bare struct) in which one field has this value."""
    whole = next((each for each in EXAMPLES if type(each) is kind), None)
    if whole is None:
        given = {"name": "x", "use": 0.0, "memory_used": 0, "memory_total": 0, "memory": 0}
        fields = {field: given[field] for field in given if field in kind.__struct_fields__}
        whole = kind(**fields)
    items = msgspec.msgpack.decode(msgspec.msgpack.encode(whole))
    tagged = kind.__struct_config__.tag is not None
    items[kind.__struct_fields__.index(name) + tagged] = value
    return msgspec.msgpack.encode(items)


def read(kind: type[msgspec.Struct], body: bytes) -> object:
    """As the decoder of the wire reads it; a bare struct by its type."""
    if kind.__struct_config__.tag is not None:
        return decode(body)
    return msgspec.msgpack.decode(body, type=kind)


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=IDS)
def test_a_field_has_a_size(kind: type[msgspec.Struct], name: str) -> None:
    assert list(unbounded(field_type(kind, name))) == []


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=IDS)
def test_a_value_above_the_size_of_its_field_is_refused(
    kind: type[msgspec.Struct], name: str
) -> None:
    for value in too_large(field_type(kind, name)):
        with pytest.raises(msgspec.ValidationError):
            read(kind, written(kind, name, value))


TIMES = [
    (kind, name) for kind, name in FIELDS if isinstance(field_type(kind, name), inspect.FloatType)
]


@pytest.mark.parametrize(("kind", "name"), TIMES, ids=[f"{k.__name__}.{n}" for k, n in TIMES])
def test_a_time_is_finite_and_only_some_may_be_below_zero(
    kind: type[msgspec.Struct], name: str
) -> None:
    for value in (math.nan, math.inf, -math.inf, 1e300):
        with pytest.raises(msgspec.ValidationError):
            read(kind, written(kind, name, value))
    body = written(kind, name, -1.0)
    if (kind.__name__, name) in SIGNED:
        read(kind, body)
    else:
        with pytest.raises(msgspec.ValidationError):
            read(kind, body)


@pytest.mark.parametrize("size", [0, 15, 17, 900_000])
def test_an_id_has_sixteen_bytes(size: int) -> None:
    for message in EXAMPLES:
        names = {"call_id", "instance"} & set(message.__struct_fields__)
        for name in names:
            with pytest.raises(msgspec.ValidationError):
                decode(written(type(message), name, bytes(size)))


def test_a_larger_payload_does_not_ride_in_its_message() -> None:
    body = written(Payload, "data", bytes(INLINE_LIMIT))
    assert read(Payload, body)
    with pytest.raises(msgspec.ValidationError):
        read(Payload, written(Payload, "data", bytes(INLINE_LIMIT + 1)))


def test_what_is_refused_breaks_the_protocol_and_the_reason_names_the_field() -> None:
    decoder = FrameDecoder()
    submit = next(each for each in EXAMPLES if type(each).__name__ == "Submit")
    record = control_record(written(type(submit), "timeout", math.nan))
    with pytest.raises(ProtocolError, match=r"not a message of this protocol: Expected `float`"):
        list(decoder.receive_data(record))


def test_the_largest_resume_and_register_fit_into_a_record() -> None:
    ids = (bytes(16),) * MANY_CALLS
    numbers = (2**32,) * MANY_CALLS
    for resume in (
        Resume(ids, fences=numbers),
        Resume(
            *(ids, numbers),
            started=(True,) * MANY_CALLS,
            notify=dict.fromkeys(range(2**32, 2**32 + MANY_ADDRESSES), "x" * ADDRESS_LIMIT),
        ),
    ):
        body = encode(resume)
        assert len(body) < MAX_CONTROL
        assert decode(body) == resume
    functions = tuple(Function(f"function_{number}", "Add.") for number in range(MANY_FUNCTIONS))
    assert len(encode(Register(functions, 4))) < MAX_CONTROL
