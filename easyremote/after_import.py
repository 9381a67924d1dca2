"""`after_import`: does something with a module as soon as somebody else imports it.

So what a library must be told costs nothing where the library is not used.
``tests/test_after_import.py`` proves it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["after_import"]


def after_import(name: str, then: Callable[[ModuleType], None]) -> None:
    """Call ``then`` with a module: now where it is imported already, else when it is.

    Parameters
    ----------
    name
        The module's full name.
    then
        What to do with it. It must raise nothing: the import would fail.
    """
    loaded = sys.modules.get(name)
    if loaded is not None and not getattr(loaded.__spec__, "_initializing", False):
        then(loaded)
    else:
        sys.meta_path.insert(0, _Finder(name, then))


class _Finder:
    """Finds one module, as the other finders do, and has something done with it."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        self._name, self._then = name, then
        self._is_asking = False

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """The module's spec, whose loader does it after its work; None for other modules."""
        if name != self._name or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._is_asking = False
        if spec is not None and spec.loader is not None:
            self._run_after(spec.loader)
        return spec

    def _run_after(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_tell(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            sys.meta_path.remove(self)
            self._then(module)

        loader.exec_module = execute_and_tell
