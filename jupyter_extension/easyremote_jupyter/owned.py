"""A gateway and a node on loopback that end with the process that started them.

``python -m easyremote_jupyter.owned gateway`` starts both; ``... node`` starts a node of the
gateway that runs on this machine already. The program prints one line: that they are online, or why
not. It ends when its standard input ends, so nothing is left even where the Jupyter server is
killed.
`server.first_run` starts it; ``tests/jupyter_extension/server/test_first_run.py`` proves it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from contextlib import ExitStack

from easyremote.errors import EasyRemoteError

#: The id of the node.
NODE_ID = "this-machine"
READY = "ready"
#: Seconds that a running cell has to end.
END_LIMIT = 5.0


def main(missing: str) -> int:
    """Serve until the standard input ends; the exit code."""
    from easyremote import ComputeNode, Server

    logging.basicConfig(level=logging.WARNING, format="easyremote: %(message)s")
    with ExitStack() as stack:
        try:
            address = None
            if missing == "gateway":
                address = stack.enter_context(Server(port=0)).address
            stack.enter_context(ComputeNode(address, NODE_ID, allow_code=True))
        except EasyRemoteError as error:
            _say(str(error))
            return 1
        _say(READY)
        sys.stdin.read()
        timer = threading.Timer(END_LIMIT, os._exit, (0,))
        timer.daemon = True
        timer.start()
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
