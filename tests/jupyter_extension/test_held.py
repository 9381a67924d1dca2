"""Which variables are sent again."""

from __future__ import annotations

import numpy as np
import pytest

from easyremote_jupyter.held import Held


def sent(held: Held, **variables: object) -> set[str]:
    missing = set(held.missing(variables))
    held.note(variables, variables)
    return missing


def test_a_variable_is_sent_once() -> None:
    held, array = Held(), np.zeros(10_000)
    assert sent(held, a=array, b=1) == {"a", "b"}
    assert sent(held, a=array, b=1) == set()


@pytest.mark.parametrize("make", [lambda: [1], lambda: {"k": {1, 2}}, lambda: np.zeros(10_000)])
def test_another_object_is_sent(make: object) -> None:
    held = Held()
    assert callable(make)
    first, second = make(), make()
    sent(held, x=first)
    assert sent(held, x=second) == {"x"}


def test_an_object_that_changed_is_sent() -> None:
    held, items, array = Held(), [1], np.zeros(10_000)
    sent(held, items=items, array=array)
    items.append(2)
    array[5] = 1
    assert sent(held, items=items, array=array) == {"items", "array"}
    assert sent(held, items=items, array=array) == set()


def test_what_can_not_travel_is_never_taken_for_sent() -> None:
    held, file = Held(), open("/dev/null")
    assert sent(held, f=file) == {"f"}
    assert sent(held, f=file) == {"f"}
    file.close()


def test_after_forgetting_everything_is_sent() -> None:
    held = Held()
    held.process = "p"
    sent(held, x=1)
    held.forget()
    assert held.process is None
    assert sent(held, x=1) == {"x"}
