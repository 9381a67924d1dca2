"""The GPUs as the driver tells them, and a driver that does not."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from easyremote.node.gpus.foreign import Foreign, group_of
from easyremote.node.gpus.nvml import Card, Cards, Use
from easyremote.node.resources import ResourceMeter
from easyremote.protocol.messages import Gpu
from tests.fakes import pynvml

GB = 10**9


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / "gpus.json"
    pynvml.gpus(file, pynvml.card("GPU-a", 8, name="Old Card"), pynvml.card("GPU-b", 48, use=50))
    monkeypatch.setenv(pynvml.FILE, str(file))
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)
    yield file


def test_cards_are_told_with_who_holds_their_memory(driver: Path) -> None:
    pynvml.take(2, os.getpid())
    assert Cards().read() == (
        Card("GPU-a", "Old Card", 0.0, 2 * GB, 8 * GB, (Use(os.getpid(), 2 * GB),)),
        Card("GPU-b", "Fake A100", 0.5, 0, 48 * GB),
    )
    assert ResourceMeter().machine()[2] == (
        Gpu("Old Card", 0.0, 2 * GB, 8 * GB),
        Gpu("Fake A100", 0.5, 0, 48 * GB),
    )


def test_a_gpu_that_is_split_is_told_by_its_parts(driver: Path) -> None:
    parts = [pynvml.card("MIG-1", 20, name="A100 MIG 3g.20gb"), pynvml.card("MIG-2", 5)]
    pynvml.gpus(driver, pynvml.card("GPU-a", 40, parts=parts), pynvml.card("GPU-b"))
    pynvml.take(3, os.getpid())
    one, two, whole = Cards().read()
    assert (one.uuid, one.name, one.memory_total) == ("MIG-1", "A100 MIG 3g.20gb", 20 * GB)
    assert one.uses == (Use(os.getpid(), 3 * GB),)
    assert (two.uuid, two.memory_used, whole.uuid) == ("MIG-2", 0, "GPU-b")


@pytest.mark.parametrize("how", ["the driver", "one card", "no file"])
def test_what_fails_in_mid_run_keeps_its_last_figures_and_it_is_logged_once(
    driver: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    cards = Cards()
    pynvml.take(2, os.getpid())
    before = cards.read()
    good = driver.read_text()
    if how == "no file":
        driver.unlink()
    else:
        with pynvml.changed(driver) as said:
            said["cards"][1]["use"] = 75
            (said if how == "the driver" else said["cards"][0])[
                "fails" if how == "the driver" else "lost"
            ] = "GPU is lost"
    with caplog.at_level(logging.INFO, "easyremote.node"):
        assert cards.read()[0] == cards.read()[0] == before[0]
        assert cards.read()[1].use == (0.75 if how == "one card" else 0.5)
        (told,) = caplog.messages
        assert told.startswith("A GPU can't be read; its last known figures count: ")
        driver.write_text(good)
        assert cards.read() == before
        assert caplog.messages[1:] == ["All GPUs can be read again"]


def test_a_card_that_is_lost_from_the_start_is_left_out_for_good(driver: Path) -> None:
    with pynvml.changed(driver) as said:
        said["cards"][0]["lost"] = True
    cards = Cards()
    with pynvml.changed(driver) as said:
        said["cards"][0]["lost"] = False
    assert [card.uuid for card in cards.read()] == ["GPU-b"], "the gateway knows GPUs by place"


@pytest.mark.parametrize("library", [pynvml, None])
def test_without_a_driver_or_a_library_there_are_no_gpus(
    monkeypatch: pytest.MonkeyPatch, library: object
) -> None:
    monkeypatch.delenv(pynvml.FILE, raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert Cards().read() == ()


def test_a_foreign_process_is_named_by_what_it_runs_and_its_user() -> None:
    me = psutil.Process()
    names = Foreign()
    assert names.name(os.getpid()) == f"{me.name()} of user {me.username()}"
    assert names.name(2**22 + 1) == f"process {2**22 + 1}"
    assert group_of(2**22 + 1) == ()
    assert os.getsid(0) in group_of(os.getpid())
