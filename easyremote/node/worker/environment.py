"""Packages that a session wants beside the node's own: a layer of them, made by uv.

uv says what is to be added to what the node has (its own packages are not installed again), and
installs that into a folder, which is put in front of the ``sys.path`` of the session. The folder
is named by the Python, the node's packages and what is wanted, and kept: the second time takes no
installation. It is made in the session's own process, so it can be interrupted as its cell can.
The node's own environment is never changed. ``tests/node/worker/test_environment.py`` proves it.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

import psutil

from easyremote.config import home
from easyremote.errors import UsageError
from easyremote.node.policy import INSTALL_VARIABLE

__all__ = ["Environment", "find_uv"]

#: The folder of a layer that a process is making; the number of the process follows.
_MAKING = "making-"
#: What uv says that it would install; with where from, if that isn't an index.
_WOULD_INSTALL = re.compile(r"^ \+ ([\w.-]+)==(\S+)(?: \(from (.*)\))?$", re.MULTILINE)


class Environment:
    """What one session has beside the node's packages.

    Parameters
    ----------
    say
        Shows a text to whoever waits, as it is.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._wanted: frozenset[str] = frozenset()
        self._layer = ""

    def add(self, requirements: Iterable[str]) -> None:
        """Make requirements importable, together with those of before.

        Raises
        ------
        UsageError
            They can't be had (uv says why), another version is imported already, there is no uv,
            or the owner of the node forbids it.
        """
        new = sorted(set(requirements) - self._wanted)
        if not new:
            return
        wanted = self._wanted | set(new)
        if os.environ.get(INSTALL_VARIABLE) == "no":
            raise UsageError(
                f"The owner of this node forbids to install packages ({', '.join(new)}): it was "
                "started with --no-install. What it has is shown by %remote_env."
            )
        self._use(_layer(wanted, lambda folder: self._fill(folder, wanted, new)))
        self._wanted = wanted

    def _fill(self, folder: Path, wanted: Iterable[str], new: Iterable[str]) -> None:
        began = time.monotonic()
        self._say(f"Installing {', '.join(new)} ... ")
        try:
            count = _install(sorted(wanted), folder)
        except BaseException:
            self._say("\n")
            raise
        packages = "nothing to add" if not count else f"{count} package{'s' * (count != 1)}"
        self._say(f"{packages}, {time.monotonic() - began:.1f} s\n")

    def _use(self, folder: Path) -> None:
        _check_loaded(folder)
        if self._layer in sys.path:
            sys.path.remove(self._layer)
        self._layer = str(folder)
        sys.path.insert(0, self._layer)
        importlib.invalidate_caches()


def find_uv() -> str:
    """The path of uv: of the package of that name, or of the program.

    Raises
    ------
    UsageError
        There is none.
    """
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise UsageError(
            "This node can't install packages, because it has no uv: its owner can add it with "
            f"'{sys.executable} -m pip install uv'."
        )
    return found


def _layer(wanted: Iterable[str], fill: Callable[[Path], None]) -> Path:
    """The folder for what is wanted; made where there is none."""
    kept = home() / "environments"
    folder = kept / _digest(wanted)
    if folder.is_dir():
        os.utime(folder)
        return folder
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_unfinished(kept)
    making = Path(tempfile.mkdtemp(dir=kept, prefix=f"{_MAKING}{os.getpid()}-"))
    try:
        fill(making)
        making.rename(folder)
    except BaseException as error:
        shutil.rmtree(making, ignore_errors=True)
        if not (isinstance(error, OSError) and folder.is_dir()):  # another session was quicker
            raise
    return folder


def _remove_unfinished(kept: Path) -> None:
    """Remove the layers that processes were making when they were killed."""
    for folder in kept.glob(f"{_MAKING}*"):
        number = folder.name.removeprefix(_MAKING).partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _digest(wanted: Iterable[str]) -> str:
    here = sorted(f"{each.name}=={each.version}" for each in _own_distributions())
    facts = (sys.version, sys.prefix, *here, "", *sorted(wanted))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _own_distributions() -> Iterable[Distribution]:
    """The packages of the node itself, without those of layers."""
    kept = str(home() / "environments")
    return distributions(path=[each for each in sys.path if not each.startswith(kept)])


def _install(wanted: list[str], folder: Path) -> int:
    """Install the wanted packages that are not here; the number of them."""
    # A dry run changes nothing, so it may look at the Python of a system.
    python = ("--python", sys.executable)
    dry = _uv("pip", "install", *python, "--dry-run", "--break-system-packages", "--", *wanted)
    packages = [
        f"{name} @ {url}" if url else f"{name}=={version}"
        for name, version, url in _WOULD_INSTALL.findall(dry)
    ]
    if packages:
        _uv("pip", "install", *python, "--target", str(folder), "--no-deps", "--", *packages)
    return len(packages)


def _uv(*arguments: str) -> str:
    done = subprocess.run(
        [find_uv(), "--no-progress", "--color", "never", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=home(),  # a project's settings in the current folder are for that project
    )
    if done.returncode:
        said = re.sub(r"^Using .*\n|^error: ", "", done.stderr, flags=re.MULTILINE).strip()
        raise UsageError(f"The packages can't be installed on the node. uv says: {said}")
    return done.stderr + done.stdout


def _check_loaded(folder: Path) -> None:
    """Refuse a layer that has another version of something that is imported already."""
    before = {_normal(each.name): each.version for each in distributions() if each.name}
    for each in distributions(path=[str(folder)]):
        known = before.get(_normal(each.name))
        if known is None or known == each.version:
            continue
        tops = {str(file).partition("/")[0].removesuffix(".py") for file in each.files or ()}
        if loaded := sorted(tops & sys.modules.keys()):
            raise UsageError(
                f"{loaded[0]!r} is imported in this session in version {known}, and what is wanted "
                f"needs {each.name} {each.version}. End the session with %remote_restart (its "
                "variables are lost), and run this cell first."
            )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
