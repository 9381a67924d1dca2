"""Signatures as JSON Schema."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Any, Literal

from easyremote.node.registered.parameters import LIMIT, parameters

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


class Colour(enum.Enum):
    RED = 1


def schema(function: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(parameters(function))
    return loaded


def test_hints_become_types_and_defaults_are_kept() -> None:
    def train(
        data: list[float],
        epochs: int = 10,
        *,
        name: str,
        kind: Literal["sgd", "adam"] = "adam",
        rate: float | None = None,
        verbose: bool = False,
    ) -> None: ...

    told = schema(train)
    assert told["required"] == ["data", "name"]
    assert told["properties"] == {
        "data": {"type": "array", "items": {"type": "number"}},
        "epochs": {"type": "integer", "default": 10},
        "name": {"type": "string"},
        "kind": {"enum": ["adam", "sgd"], "default": "adam"},
        "rate": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        "verbose": {"type": "boolean", "default": False},
    }


def test_what_has_no_plain_form_is_left_open() -> None:
    def odd(a, b: Colour, c: OnlyForCheckers, d: object = object(), *args: int, **more: int): ...

    assert schema(odd)["properties"] == {"a": {}, "b": {}, "c": {}, "d": {}}
    assert schema(odd)["required"] == ["a", "b", "c"]


def test_what_can_not_be_called_by_name_says_nothing() -> None:
    def positional(a, /): ...

    assert parameters(positional) == ""
    assert parameters(max) == ""


def test_a_schema_that_is_too_long_is_left_out() -> None:
    def large(a: str = "x" * LIMIT): ...

    assert parameters(large) == ""
