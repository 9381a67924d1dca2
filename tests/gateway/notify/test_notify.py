"""Somebody is told that a call is over: a real gateway and node, and a web server that is told."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.errors import RemoteError, UsageError
from easyremote.gateway.notify.notices import Notice
from easyremote.gateway.notify.poster import Poster
from easyremote.protocol.snapshot import EndedJobInfo
from tests.processes import LIMIT, Gateway, end, start_gateway, until_there, wait_until
from tests.webhook import Webhook, webhook

#: A client that starts a cell on the node, and waits.
CLIENT = """
import sys
from easyremote.client.client import connect
from easyremote.client.session import Session
session = Session(connect(), "gpu-node", "left")
job = session.submit_cell({"code": sys.argv[2], "count": 1}, hold=-1.0, notify=sys.argv[1])
for event in job.events(0.1):
    if event is not None:
        print("begun", flush=True)
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("home")
    started = start_gateway(home, 0, "--notify-host", "127.0.0.1")
    yield started
    end(started.process)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


def ended(client: Client, call_id: str) -> EndedJobInfo | None:
    return next((job for job in client._roster.ask().ended if job.call_id == call_id), None)


def test_a_call_is_told_of_by_function_node_outcome_and_time_and_nothing_else(
    client: Client, hook: Webhook
) -> None:
    assert client.on(notify=hook.address()).execute("echo", "my argument") == "my argument"
    with pytest.raises(RemoteError):
        client.on("gpu-node", notify=hook.address()).execute("divide", 1, 0)
    told = sorted(hook.wait(2))
    assert told[0].startswith("divide() on gpu-node: failed")
    assert told[1].startswith("echo() on gpu-node: done")
    (path, message), _ = hook.posted
    assert path == "/secret"
    assert message["title"] == "EasyRemote"
    assert sorted(each["type"] for _, each in hook.posted) == ["failure", "success"]


