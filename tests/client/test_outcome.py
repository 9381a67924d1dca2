"""What comes back is opened only in the encoding in which it must come: a lying gateway gets none
of its code run here, and one bad answer fails its own call only."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from easyremote.client.client import Client
from easyremote.client.detached.job import DetachedJob
from easyremote.client.files.sending import FilePeer
from easyremote.client.job import RemoteJob
from easyremote.client.outcome import accepted_encodings
from easyremote.client.session import Session, ask_for_sessions, replay
from easyremote.client.shipping import send_blob
from easyremote.errors import EasyRemoteError, ProtocolError, UsageError
from easyremote.events import CommClose
from easyremote.protocol.builtins import BUILTINS, Answerer
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Event, Finished, Message, Payload, Started, Submit
from easyremote.protocol.requests import AskForFiles, ListFiles, ListVariables
from tests.client.lying_gateway import lying_gateway
from tests.processes import LIMIT


class Touch:
    """Pickled, this is code that touches a file where it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


class Lies:
    """Answers every call with that code; ``items`` of it come before."""

    def __init__(self, path: Path) -> None:
        self.path, self.encoding, self.items = path, "pickle5", 0

    def __call__(self, link: Link, message: Submit) -> Iterator[Message]:
        body = pickle.dumps(Touch(self.path))
        payload = Payload(self.encoding, len(body), body)
        yield Started(message.call, "gpu-node")
        for number in range(self.items):
            yield Event(message.call, number + 1, payload)
        yield Finished(message.call, payload, events=self.items)


@pytest.fixture
def lies(tmp_path: Path) -> Lies:
    return Lies(tmp_path / "touched")


@pytest.fixture
def client(lies: Lies) -> Iterator[Client]:
    with lying_gateway(lies) as gateway, gateway.client() as made:
        yield made


def unanswered(client: Client) -> RemoteJob[object]:
    """A job that is not over: this gateway ends at once all that it is sent."""
    client.connect()
    return RemoteJob(client._connection.line(), "f", b"i" * 16, "pickle5")


def detached(client: Client) -> DetachedJob[object]:
    """A job that asks for the outcome of a detached call."""
    return DetachedJob(client, client.line, "ab" * 16, "f", "")


