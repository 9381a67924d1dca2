"""What a notebook shares with a session."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from easyremote.client.refs import RemoteRef
from easyremote.errors import CannotShip
from easyremote_jupyter.places.held import Held


def sent(held: Held, **variables: object) -> set[str]:
    look = held.graph.look(variables)
    names = look.names()
    held.graph = held.graph.tell(look, names).after
    return set(names)


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
    for _ in range(2):
        with pytest.raises(CannotShip):
            sent(held, f=file)
    file.close()


def test_after_forgetting_everything_is_sent() -> None:
    held = Held()
    held.process = "p"
    sent(held, x=1)
    held.forget()
    assert held.process is None
    assert sent(held, x=1) == {"x"}


def test_what_the_process_has_not_got_is_sent_again() -> None:
    held = Held()
    sent(held, x=1, y=2)
    held.drop(["x", "absent"])
    assert sent(held, x=1, y=2) == {"x"}


def test_an_array_is_not_kept_alive() -> None:
    held, array, other = Held(), np.zeros(10_000), [1]
    sent(held, a=array, b=other)
    gone = weakref.ref(array)
    del array
    held.prune({"b": other})
    assert gone() is None
    assert sent(held, a=np.zeros(10_000), b=other) == {"a"}


def test_what_another_variable_holds_is_still_shared() -> None:
    held, inner = Held(), [1]
    outer = [inner]
    sent(held, inner=inner, outer=outer)
    held.prune({"outer": outer})
    inner.append(2)
    assert sent(held, outer=outer) == {"outer"}
    assert sent(held, inner=inner) == {"inner"}  # a name again, for what is there


class FakeSession:
    node_id, name = "gpu-node", "s"

    def release(self, process: str, number: int) -> None: ...


def test_a_reference_stands_for_what_its_own_process_has() -> None:
    held = Held()
    description = {"number": 1, "type": "list", "size": 5, "text": "[...]"}
    ref = RemoteRef(FakeSession(), "p", "x", description)  # type: ignore[arg-type]
    held.graph.keep_apart({"x": ref})
    assert sent(held, x=ref) == set()
    held.forget()
    with pytest.raises(CannotShip):
        sent(held, x=ref)
