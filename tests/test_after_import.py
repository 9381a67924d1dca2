"""What is done with a module as soon as somebody imports it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from easyremote.after_import import after_import


def test_it_is_done_once_and_after_the_module_has_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some_library.py").write_text("ready = True")
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    seen: list[bool] = []
    after_import("some_library", lambda module: seen.append(module.ready))
    with pytest.raises(ImportError):
        __import__("some_library.part")
    __import__("some_library")
    assert seen == [True]
    assert sys.meta_path == finders, "nothing is left of it"
    after_import("some_library", lambda module: seen.append(module.ready))
    assert seen == [True, True], "it is there already"
    del sys.modules["some_library"]
