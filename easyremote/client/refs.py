"""`RemoteRef`: a value that stayed on its node, because it is large or can't travel.

It is an argument for other cells and calls of the same session, where nothing is transferred.
The node keeps the value until the last reference here is gone, or the session ends.
``tests/serialize/test_refs.py`` and ``tests/jupyter_extension/magics/test_variable_magics.py``
prove it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from easyremote.serialize.refs import Elsewhere, Whereabouts, send_ref

if TYPE_CHECKING:
    from easyremote.client.session import Session

__all__ = ["RemoteRef", "size_text"]


class RemoteRef(Elsewhere):
    """A value on a node.

    Made by `Session`; ``size`` is in bytes, 0 for what can't travel.
    """

    def __init__(
        self, session: Session, process: str, name: str, description: dict[str, Any]
    ) -> None:
        self._session = session
        self._number: int = description["number"]
        self._text: str = description["text"]
        self.where = Whereabouts(session.node_id, session.name, process)
        #: The name of the variable; "" for the value of an expression.
        self.name = name
        self.type_name: str = description["type"]
        self.size: int = description["size"]

    def get(self) -> Any:
        """Bring the value here, however large it is.

        Raises
        ------
        NotFound
            The session has ended, and the value with it.
        CannotReturn
            The value can't travel.
        """
        return self._session.get_held(self, self._number)

    def call(self, what: str | Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the value (by its name), or a function with the value, on the node.

        The result comes here; where it is large, it is a RemoteRef, too.

        Examples
        --------
        >>> table.call("describe")                      # doctest: +SKIP
        >>> table.call(len)                             # doctest: +SKIP
        """
        return self._session.use_held(self, "call", self._number, what, args, kwargs)

    def eval(self, expression: str) -> Any:
        """Evaluate an expression on the node, in which ``_`` is the value.

        Examples
        --------
        >>> array.eval("_[:10].mean()")                 # doctest: +SKIP
        """
        return self._session.use_held(self, "eval", self._number, expression)

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        size = f", {size_text(self.size)}" if self.size else ""
        return f"<RemoteRef{name}: {self.type_name}{size}, on {self.where.node_id}>\n{self._text}"

    def __reduce__(self) -> tuple[Any, ...]:
        return send_ref(self._number, self.where, self.name or "it")

    def __copy__(self) -> RemoteRef:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteRef:
        return self

    def __del__(self) -> None:
        if hasattr(self, "where"):
            self._session.release(self.where.process, self._number)


def size_text(size: float) -> str:
    """Bytes for people: ``1.5 MB``."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if size >= 1000**power:
            return f"{size / 1000**power:,.1f} {unit}"
    return f"{size:.0f} B"
