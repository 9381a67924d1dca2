"""The folder in which a session works, and the files in it that its caller can name.

What was sent to it by name lies there as a link to the store; what it writes into ``outputs/`` can
be listed and read. Names are relative, with slashes, and never lead out of the folder. It goes with
the session's process (`folders`).

The folder also stands for that of the caller's notebook (`Beside`): files that a cell names come
into it as copies, and what a cell writes beside them goes back.
``tests/node/worker/test_workplace.py`` proves it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from easyremote.errors import CannotShip, NotFound, UsageError
from easyremote.node.folders import own_folder
from easyremote.protocol.requests import FileInfo
from easyremote.serialize.files import Content, File

__all__ = ["Beside", "describe", "enter", "listing", "place", "read"]

OUTPUTS = "outputs"
#: Bytes of one file, and of all files of a cell, that go back unasked.
BACK_MAX = 16_000_000
BACK_OF_CELL_MAX = 64_000_000
#: A folder with more entries is data, as of a download: it is not looked through after each cell.
ENTRIES_MAX = 1000
#: The clock of a file system may tick as seldom as that.
CLOCK_NS = 100_000_000
_NOT_BESIDE = frozenset({OUTPUTS, "__pycache__", "node_modules"})


def enter() -> None:
    """Make the folder, with an empty ``outputs/``, and work in it."""
    _outputs().mkdir(exist_ok=True)
    os.chdir(_outputs().parent)


def place(name: str, came: str) -> str:
    """Put a file that came into the folder, under a name; its path.

    Raises
    ------
    UsageError
        The name leads elsewhere, or belongs to a file that the session made.
    """
    path = _inside(_outputs().parent, name)
    if path.is_symlink() and own_folder("files") in Path(os.readlink(path)).parents:
        path.unlink()  # it came before, with another content or the same
    elif path.is_symlink() or path.exists():
        raise UsageError(
            f"The session has made a {name!r} of its own, which a file from here would replace: "
            "remove or rename one of the two."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(came)
    return str(path)


def listing() -> tuple[FileInfo, ...]:
    """What is in ``outputs/``, and what was sent."""
    sent = {path.name: path for path in sorted(own_folder("files").glob("*/*"), key=_came)}
    found = [_entry(name, path, is_sent=True) for name, path in sorted(sent.items())]
    for path in _files(_outputs()):
        with contextlib.suppress(FileNotFoundError):  # it is being worked with
            name = path.relative_to(_outputs()).as_posix()
            found.append(_entry(name, path, is_sent=False))
    return tuple(found)


def describe(name: bytes) -> Content:
    """What is in an output.

    Raises
    ------
    NotFound
        There is none of that name.
    """
    return File(_output(name)).content


def read(name: bytes, offset: int, size: int) -> bytes:
    """A piece of an output; empty at its end."""
    with open(_output(name), "rb") as opened:
        opened.seek(offset)
        return opened.read(size)


class Beside:
    """The files that a session and its caller's notebook have in common.

    A name is a path below the folder, with slashes. Hidden files, links and ``outputs/`` are not
    among them.
    """

    def __init__(self) -> None:
        #: What the caller knows to be in each file.
        self._known: dict[str, Content] = {}
        #: How each file looked after the last cell.
        self._seen: dict[str, tuple[int, ...]] = {}
        #: The folders that the caller has; their names end with a slash.
        self._folders: set[str] = set()
        #: When an entry of the folder itself last came or went; 0 where the next look has to look.
        self._changed_at = 0

    def take(self, files: Iterable[tuple[str, File]], folders: Iterable[str]) -> None:
        """Put files that came into the folder; make the folders that the caller has.

        Raises
        ------
        UsageError
            A name leads out of the folder.
        """
        for name in folders:
            _inside(_outputs().parent, f"{name}/any").parent.mkdir(parents=True, exist_ok=True)
            self._note_folders(f"{name}/any")
        for name, came in files:
            path = _inside(_outputs().parent, name)
            if path.is_symlink():
                path.unlink()  # what was sent by --file is not to be written to
            if not path.exists() or _content(path) != came.content:
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(came, path)
            self._known[name], self._seen[name] = came.content, _marks(path)
            self._note_folders(name)

    def _note_folders(self, name: str) -> None:
        self._folders |= {f"{parent}/" for parent in PurePosixPath(name).parents}

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that the caller has removed."""
        for name in names:
            path = _inside(_outputs().parent, name)
            if not self._has_changed(name, path):
                path.unlink(missing_ok=True)
            self._known.pop(name, None)

    def give_way(self, name: str) -> None:
        """Remove a file that the caller knows, because it comes by another way now."""
        path = _inside(_outputs().parent, name)
        if name in self._known and not self._has_changed(name, path):
            path.unlink(missing_ok=True)

    def changed(self) -> dict[str, dict[str, Any]]:
        """What was written since the last cell, by name, and what was removed.

        ``digest``: empty for what was removed, and for a folder. ``size``. ``data``: the content;
        None where it is too large to go back unasked: then the file is in ``outputs/``, too.
        """
        folder = own_folder("work")
        if not (self._seen or self._known or self._folders) and self._is_as_before(folder):
            return {}
        left, found = BACK_OF_CELL_MAX, dict[str, dict[str, Any]]()
        now = dict(_beside(folder, ""))
        for name in self._new_folders(now):
            found[name] = {"digest": b"", "size": 0, "data": None}
        for name, path in now.items():
            marks = _marks(path)
            if self._seen.get(name) == marks:
                continue
            content = _content(path)
            if content is None:
                self._changed_at = 0
                continue  # it is being written to: after a later cell
            self._seen[name] = marks
            if self._known.get(name) == content:
                continue
            self._known[name] = content
            fits = content.size <= min(BACK_MAX, left)
            left -= content.size if fits else 0
            data = path.read_bytes() if fits else None
            if not fits:
                _offer(name, path)
            found[name] = {"digest": content.digest, "size": content.size, "data": data}
        for name in self._removed(now):
            found[name] = {"digest": b"", "size": 0, "data": None}
        return found

    def _is_as_before(self, folder: Path) -> bool:
        """Whether no entry of the folder has come or gone since the last look at it."""
        before, changed = self._changed_at, os.stat(folder).st_mtime_ns
        # Another change that comes soon after this one may have the same time.
        self._changed_at = changed if changed < time.time_ns() - CLOCK_NS else 0
        return changed == before

    def _new_folders(self, now: dict[str, Path]) -> list[str]:
        """Take the folders out of what is there now; those that the caller does not have."""
        folders = {name for name in now if name.endswith("/")}
        for name in folders:
            del now[name]
        new, self._folders = folders - self._folders, folders
        return sorted(new)

    def _removed(self, now: dict[str, Path]) -> list[str]:
        gone = [name for name in self._known if name not in now]
        for name in gone:
            del self._known[name]
            self._seen.pop(name, None)
        # A link came by another way.
        return [name for name in gone if not (_outputs().parent / name).is_symlink()]

    def _has_changed(self, name: str, path: Path) -> bool:
        return path.is_file() and _content(path) != self._known.get(name)


