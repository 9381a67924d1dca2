"""A web server on loopback that keeps what is posted to it: what a notification is sent to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.processes import wait_until


class Webhook:
    """See the module."""

    def __init__(self, port: int) -> None:
        self.port = port
        #: What was posted: the path and the message.
        self.posted: list[tuple[str, dict[str, Any]]] = []
        #: What the next requests are answered with; then 200.
        self.statuses: list[int] = []
        #: Where a request is sent on; empty for nowhere.
        self.redirect = ""

    def address(self, path: str = "secret") -> str:
        return f"json://127.0.0.1:{self.port}/{path}"

    @property
    def texts(self) -> list[str]:
        return [message["message"] for _, message in list(self.posted)]

    def wait(self, count: int = 1) -> list[str]:
        """The texts, when there are so many."""
        wait_until(lambda: len(self.posted) >= count)
        return self.texts


@contextmanager
def webhook() -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = hook.statuses.pop(0) if hook.statuses else 200
            if hook.redirect:
                self.send_response(307)
                self.send_header("Location", hook.redirect)
            else:
                self.send_response(status)
            self.end_headers()
            hook.posted.append((self.path, json.loads(body)))

        def log_message(self, *args: object) -> None:
            """Nothing is to be printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Webhook(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
