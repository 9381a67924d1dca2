"""What goes to a node before a function that is sent there: files, and large pieces of arguments.

``tests/client/test_files.py`` and ``test_shipped.py`` prove it with real processes.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from easyremote.client.files.sending import FilePeer, missing, send
from easyremote.client.terminal.bars import shown_bars
from easyremote.errors import CallLost, CannotShip, NodeOffline
from easyremote.guarded import attribute
from easyremote.options.retries import FAIL
from easyremote.packing import pack
from easyremote.protocol.builtins import HAVE, KEEP
from easyremote.protocol.requests import Blobs, NewBlob
from easyremote.serialize.blobs import BLOB_MIN, Packed
from easyremote.serialize.files import File
from easyremote.serialize.values import Dumped, dump

if TYPE_CHECKING:
    from easyremote.client.executor import RemoteExecutor
    from easyremote.client.job import RemoteJob
    from easyremote.protocol.snapshot import NodeInfo

__all__ = ["Shipments", "bring_blobs", "has_large", "known_blobs", "send_blob", "send_files"]

#: Hashes in one question for blobs, so that the question is a small message.
_HASHES_AT_ONCE = 400
#: In msgpack: no bytes, and the mark before the size of many bytes.
_NO_BYTES, _BYTES = b"\xc4\x00", b"\xc6"


class Shipments:
    """The calls with large arguments that one client has under way, by node."""

    def __init__(self) -> None:
        self._calls = Counter[str]()
        self._lock = threading.Lock()
        self._arriving = defaultdict[str, threading.Lock](threading.Lock)

    def start(
        self,
        executor: RemoteExecutor,
        packed: Packed,
        nodes: Iterable[NodeInfo],
        node_id: str,
        start: Callable[..., RemoteJob[Any]],
        *,
        stream: bool,
    ) -> RemoteJob[Any]:
        """Start a call whose large arguments go ahead.

        Parameters
        ----------
        nodes
            Those that the gateway knows.
        node_id
            The node that was named; empty for the one that will be done first.
        start
            Starts the call, given its payload and ``node_id``.
        stream
            Whether it is a generator. It is not counted while it runs: one to which nobody refers
            any more is never done.

        Raises
        ------
        NodeOffline
            The node went away while the arguments were on their way, and there is no other one.
        """
        able = [node for node in nodes if node.state == "online" and node.runs_code]
        while True:
            chosen = self._begin(able, node_id)
            able = [] if node_id else [node for node in able if node.node_id != chosen]
            try:
                return self._start_at(
                    chosen, executor, packed, start, stream=stream, on_loss=FAIL if able else ""
                )
            except (CallLost, NodeOffline) as error:
                if not able:
                    raise NodeOffline(
                        f"Node {chosen!r} went away while the arguments were on their way to it. "
                        "The function did not run. Call it again when the node is back.",
                        node_id=chosen,
                    ) from error

    def _start_at(
        self,
        node_id: str,
        executor: RemoteExecutor,
        packed: Packed,
        start: Callable[..., RemoteJob[Any]],
        *,
        stream: bool,
        on_loss: str,
    ) -> RemoteJob[Any]:
        is_counted = False
        try:
            there = set[bytes]()
            if node_id:
                with self._arriving_at(node_id):
                    there = bring_blobs(executor, packed, node_id, on_loss)
            job = start(dump(packed.wire(there)) if there else packed.dumped(), node_id=node_id)
            if not stream:
                job.add_done_callback(lambda _: self._end(node_id))
                is_counted = True
            return job
        finally:
            if not is_counted:
                self._end(node_id)

    def _begin(self, able: Collection[NodeInfo], node_id: str) -> str:
        """Note one more call, and say where it goes; empty where no node runs code.

        Of nodes that will do, the one gets it that has the fewest calls for its processes: it is
        the first to be done with them. So a slow node gets fewer, and somebody who makes one call
        after the other needs only one copy of the arguments.
        """
        with self._lock:
            if not node_id:
                open_ones = [node for node in able if not node.closed] or able
                chosen = min(open_ones, key=self._load_with_one_more, default=None)
                node_id = "" if chosen is None else chosen.node_id
            self._calls[node_id] += 1
            return node_id

    def _end(self, node_id: str) -> None:
        with self._lock:
            self._calls[node_id] -= 1

    def _arriving_at(self, node_id: str) -> threading.Lock:
        """Held while blobs go to a node: who needs the same ones meanwhile waits for them."""
        with self._lock:
            return self._arriving[node_id]

    def _load_with_one_more(self, node: NodeInfo) -> float:
        return (self._calls[node.node_id] + 1) / (node.processes or 1)


def has_large(values: Iterable[object]) -> bool:
    """Whether it is worth a thread to submit these values: they are sent before the call is."""
    for value in values:
        size = len(value) if isinstance(value, bytes) else attribute(value, "nbytes", 0)
        if isinstance(size, int) and size >= BLOB_MIN:
            return True
    return False


def known_blobs(
    executor: RemoteExecutor, node_id: str, hashes: Iterable[bytes], on_loss: str = ""
) -> set[bytes]:
    """The blobs among these that the node has already."""
    asked, known = list(hashes), set[bytes]()
    for begin in range(0, len(asked), _HASHES_AT_ONCE):
        body = pack(Blobs(tuple(asked[begin : begin + _HASHES_AT_ONCE])))
        job: RemoteJob[Blobs] = _start(HAVE, executor, node_id, Dumped([body], len(body)), on_loss)
        known.update(job.result().hashes)
    return known


def bring_blobs(
    executor: RemoteExecutor, packed: Packed, node_id: str, on_loss: str = ""
) -> set[bytes]:
    """Send the blobs that are not on the node; those that are there now.

    It waits until they have arrived: the values may change as soon as this returns. ``on_loss``
    says what becomes of that when the node is gone, as ``on_node_loss`` of `Client.on`.
    """
    pieces = packed.by_hash()
    known = known_blobs(executor, node_id, pieces, on_loss)
    sent = {
        hash_: send_blob(executor, node_id, hash_, piece, on_loss)
        for hash_, piece in pieces.items()
        if hash_ not in known
    }
    return known | {hash_ for hash_, job in sent.items() if job.result()}


def send_blob(
    executor: RemoteExecutor, node_id: str, hash_: bytes, piece: memoryview, on_loss: str = ""
) -> RemoteJob[bool]:
    """Send a blob, which is not copied; the answer is whether the node has room for it."""
    head = msgspec.msgpack.encode(NewBlob(hash_, memoryview(b"")))
    head = head[: -len(_NO_BYTES)] + _BYTES + piece.nbytes.to_bytes(4, "big")
    dumped = Dumped([head, piece], len(head) + piece.nbytes)
    return _start(KEEP, executor, node_id, dumped, on_loss)


def _start(
    question: str, executor: RemoteExecutor, node_id: str, dumped: Dumped, on_loss: str
) -> RemoteJob[Any]:
    return executor.start(
        question, dumped, node_id=node_id, encoding="msgpack", on_node_loss=on_loss
    )


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
