"""A reference travels by its number to the session that holds the value, and nowhere else."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from easyremote.client.refs import RemoteRef
from easyremote.errors import CannotShip, NotFound
from easyremote.serialize.refs import HELD, Whereabouts, going_to

HERE = Whereabouts("gpu-node", "s", "p")


class FakeSession:
    node_id, name = HERE.node_id, HERE.session

    def __init__(self) -> None:
        self.released: list[tuple[str, int]] = []

    def release(self, process: str, number: int) -> None:
        self.released.append((process, number))


def make(session: FakeSession, size: int = 24_000_000) -> RemoteRef:
    what = {"number": 7, "type": "ndarray", "size": size, "text": "array([0.])"}
    return RemoteRef(session, HERE.process, "big", what)  # type: ignore[arg-type]


@pytest.fixture
def value() -> Iterator[object]:
    HELD[7] = object()
    yield HELD[7]
    HELD.clear()


def test_it_is_the_value_in_its_session(value: object) -> None:
    with going_to(HERE):
        sent = pickle.dumps({"in": [make(FakeSession())]})
    assert pickle.loads(sent)["in"][0] is value


@pytest.mark.parametrize(
    ("to", "why"),
    [
        (HERE._replace(process="new"), "its session on gpu-node has ended, and the value with it"),
        (HERE._replace(session="t"), "of no use in another session of that node"),
        (HERE._replace(node_id="other"), r"big.get\(\) brings it here"),
    ],
)
def test_it_goes_nowhere_else(to: Whereabouts, why: str) -> None:
    with going_to(to), pytest.raises(CannotShip, match=why):
        pickle.dumps(make(FakeSession()))
    with pytest.raises(CannotShip, match=r"big.get\(\) brings it here"):
        pickle.dumps(make(FakeSession()))


def test_a_value_that_is_no_longer_held_is_told() -> None:
    with going_to(HERE):
        sent = pickle.dumps(make(FakeSession()))
    with pytest.raises(NotFound, match="no longer held"):
        pickle.loads(sent)


def test_it_says_when_nobody_needs_it_any_more() -> None:
    session = FakeSession()
    ref = make(session)
    other = copy.deepcopy([ref, copy.copy(ref)])
    del ref
    assert session.released == []
    del other
    assert session.released == [("p", 7)]


def test_it_shows_type_size_place_and_the_nodes_own_text() -> None:
    assert repr(make(FakeSession())) == (
        "<RemoteRef big: ndarray, 24.0 MB, on gpu-node>\narray([0.])"
    )
    assert repr(make(FakeSession(), 0)).startswith("<RemoteRef big: ndarray, on gpu-node>")
