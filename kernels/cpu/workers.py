"""Threads of the CPU backend: one Python thread per worker, BLAS held to one thread while they run.

BLAS is held to one thread during every call, single graphs included, and parallel work is cut in pieces by shape alone:
so results never depend on the number of threads. The limit is reference-counted, because two user threads that entered
and left in turn would otherwise leave it behind.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import threadpoolctl

__all__ = ["run_tasks", "single_threaded_blas"]

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_holders = 0
_limit: Any = None


@cache
def _controller() -> threadpoolctl.ThreadpoolController:
    import scipy.linalg  # noqa: F401  (its BLAS must be loaded before the controller looks)

    return threadpoolctl.ThreadpoolController()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread; the last holder to leave restores what was there, exceptions included."""
    global _holders, _limit  # noqa: PLW0603
    with _lock:
        if _holders == 0:
            _release_openblas()
            _limit = _controller().limit(limits=1, user_api="blas")
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _release_openblas()
                _limit.restore_original_limits()
                _release_openblas()
                _limit = None


def _release_openblas() -> None:
    """Let this thread set OpenBLAS's limit: threadpoolctl >= 3.8 obeys only the first thread that ever did."""
    release = getattr(getattr(threadpoolctl, "OpenBLASController", None), "clear_controlling_thread", None)
    if release is not None:
        release(force=True)


def run_tasks(
    function: Callable[[T], R], tasks: Sequence[T], n_threads: int, cancel: threading.Event | None = None
) -> list[R]:
    """Return ``[function(t) for t in tasks]``, run by up to `n_threads` threads, results in task order.

    The first exception (or Ctrl-C) cancels what has not started, sets `cancel` for tasks that look at it, and is raised
    once the running tasks have ended.
    """
    if n_threads <= 1 or len(tasks) <= 1:
        return [function(task) for task in tasks]
    with ThreadPoolExecutor(min(n_threads, len(tasks)), thread_name_prefix="netspectra") as pool:
        futures = [pool.submit(function, task) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            return [future.result() for future in futures]
        except BaseException:
            if cancel is not None:
                cancel.set()
            for future in futures:
                future.cancel()
            raise
