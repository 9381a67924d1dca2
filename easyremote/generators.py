"""The global generators of random numbers in this process: their states, to take and to set.

`random`, `numpy.random` and PyTorch's generator for the CPU are shared by all code of a process.
Code that runs elsewhere goes on with the numbers of this process if the states travel with it, and
come back. A state is bytes that only another `Generators` opens. Nothing is imported for this: the
state of a module that is not loaded yet is set when something imports it.
``tests/test_generators.py`` proves it.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ["Generators"]


class _Kind(NamedTuple):
    #: The module whose import makes the generator.
    module: str
    take: Callable[[Any], Any]
    set: Callable[[Any, Any], object]


_KINDS = {
    "random": _Kind(
        "random",
        lambda module: module.getstate(),
        lambda module, state: module.setstate(state),
    ),
    "numpy": _Kind(
        "numpy.random",
        # As a dict it also tells of another kind of generator, which somebody may have put there.
        lambda module: module.get_state(legacy=False),
        lambda module, state: module.set_state(state),
    ),
    "torch": _Kind(
        "torch",
        lambda module: module.get_rng_state().numpy().tobytes(),
        lambda module, state: module.set_rng_state(
            module.frombuffer(bytearray(state), dtype=module.uint8)
        ),
    ),
}


class Generators:
    """The generators of this process."""

    def __init__(self) -> None:
        #: The states that wait for the import of their module.
        self._waiting: dict[str, bytes] = {}
        self._at_import = _AtImport(self)
        self._random: tuple[Any, bytes] = (None, b"")

    def states(self) -> dict[str, bytes]:
        """The state of each generator that is here, or waits for its import."""
        found = dict(self._waiting)
        for name, kind in _KINDS.items():
            module = sys.modules.get(kind.module)
            if module is not None and name not in self._waiting:
                found[name] = self._state(name, kind.take(module))
        return found

    def _state(self, name: str, state: Any) -> bytes:
        if name != "random":  # most processes use none of it, and its pickle takes longest
            return pickle.dumps(state, protocol=5)
        if state != self._random[0]:
            self._random = state, pickle.dumps(state, protocol=5)
        return self._random[1]

    def set(self, states: Mapping[str, bytes]) -> None:
        """Set generators, now or when their modules are imported."""
        for name, state in states.items():
            kind = _KINDS[name]
            module = sys.modules.get(kind.module)
            if module is not None:
                kind.set(module, pickle.loads(state))
                continue
            self._waiting[name] = state
            if self._at_import not in sys.meta_path:
                sys.meta_path.insert(0, self._at_import)

    def imported(self, module: ModuleType) -> None:
        """Set the generator of a module that has just been imported."""
        for name, kind in _KINDS.items():
            if kind.module == module.__name__ and name in self._waiting:
                kind.set(module, pickle.loads(self._waiting.pop(name)))


class _AtImport:
    """A finder that finds nothing by itself: it is told when a module with a generator comes."""

    def __init__(self, generators: Generators) -> None:
        self._generators = generators

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if not any(kind.module == name for kind in _KINDS.values()):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            run = loader.exec_module

            def run_and_tell(module: ModuleType) -> None:
                run(module)
                self._generators.imported(module)

            loader.exec_module = run_and_tell
        return spec
