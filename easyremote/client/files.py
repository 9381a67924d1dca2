"""Sends files to a node's store, in pieces, before the cell that uses them.

What is there is not sent again; what was interrupted goes on where it stopped.
``tests/client/test_files.py`` proves it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm

from easyremote.client.session import Session
from easyremote.serialize.files import File

__all__ = ["send_files"]

#: Bytes of one piece.
PIECE = 4_000_000
#: Larger ones have a bar.
SHOWN_MIN = 1_000_000


def send_files(session: Session, files: Iterable[File], *, quiet: bool = False) -> int:
    """Bring files to the node of a session; how many bytes that took.

    Parameters
    ----------
    quiet
        Whether to show no bars.
    """
    return sum(_send(session, file, quiet) for file in files)


def _send(session: Session, file: File, quiet: bool) -> int:
    digest, size, sent = file.digest, file.size, 0
    there = session.ask("file_have", digest, size)["there"]
    if there == size and size:
        return 0
    bar = tqdm(
        total=size,
        initial=there,
        desc=f"{file.name} to {session.node_id}",
        unit="B",
        unit_scale=True,
        disable=quiet or size < SHOWN_MIN,
        file=sys.stderr,
    )
    with bar, open(file, "rb") as opened:
        while True:
            opened.seek(there)
            data = opened.read(PIECE)
            before, there = there, session.ask("file_write", digest, size, there, data)["there"]
            sent += len(data)
            bar.update(there - before)
            if there >= size or not data:
                return sent
