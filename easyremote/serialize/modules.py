"""Tells installed modules from the user's own. Things of installed modules travel by reference.

The rule: a module whose file lies in the standard library or in a ``site-packages`` folder is
installed, so are builtin and extension modules and EasyRemote itself. The other side is expected to
have these. Every other module is the user's own: ``__main__``, scripts and modules beside the
notebook, test modules, packages in development (editable installs), modules made in memory. What
those define travels by value.
``tests/serialize/test_modules.py`` proves it.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType
from typing import Any

#: EasyRemote and the packages that it needs are on both sides, wherever they were installed from.
_ALWAYS_THERE = frozenset({"easyremote", "easyremote_jupyter", "dill"})


@lru_cache(maxsize=1)
def _installed_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    # A virtual environment uses the standard library of the Python that it was made from.
    found |= {os.path.dirname(os.__file__), *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        found.add(site.getusersitepackages())
    folders = {os.path.join(path, "") for path in found}
    return tuple(folders | {os.path.join(os.path.realpath(path), "") for path in found})


@lru_cache(maxsize=8192)
def is_installed_file(path: str) -> bool:
    """Whether a file, or a folder with a slash at its end, belongs to what is installed."""
    if path.endswith(tuple(EXTENSION_SUFFIXES)):
        return True  # machine code has no body that could travel
    parts = path.split(os.sep)
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    # Not the realpath of the file: a module of the user's that is a link stays the user's.
    return os.path.join(os.path.abspath(path), "").startswith(_installed_folders())


def is_own(module: ModuleType) -> bool:
    """Whether a module is the user's own, so that what it defines travels by value."""
    name = str(getattr(module, "__name__", ""))
    if name in ("__main__", "__mp_main__"):
        return True
    if name.partition(".")[0] in _ALWAYS_THERE:
        return False
    # Not by getattr, which would import a module that is imported at its first use only.
    own = getattr(module, "__dict__", {})
    path = own.get("__file__")
    if isinstance(path, str):
        return not is_installed_file(path)
    spec = own.get("__spec__")
    # Modules without a file: builtin, frozen and namespace modules have a spec, others have none.
    return spec is None


def travels_by_reference(thing: Any) -> bool:
    """Whether a function or class can be imported by its name from an installed module."""
    module = sys.modules.get(getattr(thing, "__module__", None) or "__main__")
    if module is None or is_own(module):
        return False
    found: Any = module
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing
