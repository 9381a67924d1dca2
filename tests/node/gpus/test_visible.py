"""A process sees only some GPUs from the moment when it is told, if it has not used any before."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from easyremote.node.gpus import visible
from easyremote.node.gpus.visible import DEVICES_VARIABLE, see_only


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICES_VARIABLE, "all")


def test_it_is_set_as_long_as_nothing_has_used_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", torch)  # imported, and not used
    assert see_only(["GPU-a", "GPU-b"])
    assert os.environ[DEVICES_VARIABLE] == "GPU-a,GPU-b"


def test_pytorch_that_has_begun_is_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: True))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert not see_only(["GPU-a"])
    assert os.environ[DEVICES_VARIABLE] == "all"


@pytest.mark.parametrize(
    ("maps", "is_set"),
    [
        ("7f00-7f01 r-xp 0 08:01 1 /usr/lib/x86_64-linux-gnu/libcuda.so.570.86\n", False),
        ("7f00-7f01 r-xp 0 08:01 1 /usr/lib/libcudart.so.12\n", True),
        (None, True),
    ],
    ids=["loaded", "another library", "no such file"],
)
def test_any_library_that_has_loaded_the_driver_is_too_late(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, maps: str | None, is_set: bool
) -> None:
    file = tmp_path / "maps"
    if maps is not None:
        file.write_text(maps)
    monkeypatch.setattr(visible, "Path", lambda path: file)
    assert see_only(["GPU-a"]) is is_set


def test_a_user_s_own_module_of_that_name_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    assert see_only(["GPU-a"])
