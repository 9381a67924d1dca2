"""Public functions over HTTP: arguments in, JSON or a problem document out."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from easyremote.gateway.http.api import DEADLINE
from tests.processes import LIMIT, Gateway, end, wait_until

PROGRAM = '''
import time
from pathlib import Path
from easyremote.node import node

@node.register(public=True)
def greet(name, greeting="Hello", *, loud=False):
    text = f"{greeting}, {name}!"
    return text.upper() if loud else text

@node.register(public=True)
def kinds(**given):
    return {name: type(value).__name__ for name, value in given.items()}

@node.register(public=True)
def hold(started, gate):
    """Runs until the file `gate` is there."""
    Path(started).touch()
    try:
        while not Path(gate).exists():
            time.sleep(0.01)
    except BaseException as error:
        Path(started).write_text(type(error).__name__)
        raise
    return "over"

@node.register(public=True, timeout=0.3)
def linger():
    while True:
        time.sleep(0.01)

@node.register(public=True)
def numbers(n):
    yield from range(n)

@node.register(public=True)
async def numbers_async(n):
    for i in range(n):
        yield {"i": i}

@node.register(public=True)
def flood():
    while True:
        yield "x" * 100_000

@node.register(public=True)
def nothing():
    pass

@node.register(public=True)
def odd():
    return object()

@node.register(public=True)
def not_a_number():
    return {"nan": float("nan"), "infinity": [float("inf")]}

@node.register(public=True)
def half_a_surrogate():
    return chr(0xD800)

@node.register(public=True, max_body=100)
def small(**given):
    return len(given)

@node.register(public=True, max_body=3_000_000)
def large(text):
    return len(text)
'''


@pytest.fixture(scope="module")
def served(
    gateway: Gateway, node: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway whose nodes have the functions above and those of ``node_program.py``."""
    program = tmp_path_factory.mktemp("program") / "web.py"
    program.write_text(PROGRAM)
    process = gateway.start_node("web-node", str(program))
    assert process.poll() is None, process.stdout and process.stdout.read()
    yield gateway
    end(process)


