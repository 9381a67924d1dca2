"""Which modules of the notebook's own folder a cell imports, and their sources.

A module is local if its file lies under one of the `roots` (where the notebook is, and the folders
on ``sys.path``) and is neither of the standard library nor installed. With it goes its whole
top-level package, and what that imports of other local ones. Nothing is imported or run
for this. ``easyremote.node.worker.modules`` puts them into the session.
``tests/jupyter_extension/capture/test_local_modules.py`` proves it, also in real kernels.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import os
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from easyremote.client.refs import size_text
from easyremote.errors import UsageError
from easyremote.guarded import attribute
from easyremote.serialize.classes import share
from easyremote.serialize.modules import is_installed_file
from easyremote_jupyter.capture.parsed import parsed

__all__ = ["Package", "Sent", "find", "imported_names", "is_local", "local_modules", "roots"]

#: Bytes of a package: a larger folder is taken for a program with its data, and not sent.
SIZE_MAX = 20_000_000
#: Both sides have these anyway.
_ALWAYS_THERE = frozenset({"easyremote", "easyremote_jupyter"})
#: How a magic like ``%%time`` is called with its code.
_CODE_IN_ARGUMENTS = ("run_cell_magic", "run_line_magic")
#: Folders of a package that hold no sources of it.
_SKIPPED = frozenset({"__pycache__", "node_modules"})


@dataclass(frozen=True, slots=True)
class Package:
    """The sources of one top-level module or package."""

    name: str
    #: Relative path and content of each file.
    files: dict[str, bytes]

    @property
    def digest(self) -> bytes:
        """A hash: the same for the same files."""
        found = hashlib.blake2b(digest_size=16)
        for path, content in sorted(self.files.items()):
            found.update(f"{path}\0{len(content)}\0".encode())
            found.update(content)
        return found.digest()

    def __str__(self) -> str:
        size, count = sum(map(len, self.files.values())), len(self.files)
        return f"{self.name} ({count} file{'s' * (count != 1)}, {size_text(size)})"


class Sent:
    """The packages that this notebook has sent to a session's process."""

    def __init__(self) -> None:
        self._process: str | None = None
        self._digests: set[bytes] = set()
        self._on_the_way: set[bytes] = set()

    def wire(
        self, packages: Iterable[Package], process: str | None, notice: Callable[[str], None]
    ) -> dict[str, Any]:
        """The part of a request that holds the modules: name, digest, files unless they are there.

        Parameters
        ----------
        process
            Which process is meant; None for one that has nothing.
        notice
            Is told what is sent.
        """
        known = self._digests if process is not None and process == self._process else ()
        found, sent = {}, []
        for package in packages:
            share(package.name, sys.modules.get)
            digest = package.digest
            found[package.name] = digest, None if digest in known else package.files
            if digest not in known:
                sent.append(str(package))
        self._on_the_way = {digest for digest, _ in found.values()}
        if sent:
            notice(f"Sent {', '.join(sent)}")
        return {"modules": found}

    def arrived(self, process: str) -> None:
        """Note that what was sent last has arrived in this process."""
        if process != self._process:
            self._process = process
            self._digests.clear()
        self._digests |= self._on_the_way
        self._on_the_way = set()


def roots() -> list[Path]:
    """Where a notebook's own modules are: its folder, and what is on ``sys.path`` besides."""
    found = [Path.cwd(), *(Path(entry or ".").resolve() for entry in sys.path)]
    return [each for each in dict.fromkeys(found) if each.is_dir() and not _is_installed(each)]


def local_modules(
    code: str,
    imports: Mapping[str, str],
    variables: Mapping[str, object],
    folders: Collection[Path] | None = None,
) -> list[Package]:
    """The local packages that a cell needs: for its own imports, its modules, its functions.

    Parameters
    ----------
    code
        The cell.
    imports
        Name to module, of those that travel as imports.
    variables
        What travels as values.
    """
    names = {*_imported_by_cell(code), *(name.partition(".")[0] for name in imports.values())}
    for value in variables.values():
        names.update(_of_value(value))
    if not names:
        return []  # most cells: the folders needn't be looked for
    return find(names, roots() if folders is None else folders)


