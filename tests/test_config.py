"""Where settings come from, in their order, and how keys look."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from easyremote import config
from easyremote.errors import UsageError
from easyremote.identity import Key, read_private, write_private


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(config.HOME_VARIABLE, str(tmp_path))
    monkeypatch.delenv(config.GATEWAY_VARIABLE, raising=False)
    monkeypatch.delenv(config.KEY_VARIABLE, raising=False)
    return tmp_path


def test_arguments_win_over_environment_login_and_local_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match="No gateway is configured"):
        config.find_settings()
    write_private(config.local_file(), {"gateway": "127.0.0.1:1", "keys": {"client": "local"}})
    assert config.find_settings().gateway_from == "the gateway on this machine"
    key = Key.generate("client")
    config.save_login("login:2", key)
    assert config.find_settings() == config.Settings(
        "login:2", str(key), "easyremote login", "easyremote login"
    )
    monkeypatch.setenv(config.GATEWAY_VARIABLE, "variable:3")
    monkeypatch.setenv(config.KEY_VARIABLE, "from-variable")
    assert config.find_settings().gateway == "variable:3"
    config.set_default_gateway("default:4")
    try:
        assert config.find_settings().gateway == "default:4"
    finally:
        config.set_default_gateway(None)
    assert config.find_settings("argument:5", "k").gateway == "argument:5"


def test_a_key_of_one_gateway_is_not_offered_to_another() -> None:
    config.save_login("one:1", Key.generate("client"))
    with pytest.raises(UsageError, match="no client key for the gateway two:2"):
        config.find_settings("two:2")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("my-vps", "http://my-vps:8080"),
        ("my-vps:9", "http://my-vps:9"),
        ("https://my-vps/", "https://my-vps"),
        ("wss://my-vps:443/x", "https://my-vps:443/x"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_is_read_as_people_write_it(address: str, url: str) -> None:
    assert config.normalise(address) == url


@pytest.mark.parametrize("address", ["", "a b", "host:port", "ftp://x", "host:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="no gateway address"):
        config.normalise(address)


def test_a_key_is_read_back_and_a_typo_is_seen() -> None:
    key = Key.generate("client")
    assert Key.parse(f" {key}\n") == key
    assert key.secret not in repr(key)
    with pytest.raises(UsageError, match="has a typo"):
        Key.parse(str(key).replace(key.secret, key.secret[1:] + "0"))
    with pytest.raises(UsageError, match="not an EasyRemote key"):
        Key.parse("sk-12345")


def test_key_files_are_for_their_owner_only(home: Path) -> None:
    path = home / "sub" / "file.json"
    write_private(path, {"a": 1})
    assert read_private(path) == {"a": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("{")
    with pytest.raises(UsageError, match="is damaged"):
        read_private(path)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "http://LOCALHOST"])
def test_the_local_gateways_key_is_found_under_every_name_of_this_machine(
    name: str,
) -> None:
    write_private(config.local_file(), {"gateway": "127.0.0.1:8080", "keys": {"client": "the key"}})
    assert config.find_settings(f"{name}:8080").api_key == "the key"
    with pytest.raises(UsageError, match="no client key"):
        config.find_settings(f"{name}:8081")
