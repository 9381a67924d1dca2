"""A look at an attribute of a user's object never raises."""

from __future__ import annotations

from typing import Any

import pytest

from easyremote.guarded import attribute


class AttrDict(dict[str, Any]):
    __getattr__ = dict.__getitem__


class Lazy:
    @property
    def nbytes(self) -> int:
        raise RuntimeError("not loaded yet")


@pytest.mark.parametrize(
    "value", [AttrDict(), Lazy(), object(), None], ids=lambda value: type(value).__name__
)
def test_what_can_not_be_had_is_the_default(value: object) -> None:
    assert attribute(value, "nbytes", 7) == 7


def test_what_is_there_is_given() -> None:
    assert attribute(AttrDict(nbytes=3), "nbytes") == 3
