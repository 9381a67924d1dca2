"""Who is told that a call is over: an address, or a name for one."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from easyremote import config
from easyremote.errors import UsageError
from easyremote.options.notify import (
    LONGEST,
    SERVICES,
    VARIABLE,
    read_notify,
    save_target,
    service_of,
)
from easyremote.protocol.messages import ADDRESS_LIMIT

#: Of a service that is sent to.
ADDRESS = "ntfys://user:secret-word@my-server/topic"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(config.HOME_VARIABLE, str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


def test_an_address_is_taken_as_it_is() -> None:
    assert read_notify(ADDRESS, "notify") == ADDRESS
    assert service_of(ADDRESS) == "ntfys"


def test_a_name_stands_for_an_address_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, ADDRESS)
    monkeypatch.setenv(f"{VARIABLE}_MY_TEAM", "jsons://team/x")
    assert read_notify("me", "notify") == ADDRESS
    assert read_notify("my-team", "notify") == "jsons://team/x"


def test_a_name_stands_for_an_address_that_was_saved_for_this_user_only(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_target("me", ADDRESS)
    save_target("team", "jsons://team/x")
    assert read_notify("me", "notify") == ADDRESS
    assert read_notify("team", "notify") == "jsons://team/x"
    (file,) = home.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    monkeypatch.setenv(VARIABLE, "jsons://first/x")
    assert read_notify("me", "notify") == "jsons://first/x"
    save_target("team", None)
    with pytest.raises(UsageError, match="no address is called 'team' here. Save one: easyremote"):
        read_notify("team", "notify")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("ntfys://", "is no address. It looks like"),
        ("ntfys://a secret-word", "is no address"),
        ("ntfys://" + "secret-word" * LONGEST, "at most 2000 characters"),
        ("https://secret-word", "there is no service https://"),
        ("jsno://secret-word", "Did you mean 'json'"),
        ("dbus://secret-word", "there is no service dbus://"),
        ("secret-word!", "or the name of one, as me"),
        ("", "or the name of one, as me"),
        (3, "is an address or a name, not a int"),
    ],
)
def test_what_is_no_address_is_refused_and_not_shown(given: object, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        read_notify(given, "notify")
    assert "secret-word" not in str(caught.value)
    if isinstance(given, str) and "://" in given:
        with pytest.raises(UsageError, match="is no address|there is no service"):
            save_target("me", given)


def test_a_wrong_address_behind_a_name_is_told_by_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "https://secret-word")
    with pytest.raises(UsageError, match="the address called me: there is no service") as caught:
        read_notify("me", "--notify")
    assert "secret-word" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_knows_every_service() -> None:
    import apprise

    known = apprise.Apprise().details()["schemas"]
    names = {
        name
        for each in known
        for name in (*(each["protocols"] or ()), *(each["secure_protocols"] or ()))
    }
    assert names >= SERVICES


def test_an_address_that_is_taken_here_fits_into_a_message() -> None:
    assert LONGEST == ADDRESS_LIMIT
