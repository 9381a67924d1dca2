"""The base of the magics about one session, which they find as ``%%remote`` does."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics

from easyremote_jupyter.places.places import Places

__all__ = ["PlaceMagics"]


class PlaceMagics(Magics):
    """Magics of a notebook whose sessions are found by `places`."""

    shell: Any

    def __init__(self, shell: Any, places: Places) -> None:
        untyped: Any = super()
        untyped.__init__(shell)
        self._places = places
