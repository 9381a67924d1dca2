"""Limits for whoever has shown no key: how many connections, and how many wrong keys. Pure.

A connection is a stranger's while no key was shown on it and no call of it runs. The number of such
connections is limited. When one more comes, the one that has been silent longest is cut, so that
silent connections shut out nobody. ``tests/gateway/http/test_strangers.py`` proves it.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import islice

#: Connections of strangers that one address may have.
MAX_CONNECTIONS = 64
#: Wrong keys that one address may show in `WINDOW` seconds.
MAX_WRONG_KEYS = 20
WINDOW = 60.0
#: While so many strangers are there, and all of them are new, the next connection waits.
MANY = 256
#: Seconds in which whoever has a key has shown it, also where many come at once.
NEW = 3.0
#: Addresses whose wrong keys are counted; beyond it the oldest are forgotten.
MAX_ADDRESSES = 10_000


def group_of(address: str) -> str:
    """The group in which an address is counted: an IPv4 address, or a /64 network of IPv6.

    The group of loopback addresses is empty, and is not counted: all users of this machine share
    these addresses, and so do all who come through a proxy on it.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return group_of(str(parsed.ipv4_mapped))
        network = ipaddress.ip_network((parsed, 64), strict=False)
        return "" if parsed.is_loopback else str(network)
    return "" if parsed.is_loopback else str(parsed)


class Visit:
    """One connection.

    Parameters
    ----------
    group
        The group of its address (`group_of`).
    """

    __slots__ = ("cut", "group", "since")

    def __init__(self, group: str) -> None:
        self.group = group
        #: Since when it is a stranger's.
        self.since = 0.0
        #: Ends the connection at once.
        self.cut: Callable[[], object] = _nothing


class Strangers:
    """All connections of a gateway, and which of them are strangers', the oldest first.

    Parameters
    ----------
    limit
        The connections that there may be, of strangers and others.
    limit_of_strangers
        The connections that strangers may have.
    """

    def __init__(self, limit: int, limit_of_strangers: int) -> None:
        self._limit, self._limit_of_strangers = limit, limit_of_strangers
        self._visits: set[Visit] = set()
        self._strangers: OrderedDict[Visit, None] = OrderedDict()
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._strangers)

    def admits(self, group: str) -> bool:
        """Whether this address may have one more connection."""
        return not group or self._counts[group] < MAX_CONNECTIONS

    def are_many_and_new(self, now: float) -> bool:
        """Whether the next connection has to wait, because many came at once.

        When thousands of peers come back in the same second, all of them would be served so slowly
        that their time to show a key runs out, and all the work would be lost. Connections that are
        silent for long hold up nobody.
        """
        if len(self._strangers) < MANY:
            return False
        return any(now < oldest.since + NEW for oldest in islice(self._strangers, 1))

    def came(self, visit: Visit, now: float) -> None:
        """Take on a new connection; if there are too many, cut the one that is silent longest.

        If all others have shown a key, that one is the new connection itself.
        """
        self._visits.add(visit)
        self.is_silent(visit, now)
        if len(self._visits) > self._limit or len(self._strangers) > self._limit_of_strangers:
            longest = next(iter(self._strangers))
            self.left(longest)
            longest.cut()

    def is_known(self, visit: Visit) -> None:
        """The connection has shown a key, or a call of it runs."""
        if visit in self._strangers:
            del self._strangers[visit]
            self._count(visit.group, -1)

    def is_silent(self, visit: Visit, now: float) -> None:
        """The connection is a stranger's, from now on."""
        if visit in self._visits and visit not in self._strangers:
            visit.since = now
            self._strangers[visit] = None
            self._count(visit.group, 1)

    def left(self, visit: Visit) -> None:
        """The connection is over."""
        self.is_known(visit)
        self._visits.discard(visit)

    def _count(self, group: str, step: int) -> None:
        if group:
            self._counts[group] += step
            if not self._counts[group]:
                del self._counts[group]


def _nothing() -> None:
    """The connection is not there yet."""


class WrongKeys:
    """Counts the wrong keys that come from an address.

    The right key is taken however many wrong ones came before it: it can't be guessed, and the
    neighbours of an address must not be able to shut one another out.
    """

    def __init__(self) -> None:
        #: Of each address: when its window began, and the wrong keys in it.
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, address: str, now: float) -> bool:
        """A wrong key came; whether there were too many."""
        began, count = self._seen.pop(address, (now, 0))
        if now >= began + WINDOW:
            began, count = now, 0
        self._seen[address] = began, count + 1
        if len(self._seen) > MAX_ADDRESSES:
            self._seen.popitem(last=False)
        return count >= MAX_WRONG_KEYS
