"""The modules of a session: the notebook's own, as files, and what a cell takes out of any.

Each version of a package has a folder of its own, named by its digest, which is put in front of
``sys.path``: so tracebacks and `inspect` find the source, and no stale bytecode does. Where a
package changes, its modules are dropped, and the next import reads them anew. Versions are kept
for as long as the process lives. What a cell has imported out of a module goes back as an import,
not as a value: the caller's side then has the module's own function or class.
``tests/node/worker/test_modules.py`` proves it.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from easyremote.errors import UsageError
from easyremote.guarded import attribute
from easyremote.node.folders import own_folder
from easyremote.serialize.classes import forget_shared, share

__all__ = ["Modules", "ModulesMissing", "Shipped", "imported"]

#: Name to digest and files; without files where they were sent before.
Shipped = Mapping[str, tuple[bytes, Mapping[str, bytes] | None]]


class ModulesMissing(Exception):
    """The files of a package were left out, but are not here."""


class Modules:
    """The modules that came to one session."""

    def __init__(self) -> None:
        #: The folder of each package that is in use.
        self._used: dict[str, str] = {}

    def install(self, shipped: Shipped) -> list[str]:
        """Make packages importable; the names of those that replace another version.

        Raises
        ------
        ModulesMissing
            One was left out that isn't here; nothing has changed.
        """
        folders = {name: self._store(name, *what) for name, what in shipped.items()}
        changed = [name for name, folder in folders.items() if self._used.get(name) != folder]
        replaced = [name for name in changed if name in self._used]
        for name in changed:
            if name in self._used:
                sys.path.remove(self._used[name])
            sys.path.insert(0, folders[name])
            self._used[name] = folders[name]
            _purge(name)
            share(name, importlib.import_module)
        if changed:
            importlib.invalidate_caches()
        return replaced

    def _store(self, name: str, digest: bytes, files: Mapping[str, bytes] | None) -> str:
        parent = own_folder("modules")
        folder = parent / digest.hex()
        if folder.exists():
            return str(folder)
        if files is None:
            raise ModulesMissing
        making = Path(tempfile.mkdtemp(dir=parent))
        for path, content in files.items():
            place = making / path
            if not place.resolve().is_relative_to(making.resolve()):
                raise UsageError(f"The module {name!r} has a file outside of its folder: {path}.")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        making.rename(folder)  # so the folder is never seen half full
        return str(folder)


def _purge(name: str) -> None:
    """Forget a package that was imported, so that the next import reads it anew."""
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]
    forget_shared(name)


def imported(
    statements: Iterable[tuple[str, str, str]], space: Mapping[str, Any]
) -> dict[str, tuple[str, str]]:
    """What a cell has taken out of modules, by name: the module, and the attribute there.

    Parameters
    ----------
    statements
        Module, attribute and name of each ``from MODULE import ATTRIBUTE as NAME`` in the cell; the
        attribute is ``*`` for all.
    space
        The cell's variables. A name that has another value by now is none of the import's.
    """
    found: dict[str, tuple[str, str]] = {}
    for module_name, taken, name in statements:
        module = sys.modules.get(module_name)
        if module is None or not taken:
            continue
        names = _public(module) if taken == "*" else [(name, taken)]
        for bound, each in names:
            if bound in space and attribute(module, each) is space[bound]:
                found[bound] = module_name, each
    return found


def _public(module: ModuleType) -> list[tuple[str, str]]:
    names = attribute(module, "__all__")
    if names is None:
        names = [name for name in vars(module) if not name.startswith("_")]
    return [(name, name) for name in names]
