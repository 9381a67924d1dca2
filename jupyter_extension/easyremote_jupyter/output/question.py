"""A question below a cell that is over: with buttons where ipywidgets is there, else as text.

``tests/jupyter_extension/places/test_idle_question.py`` proves it in real kernels.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from easyremote_jupyter.widgets.box import VIEW, view_of

__all__ = ["ShownQuestion"]


class ShownQuestion:
    """One question, and later what came of it in its place.

    Parameters
    ----------
    kernel
        The kernel of the notebook.
    below
        The message of the cell below which it is shown.
    text
        The question.
    how
        What to write where there are no buttons.
    release, keep
        What the buttons do.
    """

    def __init__(
        self,
        kernel: Any,
        below: Any,
        text: str,
        how: str,
        *,
        release: Callable[[], None],
        keep: Callable[[], None],
    ) -> None:
        self._kernel, self._below = kernel, below
        self._transient = {"display_id": uuid4().hex}
        self._box: Any = None
        self._text: Any = None
        data: dict[str, Any] = {"text/plain": f"{text} {how}"}
        try:
            import ipywidgets
        except ImportError:
            pass
        else:
            self._text = ipywidgets.HTML(html.escape(text))
            buttons = [_button(ipywidgets, "Release", release), _button(ipywidgets, "Keep", keep)]
            self._box = ipywidgets.VBox([self._text, ipywidgets.HBox(buttons)])
            data[VIEW] = view_of(self._box)
        self._publish("display_data", data)

    def say(self, text: str) -> None:
        """Show this in the place of the question."""
        if self._box is not None:
            self._text.value = html.escape(text)
            row = self._box.children[1]
            self._box.children = [self._text]
            for widget in (*row.children, row):
                widget.close()
            data = {"text/plain": text, VIEW: view_of(self._box)}
        else:
            data = {"text/plain": text}
        self._publish("update_display_data", data)

    def _publish(self, kind: str, data: dict[str, Any]) -> None:
        # IPython's own publisher would show it below the cell that ran last.
        content = {"data": data, "metadata": {}, "transient": self._transient}
        self._kernel.session.send(self._kernel.iopub_socket, kind, content, parent=self._below)


def _button(widgets: Any, label: str, do: Callable[[], None]) -> Any:
    button = widgets.Button(description=label, layout=widgets.Layout(width="auto"))
    button.on_click(lambda _: do())
    return button
