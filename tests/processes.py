"""Starts the real processes of the tests: gateways, nodes, Jupyter servers, and the tools.

What such tests share stands here once: the repository's path, the environment of a process, the
limit of a wait, and the code that waits for a file. All processes of a test share a home
directory, so they find each other and their keys as a user's own would: with no configuration.

A context manager (`gateway`, `node`, `open_node`, `jupyter`) yields when the process answers, and
ends it with its whole process group. `start_gateway` and `Gateway.start_node` return a process
that the test itself breaks, restarts or reads; `end` ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from easyremote.client.client import Client
from easyremote.config import read_private

REPOSITORY = Path(__file__).resolve().parents[1]
LABEXTENSION = REPOSITORY / "labextension"
#: The project's tools (jlpm, lint-imports) live beside this Python, which need not be on PATH.
SCRIPTS = Path(sys.executable).parent
# Each process loads what an earlier one has compiled, as that of an installed package does. Where
# the environment forbids that, each of thousands of processes compiles all of our modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
#: Seconds for one of them; below the limit of a test.
TOOL_LIMIT = 110.0
#: Seconds in which a process answers, or a condition comes true: generous, for a busy machine.
LIMIT = 60.0
#: Seconds in which a process ends.
STOP_LIMIT = 20.0
#: Seconds in which a node ends for whose outcomes no client is awaited.
SOON = 0.3
POLL = 0.02
#: What `start_node` serves.
PROGRAM = Path(__file__).parent / "node_program.py"

GATEWAY = """
import sys
from easyremote import Server
Server(port=int(sys.argv[1])).start()
"""

#: `hold` runs until the file is there: a test that watches a call decides when it ends. `train`
#: has hints for a form, and bad intentions in its docstring.
NODE = '''
import sys, time
from pathlib import Path
from typing import Literal
from easyremote import ComputeNode
node = ComputeNode(node_id=sys.argv[1])
@node.register
def hold(gate):
    while not Path(gate).exists():
        time.sleep(0.05)
@node.register
def train(epochs: int, rate: float = 0.1, kind: Literal["sgd", "adam"] = "adam",
          names: list[str] = [], verbose: bool = False) -> dict:
    """Train a model.

    <script>alert(1)</script> <img src=x onerror=alert(1)>
    """
    if epochs < 0:
        raise ValueError("epochs is at least 0")
    return {"epochs": epochs, "rate": rate, "kind": kind, "names": names, "verbose": verbose}
node.serve()
'''


def tool_environment(**environment: str) -> dict[str, str]:
    """The environment in which the project's tools find each other."""
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **environment}


def run_tool(*command: str, cwd: Path = REPOSITORY, **environment: str) -> str:
    """Run a tool of the environment; its output, with which it fails."""
    done = subprocess.run(
        [str(SCRIPTS / command[0]), *command[1:]],
        cwd=cwd,
        env=tool_environment(**environment),
        capture_output=True,
        text=True,
        timeout=TOOL_LIMIT,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def environment(home: Path) -> dict[str, str]:
    """The environment of a process of the user whose keys are in ``home``.

    It has none of the settings of whoever runs the tests.
    """
    kept = {name: value for name, value in os.environ.items() if "EASYREMOTE" not in name}
    return {**kept, "EASYREMOTE_HOME": str(home)}


def until_there(gate: Path) -> str:
    """A line for a cell: it goes on until the file ``gate`` is there.

    The cell imports pathlib and time.
    """
    return f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)"


def wait_until(condition: Callable[[], bool], limit: float = LIMIT) -> None:
    """Poll what gives no signal of its own (another process's state)."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s"
        time.sleep(POLL)


@dataclass(frozen=True)
class Home:
    """The directory of a user's keys and connection files."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.path)

    @property
    def local(self) -> dict[str, Any]:
        """What the gateway left for the others: its address and keys."""
        data: dict[str, Any] = json.loads((self.path / "local.json").read_text())
        return data


@dataclass(frozen=True)
class Jupyter:
    """A Jupyter server that answers."""

    url: str
    token: str
    log: Path


