"""What goes to a node before a function that is sent there: files, and large pieces of arguments.

``tests/client/test_files.py`` and ``test_shipped.py`` prove it with real processes.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import msgspec

from easyremote.client.files.sending import FilePeer, missing, send
from easyremote.client.terminal.bars import shown_bars
from easyremote.errors import CannotShip
from easyremote.guarded import attribute
from easyremote.protocol.builtins import HAVE, KEEP
from easyremote.protocol.requests import Blobs, NewBlob
from easyremote.serialize.blobs import BLOB_MIN, Packed
from easyremote.serialize.files import File
from easyremote.serialize.values import Dumped

if TYPE_CHECKING:
    from easyremote.client.executor import RemoteExecutor
    from easyremote.client.job import RemoteJob
    from easyremote.protocol.snapshot import NodeInfo

__all__ = ["bring_blobs", "has_large", "known_blobs", "node_for_blobs", "send_blob", "send_files"]

#: Hashes in one question for blobs, so that the question is a small message.
_HASHES_AT_ONCE = 400
#: In msgpack: no bytes, and the mark before the size of many bytes.
_NO_BYTES, _BYTES = b"\xc4\x00", b"\xc6"
_turn = itertools.count()


def has_large(values: Iterable[object]) -> bool:
    """Whether it is worth a thread to submit these values: they are sent before the call is."""
    for value in values:
        size = len(value) if isinstance(value, bytes) else attribute(value, "nbytes", 0)
        if isinstance(size, int) and size >= BLOB_MIN:
            return True
    return False


def known_blobs(executor: RemoteExecutor, node_id: str, hashes: Iterable[bytes]) -> set[bytes]:
    """The blobs among these that the node has already."""
    asked, known = list(hashes), set[bytes]()
    for start in range(0, len(asked), _HASHES_AT_ONCE):
        question = Blobs(tuple(asked[start : start + _HASHES_AT_ONCE]))
        job: RemoteJob[Blobs] = executor.ask(HAVE, question, node_id=node_id)
        known.update(job.result().hashes)
    return known


def bring_blobs(executor: RemoteExecutor, packed: Packed, node_id: str) -> set[bytes]:
    """Send the blobs that are not on the node; those that are there now.

    It waits until they have arrived: the values may change as soon as this returns.
    """
    pieces = packed.by_hash()
    known = known_blobs(executor, node_id, pieces)
    sent = {
        hash_: send_blob(executor, node_id, hash_, piece)
        for hash_, piece in pieces.items()
        if hash_ not in known
    }
    return known | {hash_ for hash_, job in sent.items() if job.result()}


def send_blob(
    executor: RemoteExecutor, node_id: str, hash_: bytes, piece: memoryview
) -> RemoteJob[bool]:
    """Send a blob, which is not copied; the answer is whether the node has room for it."""
    head = msgspec.msgpack.encode(NewBlob(hash_, memoryview(b"")))
    head = head[: -len(_NO_BYTES)] + _BYTES + piece.nbytes.to_bytes(4, "big")
    dumped = Dumped([head, piece], len(head) + piece.nbytes)
    return executor.start(KEEP, dumped, node_id=node_id, encoding="msgpack")


def node_for_blobs(nodes: Iterable[NodeInfo]) -> str:
    """A node that gets a function with its large arguments, where any will do; empty for none.

    They take turns: each of them gets the arguments once.
    """
    able = [node.node_id for node in nodes if node.state == "online" and node.runs_code]
    return able[next(_turn) % len(able)] if able else ""


def send_files(executor: RemoteExecutor, files: Collection[File], node_id: str) -> None:
    """Send those of the files that are not on the node.

    Raises
    ------
    CannotShip
        No node is named.
    """
    if not node_id:
        names = ", ".join(file.name for file in files)
        raise CannotShip(
            f"Files ({names}) go to a node that is named: @remote(node_id=...), or client.on("
            "NODE).submit(...)."
        )
    peer = FilePeer(executor, node_id, "")
    with shown_bars() as show:
        send(peer, missing(peer, files), show)
