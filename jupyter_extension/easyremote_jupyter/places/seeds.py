"""The global generators of random numbers here, as the process of a session knows them.

What has changed here since the process knew it goes along with a cell, and what the cell has used
comes back: so ``np.random.seed(0)`` here and ``np.random.rand()`` there give the plain numbers.
``tests/jupyter_extension/here/test_seeds.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping

from easyremote.generators import Generators

__all__ = ["Seeds", "states"]

#: The generators of this process; all places share them.
_here = Generators()

states = _here.states


class Seeds:
    """What one session's process knows of the generators here."""

    def __init__(self) -> None:
        self._process: str | None = None
        self._known: dict[str, bytes] = {}
        #: The states when the last cell was sent.
        self._sent: dict[str, bytes] = {}

    def missing(self, states: dict[str, bytes], process: str | None) -> dict[str, bytes]:
        """Those among the `states` of now that the session's process does not have."""
        if process != self._process:
            self._known = {}
        self._sent = states
        return {name: state for name, state in states.items() if self._known.get(name) != state}

    def came(self, states: Mapping[str, bytes], process: str) -> None:
        """Take over the states that a cell has left."""
        self._process, self._known = process, self._sent
        if states:
            _here.set(states)
            now = _here.states()
            self._known = self._sent | {name: now[name] for name in states}
