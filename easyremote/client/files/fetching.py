"""Lists the files of a session, and fetches its outputs in pieces. It replaces no other file.

A transfer that was interrupted goes on where it stopped. The node names the files, and is not
trusted with that: a name that leads out of the folder here is refused, and a hidden file comes only
where it is asked for. ``tests/client/test_fetch.py`` proves it with real processes.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple, TypeVar

from easyremote.client.files.sending import (
    AHEAD,
    PIECE,
    FilePeer,
    Show,
    TransferInterrupted,
    bar,
    printable,
)
from easyremote.client.job import RemoteJob
from easyremote.client.refs import size_text
from easyremote.errors import NotFound, ProtocolError, UsageError
from easyremote.options.spelling import did_you_mean
from easyremote.protocol.requests import (
    DescribeFile,
    FileDescription,
    FileList,
    FilePiece,
    FilesAnswer,
    ListFiles,
    ReadPiece,
)
from easyremote.serialize.files import Content, File

__all__ = ["RemoteFile", "fetch", "listed", "safe_target"]

T = TypeVar("T")

#: How a part of a file is opened: never through a link that somebody has put there.
_OPEN_PART = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


class RemoteFile(NamedTuple):
    """A file of a session."""

    #: Its path below ``outputs/``; of a file that was sent, the last part of its path.
    name: str
    #: Bytes.
    size: int
    #: The time at which it was written or sent, in seconds since 1970 by the node's clock.
    time: float
    is_sent: bool


class _Wanted(NamedTuple):
    name: str
    content: Content
    target: Path


def listed(peer: FilePeer, timeout: float | None = None) -> list[RemoteFile]:
    """The files that were sent to a session, and those in its ``outputs/``.

    Raises
    ------
    NotFound
        There is no such session.
    """
    answer = _checked(peer.fetch(ListFiles()).result(timeout), FileList)
    return [
        RemoteFile(os.fsdecode(each.name), each.size, each.time, each.is_sent)
        for each in answer.files
    ]


def fetch(
    peer: FilePeer,
    patterns: Iterable[str],
    to: str | os.PathLike[str],
    *,
    overwrite: bool,
    show: Show,
) -> list[Path]:
    """Fetch outputs of a session; returns their paths here.

    Parameters
    ----------
    patterns
        Names below ``outputs/``, or patterns as ``*.png``. As in a shell, ``*`` does not stand for
        what is hidden: a name, or a folder's, that begins with a dot.
    to
        The folder here; it is made if there is none.
    overwrite
        Whether to replace files here that have another content.
    show
        Called with the states of each file's bar.

    Raises
    ------
    NotFound
        There is no such output.
    UsageError
        Another file has that name here, a file can't be written, or an output changes meanwhile.
    """
    folder = Path(to).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder.")
    names = _matching(patterns, [each.name for each in listed(peer) if not each.is_sent])
    targets = {name: safe_target(folder, name) for name in names}
    asked = {name: peer.fetch(DescribeFile(os.fsencode(name))) for name in names}
    wanted = [_Wanted(name, _content(asked[name]), targets[name]) for name in names]
    missing = [each for each in wanted if not _is_here(each, overwrite)]
    for each in missing:
        try:
            _fetch(peer, each, show)
        except OSError as error:
            raise UsageError(f"{each.target} can't be written: {error.strerror}.") from None
    return [each.target for each in wanted]


def _matching(patterns: Iterable[str], names: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for pattern in patterns:
        plain = pattern.removeprefix("outputs/")
        matched = [plain] if plain in names else [n for n in names if _matches(n, plain)]
        if not matched:
            there = ", ".join(map(printable, names[:10])) or "none"
            meant = did_you_mean(plain, names)
            raise NotFound(f"No file in outputs/ is called {plain}.{meant} There: {there}.")
        found.update(dict.fromkeys(matched))
    return list(found)


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern means a file; each hidden part of its path has to be asked for."""
    hidden = [part for part in name.split("/") if part.startswith(".")]
    asked = [part for part in pattern.split("/") if part.startswith(".")]
    are_asked_for = all(any(fnmatch.fnmatch(part, each) for each in asked) for part in hidden)
    return are_asked_for and fnmatch.fnmatch(name, pattern)