def _offer(name: str, path: Path) -> None:
    """Let a large file be fetched from ``outputs/``, without a second copy of it."""
    output = _outputs() / name
    output.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # the session has an output of that name
        if output.exists() and _marks(output)[:2] == _marks(path)[:2]:
            return
        output.hardlink_to(path)


def _content(path: Path) -> Content | None:
    """What is in a file; None while it is written to."""
    try:
        return File(path).content
    except (CannotShip, UsageError):
        return None


def _marks(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return stat.st_ino, stat.st_dev, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _beside(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries if len(entries) <= ENTRIES_MAX else ():
        if entry.name.startswith(".") or entry.name in _NOT_BESIDE or entry.is_symlink():
            continue
        if entry.is_dir():
            yield f"{prefix}{entry.name}/", Path(entry)
            yield from _beside(Path(entry), f"{prefix}{entry.name}/")
        elif entry.is_file():
            yield f"{prefix}{entry.name}", Path(entry)


def _outputs() -> Path:
    return own_folder("work") / OUTPUTS


def _output(name: bytes) -> Path:
    path = _inside(_outputs(), os.fsdecode(name))
    if not path.is_file() or not path.resolve().is_relative_to(_outputs().resolve()):
        raise NotFound(f"There is no file {os.fsdecode(name)!r} in outputs/ of the session.")
    return path


def _inside(folder: Path, name: str) -> Path:
    """The path of a name in a folder. It may be a link; the caller looks at that."""
    pure = PurePosixPath(name)
    path = folder / pure
    leads_out = pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in name
    if leads_out or not path.parent.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{name!r} leads out of the session's folder.")
    return path


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
                yield path


def _came(path: Path) -> float:
    return path.lstat().st_mtime


def _entry(name: str, path: Path, *, is_sent: bool) -> FileInfo:
    stat = path.stat()
    time = _came(path) if is_sent else stat.st_mtime
    return FileInfo(os.fsencode(name), stat.st_size, time, is_sent)
