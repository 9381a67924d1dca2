"""The folder in which a session works, and the files in it that its caller can name.

What was sent to it by name lies there as a link to the store; what it writes into ``outputs/`` can
be listed and read. Names are relative, with slashes, and never lead out of the folder. It goes with
the session's process (`folders`). ``tests/node/worker/test_workplace.py`` proves it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from easyremote.errors import NotFound, UsageError
from easyremote.node.folders import own_folder
from easyremote.protocol.requests import FileInfo
from easyremote.serialize.files import Content, File

__all__ = ["describe", "enter", "listing", "place", "read"]

OUTPUTS = "outputs"


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
