"""joblib's tasks, and scikit-learn's, on nodes: the same results as here."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB

from easyremote import CannotShip, Client, RemoteError
from easyremote.client import shipping
from easyremote.client.client import connect
from easyremote.client.job import RemoteJob
from easyremote.errors import NotFound
from easyremote.protocol.builtins import CALL, KEEP
from tests.processes import LIMIT, Gateway, end, wait_until

NODES = ("left", "right")


@pytest.fixture(scope="module", autouse=True)
def nodes(gateway: Gateway) -> Iterator[None]:
    """Two nodes, which joblib finds as a user's program does."""
    processes = [gateway.start_node(name) for name in NODES]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASYREMOTE_HOME", str(gateway.home))
        yield
    for process in processes:
        end(process)


class Sent:
    """What went to the nodes."""

    def __init__(self) -> None:
        self.calls: list[RemoteJob[Any]] = []
        #: The node and the size of each large array.
        self.arrays: list[tuple[str, int]] = []


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    noted = Sent()
    start = Client.start

    def noting(self: Any, function: str, dumped: Any, **options: Any) -> Any:
        job = start(self, function, dumped, **options)
        if function == KEEP:
            noted.arrays.append((options["node_id"], dumped.size))
        elif function == CALL:
            noted.calls.append(job)
        return job

    monkeypatch.setattr("easyremote.client.executor.RemoteExecutor.start", noting)
    return noted


def square(x: int) -> int:
    return x * x


def test_tasks_run_on_nodes_and_come_back_in_order(sent: Sent) -> None:
    with parallel_config("easyremote"):
        assert Parallel()(delayed(square)(x) for x in range(100)) == [x * x for x in range(100)]
    assert sent.calls
    sent.calls.clear()
    with parallel_config("easyremote", node_id="left", n_jobs=2):
        assert Parallel()(delayed(square)(x) for x in range(5)) == [0, 1, 4, 9, 16]
    assert {job.node_id for job in sent.calls} == {"left"}


def test_small_tasks_travel_together(sent: Sent) -> None:
    with parallel_config("easyremote"):
        Parallel()(delayed(square)(x) for x in range(2000))
    assert len(sent.calls) < 500


def test_a_grid_search_finds_the_same_and_sends_its_array_once_a_node(sent: Sent) -> None:
    digits, labels = load_digits(return_X_y=True)
    digits, labels = digits[:400], labels[:400]
    # As large as a real one: noise columns that no other test has sent.
    noise = np.random.default_rng().random((len(digits), 400))
    features = np.hstack([digits / 16, noise])
    grid = {"var_smoothing": [1e-9, 1e-6, 1e-3, 1.0]}
    # Two at a time, one on each node: each process takes its time to import scikit-learn.
    search = GridSearchCV(GaussianNB(), grid, cv=3, n_jobs=2)

    def found() -> tuple[float, list[float]]:
        fitted = search.fit(features, labels)
        return fitted.best_score_, list(fitted.cv_results_["mean_test_score"])

    before = connect().traffic.sent
    with parallel_config("easyremote"):
        there = found()
    travelled = connect().traffic.sent - before
    assert sorted(node for node, _ in sent.arrays) == sorted(NODES)
    assert 2 * features.nbytes <= travelled < 2 * features.nbytes * 1.2
    assert {job.node_id for job in sent.calls} == set(NODES)
    with parallel_config("threading", n_jobs=1):
        assert found() == there


def test_scores_and_forests_are_the_same_as_here() -> None:
    digits = load_digits()

    def fitted() -> tuple[list[float], list[float]]:
        forest = RandomForestClassifier(8, random_state=0, n_jobs=2)
        scores = cross_val_score(forest, digits.data, digits.target, cv=3, n_jobs=2)
        forest.fit(digits.data, digits.target)
        return list(scores), list(forest.feature_importances_)

    with parallel_config("easyremote"):
        there = fitted()
    with parallel_config("threading", n_jobs=1):
        assert fitted() == there


def test_results_come_as_generators_too() -> None:
    with parallel_config("easyremote"):
        squares = Parallel(return_as="generator")(delayed(square)(x) for x in range(20))
        others = Parallel(return_as="generator_unordered")(delayed(square)(x) for x in range(20))
        assert next(squares) == 0
        assert sorted(others) == [x * x for x in range(20)]
        assert list(squares) == [x * x for x in range(1, 20)]


def test_an_error_of_a_task_is_raised_here_as_what_it_was() -> None:
    def fail(x: int) -> int:
        raise KeyError(x) if x == 3 else ValueError("another")

    with parallel_config("easyremote"), pytest.raises((KeyError, ValueError)) as caught:
        Parallel()(delayed(fail)(x) for x in range(3, 5))
    assert isinstance(caught.value, RemoteError)
    with parallel_config("easyremote"):
        assert Parallel()(delayed(square)(x) for x in range(5)) == [0, 1, 4, 9, 16]


