"""The comms of a session: the messages between its widgets and the notebook that shows them.

What a widget sends becomes an event of the call that runs: ``comm_open``, ``comm_msg`` and
``comm_close``, as in Jupyter's messages. What the front end sends comes as a ``$comm`` call and is
handled between two cells, as in a notebook's own kernel. The ``comm`` package is taken over when
something imports it: a session without widgets never loads it. ``tests/node/worker/test_comms.py``
proves it.
"""

from __future__ import annotations

import numbers
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

import msgspec

from easyremote.events import CommClose, CommMessage, Event

__all__ = ["Comms"]


class Comms:
    """All comms of a session.

    Parameters
    ----------
    emit
        Takes the events.
    process
        Which process this is, for whoever answers.
    """

    def __init__(self, emit: Callable[[Event], None], process: str) -> None:
        self._emit, self._process = emit, process
        #: The id of the message that is handled: by it `ipywidgets.Output` catches what is shown.
        self.parent = ""
        self._comms: dict[str, Any] = {}
        sys.meta_path.insert(0, _Finder(self._take_over))

    def get_parent(self) -> dict[str, Any]:
        """The header of the message that is handled now; empty if there is none."""
        return {"header": {"msg_id": self.parent}} if self.parent else {}

    def publish(self, kind: str, comm_id: str, buffers: Sequence[Any], **content: Any) -> None:
        """Send a message of a comm."""
        process = {"process": self._process} if kind == "comm_open" else {}
        copies = [memoryview(buffer).tobytes() for buffer in buffers]
        said = {"type": kind, "comm_id": comm_id, "buffers": copies, **_plain(content), **process}
        self._emit(msgspec.convert(said, Event))

    def receive(self, said: CommMessage | CommClose) -> bool:
        """Hand a message of the front end to its comm; False where that is closed."""
        comm = self._comms.get(said.comm_id)
        if comm is None:
            return False
        message = {
            "header": {"msg_id": self.parent, "msg_type": said.__struct_config__.tag},
            "metadata": said.metadata,
            "content": {"comm_id": said.comm_id, "data": said.data},
            "buffers": [memoryview(buffer) for buffer in said.buffers],
        }
        if isinstance(said, CommClose):
            comm._closed = True
            del self._comms[said.comm_id]
            comm.handle_close(message)
        else:
            comm.handle_msg(message)
        return True

    def _take_over(self, module: Any) -> None:
        module.create_comm = _comm_class(module.base_comm.BaseComm, self)
        self._comms = module.get_comm_manager().comms


def _comm_class(base: Any, comms: Comms) -> Any:
    class EventComm(base):  # type: ignore[misc]  # the package is loaded only with the first widget
        #: `ipywidgets.Output` asks it for the parent.
        kernel = comms

        def publish_msg(
            self,
            msg_type: str,
            data: dict[str, Any] | None = None,
            metadata: dict[str, Any] | None = None,
            buffers: Sequence[Any] | None = None,
            **keys: Any,
        ) -> None:
            content = {"data": data or {}, "metadata": metadata or {}, **keys}
            comms.publish(msg_type, self.comm_id, buffers or (), **content)

        def __reduce__(self) -> Any:
            raise TypeError("a widget can't leave the process it was made in")

    return EventComm


class _Finder:
    """Finds the ``comm`` package, and has it taken over as soon as it is loaded."""

    def __init__(self, take_over: Callable[[Any], None]) -> None:
        self._take_over = take_over

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name) if name == "comm" else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin, self._take_over)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, take_over: Callable[[Any], None]) -> None:
        super().__init__(name, path)
        self._take_over = take_over

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        self._take_over(module)


def _plain(value: Any) -> Any:
    """A copy of what can be written as JSON; what a widget holds can change before it is sent."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_of_other)


def _of_other(value: Any) -> Any:
    """NumPy's numbers, and subclasses of what is plain."""
    for kind, plain in _PLAIN:
        if isinstance(value, kind):
            return plain(value)
    raise TypeError(f"a {type(value).__name__} can't be sent to a widget")


_PLAIN: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, "".join),  # not what its own __str__ makes of it
    (numbers.Integral, int),
    (numbers.Real, float),
    (Mapping, dict),
    (Iterable, list),
)
