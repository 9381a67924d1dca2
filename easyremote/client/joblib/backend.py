"""`NodesBackend`: joblib's tasks run on nodes, as functions that are sent there.

joblib joins small tasks to batches. Each batch is one call, for which a thread of this process
waits: it packs the batch, prints what the batch prints, and opens its results, while the others do
the same for theirs. Arrays go to a node once, by content, as for every function that is sent.
``tests/client/test_joblib.py`` proves it with real processes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any

from joblib.parallel import AutoBatchingMixin, ParallelBackendBase, SequentialBackend

from easyremote.client.client import connect
from easyremote.client.job import RemoteJob
from easyremote.client.joblib.batch import Batch
from easyremote.errors import CallCancelled, CallLost, NodeOffline, NotFound
from easyremote.protocol.snapshot import NodeInfo

__all__ = ["NodesBackend"]

#: joblib runs everything here, one after the other, where only one task may run at a time. That is
#: not what somebody wants who names a node with one process.
_FEWEST = 2
#: How often a batch is sent that surely did not run: its node went, or had no room for an array.
TRIES = 3


class NodesBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib is untyped
    """joblib's backend "easyremote".

    Parameters
    ----------
    gateway, api_key
        As for `easyremote.Client`.
    node_id
        The node that all tasks go to; empty for all nodes that run code.
    nesting_level
        Given by joblib.

    Examples
    --------
    >>> with joblib.parallel_config("easyremote"):                   # doctest: +SKIP
    ...     GridSearchCV(SVC(), grid, n_jobs=-1).fit(X, y)
    >>> with joblib.parallel_config("easyremote", node_id="gpu-node", n_jobs=4):  # doctest: +SKIP
    ...     squares = Parallel()(delayed(square)(x) for x in range(100))
    """

    #: What joblib reads: all processes are used by default, and results are opened on our threads.
    default_n_jobs = -1
    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(
        self,
        gateway: str | None = None,
        api_key: str | None = None,
        node_id: str = "",
        nesting_level: int | None = None,
    ) -> None:
        super().__init__(nesting_level=nesting_level)
        self._gateway, self._api_key, self._node_id = gateway, api_key, node_id
        self._pool: ThreadPool | None = None
        self._workers, self._threads = _FEWEST, 1
        self._running: set[RemoteJob[Any]] = set()
        #: Raised by one when everything is aborted: a batch of before must not begin any more.
        self._round = 0
        self._lock = threading.Lock()

    # -- what joblib asks --------------------------------------------------------------------------

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many batches may be under way at a time; -1 is as many as the nodes have processes.

        Raises
        ------
        ValueError
            It is 0.
        NotFound
            No node online runs code.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None or n_jobs == 1:
            return 1
        if n_jobs > 1:
            return n_jobs
        processes = sum(node.processes or node.cores or 1 for node in self._nodes())
        return max(processes + 1 + n_jobs, _FEWEST)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Get ready for one `joblib.Parallel`."""
        self.parallel = parallel
        self._workers = self.effective_n_jobs(n_jobs)
        cores = sum(node.cores or 1 for node in self._nodes())
        self._threads = self.inner_max_num_threads or max(cores // self._workers, 1)
        return self._workers

    def submit(
        self, func: Callable[[], list[Any]], callback: Callable[[Any], None] | None = None
    ) -> Any:
        """Run a batch on a node; the callback gets its results, or its error."""
        if self._pool is None:
            self._pool = ThreadPool(self._workers)
        return self._pool.apply_async(
            self._run, (func, self._round), callback=callback, error_callback=callback
        )

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, out: Any) -> Any:
        """The results of a batch, which are a list; an error is raised."""
        if isinstance(out, BaseException):
            raise out
        return out

    def terminate(self) -> None:
        """The last batch was submitted: the threads end when theirs are done."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Stop what runs on the nodes, and begin no more of what was submitted."""
        with self._lock:
            self._round += 1
            running = list(self._running)
        for job in running:
            job.cancel()
        self.terminate()

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """Tasks that use joblib themselves run one after the other: all processes are busy."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None

    # -- on the threads ----------------------------------------------------------------------------

    def _run(self, tasks: Callable[[], list[Any]], round_: int) -> list[Any]:
        for _ in range(TRIES - 1):
            try:
                return self._try(tasks, round_)
            except (CallLost, NodeOffline) as error:
                if error.may_have_run:
                    raise
        return self._try(tasks, round_)

    def _try(self, tasks: Callable[[], list[Any]], round_: int) -> list[Any]:
        if round_ != self._round:
            raise CallCancelled("joblib has stopped before this batch began.", may_have_run=False)
        executor = connect(self._gateway, self._api_key).on(self._node_id)
        job: RemoteJob[list[Any]] = executor.ship(Batch(tasks, self._threads), (), {})
        with self._lock:
            self._running.add(job)
            is_late = round_ != self._round
        if is_late:
            job.cancel()
        try:
            return job.result()
        finally:
            self._running.discard(job)

    def _nodes(self) -> list[NodeInfo]:
        """The nodes that run tasks."""
        nodes = connect(self._gateway, self._api_key).known_nodes()
        able = [node for node in nodes if node.state == "online" and node.runs_code]
        able = [node for node in able if not node.closed] or able
        if self._node_id:
            able = [node for node in able if node.node_id == self._node_id]
        if not able:
            which = f"No node {self._node_id!r} that runs code" if self._node_id else "No node"
            raise NotFound(
                f"{which} is online at the gateway, so joblib's tasks can't run. Start one: "
                "easyremote node. (With --no-code a node runs nothing that is sent to it.)"
            )
        return able
