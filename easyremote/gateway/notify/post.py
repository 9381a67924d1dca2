"""The process that sends notifications: ``python -m easyremote.gateway.notify.post``.

It reads a list of hosts and letters as JSON, and prints a JSON array for each letter as soon as
that is settled: its number, why it was not sent (empty if it was), and whether it never will.

An address comes from a user, and the gateway often stands where more can be reached than from
outside: its own machine, its network, the metadata of its cloud. So this process watches itself, by
an audit hook. It connects to addresses of the public internet only, and to the hosts that the
gateway's owner allows: looked at when the connection is made, so that neither a redirect nor a name
that changes its meaning leads elsewhere. It starts no program, writes no file, and reads only those
of the Python that runs it.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import socket
import sys
import sysconfig
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

TITLE = "EasyRemote"
_STARTS = ("subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.system", "pty.")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Guard:
    """The audit hook.

    Parameters
    ----------
    networks
        What may be connected to although it is private.
    folders
        Where files may be read.
    """

    def __init__(self, networks: Sequence[Network], folders: Sequence[str]) -> None:
        self._networks, self._folders = tuple(networks), tuple(folders)
        self._here = threading.local()

    def begin(self) -> None:
        """This thread begins to send another letter."""
        self._here.refused = ""

    @property
    def refused(self) -> str:
        """Why a connection of this letter was refused; empty where none was."""
        return str(getattr(self._here, "refused", ""))

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            if arguments[1] is not None:
                self._check_address(arguments[1])
        elif event == "open":
            self._check_file(arguments[0], arguments[2])
        elif event.startswith(_STARTS):
            raise PermissionError(f"{event}: notifications start no program")

    def _check_address(self, address: object) -> None:
        try:
            host = address[0].partition("%")[0]  # type: ignore[index]  # a tuple, or it is refused
            found = ipaddress.ip_address(host)
        except (AttributeError, TypeError, IndexError, ValueError):
            self._here.refused = "it leads to no address of the internet"
            raise PermissionError("no address of the internet") from None
        found = _meant(found)
        if is_public(found) or any(found in network for network in self._networks):
            return
        self._here.refused = (
            "it leads to a private address. The gateway's owner can allow that: easyremote gateway "
            "--notify-host HOST"
        )
        raise PermissionError("a private address")

    def _check_file(self, path: object, flags: object) -> None:
        if isinstance(path, int):
            return
        name = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]  # a path
        is_written = isinstance(flags, int) and flags & _WRITES
        if is_written or not name.startswith(self._folders):
            raise PermissionError("notifications read no files of this machine")


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of the public internet."""
    return address.is_global and not address.is_multicast


def _meant(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address inside an IPv6 one, where that is where it leads."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in ipaddress.ip_network("64:ff9b::/96"):  # NAT64
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def networks_of(hosts: Sequence[str]) -> list[Network]:
    """The networks that some hosts are: names, addresses, or networks as ``10.0.0.0/8``."""
    found: list[Network] = []
    for host in hosts:
        try:
            found.append(ipaddress.ip_network(host, strict=False))
        except ValueError:
            try:
                answers = socket.getaddrinfo(host, None)
            except OSError:
                continue  # it has no address now: nothing can be sent there
            addresses = (str(answer[4][0]).partition("%")[0] for answer in answers)
            found += map(ipaddress.ip_network, addresses)
    return found


def _readable() -> list[str]:
    """The folders of this Python and its packages, and those of certificates."""
    import apprise

    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [os.path.dirname(os.path.dirname(apprise.__file__)), "/etc/ssl", "/etc/pki"]
    return [os.path.join(os.path.realpath(folder), "") for folder in folders]


def main() -> None:
    """See the module."""
    hosts, letters = json.load(sys.stdin)
    import apprise

    logging.disable()  # its log shows addresses
    asset = apprise.AppriseAsset(
        app_id=TITLE, storage_mode=apprise.PersistentStoreMode.MEMORY, async_mode=False
    )
    guard = Guard(networks_of(hosts), _readable())
    sys.addaudithook(guard)
    say = threading.Lock()

    def send(number: int) -> None:
        address, text, is_good = letters[number]
        guard.begin()
        why, for_good = "", False
        try:
            service = apprise.Apprise.instantiate(address, asset=asset)
            kind = apprise.NotifyType.SUCCESS if is_good else apprise.NotifyType.FAILURE
            if service is None:
                why, for_good = "the address is not complete", True
            elif not service.notify(body=text, title=TITLE, notify_type=kind):
                why, for_good = guard.refused or "the service did not take it", bool(guard.refused)
        except Exception as error:  # of the library, whatever it is: the others are sent
            why = f"the library for it failed ({type(error).__name__})"
        with say:
            print(json.dumps((number, why, for_good)), flush=True)  # noqa: T201 - for the gateway

    with ThreadPoolExecutor(len(letters)) as pool:
        list(pool.map(send, range(len(letters))))


if __name__ == "__main__":
    main()
