"""What is installed travels by reference, what is the user's own by value."""

from __future__ import annotations

import collections
import email.message
import json.decoder
import os.path
import sys
import types
from pathlib import Path

import dill
import numpy
import pytest

import easyremote.errors
from easyremote.serialize.modules import is_own, travels_by_reference


@pytest.mark.parametrize(
    "module",
    [sys, os.path, json.decoder, collections, numpy, numpy.linalg, dill, easyremote.errors, email],
    ids=lambda module: module.__name__,
)
def test_an_installed_module_is_not_the_users_own(module: types.ModuleType) -> None:
    assert not is_own(module)


def test_main_a_test_module_and_one_made_by_hand_are_the_users_own() -> None:
    assert is_own(sys.modules["__main__"])
    assert is_own(sys.modules[__name__])
    assert is_own(types.ModuleType("made_by_hand"))


def test_a_module_beside_the_notebook_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside.py").write_text("def f(): pass\n")
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "installed_one.py").write_text("def f(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    import beside  # type: ignore[import-not-found]  # made above
    import installed_one  # type: ignore[import-not-found]  # made above

    assert is_own(beside) and not is_own(installed_one)
    assert not travels_by_reference(beside.f) and travels_by_reference(installed_one.f)


def test_a_thing_that_is_not_found_under_its_name_does_not_go_by_reference() -> None:
    def dumps() -> None: ...

    dumps.__module__, dumps.__qualname__ = "json", "dumps"
    assert not travels_by_reference(dumps)
    assert travels_by_reference(json.dumps)
    assert travels_by_reference(email.message.Message.get_payload)
