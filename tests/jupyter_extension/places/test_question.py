"""What a notebook is asked at the next cell of a session that held GPU memory while it was idle."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from easyremote.client.session import Session, own_name
from easyremote.protocol.snapshot import NodeInfo
from easyremote_jupyter.places import places
from easyremote_jupyter.places.places import Place

ASKED = "key lab-2 waits for 24 GB of GPU memory on box; this session has held 31 GB. Release it?"


class Watched(Exception):
    """The cell is at its node, and shows what it prints."""


def notices(monkeypatch: pytest.MonkeyPatch, session: str | None, *nodes: NodeInfo) -> list[str]:
    """What is shown above the output of a cell that went to its session on box."""
    shown: list[str] = []

    def watch(*_: object) -> object:
        raise Watched

    client: Any = SimpleNamespace(known_nodes=lambda: list(nodes))
    monkeypatch.setattr(Place, "_submit", lambda *_: (None, None))
    monkeypatch.setattr(places, "watch", watch)
    place = Place(Session(client, "box", session))
    nothing: Any = None
    output: Any = SimpleNamespace(notice=shown.append)
    with pytest.raises(Watched):
        place.run({}, {}, (), nothing, output, {}, place.held)
    return shown


@pytest.mark.parametrize(("session", "target"), [("train", "box/train"), (None, "box")])
def test_the_owner_of_the_session_is_asked_with_the_command_that_ends_it(
    monkeypatch: pytest.MonkeyPatch, session: str | None, target: str
) -> None:
    node = NodeInfo("box", "online", asked={session or own_name(): ASKED})
    assert notices(monkeypatch, session, node) == [f"{ASKED} %remote_restart {target} ends it."]


def test_other_sessions_and_other_nodes_are_none_of_this_ones_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = NodeInfo("box", "online", asked={"other": ASKED}), NodeInfo("b", "online")
    assert notices(monkeypatch, "train", *nodes) == []