def test_a_cell_whose_client_was_killed_is_told_of(
    gateway: Gateway, client: Client, hook: Webhook, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = f"import pathlib, time\nprint('on', flush=True)\n{until_there(gate)}"
    killed = subprocess.Popen(
        [sys.executable, "-c", CLIENT, hook.address(), code],
        env=gateway.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "begun\n"
    killed.kill()
    killed.wait(LIMIT)
    killed.stdout.close()
    assert hook.posted == []
    gate.touch()
    assert hook.wait()[0].startswith("a cell on gpu-node: done after ")


def test_a_client_that_is_there_keeps_its_notification_through_a_kill_of_the_gateway(
    tmp_path: Path, hook: Webhook
) -> None:
    options = ("--notify-host", "127.0.0.1")
    first, gate = start_gateway(tmp_path / "home", 0, *options), tmp_path / "gate"
    node = first.start_node("gpu-node")
    client = first.client()
    code = f"import pathlib, time\nprint('on', flush=True)\n{until_there(gate)}"
    job = Session(client, "gpu-node").submit_cell({"code": code, "count": 1}, notify=hook.address())
    assert next(job.events(LIMIT)) is not None
    first.process.send_signal(signal.SIGKILL)
    end(first.process)
    second = start_gateway(first.home, int(first.address.split(":")[1]), *options)
    wait_until(lambda: job.is_connected)
    gate.touch()
    job.result(LIMIT)
    (told,) = hook.wait()
    assert told.startswith("a call on gpu-node: done")
    client.close()
    end(node)
    end(second.process)


def test_a_service_that_fails_at_first_is_told_again_and_the_outcome_is_as_it_was(
    client: Client, hook: Webhook
) -> None:
    hook.statuses.append(500)
    job = client.on("gpu-node", notify=hook.address()).submit(sum, [1, 2])
    assert job.result(LIMIT) == 3
    hook.wait(2)
    assert hook.texts[0] == hook.texts[1]

    def how() -> str:
        found = ended(client, job.call_id)
        return found.notified if found is not None else ""

    wait_until(lambda: how() == "sent")


def test_a_notification_that_can_not_be_sent_is_told_where_people_look_for_the_job(
    client: Client,
) -> None:
    address = "json://10.255.255.1/secret-word"
    job = client.on("gpu-node", notify=address).submit(sum, [1, 2])
    assert job.result(LIMIT) == 3

    def how() -> str:
        found = ended(client, job.call_id)
        return found.notified if found is not None else ""

    wait_until(lambda: how() != "")
    assert how().startswith("not sent by json: it leads to a private address. The gateway's owner")
    assert "secret-word" not in how()


def test_what_is_no_address_is_refused_before_anything_runs(client: Client, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no service https://"):
        client.on(notify="https://secret-word")
    with pytest.raises(UsageError, match="no address is called 'nobody' here"):
        client.on(notify="nobody")
    job = Session(client, "gpu-node").submit_cell(
        {"code": f"open({str(tmp_path / 'ran')!r}, 'w')", "count": 1}, notify="gnome://"
    )
    with pytest.raises(UsageError, match="no address|no service"):
        job.result(LIMIT)
    assert not (tmp_path / "ran").exists()


# -- what the process that sends may reach


class Told:
    """Stands for the notices: keeps what became of each."""

    def __init__(self, *addresses: str) -> None:
        self.left = [Notice(b"i" * 16, "alice", each, "over", True) for each in addresses]
        self.how: dict[str, str] = {}

    def take(self, now: float) -> list[Notice]:
        taken, self.left = self.left, []
        return taken

    def sent(self, notice: Notice) -> None:
        self.how[notice.address] = "sent"

    def failed(self, notice: Notice, why: str, now: float, *, for_good: bool) -> None:
        self.how[notice.address] = why


async def post(*addresses: str, hosts: tuple[str, ...] = ()) -> dict[str, str]:
    told = Told(*addresses)
    await Poster(told, hosts).look()  # type: ignore[arg-type]  # it stands for the notices
    return told.how


@pytest.mark.asyncio
async def test_private_addresses_are_refused_unless_the_owner_allows_them(hook: Webhook) -> None:
    here, name = hook.address(), f"json://localhost:{hook.port}/x"
    mapped = f"json://[::ffff:127.0.0.1]:{hook.port}/x"
    how = await post(here, name, "json://169.254.169.254/latest", "json://10.0.0.1/x")
    assert all("it leads to a private address" in why for why in how.values()), how
    assert "sent" not in (await post(mapped)).values()
    assert hook.posted == []
    assert await post(here, name, hosts=("127.0.0.1", "::1")) == {here: "sent", name: "sent"}
    assert await post(here, hosts=("127.0.0.0/8",)) == {here: "sent"}
    assert await post(here, hosts=("localhost", "no-such-host.invalid")) == {here: "sent"}


@pytest.mark.asyncio
async def test_a_redirect_does_not_lead_to_a_private_address(hook: Webhook) -> None:
    with webhook() as other:
        other.redirect = f"http://127.0.0.2:{hook.port}/x"
        how = await post(other.address(), hosts=("127.0.0.1",))
        assert "sent" not in how.values()
        assert len(other.posted) == 1
    assert hook.posted == []


@pytest.mark.asyncio
async def test_no_file_of_the_gateways_machine_is_sent(hook: Webhook, tmp_path: Path) -> None:
    (tmp_path / "template.json").write_text('{"text": "secret-word"}')
    address = (
        f"workflows://127.0.0.1:{hook.port}/{'a' * 32}/{'b' * 43}/"
        f"?template={tmp_path / 'template.json'}"
    )
    how = await post(address, hosts=("127.0.0.1",))
    assert "sent" not in how.values()
    assert "secret-word" not in str(hook.posted)


@pytest.mark.asyncio
async def test_the_process_that_sends_sees_no_secret_of_the_gateways_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = tmp_path / "environment"
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/environ > {seen}\ncat > /dev/null\n")
    fake.chmod(0o755)
    monkeypatch.setenv("EASYREMOTE_API_KEY", "secret-word")
    monkeypatch.setattr(sys, "executable", str(fake))
    how = await post("json://my-server/x")
    assert how == {"json://my-server/x": "the service did not answer in time"}
    assert "PATH=" in seen.read_text()
    assert "secret-word" not in seen.read_text()
    assert os.environ["EASYREMOTE_API_KEY"] == "secret-word"


def test_a_detached_call_is_told_of_though_its_client_and_the_gateway_were_killed(
    tmp_path: Path, hook: Webhook
) -> None:
    options = ("--notify-host", "127.0.0.1")
    first, gate, begun = (
        start_gateway(tmp_path / "home", 0, *options),
        tmp_path / "g",
        tmp_path / "b",
    )
    node = first.start_node("gpu-node")
    with first.client() as client:
        job = client.on("gpu-node", notify=hook.address()).detach("wait_for", str(gate), str(begun))
        wait_until(begun.exists)
    first.process.send_signal(signal.SIGKILL)
    end(first.process)
    second = start_gateway(first.home, int(first.address.split(":")[1]), *options)
    gate.touch()
    (told,) = hook.wait()
    assert told.startswith("wait_for() on gpu-node: done")
    with second.client() as client:
        assert client.attach(job.call_id).look().state == "kept"
    end(node)
    end(second.process)
    with closing(sqlite3.connect(first.home / "journal" / "detached.db")) as journal:
        ((header,),) = journal.execute("SELECT submit FROM calls").fetchall()
    assert b"wait_for" in header and b"secret" not in header
