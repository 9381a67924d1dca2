"""The owner's rules that are in force now: given at the start, in a file, or changed since.

The file may be edited while the node runs. ``tests/node/test_in_force.py`` proves it.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from easyremote.errors import UsageError
from easyremote.node.presence import Presence, on_battery
from easyremote.node.rules import MachineState, OwnersRules, WhenBusy

__all__ = ["RulesInForce"]

_log = logging.getLogger("easyremote.node")
#: The version of a file that has to be read again in any case.
_STALE = (-1, -1, -1)


class RulesInForce:
    """The rules, and whether they let something new start now.

    Parameters
    ----------
    given
        The rules as they were written where the node was started; they count more than the file.
    path
        A TOML file with the same words; None for no file.

    Raises
    ------
    UsageError
        A rule is wrong, or the file can't be read.
    """

    def __init__(self, given: Mapping[str, object], path: str | None = None) -> None:
        words = {_name(name): each for name, each in given.items() if each is not None}
        #: What the node was started with, as people wrote it.
        self.at_start = _as_written(words)
        self._given = words
        self._path = Path(path) if path is not None else None
        self._presence: Presence | None = None
        self._seen = self._version()
        self._words = self._read()
        self.rules = OwnersRules.read(self._words)
        #: Why nothing new may start, in words; empty where something may.
        self.closed = ""

    @property
    def may_change(self) -> bool:
        """Whether it is worth looking at them again."""
        is_changed = self._seen == _STALE
        return self._path is not None or is_changed or self.rules != OwnersRules()

    @property
    def when_busy(self) -> WhenBusy:
        """What becomes now of what runs in processes."""
        return self.rules.when_busy if self.closed else WhenBusy.GO_ON

    @property
    def stands_still(self) -> bool:
        """Whether what runs in processes stands still now."""
        return self.when_busy is WhenBusy.STAND_STILL

    @property
    def words(self) -> dict[str, str]:
        """The rules as people wrote them, by name."""
        return _as_written(self._words)

    @property
    def file(self) -> str:
        """Where changes are kept; empty where they hold until the node ends."""
        return str(self._path or "")

    def change(self, changes: Mapping[str, object]) -> dict[str, str]:
        """Change some of the rules, for its owner; they count from the next look. From a thread.

        They are written to the file where there is one, with its comments kept, and count more
        than what the node was started with.

        Parameters
        ----------
        changes
            Rules by name; None lifts one.

        Returns
        -------
        dict
            What is wrong, by name; then nothing was changed.

        Raises
        ------
        UsageError
            The file can't be read or written.
        """
        refused = OwnersRules.wrong(changes)
        if not changes or refused:
            return refused
        words = {_name(name): value for name, value in changes.items()}
        if self._path is not None:
            _edit(self._path, words)
        self._given = {name: each for name, each in self._given.items() if name not in words}
        if self._path is None:
            self._given |= {name: each for name, each in words.items() if each is not None}
        self._seen = _STALE
        return {}

    @property
    def given(self) -> dict[str, object]:
        """What counts more than the file: from the start, and changed since."""
        return dict(self._given)

    def take_over(self, given: Mapping[str, object]) -> None:
        """Go on with these instead; they count from the next look."""
        self._given = dict(given)
        self._seen = _STALE

    def look(self, now: datetime) -> bool:
        """Look at the file and at the machine; whether anything has changed. Call from a thread.

        Rules that can't be read are logged, and those before them stay in force.
        """
        before = self.rules, self.closed
        version = self._version()
        if version != self._seen:
            self._seen = version
            try:
                self._words = self._read()
                self.rules = OwnersRules.read(self._words)
            except UsageError as error:
                _log.error("The rules before it stay in force: %s", error)
        self.closed = self.rules.why_closed(now, self._state())
        return (self.rules, self.closed) != before

    def _state(self) -> MachineState:
        rules = self.rules
        if not rules.only_when_idle:
            self._presence = None
        elif self._presence is None:
            self._presence = Presence()
        return MachineState(
            on_battery=not rules.on_battery and on_battery(),
            is_in_use=self._presence is not None and self._presence.is_in_use(),
        )

    def _version(self) -> tuple[int, int, int] | None:
        """What changes when the file does; editors write a new file under the same name."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> dict[str, object]:
        OwnersRules.read(self._given)
        if self._path is None:
            return self._given
        try:
            told = tomllib.loads(self._path.read_text())
            OwnersRules.read(told)
        except (OSError, ValueError) as error:
            raise UsageError(f"The rules in {self._path} can't be read: {error}.") from None
        except UsageError as error:
            raise UsageError(f"{self._path}: {error.message}") from None
        return {_name(name): value for name, value in told.items()} | self._given


def _name(written: str) -> str:
    return written.replace("-", "_")


def _as_written(words: Mapping[str, object]) -> dict[str, str]:
    return {
        name: str(value) if not isinstance(value, bool) else "yes" if value else "no"
        for name, value in words.items()
    }


def _edit(path: Path, changes: Mapping[str, object]) -> None:
    """Change these rules in a file, and nothing else in it: comments stay.

    A new file takes its place at once, so that nobody reads half of it.
    """
    import tomlkit  # only where a file is changed

    path = path.resolve()  # a link stays one
    try:
        told = tomlkit.parse(path.read_text())
        spelled = {_name(name): name for name in told}
        for name, value in changes.items():
            if value is not None:
                told[spelled.get(name, name)] = value
            elif name in spelled:
                del told[spelled[name]]
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as written:
            written.write(tomlkit.dumps(told))
        shutil.copymode(path, written.name)
        os.replace(written.name, path)
    except (OSError, ValueError) as error:
        raise UsageError(f"The rules in {path} can't be changed: {error}.") from None
