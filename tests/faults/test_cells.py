"""Cells survive the gateway's death: no line is lost, comes twice, or reaches another owner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.client.session import Session
from easyremote.events import Stream
from tests.faults.cells import NODE, start_node, two_owners_print
from tests.faults.conftest import SEED
from tests.faults.scene import Scene, open_scene
from tests.processes import LIMIT, end, start_gateway, until_there, wait_until

#: Lines that the cell prints; how many are here at each kill; where it waits for the last of them.
LINES, AT, GATE_AT = 10_000, (500, 4000), 7000


@pytest.fixture(scope="module", autouse=True)
def io_thread(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The one thread of all clients is there before a test looks at what is left."""
    gateway = start_gateway(tmp_path_factory.mktemp("first"))
    with gateway.client() as client:
        client.ping()
    end(gateway.process)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with open_scene(tmp_path / "home", SEED) as scene:
        start_node(scene)
        yield scene


def test_every_line_of_a_cell_comes_once_and_in_order_though_the_gateway_is_killed_twice(
    scene: Scene, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = (
        f"import pathlib, time\nfor n in range({LINES}):\n    print(n, flush=True)\n"
        f"    if n % 20 == 0: time.sleep(0.01)\n    if n == {GATE_AT}:\n        {until_there(gate)}"
    )
    session = Session(scene.client(), NODE)
    job = session.submit_cell({"code": code, "count": 1})
    seen: list[str] = []

    def read(enough: int) -> None:
        def has_enough() -> bool:
            event = next(job.events(0.5))
            if isinstance(event, Stream):
                seen.append(event.text)
            return "".join(seen).count("\n") >= enough

        wait_until(has_enough)

    for count in AT:
        read(count)
        scene.kill_gateway()
        scene.start_gateway()
    gate.touch()
    job.result(LIMIT)
    seen += [event.text for event in job.events(0.5) if isinstance(event, Stream)]
    assert "".join(seen).split() == [str(n) for n in range(LINES)]
    session.end()


def test_two_owners_cells_print_through_kills_of_the_gateway_each_to_its_own(
    scene: Scene, tmp_path: Path
) -> None:
    two_owners_print(scene, tmp_path, 3)
