"""Two users' cells on one node, through a restart of the gateway: real processes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.events import Stream
from easyremote.gateway.keys import KeyStore
from tests.processes import LIMIT, end, start_gateway, wait_until

REQUEST: dict[str, Any] = {"count": 1, "writes": [], "modules": {}}


def printing(name: str, folder: Path) -> str:
    """A cell that prints lines with its owner's name until the folder has a file of that name."""
    return (
        "import pathlib, time\n"
        "number = 0\n"
        f"while not pathlib.Path({str(folder / name)!r}).exists():\n"
        f"    print({name!r}, number, flush=True)\n"
        "    number += 1\n"
        "    time.sleep(0.002)\n"
    )


def test_cells_of_two_users_print_through_a_restart_of_the_gateway_each_to_its_own(
    tmp_path: Path,
) -> None:
    first = start_gateway(tmp_path / "home")
    keys = KeyStore(first.home / "gateway.sqlite3")
    node = first.start_node("shared")
    clients = {
        name: Client(first.address, str(keys.create("client", name))) for name in ("alice", "bob")
    }
    jobs = {
        name: Session(client, "shared", "s").submit_cell(
            REQUEST | {"code": printing(name, tmp_path)}
        )
        for name, client in clients.items()
    }
    seen: dict[str, list[str]] = {name: [] for name in jobs}

    def read(name: str, enough: int) -> None:
        """Read a cell's output until there are so many characters of it."""

        def has_enough() -> bool:
            event = next(jobs[name].events(0.5))
            if isinstance(event, Stream):
                seen[name].append(event.text)
            return sum(map(len, seen[name])) >= enough

        wait_until(has_enough)

    for name in jobs:
        read(name, 200)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(LIMIT)
    second = start_gateway(first.home, int(first.address.split(":")[1]))
    for name in jobs:
        read(name, sum(map(len, seen[name])) + 2000)
        (tmp_path / name).touch()
    for name, job in jobs.items():
        job.result(LIMIT)
        seen[name] += [event.text for event in job.events(0.5) if isinstance(event, Stream)]
        lines = "".join(seen[name]).splitlines()
        assert lines == [f"{name} {number}" for number in range(len(lines))]
    for client in clients.values():
        client.close()
    end(node)
    end(second.process)
