"""PyTorch takes no more GPU memory than was promised; a fake one says what it was told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from easyremote.node.gpus.limit import GpuLimit

GB = 10**9


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "fakes"))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield
    sys.modules.pop("torch", None)


def loaded() -> Any:
    import torch

    return torch


def test_the_limit_is_set_when_torch_is_imported_and_begins_to_use_its_gpus() -> None:
    limit = GpuLimit()
    limit.promise(10 * GB)
    torch = loaded()
    assert torch.fractions == {}, "no GPU is touched by the import"
    torch.init()
    assert torch.fractions == {0: 0.25}
    limit.promise(8 * GB)
    assert torch.fractions == {0: 0.25}, "what is taken stays taken"
    limit.promise(30 * GB)
    assert torch.fractions == {0: 0.75}
    limit.promise(50 * GB)
    assert torch.fractions == {0: 1.0}


def test_the_limit_is_set_at_once_where_torch_is_there() -> None:
    torch = loaded()
    torch.init()
    GpuLimit().promise(20 * GB)
    assert torch.fractions == {0: 0.5}


@pytest.mark.parametrize(("available", "told"), [(True, {0: 0.5}), (False, {})])
def test_a_torch_that_has_no_lazy_calls_is_told_at_once_if_it_has_a_gpu(
    available: bool, told: dict[int, float]
) -> None:
    torch = loaded()
    del torch.cuda._lazy_call
    torch.cuda.is_available = lambda: available
    GpuLimit().promise(20 * GB)
    assert torch.fractions == told


def test_a_torch_that_refuses_does_not_stop_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    torch = loaded()
    torch.init()
    torch.cuda.get_device_properties = lambda device: SimpleNamespace(total_memory=-1.0)
    GpuLimit().promise(20 * GB)
    assert "has no limit: Invalid fraction value" in capsys.readouterr().err
