"""Names the cell and the kernel that run, so that the panel finds the cell of a job.

JupyterLab sends a cell's id with each request to run it, and names a kernel's connection file after
the kernel's id. Both are random. Other front ends put paths there, which are not sent.
``tests/jupyter_extension/places/test_origin.py`` proves it in real kernels.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["origin"]

#: nbformat's pattern for the id of a cell.
_CELL_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_CONNECTION_FILE = re.compile(r"kernel-([\w-]{1,64})\.json", re.ASCII)


def origin(shell: Any) -> str:
    """``KERNEL/CELL`` of the cell that runs; empty where the front end does not name it."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return ""
    cell_id = str(kernel.get_parent("shell").get("metadata", {}).get("cellId", ""))
    return f"{_kernel_id()}/{cell_id}" if _CELL_ID.fullmatch(cell_id) else ""


def _kernel_id() -> str:
    from ipykernel.connect import get_connection_file

    found = _CONNECTION_FILE.fullmatch(Path(get_connection_file()).name)
    return found[1] if found else ""
