"""An exception comes back as itself: its class, arguments, fields, notes, causes and members."""

from __future__ import annotations

import builtins
import enum
import json
import pathlib
import pickle
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from easyremote import errors
from easyremote.node.outcomes import remote_error
from easyremote.packing import pack
from easyremote.raised import SIZE_MAX, NotSent, described


class Code(enum.IntEnum):
    GONE = 410


class Colour(enum.StrEnum):
    RED = "red"


class Coded(Exception):
    code = 404


class Own(Exception):
    """The user's own, with everything that such classes have."""

    made = 0

    def __init__(self, code: int, why: str) -> None:
        type(self).made += 1
        super().__init__(code, why)
        self.code, self.message = code, why.upper()

    def __str__(self) -> str:
        return f"own {self.code}"

    @property
    def twice(self) -> int:
        return self.code * 2


class Both(KeyError, AttributeError):
    pass


class Slotted(Exception):
    __slots__ = ("place",)


class Registered(Exception):
    seen: list[str] = []

    def __init_subclass__(cls, *, needed: int) -> None:
        cls.seen.append(cls.__name__)


def raised(make: Callable[[], BaseException]) -> BaseException:
    try:
        raise make()
    except BaseException as error:
        return error


def travelled(error: BaseException) -> errors.EasyRemoteError:
    """What is raised on the other side."""
    body = pack(errors.to_wire(remote_error(error)))
    return errors.from_wire(*msgspec.msgpack.decode(body))


