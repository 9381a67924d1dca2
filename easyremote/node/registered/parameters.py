"""The parameters of a function as JSON Schema: what a form, or another language, needs to call it.

Made from the signature and the type hints, without importing what they name; what has no plain
form in JSON is left open. ``tests/node/registered/test_parameters.py`` proves it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import msgspec

#: Longer ones don't travel: no form could show them.
LIMIT = 4000

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def parameters(function: Callable[..., Any]) -> str:
    """The schema of the object of its arguments; empty where it can't be called by name."""
    try:
        signature = _signature(function)
    except (TypeError, ValueError):
        return ""  # some builtins don't tell theirs
    properties, required = {}, []
    for name, parameter in signature.parameters.items():
        has_default = parameter.default is not inspect.Parameter.empty
        if parameter.kind in _NAMED:
            properties[name] = _schema(parameter.annotation) | _default(parameter.default)
            if not has_default:
                required.append(name)
        elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY and not has_default:
            return ""
    text = json.dumps({"type": "object", "properties": properties, "required": required})
    return text if len(text) <= LIMIT else ""


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # a hint can name anything, also what exists for type checkers only
        return inspect.signature(function)


def _schema(annotation: Any) -> dict[str, Any]:
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return {}
    try:
        schema = msgspec.json.schema(annotation)
    except (TypeError, RuntimeError):
        return {}
    # A reference is to a class: what arrives as JSON would be no instance of it.
    return {} if "$ref" in json.dumps(schema) else schema


def _default(value: object) -> dict[str, Any]:
    if value is inspect.Parameter.empty:
        return {}
    try:
        return {"default": json.loads(json.dumps(value, allow_nan=False))}
    except (TypeError, ValueError, RecursionError):
        return {}
