"""A small forward proxy, for tests: CONNECT and absolute addresses, and every host is this one."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit


class ForwardProxy:
    """Forwards in threads of its own, and notes what was asked for.

    Whatever a host is called, it is looked for on this machine: only who asks the proxy gets there.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        #: The request lines, without the protocol's version.
        self.requests: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # it was closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        line, _, rest = head.partition(b"\r\n")
        method, target, version = line.split()
        self.requests.append(f"{method.decode()} {target.decode()}")
        is_tunnel = method == b"CONNECT"
        url = urlsplit(f"//{target.decode()}" if is_tunnel else target.decode())
        server = socket.create_connection(("127.0.0.1", url.port or 80))
        if is_tunnel:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            server.sendall(b" ".join((method, url.path.encode(), version)) + b"\r\n" + rest)
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()
        client.close()
        server.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction ends as well, and closes both
