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
def test_a_remote_builtin_is_that_builtin_where_only_its_name_is_known(name: str) -> None:
    error = errors.from_wire("raised", "boom", {"type_name": name, "remote_traceback": "there"})
    assert isinstance(error, errors.RemoteError)
    assert (str(error), error.remote_traceback) == ("boom", "there")
    assert isinstance(error, getattr(builtins, name)) == (
        name != "ExceptionGroup"
    )  # it has members


def test_a_users_own_exception_keeps_its_name() -> None:
    error = errors.from_wire("raised", "boom", {"type_name": "MyError"})
    assert type(error).__name__ == "MyError"


def test_an_unknown_code_of_a_newer_peer_is_a_plain_error() -> None:
    assert type(errors.from_wire("from-2030", "new", {})) is errors.EasyRemoteError


def test_every_class_stands_in_the_tree_of_the_docstring() -> None:
    assert errors.__doc__ is not None
    for name in errors.__all__:
        assert name in errors.__doc__


HOSTILE = ["message", "details", "args", "self", "cls", "code", "with_traceback", "add_note"]
HOSTILE += ["__class__", "__dict__", "__traceback__", "__str__", "_render_traceback_", "", "a b"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("code", ["raised", "usage", "internal", "from-2030"])
def test_a_detail_of_any_name_breaks_and_overwrites_nothing(code: str, name: str) -> None:
    error = errors.from_wire(code, "boom", {name: "theirs", "type_name": "OSError", "spot": 3})
    assert (str(error), error.message, error.args) == ("boom", "boom", ("boom",))
    assert error.details[name] == "theirs"
    assert error.spot == 3
    assert isinstance(error.code, str) and callable(error.with_traceback)
    assert error.__traceback__ is None
    assert pickle.loads(pickle.dumps(error)).details == error.details
    if isinstance(error, errors.RemoteError):
        assert error._render_traceback_()[0].startswith("── on the node")


@pytest.mark.parametrize("value", [None, 3, "text", ["list"], {"a": 1}, float("nan")])
def test_a_declared_field_of_another_type_is_not_taken(value: object) -> None:
    details = dict.fromkeys(("may_have_run", "type_name", "remote_traceback", "exit_code"), value)
    error = errors.from_wire("raised", "boom", details)
    assert isinstance(error, errors.RemoteError)
    assert isinstance(error.may_have_run, bool)
    assert error._render_traceback_()[1:] == [error.remote_traceback or f"{error.type_name}: boom"]


@pytest.mark.parametrize("type_name", ["a\0b", "\ud800", "a b", "x" * 10_000, "", "type", "print"])
def test_a_type_of_any_name_is_a_remote_error(type_name: str) -> None:
    error = errors.from_wire("raised", "boom", {"type_name": type_name})
    assert isinstance(error, errors.RemoteError)
    assert str(error) == "boom"
