"""The calls about blobs: which of them are on the node, and a further one that is to be kept.

``tests/client/test_shipping.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from easyremote.errors import ProtocolError
from easyremote.node.blob_store import BlobStore
from easyremote.node.processes.process import RelayedCall
from easyremote.protocol.builtins import HAVE, KEEP, open_request
from easyremote.protocol.held import Outcome, failure, plain_outcome
from easyremote.protocol.requests import Blobs, NewBlob


class BlobCalls:
    """Answers calls about the blobs of their owner.

    Parameters
    ----------
    finish
        Ends a call with an outcome.
    """

    def __init__(self, finish: Callable[[RelayedCall, Outcome], None]) -> None:
        self._finish = finish

    def have(self, call: RelayedCall) -> None:
        """Answer which of some blobs are on the node."""
        try:
            asked: Blobs = open_request(HAVE, call.arguments)
        except ProtocolError as error:
            self._finish(call, failure("protocol", str(error), may_have_run=False))
            return
        known = BlobStore(call.owner, os.getpid()).known(asked.hashes)
        self._finish(call, plain_outcome(Blobs(tuple(known))))

    def keep(self, call: RelayedCall) -> None:
        """Keep a blob, in a thread: a large one takes its time. Answer whether it is kept."""
        try:
            new: NewBlob = open_request(KEEP, call.arguments)
        except ProtocolError as error:
            self._finish(call, failure("protocol", str(error), may_have_run=False))
            return

        def kept(done: asyncio.Future[bool]) -> None:
            self._finish(call, plain_outcome(not done.cancelled() and done.result()))

        call.arguments = b""
        store = BlobStore(call.owner, os.getpid())
        keeping = asyncio.get_running_loop().run_in_executor(None, store.keep, new.hash, new.data)
        keeping.add_done_callback(kept)
