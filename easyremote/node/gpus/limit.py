"""`GpuLimit`: PyTorch takes no more GPU memory in this process than its calls were promised.

``tests/node/gpus/test_limit.py`` proves it with a fake PyTorch.
"""

from __future__ import annotations

import sys
from typing import Any

from easyremote.after_import import after_import

__all__ = ["GpuLimit"]


class GpuLimit:
    """The limit of one process. The largest promise of its calls counts: memory stays taken."""

    def __init__(self) -> None:
        self._promised = 0

    def promise(self, memory: int) -> None:
        """A call was promised so many bytes of each GPU that this process sees."""
        if memory <= self._promised:
            return
        is_first = not self._promised
        self._promised = memory
        if is_first or "torch" in sys.modules:
            after_import("torch", self._limit)

    def _limit(self, torch: Any) -> None:
        """Have PyTorch set the limit when it begins to use its GPUs, or now if it does already.

        A process that is forked before that can still use GPUs, as without a limit.
        """
        cuda = torch.cuda
        if hasattr(cuda, "_lazy_call"):
            cuda._lazy_call(lambda: self._set(cuda))
        elif cuda.is_available():
            self._set(cuda)

    def _set(self, cuda: Any) -> None:
        try:
            for device in range(cuda.device_count()):
                total = cuda.get_device_properties(device).total_memory
                cuda.set_per_process_memory_fraction(min(self._promised / total, 1.0), device)
        except (RuntimeError, ValueError) as error:  # the call runs without a limit
            print(f"The GPU memory of this process has no limit: {error}", file=sys.stderr)  # noqa: T201
