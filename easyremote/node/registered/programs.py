"""Loads the modules named on a node's command line, and offers what they register.

``tests/node/test_compute_node.py`` proves it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from easyremote.errors import UsageError
from easyremote.node import node as registrar
from easyremote.node.functions import Registrar


def load_modules(names: Sequence[str], node: Registrar) -> None:
    """Import modules that register functions, and offer these on ``node``.

    A name is a module's or a path to a ``.py`` file.

    Raises
    ------
    UsageError
        There is no such module.
    """
    for name in names:
        try:
            if name.endswith(".py"):
                path = Path(name)
                spec = importlib.util.spec_from_file_location(path.stem, path)
                if spec is None or spec.loader is None or not path.exists():
                    raise UsageError(f"There is no file {name}.")
                module = importlib.util.module_from_spec(spec)
                sys.modules[path.stem] = module
                spec.loader.exec_module(module)
            else:
                module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise UsageError(f"There is no module {name!r}. Is it installed, or here?") from None
        adopt(module, node)


def adopt(module: Any, node: Registrar) -> None:
    """Take over what a module offered: on `easyremote.node.node`, or on ComputeNodes of its own."""
    offers = [registrar.functions]
    offers += [each.functions for each in vars(module).values() if isinstance(each, Registrar)]
    for functions in offers:
        for function in functions:
            node.functions.add(function)
