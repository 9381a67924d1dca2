"""Connects widgets that live on nodes with the notebook's front end.

A widget's comm is opened here under the same id, so the front end speaks with this kernel. The
kernel passes each message on as a call to the widget's session (`relay`). The effects are published
under the message that caused them: so `ipywidgets.Output` catches them, and the front end sends a
slider's next value when the last one is handled.
``tests/jupyter_extension/widgets/test_widgets.py`` proves it in a real kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from easyremote.client.session import Session
from easyremote.errors import EasyRemoteError
from easyremote.events import Comm, CommClose, CommMessage, CommOpen, ErrorShown
from easyremote_jupyter.output.caught import error_content
from easyremote_jupyter.output.display import Output
from easyremote_jupyter.output.watch import watch
from easyremote_jupyter.widgets.relay import Said, WidgetRelay

__all__ = ["Widgets"]

#: A page that is loaded anew asks for all widgets at once through this comm, and this kernel's
#: ipywidgets knows only its own. Where nobody answers, the front end asks the kernel for its comms
#: and each comm for its state, and so finds the widgets of nodes, too.
_ALL_STATES = "jupyter.widget.control"
_ENDED = "The session on {} has ended, and this widget with it: run its cell again.\n"


class Widgets:
    """The widgets of one notebook. ``shell``: its IPython shell; in a terminal there are none."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._kernel = getattr(shell, "kernel", None)
        self._relays: dict[Session, WidgetRelay] = {}

    def receive(self, session: Session, event: Comm, parent: Any = None) -> None:
        """Publish what a widget says.

        Parameters
        ----------
        session
            The widget's session.
        event
            The widget opens its comm, says something, or closes.
        parent
            The front end's message that caused it; None for the cell that runs here.
        """
        if self._kernel is None:
            return
        manager = self._kernel.comm_manager
        manager.targets.pop(_ALL_STATES, None)  # ipywidgets registers it when it is imported
        comm = manager.comms.get(event.comm_id)
        if comm is None and isinstance(event, CommOpen):
            names = event.comm_id, event.target_name, event.process
            comm = _RemoteComm(*names, self._relay(session))
            manager.register_comm(comm)
        if not isinstance(comm, _RemoteComm):
            return  # it was closed here
        if isinstance(event, CommClose):
            manager.unregister_comm(comm)
        content = {"comm_id": event.comm_id, "data": event.data}
        if isinstance(event, CommOpen):
            content |= {"target_name": event.target_name, "target_module": event.target_module}
        kind = str(type(event).__struct_config__.tag)
        more = {"metadata": event.metadata, "buffers": event.buffers}
        self._publish(kind, content, parent, **more)

    def parent(self) -> str:
        """The id of the message that this kernel handles; empty in a terminal."""
        return str((self.message() or {}).get("header", {}).get("msg_id", ""))

    def message(self) -> Any:
        """The message that this kernel handles; None in a terminal."""
        return None if self._kernel is None else self._kernel.get_parent()

    def close(self, process: str | None, parent: Any = None) -> None:
        """Close the widgets of a process that has ended."""
        if self._kernel is None:
            return
        for comm in list(self._kernel.comm_manager.comms.values()):
            if isinstance(comm, _RemoteComm) and comm.process == process:
                self._kernel.comm_manager.unregister_comm(comm)
                self._publish("comm_close", {"comm_id": comm.comm_id, "data": {}}, parent)

    # -- inside

    def _relay(self, session: Session) -> WidgetRelay:
        if session not in self._relays:
            self._relays[session] = WidgetRelay(partial(self._deliver, session))
        return self._relays[session]

    def _deliver(self, session: Session, said: Said) -> None:
        """Bring a message to the session. If the session has ended, or on an error, show a line."""
        reply = _Reply(self._publish, said.message)
        output = Output(
            self._shell,
            publisher=reply,
            say=partial(self.receive, session, parent=said.message),
        )
        try:
            said.job = session.submit_comm(said.event, process=said.process, parent=said.parent)
            watch(said.job, output)
            is_open = said.job.result().is_open
        except EasyRemoteError as error:
            reply.write("stderr", f"{type(error).__name__}: {error}\n")
        else:
            if not is_open:
                reply.write("stderr", _ENDED.format(session.node_id))
                self.close(said.process, said.message)
        finally:
            output.finish()

    def _publish(self, kind: str, content: dict[str, Any], parent: Any = None, **more: Any) -> None:
        kernel: Any = self._kernel
        kernel.session.send(
            kernel.iopub_socket, kind, content, parent=parent or kernel.get_parent(), **more
        )


@dataclass(eq=False)
class _RemoteComm:
    """A comm for the kernel's comm manager that passes on what the front end says."""

    comm_id: str
    target_name: str
    process: str
    relay: WidgetRelay
    #: The comm manager sets it; it is not used.
    _closed: bool = False

    def handle_msg(self, message: dict[str, Any]) -> None:
        self.relay.send(self._said(CommMessage, message))

    def handle_close(self, message: dict[str, Any]) -> None:
        self.relay.send(self._said(CommClose, message))

    def _said(self, kind: type[CommMessage | CommClose], message: dict[str, Any]) -> Said:
        event = kind(
            self.comm_id,
            message["content"].get("data", {}),
            message.get("metadata", {}),
            [bytes(buffer) for buffer in message.get("buffers", ())],
        )
        return Said(event, self.process, message["header"]["msg_id"], message)


class _Reply:
    """Publishes the effects of a front end's message under it; see `display.Publisher`.

    IPython's own publisher is not used: it publishes under the cell that may run at that time.
    """

    def __init__(self, publish: Callable[..., None], message: Any) -> None:
        self._publish, self._message = publish, message

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        *,
        transient: dict[str, Any],
        update: bool,
    ) -> None:
        kind = "update_display_data" if update else "display_data"
        content = {"data": data, "metadata": metadata, "transient": transient}
        self._publish(kind, content, self._message)

    def clear_output(self, wait: bool) -> None:
        self._publish("clear_output", {"wait": wait}, self._message)

    def write(self, name: str, text: str) -> None:
        if text:
            self._publish("stream", {"name": name, "text": text}, self._message)

    def show_error(self, event: ErrorShown) -> None:
        self._publish("error", error_content(event), self._message)
