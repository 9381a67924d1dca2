"""The proxy itself: bytes pass unchanged, and each toxic does what it says."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.network.proxy import RETRANSMIT, Proxy, Toxics
from tests.processes import wait_until

BODY = random.Random(7).randbytes(60_000)


class Echo:
    """Sends back what comes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        #: What each connection ended with: nothing, or the error.
        self.endings: list[str] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        ending = ""
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError as error:
                ending = type(error).__name__
        self.endings.append(ending)


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.address, seed=1) as made:
        yield made


def dial(proxy: Proxy) -> socket.socket:
    host, port = proxy.address.split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def there_and_back(sock: socket.socket, body: bytes) -> float:
    """Send it and read it back, unchanged; in how many seconds."""
    begun = time.monotonic()
    sender = threading.Thread(target=sock.sendall, args=(body,))
    sender.start()
    back = bytearray()
    while len(back) < len(body):
        back += sock.recv(65536)
    sender.join()
    assert back == body
    return time.monotonic() - begun


@pytest.mark.parametrize(
    ("toxics", "least"),
    [
        (Toxics(), 0.0),
        (Toxics(latency=0.1, jitter=0.1), 0.1),
        (Toxics(rate=500_000), 0.1),
        (Toxics(slice=200, slice_delay=0.001), 0.05),
    ],
)
@pytest.mark.parametrize("way", ["up", "down"])
def test_bytes_pass_unchanged_and_take_their_time(
    proxy: Proxy, toxics: Toxics, least: float, way: str
) -> None:
    """A toxic takes at least as long as it says: the lower limit is the toxic's own."""
    with dial(proxy) as sock:
        there_and_back(sock, b"first")
        for name, value in vars(toxics).items():
            setattr(getattr(proxy, way), name, value)
        assert there_and_back(sock, BODY) >= least
        proxy.heal()
        there_and_back(sock, BODY)


class FirstIsLost(random.Random):
    """Two segments are lost, of which one is the other's repetition; then none."""

    def __init__(self) -> None:
        super().__init__()
        self._left = [0.0, 0.0]

    def random(self) -> float:
        return self._left.pop() if self._left else 1.0


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_is_lost_comes_later_and_so_does_all_behind_it(proxy: Proxy, way: str) -> None:
    proxy.chance = FirstIsLost()
    with dial(proxy) as sock:
        there_and_back(sock, b"first")
        getattr(proxy, way).loss = 0.5
        assert there_and_back(sock, BODY) >= 3 * RETRANSMIT


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_black_hole_is_silent_and_loses_nothing_when_it_ends(proxy: Proxy, way: str) -> None:
    with dial(proxy) as sock:
        there_and_back(sock, b"first")
        getattr(proxy, way).is_black_hole = True
        sock.sendall(b"second")
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(10)
        sock.settimeout(30)
        proxy.cut(is_cut=False)
        assert sock.recv(10) == b"second"


def test_a_black_hole_hides_the_end_of_the_other_side(proxy: Proxy, echo: Echo) -> None:
    sock = dial(proxy)
    there_and_back(sock, b"first")
    proxy.cut()
    sock.close()
    assert not echo.endings
    proxy.cut(is_cut=False)
    wait_until(lambda: echo.endings == [""])


def test_a_reset_is_felt_at_both_ends(proxy: Proxy, echo: Echo) -> None:
    with dial(proxy) as sock:
        there_and_back(sock, b"first")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            sock.recv(10)
    wait_until(lambda: echo.endings == ["ConnectionResetError"])
    with dial(proxy) as sock:
        there_and_back(sock, b"again")
    assert proxy.accepted == 2


def test_a_slow_way_holds_no_more_than_its_room(proxy: Proxy) -> None:
    """What is sent waits at the sender: the proxy is no cushion of megabytes."""
    proxy.up.is_black_hole = True
    with dial(proxy) as sock:
        sock.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += sock.send(bytes(65536))
        # The sender's own socket keeps up to 4 MiB more.
        assert sent < 6 * 2**20
