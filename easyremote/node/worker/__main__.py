"""The fork server of a node, and the processes that run code: ``python -m easyremote.node.worker``.

The fork server (``forks.py``) serves its node over a socket pair, whose descriptor is its argument.
What it forks runs code: the main thread runs calls (``main_thread.py``), a second one serves the
link to the supervisor (``link_thread.py``). ``tests/client/test_remote.py`` proves it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

from easyremote.node.forking import INTERRUPT
from easyremote.node.ledger import Ledger
from easyremote.node.worker.forks import serve
from easyremote.node.worker.link_thread import LinkThread


def main() -> None:
    """Be the fork server; in what it forks, run code."""
    descriptors, arguments = serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = [""]
    run(descriptors, is_for_session="shell" in arguments)


def run(descriptors: list[int], *, is_for_session: bool) -> None:
    """Run calls.

    Parameters
    ----------
    descriptors
        Of the link to the supervisor and of the ledger; and of the registered functions that this
        process runs. Without these it runs shipped functions.
    is_for_session
        Whether it gets ready for cells before the first one comes.
    """
    sock = socket.socket(fileno=descriptors[0])
    sock.set_inheritable(False)
    ledger = Ledger(descriptors[1])
    os.close(descriptors[1])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    link = LinkThread(ledger)
    signal.signal(INTERRUPT, link.main.interrupt)
    if len(descriptors) > 2:
        from easyremote.node.registered.opened import OpenedFunctions

        with open(descriptors[2], "rb") as functions:
            functions.seek(0)
            link.main.functions = OpenedFunctions(functions.read())
    threading.Thread(target=link.serve, args=(sock,), name="link", daemon=True).start()
    if is_for_session:
        link.main.warm_up()
    link.main.run()


if __name__ == "__main__":
    main()
