"""A node on another minor version of Python: calls, shipped functions and cells.

The node's environment is made once, in pytest's cache, of what ``pyproject.toml`` asks for.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from easyremote import remote
from easyremote.client.client import Client
from easyremote.errors import RemoteError
from tests.processes import LIMIT, PROGRAM, REPOSITORY, Gateway, end, online, wait_until
from tests.pythons import INSTALL_LIMIT, MINORS, environment, interpreter


@pytest.fixture(scope="module", params=MINORS)
def minor(request: pytest.FixtureRequest) -> str:
    """Another version of Python."""
    version: str = request.param
    return version


@pytest.fixture(scope="module")
def far_python(request: pytest.FixtureRequest, minor: str) -> Path:
    """A Python of that version, with what we depend on."""
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"there is no Python {minor} on this machine (pyenv install {minor})")
    assert request.config.cache is not None
    return environment(python, request.config.cache.mkdir(f"python-{minor}"))


@pytest.fixture(scope="module")
def far_node(gateway: Gateway, minor: str, far_python: Path) -> Iterator[str]:
    """The id of a node that runs on another Python."""
    node_id = f"node-{minor}"
    with running(far_python, node_id, gateway):
        yield node_id


@contextmanager
def running(python: Path, node_id: str, gateway: Gateway) -> Iterator[None]:
    """A node on this Python, when it is online, until it is gone for the gateway, too."""
    process = subprocess.Popen(
        [str(python), "-m", "easyremote.node", "--node-id", node_id, str(PROGRAM)],
        env=gateway.environment() | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with gateway.client() as client:
        try:
            wait_until(lambda: node_id in online(client) or process.poll() is not None)
            yield
        finally:
            end(process)
            wait_until(lambda: node_id not in online(client))


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


def test_a_node_that_comes_back_on_another_python_is_sent_what_it_can_read(
    gateway: Gateway, far_python: Path
) -> None:
    def its_python(x: int) -> tuple[int, str]:
        return x + 1, platform.python_version().rsplit(".", 1)[0]

    with gateway.client() as client:
        with running(Path(sys.executable), "moved", gateway):
            assert client.ship(its_python, (1,), {}, node_id="moved").result(LIMIT)[0] == 2
        with running(far_python, "moved", gateway):
            value, python = client.ship(its_python, (1,), {}, node_id="moved").result(LIMIT)
    assert (value, python in MINORS) == (2, True)


def test_files_go_there_and_come_back(gateway: Gateway, far_node: str, tmp_path: Path) -> None:
    (tmp_path / "numbers.csv").write_text("1\n2\n3\n")
    (tmp_path / "words.txt").write_text("from here")
    shown = run_cells(
        gateway,
        f"%cd -q {tmp_path}",
        "import easyremote\nnumbers = easyremote.file('numbers.csv')",
        f"%%remote {far_node} --file words.txt -o total\n"
        "import os\ntotal = sum(map(int, open(numbers)))\n"
        "os.makedirs('outputs', exist_ok=True)\n"
        "_ = open('outputs/out.txt', 'w').write(open('words.txt').read() + ' and back')",
        f"%remote_fetch {far_node} out.txt",
        "print('total', total)",
    )
    assert "total 6" in shown
    fetched = list(tmp_path.rglob("out.txt"))
    assert [path.read_text() for path in fetched] == ["from here and back"], shown
