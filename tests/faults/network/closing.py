"""`Closing`: what a ``with`` block closes at its end."""

from __future__ import annotations

from typing import Self


class Closing:
    """A context manager that is its own value; its ``close`` ends it."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