def caught(run: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as found:
        run()
    return found.value


#: One of every builtin class, with the arguments that it has in practice.
MADE: list[BaseException] = [
    caught(lambda: {}["the key"]),  # type: ignore[index]  # raises
    caught(lambda: {}[1, "two"]),  # type: ignore[index]  # raises
    caught(lambda: [][3]),
    caught(lambda: 1 / 0),
    caught(lambda: int("x")),
    caught(lambda: b"\xff".decode()),
    caught(lambda: "\udce9".encode()),
    caught(lambda: open("/no/such/file")),
    caught(lambda: pathlib.Path("/no/such").stat()),
    caught(lambda: __import__("no_such_module")),
    caught(lambda: undefined_name),  # type: ignore[name-defined]  # noqa: F821 - raises
    caught(lambda: (3).no_such),  # type: ignore[attr-defined]  # raises
    caught(lambda: compile("a b c", "file.py", "exec")),
    caught(lambda: json.loads("{bad}")),
    caught(lambda: subprocess.run(["false"], check=True)),
    caught(lambda: np.zeros(3)[5]),
    caught(lambda: np.linalg.inv(np.zeros((2, 2)))),
    StopIteration(3),
    SystemExit(7),
    KeyboardInterrupt(),
    GeneratorExit(),
    OSError(28, "No space", "a.txt", None, "b.txt"),
    OSError("only text"),
    UserWarning("careful"),
    UnicodeTranslateError("text", 1, 2, "why"),
    ExceptionGroup("many", [ValueError(1), ExceptionGroup("inner", [TypeError("t"), KeyError(2)])]),
    BaseExceptionGroup("hard", [KeyboardInterrupt()]),
    AssertionError(),
    RecursionError("deep"),
    ValueError(1, 2.5, None, "text", b"bytes", (1, [2, {"a": {3}}]), 10**40, 2j, frozenset({1})),
    ValueError("lone \udce9 surrogate"),
]


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_a_builtin_exception_comes_back_as_itself(error: BaseException) -> None:
    again = travelled(error)
    same(again, error)
    same(pickle.loads(pickle.dumps(again)), error)


def same(again: BaseException, error: BaseException) -> None:
    assert isinstance(again, errors.RemoteError)
    assert isinstance(again, type(error))
    assert type(again).__name__ == type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        assert isinstance(again, BaseExceptionGroup)
        assert (again.message, str(again)) == (error.message, str(error))  # type: ignore[comparison-overlap]
        for there, here in zip(again.exceptions, error.exceptions, strict=True):
            same(there, here)
        return
    assert again.args == error.args
    fields = "errno strerror filename filename2 name value code encoding object start end reason"
    fields += " lineno offset text msg pos doc returncode cmd"
    for name in fields.split():
        if hasattr(error, name):
            assert getattr(again, name) == getattr(error, name), name
    if "\udce9" not in str(error):
        assert str(again) == str(error)


def test_these_are_all_the_builtin_exceptions() -> None:
    every = [v for v in vars(builtins).values() if isinstance(v, type)]
    every = [cls for cls in every if issubclass(cls, BaseException)]
    for cls in every:
        if not issubclass(cls, BaseExceptionGroup | UnicodeError | SyntaxError):
            same(travelled(cls("text", 2)), cls("text", 2))


def test_a_group_can_be_split_by_the_classes_of_its_members() -> None:
    group = travelled(ExceptionGroup("many", [ValueError(1), TypeError("t")]))
    try:
        raise group
    except* ValueError as found:
        assert [each.args for each in found.exceptions] == [(1,)]
    except* TypeError as others:
        assert [str(each) for each in others.exceptions] == ["t"]


def test_causes_contexts_and_notes_come_along() -> None:
    def make() -> BaseException:
        try:
            try:
                {}["a"]  # type: ignore[index]  # raises
            except KeyError:
                raise OSError(2, "no") from UserWarning("first")
        except OSError as error:
            second = ValueError("outer")
            second.__cause__ = error
            second.add_note("a note")
            return second

    again = travelled(raised(make))
    cause = again.__cause__
    assert isinstance(cause, OSError) and cause.errno == 2
    assert isinstance(cause.__cause__, UserWarning) and cause.__suppress_context__
    assert isinstance(cause.__context__, KeyError)
    assert again.__notes__ == ["a note"]


# -- classes of the user's -------------------------------------------------------------------------


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A `__main__` as a notebook has it."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    yield module


def test_an_own_class_is_caught_by_the_class_of_that_name_and_none_of_its_code_runs() -> None:
    error = Own(404, "gone")
    before = Own.made
    again = travelled(error)
    assert isinstance(again, Own) and isinstance(again, errors.RemoteError)
    assert (again.code, again.message, again.twice) == (404, "GONE", 808)
    assert (again.args, str(again)) == ((404, "gone"), "own 404")
    assert Own.made == before
    assert errors.to_wire(again)[:2] == ("raised", "own 404")


def test_a_code_of_the_users_class_is_not_ours() -> None:
    again = travelled(Coded("x"))
    assert again.code == 404  # type: ignore[comparison-overlap]  # it is a Coded
    assert errors.to_wire(again)[0] == "raised"


def test_a_class_of_the_notebook_is_found_by_its_name(main: types.ModuleType) -> None:
    exec("class Lost(LookupError):\n    pass", vars(main))
    again = travelled(main.Lost("here", 3))
    assert isinstance(again, main.Lost)
    assert again.args == ("here", 3)


def test_a_class_that_is_not_here_is_caught_by_its_builtin_bases(main: types.ModuleType) -> None:
    exec("class Gone(KeyError, AttributeError):\n    pass", vars(main))
    error = main.Gone("x")
    del main.Gone
    again = travelled(error)
    assert isinstance(again, KeyError) and isinstance(again, AttributeError)
    assert type(again).__name__ == "Gone"


def test_what_has_the_name_but_is_no_exception_is_not_taken(main: types.ModuleType) -> None:
    exec("class Gone(ValueError):\n    pass", vars(main))
    error = main.Gone("x")
    main.Gone = 5
    assert isinstance(travelled(error), ValueError)
    main.Gone = int
    assert isinstance(travelled(error), ValueError)


def test_the_hooks_of_an_own_class_do_not_run() -> None:
    again = travelled(Registered("x"))
    assert isinstance(again, Registered) and Registered.seen == []


def test_fields_in_slots_come_along() -> None:
    error = Slotted("x")
    error.place = "there"
    again = travelled(error)
    assert isinstance(again, Slotted) and again.place == "there"


def test_what_is_almost_plain_comes_as_the_plain_value() -> None:
    error = ValueError(Code.GONE, Colour.RED, np.int64(3), np.float64(0.5), np.str_("s"))
    again = travelled(error)
    assert again.args == (410, "red", 3, 0.5, "s")
    assert [type(each) for each in again.args] == [int, str, int, float, str]
    assert travelled(ValueError(int, Coded)).args == (int, Coded)
    (path,) = travelled(ValueError(pathlib.Path("a/b"))).args
    assert path == pathlib.Path("a/b")


def test_what_is_not_plain_shows_its_repr() -> None:
    again = travelled(KeyError(np.zeros(2), 5))
    assert repr(again.args[0]) == "array([0., 0.])"
    assert isinstance(again.args[0], NotSent) and again.args[1] == 5


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class BadText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def endless() -> BaseException:
    items: list[Any] = []
    items.append(items)
    return ValueError(items)


def ring() -> BaseException:
    first, second = ValueError(1), TypeError(2)
    first.__cause__, second.__cause__ = second, first
    return first


@pytest.mark.parametrize(
    "error",
    [
        ValueError(Hostile()),
        BadText("x"),
        endless(),
        ring(),
        ValueError("x" * (SIZE_MAX + 1)),
        ValueError(*["y" * 400_000] * 4),
        ValueError(*range(1000)),
    ],
    ids=["repr", "text", "endless", "ring", "long", "much", "many"],
)
def test_no_exception_is_too_much(error: BaseException) -> None:
    again = travelled(error)
    assert isinstance(again, type(error))
    assert len(pack(described(error))) < 3 * SIZE_MAX


def test_a_unicode_error_of_a_large_text_is_one_all_the_same() -> None:
    error = caught(lambda: (b"a" * (SIZE_MAX + 1) + b"\xff").decode())
    again = travelled(error)
    assert isinstance(again, UnicodeDecodeError)
    assert (again.start, again.reason) == (SIZE_MAX + 1, "invalid start byte")


# -- what a peer may send --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        None,
        3,
        [],
        {},
        {"class": 5},
        {"class": [["builtins"]]},
        {"class": [["os", "system"]], "args": ["true"]},
        {"class": [["builtins", "print"]], "args": ["x"]},
        {"class": [["builtins", "ValueError"]], "args": 5},
        {"class": [["builtins", "ValueError"]], "args": [["eval", "1"]]},
        {"class": [["builtins", "ValueError"]], "args": [["error", 3]]},
        {"class": [["builtins", "ValueError"]], "fields": {"__class__": 3, "__dict__": {}}},
        {"class": [["builtins", "ValueError"]], "fields": {"details": 3, "_text": 4, "args": 5}},
        {"class": [["builtins", "ExceptionGroup"]], "args": ["x", ["list", [1]]]},
        {"class": [["builtins", "x" * 1000]], "args": ["x"]},
        {"class": [["builtins", "a b"]], "args": ["x"]},
    ],
)
def test_whatever_a_peer_sends_is_a_remote_error(record: object) -> None:
    details = {"type_name": "ValueError", "exception": record, "remote_traceback": "there"}
    error = errors.from_wire("raised", "boom", details)
    assert isinstance(error, errors.RemoteError)
    assert (str(error), error.remote_traceback) == ("boom", "there")
    assert error.details["type_name"] == "ValueError"
    assert errors.to_wire(error) == ("raised", "boom", details)
    pickle.loads(pickle.dumps(error))


def test_no_module_is_imported_for_it() -> None:
    record = {"class": [["antigravity", "Fly"], ["builtins", "ValueError"]], "args": ["x"]}
    error = errors.from_wire("raised", "boom", {"exception": record})
    assert isinstance(error, ValueError) and type(error).__name__ == "Fly"
    assert "antigravity" not in sys.modules
