"""Attributes of a user's objects: looking one up may run the user's code, which may raise.

``tests/test_guarded.py`` proves it.
"""

from __future__ import annotations

from typing import Any

__all__ = ["attribute"]


def attribute(value: object, name: str, default: Any = None) -> Any:
    """An attribute of an object, or the default where the look-up raises, whatever it raises.

    ``getattr`` with a default lets all but AttributeError pass: a dict whose ``__getattr__`` is
    ``dict.__getitem__`` raises KeyError, a property may raise anything.

    Examples
    --------
    >>> attribute("text", "no_such_name", 0)
    0
    """
    try:
        return getattr(value, name)
    except Exception:  # whatever the user's code raises: there is no such attribute, then
        return default
