"""A node on another minor version of Python: calls, shipped functions and cells.

The node's environment is made once, in pytest's cache, of what ``pyproject.toml`` asks for.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from easyremote import remote
from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.errors import RemoteError
from tests.conftest import LIMIT, PROGRAM, Gateway, end, online, wait_until

REPOSITORY = Path(__file__).parents[2]
OWN = platform.python_version().rsplit(".", 1)[0]
MINORS = [minor for minor in ("3.11", "3.12", "3.13") if minor != OWN]
#: Making an environment downloads packages, the first time.
INSTALL_LIMIT = 600.0


def interpreter(minor: str) -> str | None:
    """A Python of this version: of pyenv, or on the path."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python"))
    return str(installed[-1]) if installed else shutil.which(f"python{minor}")


def environment(python: str, folder: Path) -> Path:
    """A virtual environment with what we depend on; its Python."""
    needs = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    mark, own = folder / "installed", folder / "env" / "bin" / "python"
    wanted = hashlib.sha256(json.dumps([python, needs]).encode()).hexdigest()
    if not mark.exists() or mark.read_text() != wanted:
        for command in (
            [python, "-m", "venv", "--clear", str(folder / "env")],
            [str(own), "-m", "pip", "install", "--quiet", *needs],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT)
            assert done.returncode == 0, done.stderr
        mark.write_text(wanted)
    return own


@pytest.fixture(scope="module", params=MINORS)
def far_node(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[str]:
    """The id of a node that runs on another Python."""
    minor: str = request.param
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"there is no Python {minor} on this machine (pyenv install {minor})")
    assert request.config.cache is not None
    own = environment(python, request.config.cache.mkdir(f"python-{minor}"))
    node_id = f"node-{minor}"
    process = subprocess.Popen(
        [str(own), "-m", "easyremote.node", "--node-id", node_id, str(PROGRAM)],
        env=gateway.environment() | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    client = gateway.client()
    try:
        wait_until(lambda: node_id in online(client) or process.poll() is not None)
        yield node_id
    finally:
        client.close()
        end(process)


pytestmark = pytest.mark.timeout(INSTALL_LIMIT)


@pytest.fixture
def client(gateway: Gateway, far_node: str) -> Iterator[Client]:
    with gateway.client() as made:
        yield made


@pytest.fixture
def there(gateway: Gateway, far_node: str) -> Callable[..., Any]:
    return remote(node_id=far_node, gateway=gateway.address, api_key=gateway.keys["client"])


def test_the_node_tells_its_version(client: Client, far_node: str) -> None:
    assert {node.node_id: node.python for node in client.list_nodes()}[far_node].startswith(
        far_node.removeprefix("node-") + "."
    )


def test_a_stub_calls_what_is_registered(there: Callable[..., Any]) -> None:
    @there
    def add(a: float, b: float) -> float: ...

    @there
    def count(n: int) -> Iterator[int]:
        yield 0

    assert add(1, b=2) == 3
    assert list(count(3)) == [0, 1, 2]


FACTOR = 3


class Point:
    """A class of the caller's own."""

    def __init__(self, x: int) -> None:
        self.x = x

    def scaled(self) -> Point:
        return Point(self.x * FACTOR)


def test_a_body_travels_by_its_source_with_what_it_uses(there: Callable[..., Any]) -> None:
    offset = 10

    def helper(x: int) -> int:
        return x + offset

    @there
    def whole(x: int) -> tuple[int, str]:
        match x:
            case 1:
                return helper(x), platform.python_version().rsplit(".", 1)[0]
            case _:
                return 0, ""

    value, python = whole(1)
    assert (value, python in MINORS) == (11, True)


def test_a_recursive_body_travels(there: Callable[..., Any]) -> None:
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * factorial(n - 1)

    assert there(factorial)(10) == 3628800


def test_a_class_travels_there_and_back(there: Callable[..., Any]) -> None:
    @there
    def scale(point: Point) -> Point:
        return point.scaled()

    back = scale(Point(2))
    assert back.x == 6
    assert [type(item).__name__ for item in there(lambda: [Point(1)])()] == ["Point"]


def test_a_bodys_error_shows_its_own_line(there: Callable[..., Any]) -> None:
    @there
    def broken(x: int) -> float:
        y = x - 1
        return x / y

    with pytest.raises(ZeroDivisionError) as caught:
        broken(1)
    assert isinstance(caught.value, RemoteError)
    assert "return x / y" in caught.value.remote_traceback


def test_a_cell_takes_variables_in_and_brings_names_out(client: Client, far_node: str) -> None:
    session = Session(client, far_node)

    def twice(x: int) -> int:
        return 2 * x

    answer = session.submit_cell(
        {
            "code": "z = twice(x) + point.scaled().x\nlater = [z]",
            "count": 1,
            "variables": {"x": 4, "twice": twice, "point": Point(1)},
            "outputs": ["z"],
        }
    ).result(LIMIT)
    assert answer["names"] == {"z": 11}
    answer = session.submit_cell({"code": "later * 2", "count": 2}).result(LIMIT)
    assert answer["value"] == [11, 11]


def test_a_cells_error_shows_its_own_line(client: Client, far_node: str) -> None:
    job = Session(client, far_node).submit_cell({"code": "a = 1\nb = 0\na / b\nc = 2", "count": 7})
    with pytest.raises(ZeroDivisionError) as caught:
        job.result(LIMIT)
    assert isinstance(caught.value, RemoteError)
    assert "----> 3 a / b" in re.sub(r"\x1b\[[\d;]*m", "", caught.value.remote_traceback)
