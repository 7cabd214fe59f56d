"""Progress is told to a callable; interrupting from it leaves everything as it was."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import threadpoolctl
from clustering.planted import random_chain

import netspectra as ns
from netspectra.errors import GraphError


def blas_threads() -> list[tuple[str, int]]:
    """Return the thread limit of every BLAS that is loaded."""
    return sorted(
        (library["filepath"], library["num_threads"])
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas"
    )


def interrupt(done: int, total: int, seconds: float) -> None:
    """Stand in for Ctrl-C."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(("n_nulls", "batch_size"), [(10, 3), (10, 10), (4, 1), (5, 100)])
def test_the_callable_hears_of_every_wave(n_nulls: int, batch_size: int) -> None:
    heard: list[tuple[int, int, float]] = []

    def listen(done: int, total: int, seconds: float) -> None:
        heard.append((done, total, seconds))

    ns.clusterability_test(random_chain(), 3, n_nulls=n_nulls, n_init=1, batch_size=batch_size, progress=listen)
    expected = [*range(batch_size, n_nulls, batch_size), n_nulls]
    assert [done for done, _, _ in heard] == expected
    assert {total for _, total, _ in heard} == {n_nulls}
    seconds = [s for _, _, s in heard]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


def test_without_nulls_there_is_no_progress() -> None:
    def refuse(done: int, total: int, seconds: float) -> None:
        raise AssertionError

    assert ns.clusterability_test(random_chain(), 3, n_nulls=0, progress=refuse).n_nulls == 0


@pytest.mark.parametrize("setting", [None, False, True])
def test_a_short_run_draws_nothing_where_nobody_looks(setting: bool | None, capsys: pytest.CaptureFixture[str]) -> None:
    ns.clusterability_test(random_chain(), 3, n_nulls=3, n_init=1, progress=setting)
    captured = capsys.readouterr()
    assert captured.out == ""
    if setting is not True:
        assert captured.err == ""


@pytest.mark.parametrize("setting", ["yes", 1, 0.5, [print]])
def test_anything_else_is_refused(setting: Any) -> None:
    with pytest.raises(GraphError, match=r"progress must be None, a bool or a callable \(done, total, seconds\), got"):
        ns.clusterability_test(random_chain(), 3, n_nulls=3, progress=setting)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_interrupt_restores_the_threads_of_blas(n_threads: int) -> None:
    machine = ns.get_backend("cpu", n_threads=n_threads)
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        before, running = blas_threads(), threading.active_count()
        assert any(count == 2 for _, count in before)
        with pytest.raises(KeyboardInterrupt):
            ns.clusterability_test(
                random_chain(), 3, n_nulls=20, n_init=1, batch_size=4, progress=interrupt, backend=machine
            )
        assert blas_threads() == before
        assert threading.active_count() == running
    again = ns.clusterability_test(random_chain(), 3, n_nulls=20, n_init=1, backend=machine)
    assert np.isfinite(again.null_ncuts).all()


@pytest.mark.skipif(sys.platform == "win32", reason="signals: Windows has another Ctrl-C")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_takes_effect_within_a_second(n_threads: int, request: pytest.FixtureRequest) -> None:
    graph, machine = ns.example_graph("mnist-mlp"), ns.get_backend("cpu", n_threads=n_threads)
    ns.clusterability_test(graph, 12, n_nulls=1, n_init=1, backend=machine)  # compiled
    sent: list[float] = []
    gc.collect()
    gc.disable()  # Python drops an interrupt that arrives in a finalizer: collect no other test's garbage meanwhile
    request.addfinalizer(gc.enable)

    def press() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(1.0, press)
    timer.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits SIGINT ignored
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with pytest.raises(KeyboardInterrupt):
        ns.clusterability_test(graph, 12, n_nulls=5000, batch_size=5000, progress=False, backend=machine)
    timer.join()
    assert time.monotonic() - sent[0] < 1.0


def test_blas_has_one_thread_while_the_test_runs() -> None:
    seen: list[int] = []

    def look(done: int, total: int, seconds: float) -> None:
        seen.extend(count for _, count in blas_threads())

    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        ns.clusterability_test(random_chain(), 3, n_nulls=2, n_init=1, progress=look)
    assert set(seen) == {1}


def test_an_error_restores_the_threads_of_blas() -> None:
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        with pytest.raises(GraphError):
            ns.clusterability_test(random_chain(), 39)
        assert blas_threads() == before
