"""`Poster`: sends notices, in a process of their own.

The library that sends them loads much, and makes connections to wherever a user says. In a process
of its own it takes none of the gateway's memory for long, holds up nobody, knows no key of the
gateway, and can be kept from addresses that are nobody's business (``post.py``).
``tests/gateway/notify/test_notify.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from easyremote.gateway.notify.notices import Notice, Notices

_log = logging.getLogger("easyremote.gateway")

#: Seconds between two looks for notices that are due.
INTERVAL = 0.25
#: Seconds that one process may take.
LIMIT = 30.0
#: What it sees of the gateway's environment. It has no proxy: that would connect in its place.
ENVIRONMENT = ("LANG", "PATH", "PYTHONPATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "SYSTEMROOT")


class Poster:
    """Sends the notices that are due.

    Parameters
    ----------
    notices
        Where they are.
    hosts
        Names, addresses and networks that may be connected to although they are private.
    """

    def __init__(self, notices: Notices, hosts: Sequence[str] = ()) -> None:
        self._notices, self._hosts = notices, tuple(hosts)
        self._process: subprocess.Popen[str] | None = None

    async def look(self) -> None:
        """Send what is due; once at a time."""
        batch = self._notices.take(time.monotonic())
        if not batch:
            return
        answers: dict[int, tuple[str, bool]] = {}
        try:
            answers = await asyncio.to_thread(self._post, batch)
        finally:
            now = time.monotonic()
            for number, notice in enumerate(batch):
                why, for_good = answers.get(number, ("the service did not answer in time", False))
                if why:
                    self._notices.failed(notice, why, now, for_good=for_good)
                else:
                    self._notices.sent(notice)

    def close(self) -> None:
        """Stop sending."""
        if self._process is not None:
            self._process.kill()
        self._notices.close()

    def _post(self, batch: Sequence[Notice]) -> dict[int, tuple[str, bool]]:
        """Have a process send these; by number, why one was not sent, and whether it never will."""
        letters = [(each.address, each.text, each.is_good) for each in batch]
        command = [sys.executable, "-m", "easyremote.gateway.notify.post"]
        with subprocess.Popen(
            command,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it would show addresses
            text=True,
        ) as process:
            self._process = process
            try:
                said, _ = process.communicate(json.dumps((self._hosts, letters)), timeout=LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
            finally:
                self._process = None
        if process.returncode and not said:
            _log.error("The process that sends notifications ended with %d", process.returncode)
        lines = [json.loads(line) for line in said.splitlines() if line.endswith("]")]
        return {number: (why, for_good) for number, why, for_good in lines}
