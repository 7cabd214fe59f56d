"""Threads of the CPU backend: BLAS held and given back, order kept, failures raised at once."""

from __future__ import annotations

import threading
import time

import pytest
import threadpoolctl

from netspectra.kernels.cpu import CpuBackend
from netspectra.kernels.cpu.workers import run_tasks, single_threaded_blas


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def before():
    """Threads of every BLAS before the test, two where the machine lets us."""
    import scipy.linalg  # noqa: F401

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        found = blas_threads()
        assert found
        yield found
        assert blas_threads() == found


def held() -> bool:
    return set(blas_threads()) == {1}


def test_blas_is_held_and_restored(before):
    with single_threaded_blas():
        assert held()
    assert blas_threads() == before


def test_blas_is_restored_after_an_exception(before):
    def fail():
        with single_threaded_blas():
            assert held()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert blas_threads() == before


def test_the_outermost_holder_restores(before):
    with single_threaded_blas():
        with single_threaded_blas(), CpuBackend(1).session():
            assert held()
        assert held()
    assert blas_threads() == before


def test_any_thread_can_hold(before):
    """Newer threadpoolctl lets the first thread that ever set a limit set others, and silently ignores the rest."""
    seen = []

    def user():
        with single_threaded_blas():
            seen.append(held())

    with single_threaded_blas():
        assert held()
    for _ in range(2):
        thread = threading.Thread(target=user)
        thread.start()
        thread.join()
        assert blas_threads() == before
    assert seen == [True, True]


@pytest.mark.parametrize("last", ["the thread", "the main thread"])
def test_the_last_of_several_threads_restores(before, last):
    """Two users enter and leave in turn: the first to come is the first to go."""
    entered, leave = threading.Event(), threading.Event()

    def user():
        with single_threaded_blas():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=user)
    if last == "the thread":
        with single_threaded_blas():
            thread.start()
            entered.wait(10)
        assert held()
        leave.set()
        thread.join()
    else:
        thread.start()
        entered.wait(10)
        with single_threaded_blas():
            leave.set()
            thread.join()
            assert held()
    assert blas_threads() == before


def test_a_public_call_that_fails_gives_blas_back(before):
    import netspectra as ns

    graph = ns.LayerGraph.from_weights([[[1.0, 2.0], [3.0, 4.0]]])
    with pytest.raises(ns.errors.GraphError):
        ns.spectral_clustering(graph, 40, backend=CpuBackend(2))
    assert blas_threads() == before


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n_tasks", [0, 1, 7])
def test_results_come_in_the_order_of_tasks(n_threads, n_tasks):
    def work(number):
        time.sleep(0.002 * (n_tasks - number))
        return number, threading.current_thread() is threading.main_thread()

    found = run_tasks(work, range(n_tasks), n_threads)
    assert [number for number, _ in found] == list(range(n_tasks))
    assert all(main == (n_threads == 1 or n_tasks <= 1) for _, main in found)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_first_failure_cancels_what_has_not_started(n_threads):
    started = []

    def work(number):
        started.append(number)
        if number == 1:
            message = "task one"
            raise ValueError(message)
        time.sleep(0.02)

    with pytest.raises(ValueError, match="task one"):
        run_tasks(work, range(50), n_threads)
    assert len(started) < 10


@pytest.mark.parametrize("n_threads", [1, 2])
def test_replicates_are_solved_alone_and_in_order(n_threads):
    def solve(backend, replicates):
        return backend.n_threads, replicates

    assert CpuBackend(n_threads).map_replicates(solve, range(3, 8)) == [(1, [i]) for i in range(3, 8)]


def test_a_failure_ends_the_iterations_of_the_other_replicates():
    """Ctrl-C takes effect within a second: whoever iterates is told to stop, and is not waited for."""
    limit = time.perf_counter() + 4

    def solve(backend, replicates):
        if replicates == [0]:
            time.sleep(0.1)
            raise KeyboardInterrupt
        return backend.while_loop(lambda _: time.perf_counter() < limit, lambda s: time.sleep(0.005) or s, 0)

    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        CpuBackend(2).map_replicates(solve, [0, 1])
    assert time.perf_counter() - started < 1


def test_a_backend_can_be_used_again_after_a_failure():
    machine = CpuBackend(2)

    def fail(backend, replicates):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        machine.map_replicates(fail, range(4))
    assert machine.while_loop(lambda s: s < 5, lambda s: s + 1, 0) == 5
    assert machine.map_replicates(lambda b, _: b.while_loop(lambda s: s < 5, lambda s: s + 1, 0), range(3)) == [5] * 3
