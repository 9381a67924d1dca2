"""`RemoteRef`: a value that stayed on its node, because it is large or can't travel.

It is an argument for other cells and calls of the same session, where nothing is transferred.
The node keeps the value until the last reference here is gone, or the session ends.
``tests/serialize/test_refs.py`` and ``tests/jupyter_extension/magics/test_variable_magics.py``
prove it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from easyremote.serialize.refs import Elsewhere, Whereabouts, send_ref

if TYPE_CHECKING:
    from easyremote.client.session import Session
    from easyremote.serialize.graph.graph import Graph

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

    def get(
        self, arrived: Callable[[int, int], object] | None = None, graph: Graph | None = None
    ) -> Any:
        """Bring the value here, however large it is.

        Parameters
        ----------
        arrived
            Is told again and again how many bytes have come, and how many there are.
        graph
            What is shared with the session: there and here it is one object from then on. Without
            it, it is a copy.

        Raises
        ------
        NotFound
            The session has ended, and the value with it.
        CannotReturn
            The value can't travel.
        """
        return self._session.get_held(self, self._number, arrived, graph)

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

    def __getattr__(self, name: str) -> Any:
        # `__del__` may come before `__init__` was through; protocols ask for names of their own.
        if "where" not in self.__dict__ or name.startswith("_"):
            raise AttributeError(f"'RemoteRef' object has no attribute {name!r}")
        raise AttributeError(self._refusal(f".{name}"))

    def _refuse(self, *args: Any) -> Any:
        raise TypeError(self._refusal(""))

    def _refusal(self, used: str) -> str:
        name = self.name or "this value"
        what = f"{name}{used}: {name} ({self.type_name}) is on {self.where.node_id}"
        there = f"use it in a cell there, or by {self.name or 'its reference'}"
        if not self.size:
            return f"{what} and can't travel: {there}.call(...)"
        return (
            f"{what} ({size_text(self.size)}), not here: .get() brings it here, or {there}"
            ".eval('...'), where _ is the value"
        )

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
        if "where" in self.__dict__:  # `__init__` was through
            self._session.release(self.where.process, self._number)


def _operators() -> Iterator[str]:
    """The methods by which Python uses a value as a number, a container or a function."""
    infix = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or".split()
    for name in infix:
        yield from (f"__{name}__", f"__r{name}__")
    others = "neg pos abs invert int float complex index round trunc floor ceil bool lt le gt ge"
    for name in f"{others} len iter next getitem setitem delitem contains call enter array".split():
        yield f"__{name}__"


for _name in _operators():
    setattr(RemoteRef, _name, RemoteRef._refuse)


def size_text(size: float) -> str:
    """Bytes for people: ``1.5 MB``."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if size >= 1000**power:
            return f"{size / 1000**power:,.1f} {unit}"
    return f"{size:.0f} B"
