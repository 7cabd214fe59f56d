"""The official pipeline on all cores: one process per core, one BLAS and OpenMP thread each.

Entering the context starts the processes, imports and runs one clustering in each, so that what is timed afterwards is
the null networks alone.
"""

import multiprocessing
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from netspectra.bindings.bench.official_pipeline import official_null
from netspectra.bindings.bench.workloads import ChainWorkload

__all__ = ["OfficialPool"]

START_SECONDS = 300.0
"""How long the processes may take to start before that counts as a failure."""
WARM_UP_SEED = 2**31 - 1

_task: tuple[list[NDArray[np.float32]], int, int] | None = None


class OfficialPool:
    """Processes that score null networks by :func:`netspectra.bindings.bench.official_pipeline.official_null`.

    Parameters
    ----------
    workload : ChainWorkload
    n_processes : int
    """

    def __init__(self, workload: ChainWorkload, n_processes: int) -> None:
        self._task = (workload.weights, workload.k, workload.n_init)
        self._n_processes = n_processes
        self._pool: Any = None

    def __enter__(self) -> "OfficialPool":
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(self._n_processes + 1)
        self._pool = context.Pool(self._n_processes, _start, (*self._task, ready))
        try:
            ready.wait(START_SECONDS)
        except BaseException:
            self._pool.terminate()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.terminate()
        self._pool.join()

    def ncuts(self, seeds: Iterable[int]) -> NDArray[np.float64]:
        """n-cuts of the null networks of these seeds, in their order."""
        return np.array(self._pool.map(_score, seeds, chunksize=1))


def _start(weights: list[NDArray[np.float32]], k: int, n_init: int, ready: Any) -> None:
    global _task  # noqa: PLW0603  (a pool hands its initial arguments to its tasks in no other way)
    try:
        import sklearn.cluster  # noqa: F401  (only libraries that are loaded can be held to one thread)

        _task = (weights, k, n_init)
        threadpoolctl.threadpool_limits(limits=1)  # for the life of the process
        _score(WARM_UP_SEED)
        if any(pool["num_threads"] != 1 for pool in threadpoolctl.threadpool_info()):
            msg = "expected one thread per process for BLAS and OpenMP"
            raise RuntimeError(msg)
    except BaseException:
        ready.abort()  # or the pool would start processes until its time is over
        raise
    ready.wait(START_SECONDS)


def _score(seed: int) -> float:
    assert _task is not None
    weights, k, n_init = _task
    return official_null(weights, seed, k, n_init)
