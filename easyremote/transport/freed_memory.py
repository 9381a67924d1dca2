"""The memory of a process that passes messages on.

``tests/transport/test_freed_memory.py`` proves it with a gateway.
"""

from __future__ import annotations

from easyremote.protocol.streams import WINDOW

#: Bytes that such a process keeps: as much as one large payload has under way.
KEPT = WINDOW


def keep_freed_memory() -> None:
    """Have the C library keep some memory that is freed, for the next messages.

    Otherwise glibc gives it back to the kernel after each message of a large payload, and gets it
    again page by page. It learns from the largest block that was freed: twice that much is kept, by
    each thread that takes memory. So this is of no use in a process with many threads.
    """
    bytes(KEPT // 2)  # is not written to, so it takes no memory
