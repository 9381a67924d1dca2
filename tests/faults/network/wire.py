"""A wire that loses packets, between this network namespace and another one.

Each end is a TUN device; a thread carries the packets between them and drops some. So the TCP of
the system itself sends again, backs off and gives up, as on a bad radio link; `tc netem` does the
same where the kernel has it. It needs Linux, root, `ip` and ``/dev/net/tun``.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import struct
import subprocess
import threading

from tests.faults.network.closing import Closing

#: Of <linux/if_tun.h>: name a device of packets without a head of their own.
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
#: The longest packet.
MTU = 1500
TUN = "/dev/net/tun"


def why_not() -> str:
    """What is missing here for a wire; empty where nothing is."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "a network namespace needs root"
    if shutil.which("ip") is None:
        return "iproute2 (the command ip) is not installed"
    if not os.path.exists(TUN):
        return f"there is no {TUN}"
    try:
        Wire().close()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"a network namespace can't be made: {error}"
    return ""


class Wire(Closing):
    """A namespace of its own and the wire to it.

    Parameters
    ----------
    seed
        Of the packets that are lost.
    """

    def __init__(self, seed: int = 0) -> None:
        #: Which part of the packets is lost, from the namespace (up) and to it (down).
        self.loss_up = self.loss_down = 0.0
        #: How many packets were carried, and how many were lost.
        self.carried = self.lost = 0
        self._chance = random.Random(seed)
        number = os.getpid() % 60_000
        self.namespace = f"er{number}"
        subnet = f"10.{200 + number // 10_000}.{number // 100 % 100}.{4 * (number % 60)}"
        base, last = subnet.rsplit(".", 1)
        #: The address of this side.
        self.here = f"{base}.{int(last) + 1}"
        there = f"{base}.{int(last) + 2}"
        near, far = f"er{number}a", f"er{number}b"
        self._ending = threading.Event()
        self._ends: list[int] = []
        _ip("netns", "add", self.namespace)
        try:
            self._ends = [_device(near), _device(far)]
            _ip("addr", "add", f"{self.here}/30", "dev", near)
            _ip("link", "set", near, "up")
            _ip("link", "set", far, "netns", self.namespace)
            inside = "netns", "exec", self.namespace, "ip"
            _ip(*inside, "addr", "add", f"{there}/30", "dev", far)
            _ip(*inside, "link", "set", far, "up")
            _ip(*inside, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError):
            self._remove()
            raise
        self._thread = threading.Thread(target=self._carry, name="lossy-wire")
        self._thread.start()

    @property
    def command(self) -> list[str]:
        """Words before a command that is to run in the namespace."""
        return ["ip", "netns", "exec", self.namespace]

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._remove()

    def _remove(self) -> None:
        for end in self._ends:
            os.close(end)  # the device goes with it
        _ip("netns", "del", self.namespace)

    def _carry(self) -> None:
        near, far = self._ends
        while not self._ending.is_set():
            ready, _, _ = select.select(self._ends, [], [], 0.1)
            for end in ready:
                packet = os.read(end, MTU)
                loss = self.loss_up if end == far else self.loss_down
                if self._chance.random() < loss:
                    self.lost += 1
                else:
                    self.carried += 1
                    os.write(near if end == far else far, packet)


def _device(name: str) -> int:
    import fcntl

    device = os.open(TUN, os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)
