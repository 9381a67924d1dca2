"""``%remote_env``: a table of the packages of a session that differ from those here.

``tests/jupyter_extension/magics/test_environment_magic.py`` proves it, also in real kernels.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import NamedTuple

from IPython.core.magic import line_magic, magics_class

from easyremote.packages import installed
from easyremote_jupyter.magics.options import parse
from easyremote_jupyter.magics.place_magics import PlaceMagics
from easyremote_jupyter.output.tables import html_table, text_table
from easyremote_jupyter.output.tracebacks import one_line_errors

__all__ = ["EnvironmentMagics", "EnvironmentTable"]

_HEADINGS = ("Package", "There", "Here")


class Row(NamedTuple):
    """A package and its versions; a version is empty where the package is not installed."""

    name: str
    there: str
    here: str


class EnvironmentTable(list[Row]):
    """The packages that differ, or all packages; shows itself as a table.

    Parameters
    ----------
    node_id
        The node.
    there, here
        Package to version; Python itself is ``python``.
    shows_all
        Whether to show packages that don't differ, too.
    """

    def __init__(
        self,
        node_id: str,
        there: Mapping[str, str],
        here: Mapping[str, str],
        *,
        shows_all: bool = False,
    ) -> None:
        names = sorted(there.keys() | here.keys(), key=lambda name: (name != "python", name))
        rows = [Row(name, there.get(name, ""), here.get(name, "")) for name in names]
        differing = [row for row in rows if row.there != row.here]
        super().__init__(rows if shows_all else differing)
        alike = len(rows) - len(differing)
        counts = f"that are as here: {alike}; that differ: {len(differing)}"
        self.title = f"Packages on {node_id} {counts}"
        if not shows_all:
            self.title += " (--all shows all)"

    def __repr__(self) -> str:
        if not self:
            return self.title
        return f"{self.title}\n{text_table(_HEADINGS, self)}"

    def _repr_html_(self) -> str:
        table = html_table(_HEADINGS, self, stands_out=lambda row: row.there != row.here)
        return f"<div>{html.escape(self.title)}</div>{table if self else ''}"


@magics_class
class EnvironmentMagics(PlaceMagics):
    """See the module."""

    @line_magic
    def remote_env(self, line: str) -> EnvironmentTable:
        """Show which packages of a session differ from those here: ``%remote_env [TARGET]``.

        --all    show packages that are the same, too
        """
        words = line.split()
        with one_line_errors():
            place = self._places.find(parse(" ".join(word for word in words if word != "--all")))
            there = place.session.ask("packages")["packages"]
        return EnvironmentTable(
            place.session.node_id, there, installed(), shows_all="--all" in words
        )
