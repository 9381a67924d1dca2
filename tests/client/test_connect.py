"""`connect` finds the Client that is meant, and looks at files only now and then."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import easyremote
from easyremote import config, remote, set_default_gateway
from easyremote.client import client as client_module
from easyremote.client.client import connect
from easyremote.config import save_login
from easyremote.identity import Key
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Finished, Message, Payload, Submit
from tests.client.lying_gateway import LyingGateway, lying_gateway

KEY = Key.generate("client")


@remote
def where() -> int: ...


def number(told: int) -> Iterator[LyingGateway]:
    """A gateway whose functions all return its number."""

    def answer(link: Link, message: Submit) -> Iterator[Message]:
        body = pickle.dumps(told, 5)
        yield Finished(message.call, Payload("pickle5", len(body), body))

    with lying_gateway(answer) as started:
        yield started


@pytest.fixture
def one() -> Iterator[LyingGateway]:
    yield from number(1)


@pytest.fixture
def two() -> Iterator[LyingGateway]:
    yield from number(2)


@pytest.fixture(autouse=True)
def configured(
    one: LyingGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    monkeypatch.setattr(client_module, "_found", {})
    monkeypatch.setattr(client_module, "_clients", {})
    monkeypatch.setenv("EASYREMOTE_HOME", str(tmp_path))
    monkeypatch.setenv("EASYREMOTE_API_KEY", str(KEY))
    monkeypatch.setenv("EASYREMOTE_GATEWAY", one.address)
    yield
    set_default_gateway(None)
    for client in client_module._clients.values():
        client.close()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each file of settings that is read."""
    read: list[str] = []
    real = config.read_private

    def noted(path: Path) -> dict[str, object]:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(config, "read_private", noted)
    return read


def test_a_stub_reads_no_file_for_each_of_its_calls(
    monkeypatch: pytest.MonkeyPatch, looks: list[str]
) -> None:
    monkeypatch.setattr(client_module, "LOOK_AGAIN", 600.0)
    assert where() == where() == 1
    looks.clear()
    assert {where() for _ in range(20)} == {1}
    assert [where.submit().result() for _ in range(20)] == [1] * 20
    assert looks == []


def test_what_this_process_names_counts_at_once(
    one: LyingGateway, two: LyingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert where() == 1
    monkeypatch.setenv("EASYREMOTE_GATEWAY", two.address)
    assert where() == 2
    monkeypatch.setenv("EASYREMOTE_GATEWAY", one.address)
    assert where() == 1


def test_a_default_gateway_wins_and_can_be_taken_back(one: LyingGateway, two: LyingGateway) -> None:
    assert where() == 1
    set_default_gateway(two.address)
    assert where() == 2
    set_default_gateway(one.address)
    assert where() == 1


def test_another_key_is_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    first = connect()
    monkeypatch.setenv("EASYREMOTE_API_KEY", str(Key.generate("client")))
    second = connect()
    assert second is not first
    monkeypatch.setenv("EASYREMOTE_API_KEY", str(KEY))
    assert connect() is first


def test_a_login_counts_as_soon_as_the_files_are_read_again(
    one: LyingGateway, two: LyingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EASYREMOTE_GATEWAY")
    save_login(one.address, KEY)
    monkeypatch.setattr(client_module, "LOOK_AGAIN", 600.0)
    assert where() == 1
    save_login(two.address, KEY)
    assert where() == 1
    monkeypatch.setattr(client_module, "LOOK_AGAIN", 0.0)  # the time has passed
    assert where() == 2


def test_where_the_link_is_gone_the_files_are_read_at_once(
    two: LyingGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EASYREMOTE_GATEWAY")
    monkeypatch.setattr(client_module, "LOOK_AGAIN", 600.0)
    save_login("127.0.0.1:1", KEY)
    with pytest.raises(ConnectionError):
        where()
    save_login(two.address, KEY)
    assert where() == 2


def test_a_client_that_was_closed_is_replaced() -> None:
    assert where() == 1
    first = connect()
    first.close()
    assert where() == 1
    assert connect() is not first


def test_stubs_of_two_gateways_keep_their_connections(one: LyingGateway, two: LyingGateway) -> None:
    there = remote(gateway=two.address, function_name="where")(lambda: None)
    here = remote(gateway=one.address)(where.__wrapped__)
    assert [there(), here(), there(), here()] == [2, 1, 2, 1]
    connections = connect(one.address), connect(two.address)
    assert [there(), here(), there(), here()] == [2, 1, 2, 1]
    assert (connect(one.address), connect(two.address)) == connections
    assert [client.connection for client in connections] == [1, 1]


def test_a_forked_child_calls_for_itself() -> None:
    assert where() == 1
    pid = os.fork()
    if pid == 0:
        os._exit(0 if where() == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert where() == 1
    assert easyremote.connect().connection == 1
