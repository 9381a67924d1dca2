"""A node on another minor version of Python: calls, shipped functions and cells.

The node's environment is made once, in pytest's cache, of what ``pyproject.toml`` asks for.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from easyremote import remote
from easyremote.client.client import Client
from easyremote.errors import RemoteError
from tests.conftest import LIMIT, PROGRAM, Gateway, end, online, wait_until
from tests.pythons import INSTALL_LIMIT, MINORS, REPOSITORY, environment, interpreter


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


#: A notebook without a browser: its cells are the arguments.
NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
for cell in ["%load_ext easyremote", *sys.argv[1:]]:
    shell.run_cell(cell, store_history=True)
"""


def run_cells(gateway: Gateway, *cells: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, *cells],
        env=gateway.environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    return re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)


def test_a_cell_takes_variables_in_and_brings_names_out(gateway: Gateway, far_node: str) -> None:
    shown = run_cells(
        gateway,
        "x = 4\ndef twice(x):\n    return 2 * x",
        f"%%remote {far_node} -o z\nimport platform\nz = twice(x) + 1, platform.python_version()",
        f"%%remote {far_node}\nprint('still there:', z[0])",
        "print('here:', z)",
    )
    version = far_node.removeprefix("node-")
    assert "still there: 9" in shown
    assert f"here: (9, '{version}." in shown


def test_a_cells_error_shows_its_own_line(gateway: Gateway, far_node: str) -> None:
    shown = run_cells(gateway, f"%%remote {far_node}\na = 1\nb = 0\na / b\nc = 2")
    assert re.search(r"-> \d a / b", shown), shown
    assert "ZeroDivisionError: division by zero" in shown
