"""Shows the widgets of background cells in one display, below the text of those cells.

A notebook takes no new output for a cell that is over. But a widget that it shows already can get
more children.
``tests/jupyter_extension/widgets/test_widgets.py`` proves it in a real kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["VIEW", "Box", "make_box", "view_of"]

#: The format that shows a widget; its ``model_id`` is the id of the widget's comm.
VIEW = "application/vnd.jupyter.widget-view+json"


def view_of(widget: Any) -> dict[str, Any]:
    """The value of `VIEW` in a display that shows a widget."""
    return {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}


class Box:
    """HTML of ours with widgets of nodes below it; made by `make_box`."""

    def __init__(self, text: Any, box: Any) -> None:
        self._text, self._box = text, box
        #: The value of `VIEW` in the display that shows this box.
        self.view = view_of(box)

    def show(self, html: str, model_ids: Sequence[str]) -> None:
        """Show this HTML and these widgets from now on."""
        self._text.value = html
        models = [self._text.model_id, *model_ids]
        self._box.children = [f"IPY_MODEL_{model_id}" for model_id in models]


def make_box() -> Box | None:
    """A new box; None where ipywidgets is not installed."""
    try:
        from ipywidgets import HTML, VBox
        from traitlets import List
    except ModuleNotFoundError:
        return None

    class IdBox(VBox):  # type: ignore[misc]  # ipywidgets has no types
        """A box whose children are ids: some of them are not objects of this process."""

        children: Any = List().tag(sync=True)

    return Box(HTML(), IdBox())
