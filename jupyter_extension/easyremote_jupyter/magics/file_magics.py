"""``%remote_files`` and ``%remote_fetch``: list the files of a session, and bring them here.

``tests/jupyter_extension/test_files_of_cells.py`` proves it in real kernels.
"""

from __future__ import annotations

import argparse
import html
import sys
from collections.abc import Sequence
from datetime import datetime

from IPython.core.magic import line_magic, magics_class

from easyremote.client.files.fetching import RemoteFile, fetch, listed
from easyremote.client.files.sending import printable
from easyremote.client.refs import size_text
from easyremote.errors import NotFound, UsageError
from easyremote_jupyter.magics.job_magics import make_parser
from easyremote_jupyter.magics.options import parse, parse_target, split_words
from easyremote_jupyter.magics.place_magics import PlaceMagics
from easyremote_jupyter.output.display import Output
from easyremote_jupyter.output.tables import html_table, text_table
from easyremote_jupyter.output.tracebacks import one_line_errors
from easyremote_jupyter.places.places import Place

__all__ = ["FileMagics", "FileTable"]

_HEADINGS = ("Name", "Size", "Time", "")
#: Files that are shown; the others are counted.
SHOWN_MAX = 200

_FETCH = make_parser("remote_fetch")
_FETCH.add_argument("words", nargs="+", metavar="NAME")
_FETCH.add_argument("--to", default=".")
_FETCH.add_argument("--overwrite", action="store_true")


class FileTable(list[RemoteFile]):
    """The files of a session; shows itself as a table."""

    def __repr__(self) -> str:
        if not self:
            return "No files: the session has nothing in outputs/, and none were sent to it."
        return "\n".join([text_table(_HEADINGS, self._rows()), *self._more()])

    def _repr_html_(self) -> str:
        if not self:
            return html.escape(repr(self))
        table = html_table(_HEADINGS, self._rows())
        return table + "".join(f"<div>{line}</div>" for line in self._more())

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                printable(file.name if file.is_sent else f"outputs/{file.name}"),
                size_text(file.size),
                datetime.fromtimestamp(file.time).strftime("%Y-%m-%d %H:%M:%S"),
                "sent" if file.is_sent else "",
            )
            for file in self[:SHOWN_MAX]
        ]

    def _more(self) -> Sequence[str]:
        return [f"... and {len(self) - SHOWN_MAX:,} more"] if len(self) > SHOWN_MAX else []


@magics_class
class FileMagics(PlaceMagics):
    """See the module."""

    @line_magic
    def remote_files(self, line: str) -> FileTable:
        """List the files of a session: ``%remote_files [TARGET]``.

        These are the files that its cells have written into ``outputs/``, which ``%remote_fetch``
        brings here, and the files that were sent to it. They are deleted when the session ends.
        """
        with one_line_errors():
            place = self._places.find(parse(line))
            try:
                return FileTable(listed(place.session.files))
            except NotFound:  # no cell has run there
                return FileTable()

    @line_magic
    def remote_fetch(self, line: str) -> None:
        """Bring outputs of a session here: ``%remote_fetch [TARGET] NAME ... [--to FOLDER]``.

        NAME is a file below ``outputs/`` of the session, or a pattern as ``*.png``; hidden files
        come only by a name that begins with a dot. Files that are here already are not fetched
        again, and a transfer that was interrupted goes on where it stopped.

        --to FOLDER    the folder for them; else the current folder
        --overwrite    replace files here that have another content
        """
        with one_line_errors():
            wanted = _FETCH.parse_args(split_words(line))
            place, names = self._place(wanted)
            with Output(self.shell) as output:
                paths = fetch(
                    *(place.session.files, names, wanted.to),
                    overwrite=wanted.overwrite,
                    show=output.show,
                )
        for path in paths:
            sys.stdout.write(f"{printable(str(path))} ({size_text(path.stat().st_size)})\n")

    def _place(self, wanted: argparse.Namespace) -> tuple[Place, list[str]]:
        """The session and the names; a first word that is a node is the target."""
        target, names = "", list(wanted.words)
        if names[0].partition("/")[0] in self._places.known_nodes():
            target = names.pop(0)
        if not names:
            raise UsageError(f"%remote_fetch {target} NAME ...: which file? %remote_files {target}")
        return self._places.find(parse_target(target)), names
