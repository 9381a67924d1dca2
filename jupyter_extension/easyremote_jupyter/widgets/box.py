"""Widgets of background cells, below what those cells tell: in one display, which can change.

A notebook takes no new output for a cell that is over; but a widget that it shows can get others.
``tests/jupyter_extension/widgets/test_widgets.py`` proves it in a real kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["VIEW", "Box", "make_box", "view_of"]

#: The format that shows a widget; its ``model_id`` is the id of the widget's comm.
VIEW = "application/vnd.jupyter.widget-view+json"


def view_of(widget: Any) -> dict[str, Any]:
    """What a display has as `VIEW` to show a widget."""
    return {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}


class Box:
    """HTML of ours, and widgets below it that live on nodes. Made by `make_box`."""

    def __init__(self, text: Any, box: Any) -> None:
        self._text, self._box = text, box
        #: What to put into a display, as `VIEW`.
        self.view = view_of(box)

    def show(self, html: str, model_ids: Sequence[str]) -> None:
        """Show this now."""
        self._text.value = html
        models = [self._text.model_id, *model_ids]
        self._box.children = [f"IPY_MODEL_{model_id}" for model_id in models]


def make_box() -> Box | None:
    """A box; None where there is no ipywidgets."""
    try:
        from ipywidgets import HTML, VBox
        from traitlets import List
    except ModuleNotFoundError:
        return None

    class IdBox(VBox):  # type: ignore[misc]  # ipywidgets has no types
        """Its children are named by their ids: not all of them are objects of this process."""

        children: Any = List().tag(sync=True)

    return Box(HTML(), IdBox())