def safe_target(folder: Path, name: str, *, on_windows: bool = os.name == "nt") -> Path:
    """Where an output goes; never out of the folder, whatever the node says that it is called."""
    pure = PurePosixPath(name)
    is_plain = str(pure) == name != "." and not pure.is_absolute() and ".." not in pure.parts
    if not is_plain or "\0" in name or (on_windows and _is_special_on_windows(name)):
        raise UsageError(f"{printable(name)} can't be the name of a file in {folder}.")
    target = folder / name
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{printable(name)} would lead out of {folder}; it was not fetched.")
    return target


def _is_special_on_windows(name: str) -> bool:
    """Whether Windows takes a name for a device, a drive, a stream, or several folders."""
    path = PureWindowsPath(name)
    return any(c in name for c in '\\:*?"<>|') or path.is_reserved() or bool(path.anchor)


def _content(asked: RemoteJob[FilesAnswer]) -> Content:
    return Content(*_checked(asked.result(), FileDescription).content)


def _is_here(wanted: _Wanted, overwrite: bool) -> bool:
    """Whether the output is here already; raises where another file has its name."""
    target = wanted.target
    if not target.exists():
        return False
    if target.is_file() and File(target).content == wanted.content:
        return True
    if overwrite and target.is_file():
        return False
    how = "" if target.is_dir() else " --overwrite (overwrite=True) replaces it,"
    raise UsageError(
        f"{target} is another file than the output of that name: nothing was fetched.{how} "
        "--to FOLDER (to=...) fetches into another folder."
    )


def _fetch(peer: FilePeer, wanted: _Wanted, show: Show) -> None:
    name, content, target = wanted
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{content.digest.hex()[:16]}.part")
    there = min(part.stat().st_size, content.size) if part.exists() else 0
    try:
        moved = bar(f"{printable(name)} from {peer.node_id}", content.size, there, show)
        for start in (there, 0):  # once more from the start, if the part that was here is damaged
            with open(os.open(part, _OPEN_PART, 0o666), "r+b") as opened:
                there = start
                for data in _pieces(peer, name, start, content.size):
                    opened.seek(there)
                    opened.write(data)
                    there += len(data)
                    moved(there)
                opened.truncate(content.size)
                opened.seek(0)
                is_whole = hashlib.file_digest(opened, "sha256").digest() == content.digest
            if is_whole:
                _take(part, wanted)
                return
            part.unlink()
            if not start:
                break
    except KeyboardInterrupt:
        here = f"{size_text(there)} of the {size_text(content.size)} of {printable(name)}"
        text = f"{here} are here; the next time the rest is fetched."
        raise TransferInterrupted(text) from None
    raise UsageError(f"{printable(name)} has changed while it was fetched. Fetch it again.")


def _pieces(peer: FilePeer, name: str, start: int, size: int) -> Iterator[bytes]:
    under_way: deque[RemoteJob[FilesAnswer]] = deque()
    for offset in range(start, size, PIECE):
        under_way.append(peer.fetch(ReadPiece(os.fsencode(name), offset, PIECE)))
        if len(under_way) == AHEAD:
            yield _checked(under_way.popleft().result(), FilePiece).data
    while under_way:
        yield _checked(under_way.popleft().result(), FilePiece).data


def _checked(answer: FilesAnswer, kind: type[T]) -> T:
    """The answer in the type that belongs to the request."""
    if not isinstance(answer, kind):
        raise ProtocolError("A node answered another question about files than was asked.")
    return answer


def _take(part: Path, wanted: _Wanted) -> None:
    with contextlib.suppress(FileNotFoundError):  # another process has moved it there
        os.replace(part, wanted.target)
