"""``%remote_restart``: ends a session, and with ``--again`` makes it anew.

``tests/jupyter_extension/magics/test_restart.py`` proves it in real kernels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from IPython.core.magic import line_magic, magics_class

from easyremote.client.files.fetching import listed
from easyremote.client.session import Session
from easyremote.errors import EasyRemoteError
from easyremote_jupyter.magics.options import Options, parse, split_words
from easyremote_jupyter.magics.place_magics import PlaceMagics
from easyremote_jupyter.output.display import show_notice
from easyremote_jupyter.output.tracebacks import one_line_errors
from easyremote_jupyter.places.places import Place, Places
from easyremote_jupyter.widgets.widgets import Widgets

__all__ = ["RestartMagics"]

#: Seconds that a session has to list its files before it is ended.
LIST_LIMIT = 3.0
AGAIN = "--again"

#: Runs a cell once more, as its options say.
RunAgain = Callable[[Options, str], None]


@magics_class
class RestartMagics(PlaceMagics):
    """See the module."""

    def __init__(self, shell: Any, places: Places, widgets: Widgets, run_again: RunAgain) -> None:
        super().__init__(shell, places)
        self._widgets, self._run_again = widgets, run_again

    @line_magic
    def remote_restart(self, line: str) -> None:
        """End a session: ``%remote_restart [TARGET]``. Its variables and files are lost.

        A cell that runs in it is stopped. The next cell starts a new session, and says which
        variables are sent again. Without TARGET it ends the session that ``%%remote`` would use.

        --again   then run the cells of this notebook again that ran there, in their order, each
                  once; it stops at the first that fails
        """
        with one_line_errors():
            words = split_words(line)
            target = " ".join(word for word in words if word != AGAIN)
            place = self._places.find(parse(target))
            outputs = _outputs(place.session)
            was_there = place.session.end()
            self._widgets.close(place.process)
        if AGAIN in words:
            self._make_anew(place)
            return
        place.ran.clear()
        if was_there:
            lost = f", and its outputs/ with it ({outputs})" if outputs else ""
            _say(
                f"The session on {place.session.node_id} has ended{lost}; the next cell starts it "
                "anew."
            )
        else:
            _say(f"There was no session on {place.session.node_id} yet.")

    def _make_anew(self, place: Place) -> None:
        """Run the cells of a session again."""
        cells, node_id = list(place.ran), place.session.node_id
        if not cells:
            _say(f"No cell of this notebook has run in that session on {node_id}.")
            return
        place.begin_anew()
        for number, cell in enumerate(cells, 1):
            show_notice(f"[{number}/{len(cells)}] {cell.title}")
            try:
                self._run_again(place.here(cell.options), cell.code)
            except BaseException:
                left = len(cells) - number
                show_notice(
                    f"Stopped at cell {number} of {len(cells)}: {cell.title}"
                    + (f". {left} did not run." if left else "")
                )
                raise
        what = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
        _say(f"The session on {node_id} is made anew: {what} ran again.")


def _outputs(session: Session) -> str:
    """The files in a session's outputs, in words; empty where the session doesn't answer."""
    try:
        names = [file.name for file in listed(session.files, LIST_LIMIT) if not file.is_sent]
    except (EasyRemoteError, TimeoutError):
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
