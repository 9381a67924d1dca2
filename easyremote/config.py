"""Where the gateway is, and with which key: one `Settings` object.

The first of these that says something counts: the arguments, the environment
(``EASYREMOTE_GATEWAY``, ``EASYREMOTE_API_KEY``), the file that ``easyremote login`` writes, the
gateway that the same user runs on this machine. Settings keep where each value came from, because
messages and ``easyremote doctor`` name it.
``tests/test_config.py`` proves the order.
"""

from __future__ import annotations

import functools
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from easyremote.errors import UsageError
from easyremote.identity import Key, Kind, read_private, write_private
from easyremote.options import seed_words

DEFAULT_PORT = 8080
GATEWAY_VARIABLE = "EASYREMOTE_GATEWAY"
KEY_VARIABLE = "EASYREMOTE_API_KEY"
#: The folder of keys and connection files; for tests, and for several gateways of one user.
HOME_VARIABLE = "EASYREMOTE_HOME"
#: Where an address or a key can come from, in words.
FROM_LOGIN = "easyremote login"
FROM_HERE = "the gateway on this machine"

_default_gateway: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """A gateway's address, a key for it, and where each came from.

    Parameters
    ----------
    gateway
        ``host:port``, or a whole URL where the gateway is behind TLS.
    api_key
        As text; parsed when it is used.
    gateway_from, key_from
        In words, for messages.
    """

    gateway: str
    api_key: str
    gateway_from: str = "an argument"
    key_from: str = "an argument"

    @property
    def url(self) -> str:
        """The gateway's URL for HTTP, without a slash at its end."""
        return normalise(self.gateway)

    def key(self, kind: Kind) -> Key:
        """The key, checked to be of this kind.

        Raises
        ------
        UsageError
            It is no key, has a typo, or is of another kind.
        """
        key = Key.parse(self.api_key)
        if key.kind != kind:
            raise UsageError(
                f"The key {key.key_id} (from {self.key_from}) is a {key.kind} key; "
                f"this needs a {kind} key. Make one: easyremote key create --kind {kind}"
            )
        return key


def home() -> Path:
    """The directory of the user's keys and connection files."""
    configured = os.environ.get(HOME_VARIABLE)
    return Path(configured) if configured else platformdirs.user_data_path("easyremote")


def login_file() -> Path:
    return home() / "login.json"


def local_file() -> Path:
    """The file in which a gateway tells other processes of its user where it is."""
    return home() / "local.json"


def set_default_gateway(address: str | None) -> None:
    """Use this gateway wherever no other is named; None forgets it.

    Parameters
    ----------
    address
        ``host:port`` or a URL.

    Examples
    --------
    >>> set_default_gateway("my-vps:8080")
    >>> set_default_gateway(None)
    """
    global _default_gateway
    if address is not None:
        normalise(address)
    _default_gateway = address


def named_settings() -> tuple[str | None, ...]:
    """What this process names of gateway, key and files; a change of it changes `find_settings`."""
    get = os.environ.get
    gateways = _default_gateway, get(GATEWAY_VARIABLE), seed_words.gateway_of_environment()
    return *gateways, get(KEY_VARIABLE), get(HOME_VARIABLE)


def find_settings(
    gateway: str | None = None, api_key: str | None = None, *, kind: Kind = "client"
) -> Settings:
    """Find the gateway and a key for it.

    Parameters
    ----------
    gateway, api_key
        As the caller gave them; None to look in the other places.
    kind
        The kind of key that is needed.

    Raises
    ------
    UsageError
        No gateway is configured, or no key for it. The message says how to do it.
    """
    address, address_from = find_gateway(gateway)
    if not address:
        raise UsageError(
            "No gateway is configured. Start one here: easyremote up. Or, if you have one: "
            f"easyremote login HOST:PORT, or set {GATEWAY_VARIABLE} and {KEY_VARIABLE}."
        )
    key, key_from = _first(
        (api_key, "an argument"),
        (os.environ.get(KEY_VARIABLE), f"the variable {KEY_VARIABLE}"),
        (_key_of(read_private(login_file()), address, kind), FROM_LOGIN),
        (_key_of(read_private(local_file()), address, kind), FROM_HERE),
    )
    if not key:
        raise UsageError(
            f"There is no {kind} key for the gateway {address} (from {address_from}). Get one from "
            f"its owner (easyremote key create --kind {kind}), then: easyremote login {address}, "
            f"or set {KEY_VARIABLE}."
        )
    return Settings(address, key, address_from, key_from)


def find_gateway(gateway: str | None = None) -> tuple[str, str]:
    """Find the gateway's address and where it comes from; both are empty if there is none.

    Parameters
    ----------
    gateway
        As the caller gave it; None to look in the other places.
    """
    return _first(
        (gateway, "an argument"),
        (_default_gateway, "set_default_gateway()"),
        (os.environ.get(GATEWAY_VARIABLE), f"the variable {GATEWAY_VARIABLE}"),
        (seed_words.gateway_of_environment(), f"the variable {seed_words.GATEWAY_VARIABLE}"),
        (read_private(login_file()).get("gateway"), FROM_LOGIN),
        (read_private(local_file()).get("gateway"), FROM_HERE),
    )


def save_login(address: str, key: Key) -> Path:
    """Save a gateway and a key for this user, in a file that only its owner can read; its path."""
    known = read_private(login_file())
    keys = dict(known.get("keys", {})) if known.get("gateway") == address else {}
    keys[key.kind] = str(key)
    write_private(login_file(), {"gateway": address, "keys": keys})
    return login_file()


@functools.cache
def normalise(address: str) -> str:
    """Turn an address as people write it into a URL.

    Raises
    ------
    UsageError
        The text is no address.

    Examples
    --------
    >>> normalise("my-vps:8080")
    'http://my-vps:8080'
    """
    schemes = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
    text = address.strip().rstrip("/")
    url = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = url.port
    except ValueError:
        port = -1
    if not url.hostname or any(map(str.isspace, text)) or url.scheme not in schemes or port == -1:
        raise UsageError(f"{address!r} is no gateway address. Write HOST:PORT, as my-vps:8080.")
    scheme = schemes[url.scheme]
    if port is None and "://" not in text:
        port = DEFAULT_PORT
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{scheme}://{host}{f':{port}' if port else ''}{url.path}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _key_of(file: dict[str, object], address: str, kind: Kind) -> str | None:
    """The key of this kind in a file, if the file is about this gateway."""
    keys = file.get("keys")
    gateway = file.get("gateway")
    if not isinstance(keys, dict) or not isinstance(gateway, str):
        return None
    return keys.get(kind) if _is_same(gateway, address) else None


@functools.cache
def _is_same(one: str, other: str) -> bool:
    """Whether two addresses name the same gateway: this machine has several names for itself."""
    left, right = urlsplit(normalise(one)), urlsplit(normalise(other))
    if is_loopback(left.hostname or "") and is_loopback(right.hostname or ""):
        return (left.scheme, left.port, left.path) == (right.scheme, right.port, right.path)
    return left == right


def _first(*candidates: tuple[str | None, str]) -> tuple[str, str]:
    for value, source in candidates:
        if value:
            return value, source
    return "", ""
