"""Nothing durable is lost by a power cut, and no flipped bit gives a wrong value."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from random import Random

import pytest

from easyremote.journal import journal as journals
from tests.journal import power
from tests.journal.power import Story, power_cuts


@pytest.fixture
def seed() -> int:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    return seed


def test_a_power_cut_loses_nothing_that_was_durable(tmp_path: Path, seed: int) -> None:
    assert power_cuts(tmp_path, seed, 60) == []


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_thousand_power_cuts_lose_nothing_that_was_durable(tmp_path: Path, seed: int) -> None:
    for part in range(10):
        assert power_cuts(tmp_path / str(part), seed + part, 100) == []
        shutil.rmtree(tmp_path / str(part))


def test_a_journal_that_did_not_sync_would_be_found_out(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of the test: without FULL, durable writes are lost."""
    monkeypatch.setattr(journals.Journal, "_synchronise", lambda self, level: None)
    setup = journals._set_up

    def set_up(database: journals.Database, path: Path, schema: str) -> None:
        setup(database, path, schema)
        database.execute("PRAGMA synchronous = NORMAL")

    monkeypatch.setattr(journals, "_set_up", set_up)
    assert power_cuts(tmp_path, seed, 60) != []


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    story = Story(tmp_path_factory.mktemp("story") / "story", secrets.randbits(32))
    story.run()
    return story


@pytest.mark.parametrize("flips", [1, 3])
def test_a_flipped_bit_gives_no_wrong_value_and_loses_nothing_without_a_word(
    tmp_path: Path, story: Story, seed: int, flips: int
) -> None:
    chance = Random(seed)
    for number in range(60):
        folder = tmp_path / str(number)
        shutil.copytree(story.folder, folder)
        assert story.after_flips(folder, chance, flips) == []
        shutil.rmtree(folder)


def test_the_story_says_what_it_should(tmp_path: Path, story: Story) -> None:
    """It has rows and files, some of them removed, and is whole."""
    shutil.copytree(story.folder, tmp_path / "copy")
    assert len(story.states) == power.WRITES + 1
    assert list(story.check(tmp_path / "copy", len(story.states) - 1)) == []
    whats = {entry.what for entry in story.disk.log}
    assert {"sync", "write", "durable", "file synced", "names synced", "removed"} <= whats
