"""`LiveLines`: text that stays, above lines at the end of a terminal that change in place.

``tests/cli/test_live.py`` proves it.
"""

from __future__ import annotations

import shutil
from typing import TextIO

__all__ = ["LiveLines"]

_UP, _ERASE_BELOW = "\x1b[{}A", "\x1b[J"


class LiveLines:
    """Where output is no terminal, only the last state of what changes is written.

    Parameters
    ----------
    stream
        Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        #: What may change yet, by its key, in the order in which it came.
        self._live: dict[str, str] = {}
        self._drawn = 0
        #: A line that has begun: written when it is whole, as lines below it come and go.
        self._begun = ""

    def write(self, text: str) -> None:
        """Text that stays."""
        whole, newline, self._begun = (self._begun + text).rpartition("\n")
        self._erase()
        self._stream.write(whole + newline)
        self._draw()

    def show(self, key: str, text: str) -> None:
        """Lines that stand in the place of those that had this key."""
        self._live[key] = text
        self._erase()
        self._draw()

    def settle(self) -> None:
        """What is shown stays."""
        self._erase()
        begun, self._begun = self._begun, ""
        for text in [begun, *self._live.values()]:
            if text:
                self._stream.write(f"{text}\n")
        self._live.clear()
        self._stream.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(f"\r{_UP.format(self._drawn)}{_ERASE_BELOW}")
        self._drawn = 0

    def _draw(self) -> None:
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            lines = [line[:width] for text in self._live.values() for line in text.splitlines()]
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._drawn = len(lines)
        self._stream.flush()
