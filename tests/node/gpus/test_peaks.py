"""What functions were seen to hold of GPU memory, kept for the next start of the node."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyremote.config import HOME_VARIABLE
from easyremote.node.gpus.peaks import Peaks


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    return tmp_path


def test_peaks_are_kept_by_node_and_function(home: Path) -> None:
    peaks, others = Peaks("a"), Peaks("b")
    assert peaks.of("fit()") == 0
    peaks.note("fit()", 100)
    peaks.note("fit()", 90)
    others.note("fit()", 7)
    peaks.note("Model()", 200)
    assert (Peaks("a").of("fit()"), Peaks("a").of("Model()"), Peaks("b").of("fit()")) == (
        *(100, 200, 7),
    )
    before = (home / "gpu-peaks.json").stat().st_mtime_ns
    peaks.note("fit()", 104)
    assert (home / "gpu-peaks.json").stat().st_mtime_ns == before, "a little more is no news"
    peaks.note("fit()", 110)
    assert Peaks("a").of("fit()") == 110


@pytest.mark.parametrize("text", ["{", '{"a": 3}', '{"a": {"fit()": "many"}}'])
def test_a_damaged_file_is_written_anew(home: Path, text: str) -> None:
    (home / "gpu-peaks.json").write_text(text)
    peaks = Peaks("a")
    assert peaks.of("fit()") == 0
    peaks.note("fit()", 100)
    assert Peaks("a").of("fit()") == 100


def test_a_home_that_can_not_be_written_to_stops_no_call(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "gpu-peaks.json").mkdir()
    Peaks("a").note("fit()", 100)
    assert "can't be kept" in caplog.text
