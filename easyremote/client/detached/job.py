"""`DetachedJob`: a detached call, from the process that made it or from any other.

It is a question to the gateway for the outcome. So nothing is lost with the job: another one, made
by `Client.attach`, asks again. ``tests/client/detached/test_detached.py`` proves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from easyremote.client.connection import new_call_id
from easyremote.client.job import RemoteJob
from easyremote.packing import pack
from easyremote.protocol.builtins import CANCEL, COLLECT, DETACHED, KILL, RELEASE
from easyremote.protocol.messages import Payload, Submit
from easyremote.protocol.requests import DetachedCall, DetachedCalls

if TYPE_CHECKING:
    from easyremote.client.connection import Line
    from easyremote.client.detached.detaching import Detaching

__all__ = ["Acceptance", "DetachedJob"]

T = TypeVar("T")


class Acceptance(RemoteJob[None]):
    """The answer to a new detached call: nothing, as soon as the gateway's disk has it."""

    @property
    def _accepted(self) -> tuple[str, ...]:
        return ("msgpack",)


class DetachedJob(RemoteJob[T], Generic[T]):
    """A call that goes on whoever is gone: this process, the connection, the gateway.

    It is a `RemoteJob`: ``result()``, ``await job`` and the rest. The result can be read again and
    again, from any process with the same key, until it is released or its time is over.
    """

    def __init__(self, asker: Detaching, line: Line, call_id: str, what: str, node_id: str) -> None:
        question = new_call_id()
        super().__init__(line, COLLECT, question)
        self._asker, self._id, self._what = asker, call_id, what
        self.node_id = node_id
        body = pack(None)
        submit = Submit(0, question, "", COLLECT, Payload(), call_id)
        line.submit(self, submit, (body,), len(body))

    def __repr__(self) -> str:
        return f"<DetachedJob {self._what} {self._id[:8]} {'done' if self.done() else 'pending'}>"

    @property
    def call_id(self) -> str:
        """By which `Client.attach` finds the call, as hexadecimal digits."""
        return self._id

    def look(self) -> DetachedCall:
        """How the call stands: its state, its node, until when its outcome is kept.

        Raises
        ------
        NotFound
            It was released, or its time is over.
        """
        found: DetachedCalls = self._asker.ask(DETACHED, session=self._id).result()
        return found.calls[0]

    def cancel(self) -> bool:
        """Stop the work on the node; the outcome tells when it has stopped. Safe to repeat."""
        return self._stop(CANCEL)

    def kill(self) -> None:
        """Stop it by ending the process it runs in."""
        self._stop(KILL)

    def interrupt(self) -> None:
        """As `cancel`."""
        self._stop(CANCEL)

    def release(self) -> bool:
        """Have the gateway forget the outcome now; False where the call is not over.

        Raises
        ------
        NotFound
            It was released before, or its time is over.
        """
        released: bool = self._asker.ask(RELEASE, session=self._id).result()
        return released

    def _stop(self, question: str) -> bool:
        if self.done():
            return False
        self._asker.ask(question, session=self._id)
        return True

    @property
    def _shown_name(self) -> str:
        return self._what
