"""Errors survive pickling and the wire, and say what they are."""

from __future__ import annotations

import builtins
import pickle

import pytest

from easyremote import errors

CLASSES = [getattr(errors, name) for name in errors.__all__]
BUILTINS = [
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_survives_pickling_and_the_wire(cls: type[errors.EasyRemoteError]) -> None:
    error = cls("what happened, ünd what to do", node_id="gpu-node", may_have_run=False)
    for again in (pickle.loads(pickle.dumps(error)), errors.from_wire(*errors.to_wire(error))):
        assert isinstance(again, cls)
        assert str(again) == "what happened, ünd what to do"
        assert again.node_id == "gpu-node"
        assert again.may_have_run is False


@pytest.mark.parametrize("name", BUILTINS)
def test_a_remote_builtin_is_that_builtin_where_its_arguments_allow(name: str) -> None:
    error = errors.from_wire("raised", "boom", {"type_name": name, "remote_traceback": "there"})
    assert isinstance(error, errors.RemoteError)
    assert (str(error), error.remote_traceback) == ("boom", "there")
    special = {
        "ExceptionGroup",
        "UnicodeDecodeError",
        "UnicodeEncodeError",
        "UnicodeTranslateError",
    }
    assert isinstance(error, getattr(builtins, name)) == (name not in special)


def test_a_users_own_exception_keeps_its_name() -> None:
    error = errors.from_wire("raised", "boom", {"type_name": "MyError"})
    assert type(error).__name__ == "MyError"


def test_an_unknown_code_of_a_newer_peer_is_a_plain_error() -> None:
    assert type(errors.from_wire("from-2030", "new", {})) is errors.EasyRemoteError


def test_every_class_stands_in_the_tree_of_the_docstring() -> None:
    assert errors.__doc__ is not None
    for name in errors.__all__:
        assert name in errors.__doc__
