"""The cells of this notebook that have made a session: what ``%remote_restart --again`` runs.

``tests/jupyter_extension/magics/test_restart.py`` proves it in real kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from easyremote_jupyter.magics.options import Options

__all__ = ["Ran", "RanCell"]

#: Characters of a cell's first line that are shown.
SHOWN = 60


@dataclass(frozen=True, slots=True)
class RanCell:
    """A cell that ran to its end."""

    options: Options
    code: str

    @property
    def title(self) -> str:
        """Its first line."""
        lines = [line for line in self.code.splitlines() if line.strip()]
        magic = lines[0].startswith("# %%remote") if lines else False
        first = lines[1] if magic and len(lines) > 1 else lines[0] if lines else ""
        return first if len(first) <= SHOWN else f"{first[: SHOWN - 3]}..."


class Ran:
    """The cells that ran in one session, each once.

    A cell that was changed and run again keeps its place, with its new code: those below it in the
    notebook need what it makes.
    """

    def __init__(self) -> None:
        self._cells: dict[str, RanCell] = {}

    def __iter__(self) -> Iterator[RanCell]:
        return iter(list(self._cells.values()))

    def __len__(self) -> int:
        return len(self._cells)

    def note(self, key: str, options: Options, code: str) -> None:
        """A cell has run; ``key`` names it in its notebook."""
        self._cells[key] = RanCell(options, code)

    def clear(self) -> None:
        """The session begins anew."""
        self._cells.clear()