def ask(
    gateway: Gateway, path: str, body: object = None, *, key: str = "", method: str | None = None
) -> tuple[int, Any]:
    """Status and JSON of an answer; a body is sent as JSON, bytes as they are."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(
        f"http://{gateway.address}{path}", data, headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            assert answer.headers["Content-Type"].startswith("application/json")
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            assert error.headers["Content-Type"].startswith("application/problem+json")
            return error.code, json.loads(error.read()) | {"headers": dict(error.headers)}


# -- what is answered ------------------------------------------------------------------------------


def test_an_object_of_arguments_is_posted_and_defaults_hold(served: Gateway) -> None:
    assert ask(served, "/api/greet", {"name": "Ada"}) == (200, "Hello, Ada!")
    assert ask(served, "/api/greet", {"name": "Ada", "loud": True, "greeting": "Hi"}) == (
        200,
        "HI, ADA!",
    )


def test_a_query_reads_as_numbers_truth_values_and_text(served: Gateway) -> None:
    assert ask(served, "/api/kinds?a=1&b=1.5&c=true&d=word&e=&f=%5B1%5D&g=007") == (
        200,
        {"a": "int", "b": "float", "c": "bool", "d": "str", "e": "str", "f": "str", "g": "str"},
    )


def test_no_body_is_no_arguments_and_no_value_is_null(served: Gateway) -> None:
    assert ask(served, "/api/nothing", b"") == (200, None)
    assert ask(served, "/api/nothing") == (200, None)


def test_what_is_no_number_in_json_is_text_in_a_query_and_null_in_an_answer(
    served: Gateway,
) -> None:
    assert ask(served, "/api/kinds?a=NaN&b=Infinity&c=1e999&d=%ED%A0%80") == (
        200,
        {"a": "str", "b": "str", "c": "str", "d": "str"},
    )
    assert ask(served, "/api/not_a_number", b"") == (200, {"nan": None, "infinity": [None]})


def test_a_function_says_how_large_a_body_it_takes(served: Gateway) -> None:
    assert ask(served, "/api/small", {"a": 1}) == (200, 1)
    assert ask(served, "/api/large", {"text": "x" * 2_900_000}) == (200, 2_900_000)
    status, problem = ask(served, "/api/large", {"text": "x" * 3_000_000})
    assert (status, problem["title"]) == (413, "too-large")


def test_numpy_and_pandas_come_back_as_json(served: Gateway) -> None:
    assert ask(served, "/api/table", b"") == (
        200,
        {"array": [0, 1, 2], "frame": [{"a": 1, "b": "x"}, {"a": 2, "b": None}], "number": 1.5},
    )


@pytest.mark.parametrize("name", ["numbers", "numbers_async"])
def test_what_a_generator_yields_is_a_list(served: Gateway, name: str) -> None:
    status, items = ask(served, f"/api/{name}", {"n": 200})
    assert (status, len(items)) == (200, 200)
    assert ask(served, f"/api/{name}", {"n": 0}) == (200, [])


def test_a_key_opens_what_asks_for_one(served: Gateway) -> None:
    status, problem = ask(served, "/api/secret", {})
    assert (status, problem["title"]) == (401, "not-authorized")
    assert "Authorization: Bearer" in problem["detail"]
    assert problem["headers"]["WWW-Authenticate"] == "Bearer"
    assert ask(served, "/api/secret", {}, key=served.keys["client"]) == (200, 42)
    status, problem = ask(served, "/api/secret", {}, key=served.keys["node"])
    assert (status, "is a node key" in problem["detail"]) == (401, True)


def test_a_wrong_key_is_refused_also_where_none_is_asked_for(served: Gateway) -> None:
    assert ask(served, "/api/nothing", {}, key="hunter2")[0] == 401


# -- what is not -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/api/gret", {}, 404, "no public function 'gret'"),
        ("/api/add", {}, 404, "no public function 'add'"),
        ("/api/$cell", {}, 404, "no public function '$cell'"),
        ("/api/greet", b"{", 400, "no JSON object"),
        ("/api/greet", b"\xff", 400, "no JSON object"),
        ("/api/greet", [1], 400, "it is a list"),
        ("/api/greet", b"[" * 100_000, 413, "more than 64 lists or objects"),
        ("/api/greet", b'{"name": NaN}', 400, "no JSON object"),
        ("/api/greet", b'{"name": -Infinity}', 400, "no JSON object"),
        ("/api/greet", b'{"name": 1e999}', 400, "out of range"),
        ("/api/greet", b'{"name": ' + b"1" * 5000 + b"}", 400, "out of range"),
        ("/api/greet", rb'{"name": "\ud800"}', 400, "no JSON object"),
        ("/api/greet", b'{"name": "\xed\xa0\x80"}', 400, "no JSON object"),
        ("/api/greet", b'{"name": [' + b"[]," * 300_000 + b"[]]}", 413, "500000 values"),
        ("/api/greet", {}, 422, "missing a required argument: 'name'"),
        ("/api/greet", {"name": "Ada", "year": 1}, 422, "argument"),
        ("/api/public_failure", {}, 500, "ValueError in the function"),
        ("/api/odd", {}, 500, "odd"),
        ("/api/flood", {}, 500, "yields more than 16 MiB"),
        ("/api/linger", {}, 504, "0.3 s"),
        ("/api/greet", b" " * (2 << 20), 413, "above 1 MiB"),
        ("/api/small", b" " * 101, 413, "above 100 bytes"),
        ("/api/half_a_surrogate", {}, 500, "no JSON form"),
    ],
)
def test_errors_are_problem_documents(
    served: Gateway, path: str, body: object, status: int, words: str
) -> None:
    got, problem = ask(served, path, body)
    assert (got, problem["status"]) == (status, status)
    assert words in problem["detail"]
    assert problem["type"] == f"urn:easyremote:{problem['title']}"
    assert "a secret detail" not in json.dumps(problem)
    assert "Traceback" not in json.dumps(problem)


@pytest.mark.parametrize("how", ["pause", "drain"])
def test_a_function_whose_node_is_not_lent_says_why_and_when_to_ask_again(
    served: Gateway, how: str
) -> None:
    with served.client() as client:
        closed = getattr(client, how)("web-node").closed
        try:
            status, problem = ask(served, "/api/greet", {"name": "Ada"})
        finally:
            client.resume("web-node")
    assert (status, problem["title"]) == (503, "offline")
    assert closed in problem["detail"]
    assert problem["headers"]["Retry-After"] == "60"
    assert problem["headers"]["EasyRemote-May-Have-Run"] == "no"
    assert ask(served, "/api/greet", {"name": "Ada"}) == (200, "Hello, Ada!")


def test_a_failure_says_whether_the_function_may_have_run(served: Gateway) -> None:
    _, problem = ask(served, "/api/public_failure", {})
    assert problem["headers"]["EasyRemote-May-Have-Run"] == "yes"
    assert problem["error_id"]
    _, problem = ask(served, "/api/greet", {})
    assert problem["headers"]["EasyRemote-May-Have-Run"] == "no"


def test_who_has_a_key_sees_what_the_exception_says(served: Gateway) -> None:
    status, problem = ask(served, "/api/public_failure", {}, key=served.keys["client"])
    assert (status, "a secret detail" in problem["detail"]) == (500, True)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_other_methods_are_not_there(served: Gateway, method: str) -> None:
    connection = http.client.HTTPConnection(served.address, timeout=LIMIT)
    connection.request(method, "/api/greet")
    assert connection.getresponse().status == 405
    connection.close()


def test_a_visitor_who_goes_takes_the_call_along(served: Gateway, tmp_path: Path) -> None:
    started = tmp_path / "started"
    connection = http.client.HTTPConnection(served.address, timeout=LIMIT)
    body = json.dumps({"started": str(started), "gate": str(tmp_path / "never")})
    connection.request("POST", "/api/hold", body)
    wait_until(started.exists)
    connection.close()
    wait_until(lambda: started.read_text() != "", DEADLINE / 2)  # not only when its time is up


def test_calls_by_http_run_at_a_time(served: Gateway, tmp_path: Path) -> None:
    """Both are in flight before either may end."""
    gate = tmp_path / "gate"
    marks = [tmp_path / "one", tmp_path / "two"]
    answers: list[tuple[int, Any]] = []
    threads = [
        threading.Thread(
            target=lambda mark=mark: answers.append(  # type: ignore[misc]
                ask(served, "/api/hold", {"started": str(mark), "gate": str(gate)})
            )
        )
        for mark in marks
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(mark.exists() for mark in marks))
    gate.touch()
    for thread in threads:
        thread.join(LIMIT)
    assert answers == [(200, "over")] * 2


def test_half_a_request_holds_up_nobody(served: Gateway) -> None:
    connection = http.client.HTTPConnection(served.address, timeout=LIMIT)
    connection.putrequest("POST", "/api/greet")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b'{"name":')
    assert ask(served, "/api/greet", {"name": "Ada"}) == (200, "Hello, Ada!")
    connection.close()


def test_the_gateway_says_that_it_is_well_and_what_it_is(served: Gateway) -> None:
    assert _plain(served, "/healthz") == {"status": "ok", "nodes": 2}
    assert _plain(served, "/")["service"] == "easyremote"


def _plain(gateway: Gateway, path: str) -> Any:
    with urllib.request.urlopen(f"http://{gateway.address}{path}", timeout=LIMIT) as answer:
        return json.loads(answer.read())
