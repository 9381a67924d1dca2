"""A process that runs code: ``python -m easyremote.node.worker FD LEDGER [shell | FUNCTIONS]``.

Its main thread runs calls (``main_thread.py``), a second one serves the link to the supervisor
(``link_thread.py``). ``tests/client/test_remote.py`` proves it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading

from easyremote.node.ledger import Ledger
from easyremote.node.worker.link_thread import LinkThread


def _die_with_parent() -> None:
    """Linux: be killed when the supervisor dies, whatever runs here."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)


def main() -> None:
    """Serve the socket pair whose descriptor is the first argument; the second is the ledger's.

    With ``shell`` it is for a session: it gets ready for cells before the first one comes. Another
    descriptor is of the registered functions that it runs; without one it runs shipped functions.
    """
    _die_with_parent()
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    ledger = Ledger(int(sys.argv[2]))
    os.close(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    link = LinkThread(ledger)
    is_for_session = "shell" in sys.argv
    if len(sys.argv) > 3 and not is_for_session:
        from easyremote.node.registered.opened import OpenedFunctions

        with open(int(sys.argv[3]), "rb") as functions:
            link.main.functions = OpenedFunctions(functions.read())
    threading.Thread(target=link.serve, args=(sock,), name="link", daemon=True).start()
    sys.argv = [""]
    if is_for_session:
        link.main.warm_up()
    link.main.run()


if __name__ == "__main__":
    main()
