"""Lists the files of a session, and fetches its outputs: in pieces, checked, and never over others.

What was interrupted goes on where it stopped. A name that would lead out of the folder here is
refused, wherever it comes from. ``tests/client/test_fetch.py`` proves it with real processes.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from easyremote.client.files.sending import AHEAD, PIECE, FilePeer, Show, TransferInterrupted, bar
from easyremote.client.job import RemoteJob
from easyremote.client.refs import size_text
from easyremote.client.targets import did_you_mean
from easyremote.errors import NotFound, UsageError
from easyremote.protocol.builtins import FILES
from easyremote.serialize.files import Content, File

__all__ = ["RemoteFile", "fetch", "listed"]


class RemoteFile(NamedTuple):
    """A file of a session."""

    #: Below ``outputs/``, or the last part of the path of one that was sent.
    name: str
    #: Bytes.
    size: int
    #: When it was written, or sent: seconds since 1970 of the node's clock.
    time: float
    is_sent: bool


class _Wanted(NamedTuple):
    name: str
    content: Content
    target: Path


def listed(peer: FilePeer, timeout: float | None = None) -> list[RemoteFile]:
    """The files of a session: those that were sent, and those in ``outputs/``.

    Raises
    ------
    NotFound
        There is no such session.
    """
    answer = peer.start(FILES, "list").result(timeout)
    return [
        RemoteFile(os.fsdecode(each["name"]), each["size"], each["time"], each["is_sent"])
        for each in answer
    ]


def fetch(
    peer: FilePeer,
    patterns: Iterable[str],
    to: str | os.PathLike[str],
    *,
    overwrite: bool,
    show: Show,
) -> list[Path]:
    """Fetch outputs of a session; where they are here now.

    Parameters
    ----------
    patterns
        Names below ``outputs/``, or patterns as ``*.png``.
    to
        A folder, made where there is none.
    overwrite
        Whether to replace files that are here.
    show
        Takes the states of a bar for each.

    Raises
    ------
    NotFound
        There is no such output.
    UsageError
        Another file is here under that name, or can't be written; or one changes meanwhile.
    """
    folder = Path(to).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder.")
    names = _matching(patterns, [each.name for each in listed(peer) if not each.is_sent])
    targets = {name: _target(folder, name) for name in names}
    asked = {name: peer.start(FILES, "describe", os.fsencode(name)) for name in names}
    wanted = [_Wanted(name, Content(**asked[name].result()), targets[name]) for name in names]
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
        matched = [plain] if plain in names else fnmatch.filter(names, plain)
        if not matched:
            there = ", ".join(names[:10]) or "none"
            meant = did_you_mean(plain, names)
            raise NotFound(f"No file in outputs/ is called {plain}.{meant} There: {there}.")
        found.update(dict.fromkeys(matched))
    return list(found)


def _target(folder: Path, name: str) -> Path:
    """Where an output goes; never out of the folder, whatever the node says that it is called."""
    target = folder / name
    parts = PurePosixPath(name).parts
    is_below = target.parent.resolve().is_relative_to(folder.resolve())
    if not is_below or ".." in parts or target == folder:
        raise UsageError(f"{name!r} would lead out of {folder}; it was not fetched.")
    return target


def _is_here(wanted: _Wanted, overwrite: bool) -> bool:
    """Whether it has been fetched before; another file under its name is in the way."""
    target = wanted.target
    if not target.exists():
        return False
    if target.is_file() and File(target).content == wanted.content:
        return True
    if overwrite and target.is_file():
        return False
    how = "" if target.is_dir() else " with --overwrite (overwrite=True) it is replaced,"
    raise UsageError(
        f"{target} is something else than the output of that name: nothing was fetched;{how} with "
        "--to it goes to another folder."
    )


def _fetch(peer: FilePeer, wanted: _Wanted, show: Show) -> None:
    name, content, target = wanted
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{content.digest.hex()[:16]}.part")
    there = min(part.stat().st_size, content.size) if part.exists() else 0
    try:
        moved = bar(f"{name} from {peer.node_id}", content.size, there, show)
        for start in (there, 0):  # from the start, if what was here before was damaged
            with open(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as opened:
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
        raise TransferInterrupted(
            f"{size_text(there)} of the {size_text(content.size)} of {name} are here; the next "
            "time the rest is fetched."
        ) from None
    raise UsageError(f"{name} has changed while it was fetched. Fetch it again.")


def _pieces(peer: FilePeer, name: str, start: int, size: int) -> Iterator[bytes]:
    under_way: deque[RemoteJob[bytes]] = deque()
    for offset in range(start, size, PIECE):
        under_way.append(peer.start(FILES, "read", os.fsencode(name), offset, PIECE))
        if len(under_way) == AHEAD:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _take(part: Path, wanted: _Wanted) -> None:
    with contextlib.suppress(FileNotFoundError):  # another process has fetched it, too
        os.replace(part, wanted.target)
