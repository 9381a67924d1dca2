"""`KeptCell`: a cell that is a detached call, as a job whose output is followed.

Its outcome comes from the gateway, what it shows from its node, which keeps that with the session.
``tests/jupyter_extension/test_kept.py`` proves it in real kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import wait
from typing import Any

from easyremote.client.detached.job import DetachedJob
from easyremote.client.job import RemoteJob
from easyremote.errors import EasyRemoteError
from easyremote.events import ClearOutput, Event
from easyremote.protocol.builtins import OUTPUT
from easyremote.protocol.requests import CallStatus, Replay

__all__ = ["KeptCell"]

#: A cell that waits for its turn is looked at so often, in seconds.
AGAIN = 0.5


class KeptCell(DetachedJob[dict[str, Any]]):
    """A cell that goes on whoever is gone; made by `easyremote.client.session.Session`."""

    _has_begun = False

    def running(self) -> bool:
        """Whether its node has begun it."""
        return self._has_begun and not self.done()

    def events(self, poll: float) -> Iterator[Event | None]:
        """As of `RemoteJob`: what it shows, from its beginning to its end."""
        while True:
            was_over = self.done()
            replayed: RemoteJob[CallStatus] = self._asker.ask(
                OUTPUT, Replay(follow=True), node_id=self.node_id, session=self._id
            )
            for event in replayed.events(poll):
                self._has_begun = self._has_begun or event is not None
                yield event
            try:
                if replayed.result().state == "done":
                    break
            except EasyRemoteError:
                pass  # the node does not have it yet, or is away: the outcome tells
            if was_over:
                break
            wait([self], AGAIN)
            if self._has_begun:
                yield ClearOutput()  # its node tells all of it again
        while not self.done():
            wait([self], poll)
            yield None