def free_port() -> int:
    """A port where nobody listens, and that the system gives to no other socket meanwhile.

    A process that is started again at its port finds it free: it is below those that Linux gives
    to whoever dials, or listens anywhere.
    """
    while True:
        port = 12_000 + secrets.randbelow(20_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def gateway(home: Home, port: int) -> Iterator[str]:
    """A gateway; yields its address."""
    url = f"http://127.0.0.1:{port}/healthz"
    command = [sys.executable, "-c", GATEWAY, str(port)]
    with running(command, home.path / "gateway.log", home.environment, lambda: bool(get(url))):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def node(home: Home, node_id: str) -> Iterator[None]:
    """A compute node of the home's gateway, with the function `hold`."""
    url = f"http://{home.local['gateway']}/healthz"
    before = get(url)["nodes"]
    command = [sys.executable, "-c", NODE, node_id]
    with running(
        command, home.path / f"{node_id}.log", home.environment, lambda: get(url)["nodes"] > before
    ) as process:
        yield
        ask_to_end(process)


@contextlib.contextmanager
def open_node(home: Home, node_id: str) -> Iterator[None]:
    """A compute node of the home's gateway that runs cells."""
    url = f"http://{home.local['gateway']}/healthz"
    before = get(url)["nodes"]
    command = [sys.executable, "-m", "easyremote.node", "--node-id", node_id]
    with running(
        command, home.path / f"{node_id}.log", home.environment, lambda: get(url)["nodes"] > before
    ) as process:
        yield
        ask_to_end(process)


@contextlib.contextmanager
def jupyter(
    app: str, folder: Path, home: Home, base_url: str = "/", options: Sequence[str] = ()
) -> Iterator[Jupyter]:
    """A Jupyter server (`jupyterlab`, `notebook` or `jupyter_server`) with this checkout's panel.

    It sees neither the settings nor the kernels of whoever runs the tests.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "files").mkdir()
    write_settings(folder, "notification", {"fetchNews": "false", "checkForUpdates": False})
    (folder / "labextensions").mkdir()
    (folder / "labextensions" / "easyremote").symlink_to(REPOSITORY / "labextension" / "dist")
    served = Jupyter(
        f"http://127.0.0.1:{free_port()}{base_url}", secrets.token_hex(16), folder / "server.log"
    )
    port = served.url.split(":")[2].split("/")[0]
    command = [
        *(sys.executable, "-m", app, "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.base_url={base_url}"),
        f"--ServerApp.root_dir={folder / 'files'}",
        *options,
    ]
    if app != "jupyter_server":
        command.append(f"--LabServerApp.extra_labextensions_path={folder / 'labextensions'}")
    environment = {
        **home.environment,
        "JUPYTER_TOKEN": served.token,
        # The file that the wheel installs, and no other: it is what enables the extension.
        "JUPYTER_CONFIG_PATH": str(REPOSITORY / "jupyter_extension"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    with running(
        command, served.log, environment, lambda: bool(get(f"{served.url}api/status", served.token))
    ):
        yield served


def write_settings(folder: Path, name: str, settings: Mapping[str, Any]) -> None:
    """Settings of JupyterLab's own application plugins, as a user would have saved them."""
    path = folder / "settings" / "@jupyterlab" / "apputils-extension"
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / f"{name}.jupyterlab-settings", settings)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data))


def get(url: str, token: str = "") -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


@dataclass(frozen=True)
class Gateway:
    """A gateway process, and the home of its user."""

    address: str
    home: Path
    process: subprocess.Popen[str]

    @property
    def keys(self) -> dict[str, str]:
        keys: dict[str, str] = read_private(self.home / "local.json")["keys"]
        return keys

    def client(self) -> Client:
        return Client(self.address, self.keys["client"])

    def environment(self) -> dict[str, str]:
        return environment(self.home)

    def start_node(
        self, node_id: str, *arguments: str, cwd: Path | None = None
    ) -> subprocess.Popen[str]:
        """A headless node with the functions of ``node_program.py``, when it is online."""
        command = [sys.executable, "-m", "easyremote.node", "--node-id", node_id, *arguments]
        process = subprocess.Popen(
            [*command, str(PROGRAM)],
            cwd=cwd,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        client = self.client()
        try:
            wait_until(lambda: node_id in online(client) or process.poll() is not None)
        finally:
            client.close()
        return process


def online(client: Client) -> set[str]:
    return {node.node_id for node in client.list_nodes() if node.state == "online"}


def ask_to_end(node: subprocess.Popen[Any]) -> None:
    """Ask a node to end. Asked once more, as `end` and `running` do, it waits for no client."""
    if node.poll() is None:
        node.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.wait(SOON)


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT)
    if process.stdout is not None:
        process.stdout.close()


def end_node(process: subprocess.Popen[str]) -> None:
    """End a node of which nothing more is wanted."""
    ask_to_end(process)
    end(process)


def start_gateway(home: Path, port: int = 0, *options: str) -> Gateway:
    process = subprocess.Popen(
        [sys.executable, "-m", "easyremote", "gateway", "--port", str(port), *options],
        env={**environment(home), "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Gateway on "), line + process.stdout.read()
    return Gateway(line.split()[2].rstrip("."), home, process)


@contextlib.contextmanager
def running(
    command: list[str], log: Path, environment: Mapping[str, str], answers: Callable[[], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command for as long as the block lasts; it starts when the command answers."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + LIMIT
        while not _answers(answers):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} does not answer:\n{log.read_text()}")
            time.sleep(POLL)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_LIMIT)
            raise


def _answers(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except OSError:
        return False
