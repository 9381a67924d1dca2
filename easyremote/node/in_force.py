"""The owner's rules that are in force now: as the node was started, and as a file says.

The file may be edited while the node runs. ``tests/node/test_in_force.py`` proves it.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from easyremote.errors import UsageError
from easyremote.node.presence import Presence, on_battery
from easyremote.node.rules import MachineState, OwnersRules

__all__ = ["RulesInForce"]

_log = logging.getLogger("easyremote.node")


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
        self._given = {name: each for name, each in given.items() if each is not None}
        self._path = Path(path) if path is not None else None
        self._presence: Presence | None = None
        self._seen = self._version()
        self.rules = self._read()
        #: Why nothing new may start, in words; empty where something may.
        self.closed = ""

    @property
    def may_change(self) -> bool:
        """Whether it is worth looking at them again."""
        return self._path is not None or self.rules != OwnersRules()

    def look(self, now: datetime) -> bool:
        """Look at the file and at the machine; whether anything has changed. Call from a thread.

        Rules that can't be read are logged, and those before them stay in force.
        """
        before = self.rules, self.closed
        version = self._version()
        if version != self._seen:
            self._seen = version
            try:
                self.rules = self._read()
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

    def _read(self) -> OwnersRules:
        if self._path is None:
            return OwnersRules.read(self._given)
        try:
            told = tomllib.loads(self._path.read_text())
            OwnersRules.read(told)
        except (OSError, ValueError) as error:
            raise UsageError(f"The rules in {self._path} can't be read: {error}.") from None
        except UsageError as error:
            raise UsageError(f"{self._path}: {error.message}") from None
        words = {name.replace("-", "_"): value for name, value in told.items()}
        return OwnersRules.read(words | self._given)
