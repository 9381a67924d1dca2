"""Who is told that a call is over: an address as people write it, or a name for one.

An address is a URL as the library apprise reads it: a webhook, e-mail, ntfy and others. It often
holds a password, so a notebook names it, and the user's own settings hold it. No message of an
error shows an address. ``tests/options/test_notify.py`` proves it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from easyremote import config
from easyremote.errors import UsageError
from easyremote.identity import read_private, write_private
from easyremote.options.spelling import did_you_mean

__all__ = ["SERVICES", "check_address", "read_notify", "save_target", "service_of"]

#: Characters of an address.
LONGEST: Final = 2000
#: The variable with the address that is called `ME`; with ``_NAME`` behind it, of other names.
VARIABLE: Final = "EASYREMOTE_NOTIFY"
ME: Final = "me"

#: The services that a gateway sends to. Apprise has more: some of them show something on the screen
#: of the machine where they run, or read files there.
SERVICES: Final = frozenset(
    "apprise apprises bark barks brevo dingtalk discord feishu flock form forms gchat gotify "
    "gotifys guilded hassio hassios ifttt json jsons lark line mailgun mailto mailtos mastodon "
    "mastodons matrix matrixs mmost mmosts msgbird nctalk nctalks ntfy ntfys o365 onesignal "
    "opsgenie pagerduty pbul postmark pover prowl push pushdeer pushdeers pushplus qq "
    "resend revolt rocket rockets schan sendgrid ses signal signals simplepush slack smtp2go sns "
    "sparkpost synology synologys tgram threema toot toots twilio vonage webex wecombot whatsapp "
    "workflow workflows wxpusher wxteams xml xmls zulip".split()
)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_SCHEME = re.compile(r"([a-z][a-z0-9]*)://\S+")


def read_notify(value: object, what: str) -> str:
    """The address that somebody means.

    Parameters
    ----------
    value
        An address (``ntfys://ntfy.sh/my-topic``), or a name: ``me`` is the address in
        ``EASYREMOTE_NOTIFY``, any other ``NAME`` the one in ``EASYREMOTE_NOTIFY_NAME``; else what
        ``easyremote notify`` has saved under this name.
    what
        What to call the option in a message.

    Raises
    ------
    UsageError
        It is no address of a service, and no name that is known here.

    Examples
    --------
    >>> read_notify("ntfys://ntfy.sh/my-topic", "notify")
    'ntfys://ntfy.sh/my-topic'
    """
    if not isinstance(value, str):
        raise UsageError(f"{what} is an address or a name, not a {type(value).__name__}.")
    if "://" in value:
        check_address(value, what)
        return value
    if not _NAME.fullmatch(value):
        raise UsageError(
            f"{what} is an address, as ntfys://ntfy.sh/my-topic, or the name of one, as {ME}."
        )
    address = os.environ.get(_variable(value)) or _saved().get(value)
    if not isinstance(address, str):
        raise UsageError(
            f"{what}: no address is called {value!r} here. Save one: easyremote notify {value}, or "
            f"set {_variable(value)}."
        )
    check_address(address, f"{what}: the address called {value}")
    return address


def check_address(address: str, what: str) -> None:
    """Refuse what is no address of a service that is sent to; the message does not show it.

    Raises
    ------
    UsageError
        It is none.
    """
    found = _SCHEME.fullmatch(address)
    if found is None or len(address) > LONGEST:
        raise UsageError(
            f"{what} is no address. It looks like ntfys://ntfy.sh/my-topic, "
            "jsons://my-server/path or mailtos://user:password@gmail.com, and has at most "
            f"{LONGEST} characters."
        )
    if found[1] not in SERVICES:
        raise UsageError(
            f"{what}: there is no service {found[1]}://.{did_you_mean(found[1], SERVICES)} A "
            "webhook is jsons://my-server/path."
        )


def service_of(address: str) -> str:
    """The part of an address that is no secret: which service it is."""
    return address.partition("://")[0]


def save_target(name: str, address: str | None) -> None:
    """Save the address for a name, in a file that only this user can read; None removes it.

    Raises
    ------
    UsageError
        It is no address, or no name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:100]!r} is no name: take letters, digits, - and _.")
    saved = _saved()
    saved.pop(name, None)
    if address is not None:
        check_address(address, "What was given")
        saved[name] = address
    write_private(_file(), saved)


def _saved() -> dict[str, object]:
    return read_private(_file())


def _file() -> Path:
    return config.home() / "notify.json"


def _variable(name: str) -> str:
    return VARIABLE if name == ME else f"{VARIABLE}_{name.upper().replace('-', '_')}"