def find(names: Iterable[str], folders: Collection[Path]) -> list[Package]:
    """The local packages among `names`, and the local packages that these import."""
    found: dict[str, Package] = {}
    pending, seen = sorted(names), set[str]()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if (package := _package(name, folders)) is not None:
            found[name] = package
            for path, content in package.files.items():
                if path.endswith(".py"):
                    pending += _imported_by_file(content)
    return sorted(found.values(), key=lambda each: each.name)


def is_local(name: str, folders: Collection[Path] | None = None) -> bool:
    """Whether such a top-level module is local."""
    return _location(name, roots() if folders is None else folders) is not None


def _imported_by_cell(code: str) -> set[str]:
    if "import" not in code:
        return set()
    try:
        tree = parsed(code)
    except (SyntaxError, ValueError):
        return set()  # the node says so
    found = set(_imports(tree))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute) and call.func.attr in _CODE_IN_ARGUMENTS:
            texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
            found.update(*(_imported_by_cell(text) for text in texts if isinstance(text, str)))
    return found


def imported_names(code: str) -> set[str]:
    """The top-level names of the modules that Python code imports, wherever in it."""
    if "import" not in code:
        return set()
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return set()  # whoever runs it says so
    return set(_imports(tree))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@lru_cache(maxsize=1024)
def _imported_by_file(content: bytes) -> frozenset[str]:
    return frozenset(imported_names(content.decode(errors="replace")))


def _of_value(value: object) -> Iterator[str]:
    """The module that defines a value, and the modules that a function imports when it runs."""
    # Wrappers, and what stands for a function or class, may have a module of their own.
    says_so = "__module__" in (attribute(value, "__dict__") or ())
    is_its_own = says_so or isinstance(value, type | types.FunctionType)
    kind = value if is_its_own else type(value)
    name = str(getattr(kind, "__module__", "") or "").partition(".")[0]
    if name not in ("", "builtins", "__main__"):
        yield name
    wrapped = attribute(value, "__wrapped__", value) if callable(value) else value
    if isinstance(wrapped, types.FunctionType):
        yield from _imported_by_code(wrapped.__code__)


def _imported_by_code(code: types.CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            yield str(step.argval).partition(".")[0]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _imported_by_code(constant)


def _package(name: str, folders: Collection[Path]) -> Package | None:
    place = _location(name, folders)
    if place is None:
        return None
    if place.is_file():
        return Package(name, {place.name: _read(place)})
    files = {
        f"{name}/{path.relative_to(place).as_posix()}": _read(path) for path in _sources(place)
    }
    if sum(map(len, files.values())) > SIZE_MAX:
        if not place.is_relative_to(Path.cwd()):
            return None  # a framework that is kept in a folder of its own, on the node as well
        raise UsageError(
            f"The sources of the local package {name!r} are {len(files)} files of more than "
            f"{size_text(SIZE_MAX)}: too much to send. Add --no-modules, and install it there."
        )
    return Package(name, files)


def _location(name: str, folders: Collection[Path]) -> Path | None:
    """The file or folder of a local top-level module."""
    if name in sys.stdlib_module_names or name in _ALWAYS_THERE or not name.isidentifier():
        return None
    spec = _spec(name, folders)
    if spec is None:
        return None
    if spec.submodule_search_locations is None:
        place = Path(spec.origin or "")
        is_source = place.suffix == ".py"
    else:  # a package, or a folder without __init__.py
        place = Path(next(iter(spec.submodule_search_locations), ""))
        is_source = next(_sources(place), None) is not None
    under = any(place.is_relative_to(folder) for folder in folders)
    return place if is_source and under and not _is_installed(place) else None


def _spec(name: str, folders: Collection[Path]) -> ModuleSpec | None:
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__spec__", None) is not None:
        return loaded.__spec__
    path = list(map(str, folders))
    return PathFinder.find_spec(name, path + [each for each in sys.path if each not in path])


def _sources(folder: Path) -> Iterator[Path]:
    for parent, inner, files in os.walk(folder):
        inner[:] = sorted(
            each for each in inner if each not in _SKIPPED and not each.startswith(".")
        )
        for file in sorted(files):
            if file.endswith(".py"):
                yield Path(parent, file)


def _read(path: Path) -> bytes:
    stat = path.stat()
    return _read_once(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _read_once(path: Path, changed: int, size: int) -> bytes:
    return path.read_bytes()


def _is_installed(path: Path) -> bool:
    return is_installed_file(os.path.join(path, ""))