def test_what_can_not_travel_is_named() -> None:
    lock = threading.Lock()

    def locked(x: int) -> bool:
        return lock.locked()

    with parallel_config("easyremote"), pytest.raises(CannotShip, match="lock"):
        Parallel()(delayed(locked)(x) for x in range(2))


def test_an_interrupt_stops_the_tasks_on_the_nodes(
    sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(started: str, x: int) -> None:
        Path(started, str(x)).touch()
        while True:
            time.sleep(0.02)

    sleep = time.sleep

    def interrupted(seconds: float) -> None:  # as by Ctrl-C while joblib waits
        if list(tmp_path.iterdir()):
            raise KeyboardInterrupt
        sleep(seconds)

    monkeypatch.setattr("joblib.parallel.time.sleep", interrupted)
    with parallel_config("easyremote"), pytest.raises(KeyboardInterrupt):
        Parallel()(delayed(held)(str(tmp_path), x) for x in range(50))
    monkeypatch.setattr("joblib.parallel.time.sleep", sleep)
    wait_until(lambda: all(job.done() for job in sent.calls))
    assert {type(job.exception(LIMIT)).__name__ for job in sent.calls} == {"CallCancelled"}
    begun = len(sent.calls)
    with parallel_config("easyremote"):
        assert Parallel()(delayed(square)(x) for x in range(5)) == [0, 1, 4, 9, 16]
    assert len(sent.calls) <= begun + 5


def test_a_batch_that_did_not_run_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bring, lies = shipping.bring_blobs, [1]

    def mistaken(executor: Any, packed: Any, node_id: str, on_loss: str) -> Any:
        if lies:  # as if the node had made room for others after it was asked
            lies.pop()
            return set(packed.by_hash())
        return bring(executor, packed, node_id, on_loss)

    monkeypatch.setattr(shipping, "bring_blobs", mistaken)
    array = np.random.default_rng().random(300_000)
    with parallel_config("easyremote", node_id="left"):
        assert Parallel()(delayed(np.sum)(array) for _ in range(1)) == [array.sum()]
    assert lies == []


def test_tasks_that_use_joblib_themselves_run_one_after_the_other_in_their_process() -> None:
    def nested(x: int) -> tuple[int, int]:
        import os

        pids = Parallel(n_jobs=4)(delayed(os.getpid)() for _ in range(4))
        return len(set(pids)), joblib.effective_n_jobs(-1)

    with parallel_config("easyremote"):
        assert Parallel()(delayed(nested)(x) for x in range(2)) == [(1, 1), (1, 1)]


@pytest.mark.parametrize("options, threads", [({}, 1), ({"inner_max_num_threads": 2}, 2)])
def test_a_library_uses_a_process_s_share_of_the_cores(
    options: dict[str, int], threads: int
) -> None:
    def limits(matrix: np.ndarray[Any, Any]) -> set[int]:
        from threadpoolctl import threadpool_info

        return {library["num_threads"] for library in threadpool_info()}

    with parallel_config("easyremote", n_jobs=64, **options):
        assert Parallel()(delayed(limits)(np.eye(2)) for _ in range(2)) == [{threads}] * 2


def test_how_many_run_at_a_time() -> None:
    with Client() as client:
        offered = sum(node.processes or 0 for node in client.list_nodes())
    with parallel_config("easyremote"):
        assert joblib.effective_n_jobs(-1) == offered
        assert joblib.effective_n_jobs(3) == 3
    with parallel_config("easyremote", n_jobs=1):  # as joblib says: here, without any backend
        assert (
            Parallel()(delayed(threading.get_ident)() for _ in range(2))
            == [threading.get_ident()] * 2
        )
    with parallel_config("easyremote", node_id="nowhere"), pytest.raises(NotFound, match="nowhere"):
        Parallel()(delayed(square)(x) for x in range(2))


IN_ANY_ORDER = """
import sys
{imports}
assert ("joblib" in sys.modules) is {is_loaded}, "easyremote must not import joblib"
import importlib.util
importlib.util.find_spec("joblib.parallel")  # who only looks for it takes nothing away
from joblib import Parallel, delayed, parallel_config
with parallel_config("easyremote"):
    print(Parallel()(delayed(abs)(x) for x in range(-3, 0)))
print(Parallel(backend="easyremote")(delayed(abs)(x) for x in [-4]))
assert not [finder for finder in sys.meta_path if "easyremote" in type(finder).__module__]
"""


@pytest.mark.parametrize("imports", ["import easyremote", "import joblib, easyremote"])
def test_the_name_is_known_whichever_of_the_two_is_imported_first(
    gateway: Gateway, imports: str
) -> None:
    program = IN_ANY_ORDER.format(imports=imports, is_loaded="joblib" in imports)
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, env=gateway.environment(), capture_output=True, text=True, timeout=LIMIT
    )
    assert done.stdout == "[3, 2, 1]\n[4]\n", done.stderr
