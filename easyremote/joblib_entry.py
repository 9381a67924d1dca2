"""joblib's backend "easyremote": registered when joblib is imported, here or later.

joblib knows only backends that are registered with it. ``import easyremote`` does not import
joblib, which takes longer than all of ours. The backend itself (``client/joblib/``) is imported
when it is used: a gateway, which imports easyremote, too, has nothing of a client in it.
``tests/client/test_joblib.py`` proves it.
"""

from __future__ import annotations

import importlib
from typing import Any

from easyremote.after_import import after_import


def register() -> None:
    """Make ``joblib.parallel_config("easyremote")`` known, now or when joblib is imported."""
    after_import("joblib.parallel", _add_backend)


def _add_backend(parallel: Any) -> None:
    parallel.register_parallel_backend("easyremote", _backend)


def _backend(**options: Any) -> Any:
    """What joblib calls to make the backend."""
    return importlib.import_module("easyremote.client.joblib.backend").NodesBackend(**options)
