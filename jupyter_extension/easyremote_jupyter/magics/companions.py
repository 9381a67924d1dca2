"""The magics about nodes, sessions and the panel, beside ``%%remote`` itself.

``tests/jupyter_extension/magics/test_companions.py`` proves it in real kernels.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

import easyremote
from easyremote.client.diagnosis import diagnose
from easyremote.options.spelling import did_you_mean
from easyremote_jupyter.jobs import Jobs
from easyremote_jupyter.magics.options import Options, parse
from easyremote_jupyter.output.node_table import NodeTable, watch_nodes
from easyremote_jupyter.output.tracebacks import one_line_errors
from easyremote_jupyter.places.attachment import Attachment
from easyremote_jupyter.places.places import Places
from easyremote_jupyter.widgets.widgets import Widgets

if TYPE_CHECKING:
    from easyremote_jupyter.live.live_panel import LivePanel

__all__ = ["Companions"]

_COLOURS = {"ok": "\x1b[32m", "note": "\x1b[33m", "wrong": "\x1b[31m"}


@magics_class
class Companions(Magics):
    """See the module."""

    shell: Any

    def __init__(self, shell: Any, places: Places, jobs: Jobs, widgets: Widgets) -> None:
        untyped: Any = super()
        untyped.__init__(shell)
        self._places, self._jobs, self._widgets = places, jobs, widgets
        self._panel: LivePanel | None = None
        self._attachment = Attachment(places)
        if hasattr(shell, "kernel"):
            self._attachment.open()

    @line_magic
    def remote_nodes(self, line: str) -> NodeTable | None:
        """Show the nodes that the gateway knows.

        --watch   show them anew every second, until the cell is interrupted
        --json    print JSON, for other programs
        """
        choice = _choice("%remote_nodes", line, ("--watch", "--json"))
        with one_line_errors():
            client = easyremote.connect()
            if choice == "--watch":
                watch_nodes(client, self.shell)
                return None
            table = NodeTable(client.list_nodes())
        if choice == "--json":
            _say(table.as_json())
            return None
        return table

    @line_magic
    def remote_attach(self, line: str) -> None:
        """Let cells that name no target run there: ``%remote_attach TARGET [--auto]``.

        TARGET is NODE, NODE/SESSION, or ``any`` with ``--where 'gpu>=1'``. Without TARGET the magic
        says what is attached.

        --auto    cells without ``%%remote`` run there, too, until ``%remote_detach``; a cell that
                  begins with ``%%local`` or another magic runs here
        """
        words = line.split()
        if words:
            target = self._target([word for word in words if word != "--auto"])
            self._places.attach(target, auto="--auto" in words)
        _say(self._attached())

    def _target(self, words: list[str]) -> Options:
        with one_line_errors():
            wanted = parse(" ".join(words))
            target = Options(node=wanted.node, session=wanted.session, where=wanted.where)
            if wanted != target or not target.node:
                raise UsageError("%remote_attach takes a target, --where and --auto only.")
            self._places.find(target)
        return target

    @line_magic
    def remote_detach(self, line: str) -> None:
        """Detach the node of ``%remote_attach``."""
        _choice("%remote_detach", line, ())
        self._places.attach(None)
        _say(self._attached())

    @cell_magic
    def local(self, line: str, cell: str) -> None:
        """Run this cell here, although a node is attached with ``--auto``.

        ``%%local`` has to be the first line of its cell.
        """
        # Where it is the first line, the input transformer (`cells`) has removed it.
        raise UsageError("%%local has to be the first line of its cell, with nothing after it.")

    @line_magic
    def remote_doctor(self, line: str) -> None:
        """Find what is wrong between this kernel and a node: ``%remote_doctor [NODE]``."""
        for found in diagnose(line.strip() or None):
            _say(f"{_COLOURS[found.verdict]}{found.verdict.ljust(6)}\x1b[0m{found.text}")

    @line_magic
    def remote_panel(self, line: str) -> None:
        """Show nodes and jobs, live; also functions, sessions, and jobs that are over.

        With ipywidgets each job has a button to cancel it. A second panel replaces the first.

        --close   remove the panel
        """
        choice = _choice("%remote_panel", line, ("--close",))
        self.close_panel()
        if choice == "--close":
            return
        with one_line_errors():
            if not hasattr(self.shell, "kernel"):
                raise UsageError(
                    "%remote_panel needs a notebook. Here: %remote_nodes --watch, %remote_jobs."
                )
            from easyremote_jupyter.live.live_panel import LivePanel  # most notebooks need none

            self._panel = LivePanel(self.shell, easyremote.connect().connect(), self._jobs)

    def close(self) -> None:
        """Close the comm and the panel, when the extension is unloaded. Safe to repeat."""
        self._attachment.close()
        self.close_panel()

    def close_panel(self) -> None:
        """Remove the panel, if there is one."""
        if self._panel is not None:
            self._panel.close()
            self._panel = None

    def _attached(self) -> str:
        attached = self._places.attached
        if attached is None:
            return (
                "No node is attached: a %%remote cell without a target takes the only one online."
            )
        target = "/".join(filter(None, (attached.node, attached.session)))
        where = f" --where '{attached.where}'" if attached.where else ""
        what = "Plain cells, and %%remote cells" if self._places.is_auto else "%%remote cells"
        return f"{what} without a target run on {target}{where}."


def _choice(magic: str, line: str, options: Sequence[str]) -> str:
    """The one option of a line, or empty."""
    words = line.split()
    wrong = next((word for word in words if word not in options), None)
    if wrong is not None:
        raise UsageError(f"{magic} has no option {wrong}.{did_you_mean(wrong, options)}")
    if len(words) > 1:
        raise UsageError(f"{magic} takes one of {', '.join(options)}.")
    return words[0] if words else ""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
