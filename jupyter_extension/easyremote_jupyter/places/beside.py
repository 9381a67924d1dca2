"""The files beside a notebook that its cells name: they go along, and what cells write comes back.

A file goes along once, by its content, and again when it has changed here. What came back is put in
its place, but never over a file that has changed here since the session knew it.
``tests/jupyter_extension/here/test_files.py`` proves it.
"""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from easyremote.client.files.fetching import safe_target
from easyremote.client.refs import size_text
from easyremote.errors import CannotShip, UsageError
from easyremote.serialize.files import File
from easyremote_jupyter.capture.files import Paths

__all__ = ["Beside", "named_beside"]

#: Bytes of files above which they go along only if they are asked for.
UNASKED_MAX = 100_000_000
#: Files that one pattern may stand for.
LISTED_MAX = 1000


def named_beside(paths: Paths) -> tuple[dict[str, File], list[str]]:
    """The files below the current folder that a cell names, and the folders that it may need.

    Returns
    -------
    dict, list
        Files by their names, as a session has them; folders.

    Raises
    ------
    UsageError
        The cell lists a folder with very many files.
    """
    files, folders = dict[str, File](), set[str]()
    for text in filter(_is_below, paths.texts):
        pure = PurePath(text)
        with contextlib.suppress(OSError, ValueError):  # it can be the name of no file
            if os.path.isfile(pure):
                files[pure.as_posix()] = File(pure)
            if len(pure.parts) > 1 and os.path.isdir(pure.parent):
                folders.add(pure.parent.as_posix())
    for pattern in filter(_is_below, paths.patterns):
        # As in a shell, a pattern does not mean what is hidden.
        found = list(islice(glob.iglob(pattern, recursive=True), LISTED_MAX + 1))
        if len(found) > LISTED_MAX:
            raise UsageError(
                f"The cell lists {pattern}: more than {LISTED_MAX:,} files. Nothing was sent. Send "
                "an archive of them with --file, or add --no-files to go without."
            )
        for pure in map(PurePath, found):
            if os.path.isfile(pure):
                files[pure.as_posix()] = File(pure)
            elif pure.parts and "__pycache__" not in pure.parts:
                folders.add(pure.as_posix())
        if os.path.isdir(parent := os.path.dirname(pattern)):
            folders.add(PurePath(parent).as_posix())
    return files, sorted(folders - {"."})


def _is_below(text: str) -> bool:
    pure = PurePath(text)
    leads_out = pure.is_absolute() or ".." in pure.parts or text.startswith("~")
    return bool(pure.parts) and not leads_out


class Beside:
    """What one session's process knows of the files beside the notebook."""

    def __init__(self) -> None:
        #: The process, and the folder here.
        self._of: tuple[str, str] | None = None
        #: The digest of each file's content, as the session last had it from here, or sent it.
        self._known: dict[str, bytes] = {}
        self._on_the_way: dict[str, bytes] = {}
        #: Likewise of files that stay there, because they are large.
        self._only_there: dict[str, bytes] = {}

    def drop(self, names: Iterable[str]) -> None:
        """Note that these files come to the session by another way."""
        for name in names:
            self._known.pop(name, None)

    def missing(
        self, files: Mapping[str, File], process: str | None, *, all_sizes: bool
    ) -> dict[str, File]:
        """The files among those of a cell, and those known, that the session does not have.

        Raises
        ------
        UsageError
            A file is so large that it has to be asked for.
        """
        if process is None or (process, os.getcwd()) != self._of:
            self._known = {}
        known = {name: File(name) for name in self._known if os.path.isfile(name)}
        found = {}
        for name, file in {**known, **files}.items():
            if os.path.getsize(file) > UNASKED_MAX and not all_sizes and name not in files:
                continue
            with contextlib.suppress(CannotShip):  # not to be read: the cell says so, if it tries
                digest = file.content.digest
                if digest not in (self._known.get(name), self._only_there.get(name)):
                    found[name] = file
        sizes = {name: file.content.size for name, file in found.items()}
        if sum(sizes.values()) > UNASKED_MAX and not all_sizes:
            name = max(sizes, key=sizes.__getitem__)
            others = f", and {len(sizes) - 1} more" if len(sizes) > 1 else ""
            raise UsageError(
                f"The cell names {name}, a file of {size_text(sizes[name])}{others}. Nothing was "
                f"sent. Add --file {name} or --force-push to send it, or --no-files to go without."
            )
        self._on_the_way = {name: file.content.digest for name, file in found.items()}
        return found

    def removed(self) -> list[str]:
        """The files that the session has, and that are gone here."""
        return [name for name in self._known if not os.path.lexists(name)]

    def arrived(self, process: str) -> None:
        """Note that what was sent last has arrived in this process."""
        for name in self.removed():
            del self._known[name]
        self._known |= self._on_the_way
        self._of, self._on_the_way = (process, os.getcwd()), {}

    def came(
        self, written: Mapping[str, Mapping[str, Any]], node_id: str, say: Callable[[str], object]
    ) -> None:
        """Put here what a cell has written; `say` is told what was not."""
        for name, what in written.items():
            if name.endswith("/"):
                with contextlib.suppress(OSError, UsageError):  # a file here has its name
                    safe_target(Path(), name.rstrip("/")).mkdir(parents=True, exist_ok=True)
                continue
            before = self._known.get(name)
            if not what["digest"]:
                if self._known.pop(name, None) is not None and os.path.isfile(name):
                    say(f"{name} was removed on {node_id}; it is still here")
                continue
            self._known[name], here = what["digest"], None
            try:
                here = File(name).content.digest if os.path.lexists(name) else None
                if here == what["digest"]:
                    continue
                if what["data"] is None:
                    self._only_there[name] = what["digest"]
                    size = size_text(what["size"])
                    say(f"{name} ({size}) stays on {node_id}: %remote_fetch {name} brings it here")
                elif here not in (None, before):
                    say(
                        f"{name} here is not the file that {node_id} knew: it was kept, and what "
                        "the cell has written stays there"
                    )
                else:
                    _write(safe_target(Path(), name), what["data"])
                    continue
            except (CannotShip, OSError, UsageError) as error:
                say(f"{name} of {node_id} was not brought here: {error}")
            # What is here counts as known: it goes there only after a change here.
            if here is None:
                del self._known[name]
            else:
                self._known[name] = here


def _write(target: Path, data: bytes) -> None:
    """Write a file in one step."""
    if target.is_symlink():
        raise UsageError("here it is a link")
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_UMASK
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with open(handle, "wb") as opened:
            opened.write(data)
        os.chmod(part, mode)
        os.replace(part, target)
    except BaseException:
        os.unlink(part)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
