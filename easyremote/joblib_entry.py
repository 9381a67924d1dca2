"""joblib's backend "easyremote": registered when joblib is imported, here or later.

joblib knows only backends that are registered with it. ``import easyremote`` does not import
joblib, which takes longer than all of ours; so a finder waits for that import, registers the name,
and goes. The backend itself (``client/joblib/``) is imported when it is used: a gateway, which
imports easyremote, too, has nothing of a client in it.
``tests/client/test_joblib.py`` proves it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

_MODULE = "joblib.parallel"


def register() -> None:
    """Make ``joblib.parallel_config("easyremote")`` known, now or when joblib is imported."""
    loaded = sys.modules.get(_MODULE)
    if hasattr(loaded, "register_parallel_backend"):
        _add_backend(loaded)
    else:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds one module, as the other finders do, and has the backend registered in it."""

    def __init__(self) -> None:
        self._is_asking = False

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """The module's spec, whose loader registers the backend, too; None for other modules."""
        if name != _MODULE or self._is_asking:
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
        """Register the backend when this loader has run its module."""
        execute = loader.exec_module

        def execute_and_register(module: Any) -> None:
            del loader.exec_module
            execute(module)
            _add_backend(module)
            sys.meta_path.remove(self)

        loader.exec_module = execute_and_register


def _add_backend(parallel: Any) -> None:
    parallel.register_parallel_backend("easyremote", _backend)


def _backend(**options: Any) -> Any:
    """What joblib calls to make the backend."""
    return importlib.import_module("easyremote.client.joblib.backend").NodesBackend(**options)