QUESTIONS: dict[str, Callable[[Client], object]] = {
    "$nodes": lambda client: client.list_nodes(),
    "$nodes for functions": lambda client: client.list_functions(),
    "$ping": lambda client: client.ping(),
    "$changes": lambda client: client.known_nodes(),
    "$watch": lambda client: next(client.watch()),
    "$cancel": lambda client: client.stop("ab" * 16),
    "$kill": lambda client: client.stop("ab" * 16, kill=True),
    "$have": lambda client: Session(client, "n").known_blobs([b"x" * 32]),
    "$keep": lambda client: send_blob(client, "n", b"x" * 32, memoryview(b"y")).result(LIMIT),
    "$sessions": lambda client: ask_for_sessions(client, "n").result(LIMIT),
    "$end": lambda client: Session(client, "n").end(),
    "$restart": lambda client: Session(client, "n").restart(),
    "$variables": lambda client: Session(client, "n").ask_plainly(
        ListVariables(), queue_timeout=1.0
    ),
    "$comm": lambda client: (
        Session(client, "n").submit_comm(CommClose("c"), process="p", parent="m").result(LIMIT)
    ),
    "$output": lambda client: replay(client, "n", "ab").result(LIMIT),
    "$input": lambda client: replay(client, "n", "ab").answer(1, "text").result(LIMIT),
    "$send": lambda client: FilePeer(client, "n", "").send(AskForFiles(())).result(LIMIT),
    "$files": lambda client: FilePeer(client, "n", "s").fetch(ListFiles()).result(LIMIT),
    "$explain": lambda client: unanswered(client).explain(),
    "$pause": lambda client: client.pause("n"),
    "$drain": lambda client: client.drain("n"),
    "$resume": lambda client: client.resume("n"),
    "$usage": lambda client: client.usage(),
    "$rules": lambda client: client.rules("n"),
    "$detached": lambda client: client.outstanding(),
    "$detached, one": lambda client: client.attach("ab" * 16),
    "$release": lambda client: detached(client).release(),
    "accepted": lambda client: client.detach("add", 1, 2),
    "$unknown": lambda client: client.call("$unknown").result(LIMIT),
    "in plain values": lambda client: client.call_plain("add", {"a": 1}).result(LIMIT),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("items", [0, 1], ids=["value", "items"])
@pytest.mark.parametrize("encoding", ["pickle5", "pickle6"])
def test_no_code_of_a_lying_gateway_runs_here(
    client: Client, lies: Lies, question: str, items: int, encoding: str
) -> None:
    lies.items, lies.encoding = items, encoding
    with pytest.raises(ProtocolError, match=f"answered in '{encoding}'.*was not opened"):
        QUESTIONS[question](client)
    assert not lies.path.exists()


def test_these_are_all_the_builtins_that_user_code_does_not_answer() -> None:
    plain = {name for name, row in BUILTINS.items() if row.encoding == "msgpack"}
    assert plain == {name for name in QUESTIONS if name in BUILTINS}
    assert all(row.answered_by is not Answerer.GATEWAY for row in BUILTINS.values() if row.job)


def test_what_a_lying_gateway_shows_as_a_cells_output_is_not_opened(
    client: Client, lies: Lies
) -> None:
    lies.items = 2
    job = Session(client, "gpu-node").submit_cell({"code": "1"})
    assert list(job.events(LIMIT)) == []
    with pytest.raises(UsageError, match="is a generator"):
        job.result(LIMIT)
    assert not lies.path.exists()


def test_what_the_users_own_code_made_is_opened(client: Client, lies: Lies) -> None:
    client.call("make_it").result(LIMIT)
    assert lies.path.exists()


@pytest.mark.parametrize(
    ("function", "asked_in", "accepted"),
    [
        ("add", "pickle5", ("pickle5",)),
        ("add", "json", ("json",)),
        ("$cell", "pickle5", ("pickle5",)),
        ("$cell", "msgpack", ("pickle5",)),
        ("$nodes", "pickle5", ("msgpack",)),
        ("$new-in-2030", "pickle5", ("msgpack",)),
    ],
)
def test_the_encodings_of_an_answer(
    function: str, asked_in: str, accepted: tuple[str, ...]
) -> None:
    assert accepted_encodings(function, asked_in) == accepted


@pytest.mark.parametrize("encoding", ["pickle5", "msgpack"])
def test_a_change_of_the_nodes_that_is_none_is_told_and_the_nodes_are_asked_for_anew(
    lies: Lies, encoding: str
) -> None:
    lying = True

    def answer(link: Link, message: Submit) -> Iterator[Message]:
        if message.function == "$nodes":
            body = msgspec.msgpack.encode({"nodes": []})
            yield Finished(message.call, Payload("msgpack", len(body), body))
        elif lying:
            yield Started(message.call)
            body = pickle.dumps(Touch(lies.path)) if encoding == "pickle5" else b"\x07"
            yield Event(message.call, 1, Payload(encoding, len(body), body))

    with lying_gateway(answer) as gateway, gateway.client() as client:
        with pytest.raises(ProtocolError):
            client.known_nodes()
        lying = False
        assert client.known_nodes() == []
        assert not lies.path.exists()


# -- one bad answer --------------------------------------------------------------------------------


def _value(body: bytes, encoding: str = "msgpack", **fields: Any) -> Callable[[int], Message]:
    return lambda call: Finished(call, Payload(encoding, len(body), body), **fields)


def _error(*what: object) -> Callable[[int], Message]:
    return _value(msgspec.msgpack.encode(what), code="raised")


BAD: dict[str, Callable[[int], Message]] = {
    "no msgpack": _value(b"\xc1"),
    "no json": _value(b"{", "json"),
    "no payload": _value(b"", "pickle5"),
    "half a payload": _value(b"\x01\x00", "pickle5"),
    "half a pickle": _value(b"\x80\x05", "pickle5"),
    "no error": _value(b"\xc1", code="raised"),
    "an error of one part": _error("raised"),
    "an error of numbers": _error(1, 2, 3),
    "an error with a number for a name": _error("raised", "boom", {1: 2}),
    "an error that renames itself": _error(
        "raised", "boom", {"message": "x", "self": 1, "args": 2}
    ),
    "an error with a class": _error("raised", "boom", {"__class__": "x", "__dict__": {}}),
    "an error of a strange type": _error("raised", "boom", {"type_name": "a\0b"}),
    "text that is none": _value(b"\xa1\xff"),
    "an error in text that is none": _value(b"\x93\xa1\xff\xa1\xff\x80", code="raised"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_fails_its_own_call_only(name: str) -> None:
    def answer(link: Link, message: Submit) -> Iterator[Message]:
        if message.function == "bad":
            yield BAD[name](message.call)
        elif message.function == "good":
            yield Finished(message.call, Payload("pickle5", 5, pickle.dumps(7, 5)))

    with lying_gateway(answer) as gateway, gateway.client() as client:
        waiting, bad = client.call("waits"), client.call("bad")
        with pytest.raises(EasyRemoteError):
            bad.result(LIMIT)
        assert client.call("good").result(LIMIT) == 7
        assert not waiting.done()
        assert client.is_connected


@pytest.mark.parametrize("body", [b"", b"\x01", b"\x91\x01", b"\xa1\xff", b"\x91\xa1\xff", b"\xc1"])
def test_what_is_no_event_is_not_shown(body: bytes) -> None:
    def answer(link: Link, message: Submit) -> Iterator[Message]:
        yield Event(message.call, 1, Payload("msgpack", len(body), body))
        yield Finished(message.call, Payload("pickle5", 5, pickle.dumps(7, 5)), events=1)

    with lying_gateway(answer) as gateway, gateway.client() as client:
        job = Session(client, "n").submit_cell({})
        assert list(job.events(LIMIT)) == []
        assert job.result(LIMIT) == 7


def test_a_gateway_that_describes_its_nodes_wrongly_is_told_so() -> None:
    def answer(link: Link, message: Submit) -> Iterator[Message]:
        body = msgspec.msgpack.encode({"nodes": [{"node_id": 3}], "functions": "none"})
        yield Finished(message.call, Payload("msgpack", len(body), body))

    with lying_gateway(answer) as gateway, gateway.client() as client:
        with pytest.raises(ProtocolError, match="An answer is not what was asked for"):
            client.list_nodes()
        with pytest.raises(ProtocolError, match="An answer is not what was asked for"):
            client.list_functions()
