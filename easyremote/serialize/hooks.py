"""What the user's classes do when they get a subclass: not again where a class is rebuilt.

``tests/serialize/test_class_kinds.py`` proves it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from easyremote.serialize.modules import travels_by_reference

_lock = threading.RLock()


@contextlib.contextmanager
def hooks_off(bases: tuple[type, ...]) -> Iterator[None]:
    """Classes of the user's don't hear of a new subclass: they heard where it was defined."""
    ancestors = {kind for base in bases for kind in base.__mro__}
    quiet = {
        kind: vars(kind)["__init_subclass__"]
        for kind in ancestors
        if "__init_subclass__" in vars(kind) and not travels_by_reference(kind)
    }
    with _lock:
        try:
            for kind in quiet:
                type.__setattr__(kind, "__init_subclass__", classmethod(_quiet(kind)))
            yield
        finally:
            for kind, hook in quiet.items():
                type.__setattr__(kind, "__init_subclass__", hook)


def _quiet(owner: type) -> Callable[..., None]:
    def hear_nothing(cls: type, **keywords: object) -> None:
        super(owner, cls).__init_subclass__()  # type: ignore[arg-type]  # it is a subclass

    return hear_nothing
