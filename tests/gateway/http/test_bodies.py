"""What a body may be: every limit, wherever the bytes are cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyremote.gateway.http.bodies import MAX_DEPTH, MAX_VALUES, Refusal, Shape, check_object

TEXTS = st.text('ab"\\[]{},\n', max_size=20)
VALUES = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)


def depth_of(value: object) -> int:
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


def shape_of(parts: list[bytes], monkey: pytest.MonkeyPatch, depth: int) -> Shape:
    monkey.setattr("easyremote.gateway.http.bodies.MAX_DEPTH", depth)
    shape = Shape()
    for part in parts:
        shape.add(part)
    return shape


@given(VALUES, st.integers(1, 7))
def test_the_depth_is_that_of_the_value_wherever_the_text_is_cut(value: object, size: int) -> None:
    text = json.dumps(value).encode()
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    with pytest.MonkeyPatch.context() as monkey:
        shape_of(parts, monkey, depth_of(value))
        if depth_of(value):
            with pytest.raises(Refusal, match="within one another"):
                shape_of(parts, monkey, depth_of(value) - 1)


def test_values_and_depth_have_their_limits() -> None:
    Shape().add(b"[" + b"1," * (MAX_VALUES - 1))
    with pytest.raises(Refusal, match=f"more than {MAX_VALUES} values") as caught:
        Shape().add(b"[" + b"1," * MAX_VALUES)
    assert caught.value.status == 413
    shape = Shape()
    shape.add(b"[" * MAX_DEPTH)
    with pytest.raises(Refusal, match="more than 64 lists"):
        shape.add(b"[")
    Shape().add(b'"' + b"[,{" * MAX_VALUES)  # a text, however long


@pytest.mark.parametrize("body", [b"", b" \r\n\t"])
def test_no_body_is_no_arguments(body: bytes) -> None:
    assert check_object(body) == b"{}"


@pytest.mark.parametrize(
    "body",
    [
        *(b'{"a": 1}', b' {"a": [1.5e300, -0.0, null]}\n', rb'{"a": "\ud83d\ude00 \\"}'),
        *(b'{"1e999": "' + b"1" * 9999 + b'"}', b'{"a": ' + b"1" * 300 + b"}"),
    ],
)
def test_an_object_stays_as_it_is(body: bytes) -> None:
    assert check_object(body) == body.strip()


@pytest.mark.parametrize(
    "body",
    [
        *(b"1", b"[]", b'"a"', b"null", b"{", b"{}{}", b"{'a': 1}", b'{"a": 01}', b'{"a": NaN}'),
        *(b'{"a": Infinity}', b'{"a": 1e309}', b'{"a": [[-1e0999]]}', b'{"a": 1E+400}'),
        *(b'{"a": 1' + b"0" * 250 + b"e99}", b'{"a": ' + b"1" * 4400 + b"}"),
        *(rb'{"a": "\ud800"}', rb'{"\udc00": 1}', b'{"a": "\xff"}', b'{"a": "\n"}'),
        *(b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b'{"a":' + b"[" * 100_000),
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="no JSON object of arguments") as caught:
        check_object(body)
    assert (caught.value.status, caught.value.code) == (400, "usage")
