"""Which GPUs a process sees: set when it starts, or later, as long as it has used none.

``tests/node/gpus/test_visible.py`` proves it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["DEVICES_VARIABLE", "SEES_ALL", "see_only"]

#: The GPUs that a process sees, by UUID: NVIDIA's libraries read it, once.
DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"
#: What a user is told where it is too late.
SEES_ALL = (
    "This session used GPUs before a cell of it asked for some (--needs), so it goes on seeing all "
    "of them, also those that others were given. %remote_restart gives it its own."
)


def see_only(devices: Sequence[str]) -> bool:
    """Have this process see only these GPUs; False where it is too late for that.

    CUDA reads the variable when it is first used in a process, and never again.
    """
    if _uses_cuda():
        return False
    os.environ[DEVICES_VARIABLE] = ",".join(devices)
    return True


def _uses_cuda() -> bool:
    """Whether something in this process has begun to use CUDA, through PyTorch or otherwise."""
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)  # it may be a user's own module
    if hasattr(cuda, "is_initialized") and cuda.is_initialized():
        return True
    try:
        return "/libcuda.so" in Path("/proc/self/maps").read_text()
    except OSError:  # this system tells nothing of that
        return False
