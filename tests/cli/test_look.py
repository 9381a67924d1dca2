"""``nodes``, ``functions``, ``call`` and ``login`` against a real gateway and node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.identity import Key
from tests.cli.command import easyremote
from tests.processes import LIMIT, Gateway, wait_until

pytestmark = pytest.mark.usefixtures("node")


def test_nodes_are_a_table(gateway: Gateway) -> None:
    head, line = easyremote(gateway.home, "nodes").out.splitlines()
    assert head.split() == ["NODE", "STATE", "RUNNING", "PYTHON", "OFFERS"]
    assert line.split()[:2] == ["gpu-node", "online"]
    assert line.index("cells, add") == head.index("OFFERS")


def test_functions_are_shown_as_they_are_called(gateway: Gateway) -> None:
    out = easyremote(gateway.home, "functions").out
    assert "add(a: 'float', b: 'float') -> 'float'" in out
    (square,) = (line for line in out.splitlines() if "square(" in line)
    assert square.split()[0] == "gpu-node"
    assert square.endswith("public")
    (count,) = (line for line in out.splitlines() if "count(" in line)
    assert count.endswith("generator")


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["add", "1", "2"], "3\n"),
        (["add", "1", "b=2.5", "--node", "gpu-node"], "3.5\n"),
        (["echo", "word"], "'word'\n"),
        (["echo", '{"a": [1, null]}'], "{'a': [1, None]}\n"),
        (["echo", "a=b=c"], ""),
        (["count", "3"], "0\n1\n2\n"),
        (["echo", "--", "-1"], "-1\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_call_takes_json_words_and_names(
    gateway: Gateway, arguments: list[str], printed: str
) -> None:
    done = easyremote(gateway.home, "call", *arguments)
    if printed:
        assert (done.code, done.out) == (0, printed)
    else:  # `a` is a name here, and echo() has no such parameter
        assert "unexpected keyword argument 'a'" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ad", "1", "2"], "Did you mean 'add'?"),
        (["add", "1", "2", "--node", "gpu-nod"], "Did you mean 'gpu-node'?"),
        (["divide", "1", "0"], "ZeroDivisionError: division by zero"),
        (["add", "1"], "missing 1 required positional argument: 'b'"),
        (["slow", "--timeout", "0.2"], "CallTimeout: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_call_that_fails_says_why_in_one_line(
    gateway: Gateway, arguments: list[str], words: str
) -> None:
    done = easyremote(gateway.home, "call", *arguments)
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", "1e300"])
@pytest.mark.parametrize("command", [["call", "slow", "--timeout"], ["node", "--session-idle"]])
def test_a_time_is_finite_and_above_0(gateway: Gateway, command: list[str], value: str) -> None:
    done = easyremote(gateway.home, *command, value)
    assert (done.code, done.out) == (2, "")
    assert f"{float(value)} is no finite number above 0" in done.err


# -- login -----------------------------------------------------------------------------------------


def test_login_is_kept_and_used_from_then_on(gateway: Gateway, tmp_path: Path) -> None:
    client, node = gateway.keys["client"], gateway.keys["node"]
    done = easyremote(tmp_path, "login", gateway.address, "--key", client)
    assert "Try: easyremote nodes" in done.out
    assert client not in done.out
    assert "gpu-node" in easyremote(tmp_path, "nodes").out
    done = easyremote(tmp_path, "login", gateway.address, stdin=f"{node}\n")  # asked for
    assert "easyremote node --node-id NAME" in done.out
    saved = json.loads((tmp_path / "login.json").read_text())
    assert saved == {"gateway": gateway.address, "keys": {"client": client, "node": node}}


@pytest.mark.parametrize(
    ("address", "key", "words"),
    [
        ("", "hunter2", "not an EasyRemote key"),
        ("", str(Key.generate("client")), "does not accept the key"),
        ("127.0.0.1:1", str(Key.generate("client")), "No gateway answers at 127.0.0.1:1"),
        ("no gateway", str(Key.generate("node")), "is no gateway address"),
    ],
    ids=["no key", "wrong key", "wrong port", "no address"],
)
def test_a_login_that_does_not_work_is_not_kept(
    gateway: Gateway, tmp_path: Path, address: str, key: str, words: str
) -> None:
    done = easyremote(tmp_path, "login", address or gateway.address, "--key", key)
    assert done.code == 1
    assert words in done.err
    assert not (tmp_path / "login.json").exists()


def test_jobs_are_listed_with_the_reason_why_they_wait(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    assert "Nothing runs or waits." in easyremote(gateway.home, "jobs").out
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    slots = client.list_nodes()[0].slots
    running = [client.call("wait_for", (str(gate), str(begun))) for _ in range(slots)]
    waiting = client.call("wait_for", (str(gate), str(begun)))
    try:
        wait_until(lambda: "1st of 1 for any node with wait_for()" in waiting.explain())
        lines = easyremote(gateway.home, "jobs").out.splitlines()
        assert lines[0].split() == ["JOB", "WHAT", "NODE", "STATE", "FOR", "WHY"]
        (line,) = (line for line in lines if line.startswith(waiting.call_id[:8]))
        assert "queued" in line
        assert "1st of 1 for any node with wait_for()" in line
        wait_until(begun.exists)
        wait_until(running[0].running)
        assert "it runs on gpu-node" in running[0].explain()
    finally:
        gate.touch()
    for job in [*running, waiting]:
        job.result(LIMIT)
    assert waiting.explain() == "it is over, and has a value"


def test_detached_calls_that_are_over_are_listed_with_their_whole_ids(
    gateway: Gateway, client: Client
) -> None:
    kept = [client.detach("add", 1, 2), client.detach("fail", "")]
    assert kept[0].result(LIMIT) == 3
    with pytest.raises(ValueError, match="^$"):
        kept[1].result(LIMIT)
    lines = easyremote(gateway.home, "jobs").out.splitlines()
    heads = next(line for line in lines if line.startswith("ID"))
    assert heads.split() == ["ID", "WHAT", "NODE", "RESULT", "KEPT", "UNTIL"]
    value, error = (next(line for line in lines if job.call_id in line) for job in kept)
    assert "add()" in value
    assert "bytes" in value
    assert "an error (raised)" in error
    for job in kept:
        job.release()
    assert "Detached" not in easyremote(gateway.home, "jobs").out
