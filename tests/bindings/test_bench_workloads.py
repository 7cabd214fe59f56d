"""What benchmarks run on, and what they measure at tiny sizes: planted partitions, stages, solvers, growth, memory."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netspectra.bindings.bench import suites
from netspectra.bindings.bench.accuracy import RESIDUAL_LIMIT, AccuracyError
from netspectra.bindings.bench.children import run_child
from netspectra.bindings.bench.clusterings import clustering_contest
from netspectra.bindings.bench.contests import OURS, run_contest
from netspectra.bindings.bench.ensembles import OFFICIAL, EnsembleSizes, measure_ensemble
from netspectra.bindings.bench.floors import Work, floor_seconds, stage_work
from netspectra.bindings.bench.growth import depths_up_to, exponent, grow_clusters, grow_edges, grow_nodes, grow_nulls
from netspectra.bindings.bench.inertia import median_interval
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.planted import PlantedPartition
from netspectra.bindings.bench.records import Measurement, Record
from netspectra.bindings.bench.residual import largest_residual
from netspectra.bindings.bench.solvers import EIGEN_PEERS, compare_solvers, solver_contest
from netspectra.bindings.bench.stages import StageContests, one_thread
from netspectra.bindings.bench.workloads import DEEP, RandomWorkload, normal_weights, wide_sizes
from netspectra.kernels import get_backend
from netspectra.spectrum.plan import block_width

TINY = RandomWorkload("tiny", "tiny: 40-30-20", (40, 30, 20), k=3, n_init=4)


def unheard(_: str) -> None:
    """Take a line of progress."""


def test_a_planted_partition_is_what_it_says() -> None:
    planted = PlantedPartition(4003, seed=3)
    A, labels = planted.adjacency(), planted.labels
    assert A.shape == (4000, 4000)
    assert (A.dtype, A.indices.dtype, A.indptr.dtype) == (np.float32, np.int32, np.int32)
    assert abs(A - A.T).max() == 0
    assert A.diagonal().max() == 0
    assert set(A.data) == {1}
    assert all(np.all(np.diff(A.indices[a:b]) > 0) for a, b in zip(A.indptr, A.indptr[1:], strict=False))
    np.testing.assert_array_equal(np.bincount(labels), np.full(8, 500))
    rows = np.repeat(np.arange(4000), np.diff(A.indptr))
    inside = np.count_nonzero(labels[rows] == labels[A.indices]) / 4000
    assert inside == pytest.approx(16, abs=0.4)
    assert A.nnz / 4000 - inside == pytest.approx(4, abs=0.2)


def test_a_planted_partition_does_not_depend_on_the_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netspectra.bindings.bench.planted._ROWS", 300)
    A = PlantedPartition(1000).adjacency()
    assert abs(A - A.T).max() == 0
    assert A.nnz / 1000 == pytest.approx(20, abs=1)


def test_drawn_weights_are_those_of_one_generator() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    for block, shape in zip(normal_weights((4, 3, 2), 5), ((4, 3), (3, 2)), strict=True):
        np.testing.assert_array_equal(block, rng.standard_normal(shape, dtype=np.float32))
    assert DEEP.n_edges == 1_006_632_960
    assert len(wide_sizes()) == 6


def test_the_residual_of_exact_pairs_is_rounding() -> None:
    weights = normal_weights((7, 5, 4))
    A = np.zeros((16, 16))
    A[:7, 7:12], A[7:12, 12:] = np.abs(weights[0]), np.abs(weights[1])
    A += A.T
    scale = 1 / np.sqrt(A.sum(axis=0))
    values, vectors = np.linalg.eigh(np.eye(16) - scale[:, None] * A * scale)
    assert largest_residual(weights, values[:3], vectors[:, :3]) < 1e-14
    assert largest_residual(weights, values[:3] + 0.01, vectors[:, :3]) == pytest.approx(0.01)


def test_every_stage_passes_its_checks() -> None:
    with one_thread():
        contests = StageContests(TINY)
        assert {"shuffle", "operator", "eigen", "k-means", "n-cut", "whole null"} <= set(contests.names)
        for stage in contests.names:
            found = run_contest(contests.contest(stage), 1)
            assert found[0].side == OURS
            assert all(each.median > 0 for each in found)


def test_the_work_of_stages_is_counted() -> None:
    with one_thread():
        contests = StageContests(TINY)
        work, floors = stage_work(contests), floor_seconds(contests)
    assert work["shuffle"] == Work(2 * 4 * 1800, 0, 4 * 1800)
    assert work["build"].flops == (40 + 20) * 30**2  # half of a symmetric product: B has the 30 nodes of the middle
    assert work["operator"].flops == 2 * 30**2 * block_width(3, 30)
    assert work["k-means"].flops == 2 * contests.rounds.sum() * 90 * 3 * 3
    assert set(contests.names) == set(floors)
    assert floors["whole null"] == pytest.approx(sum(floors[s] for s in ("shuffle", "eigen", "k-means", "n-cut")))
    assert min(floors.values()) > 0


def test_an_iterated_stage_reads_the_weights_once_per_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netspectra.kernels.cpu.backend.CpuBackend.dense_size", 10)
    with one_thread():
        contests = StageContests(TINY)
        work = stage_work(contests)
    assert not contests.is_dense
    assert work["eigen"].traffic == contests.solution.n_iterations[0] * 4 * 1800
    assert work["operator"].flops == 4 * 1800 * block_width(3, 30)
    assert "build" not in work


def test_a_wrong_answer_of_a_stage_fails() -> None:
    contest = StageContests(TINY).contest("n-cut")
    with pytest.raises(AccuracyError, match="n-cut"):
        contest.check("peer", contest.sides[OURS]() * 1.01)


def test_solvers_work_on_one_operator_to_equal_residual() -> None:
    weights = normal_weights((96, 80, 64))
    found = compare_solvers("small", weights, 4, get_backend("cpu", n_threads=1))
    assert [each.side for each in found] == [OURS, *EIGEN_PEERS]
    assert all(each.finished and each.figures["residual"] <= RESIDUAL_LIMIT for each in found)


def test_a_peer_that_takes_too_long_is_stopped() -> None:
    weights = normal_weights((96, 80, 64))
    found = compare_solvers("small", weights, 4, get_backend("cpu", n_threads=1), peer_seconds=0)
    assert [each.finished for each in found] == [True, False, False]
    contest = solver_contest("small", weights, 4, get_backend("cpu", n_threads=1), peer_seconds=0)
    assert contest.sides["SciPy eigsh"]() is None


@pytest.mark.requires("sklearn")
def test_an_ensemble_beside_the_official_pipeline() -> None:
    found = measure_ensemble(TINY, EnsembleSizes(nulls=6, peer_nulls=4, repeats=2, one_core=False))
    assert [each.side for each in found] == [OURS, OFFICIAL]
    assert [len(each.seconds) for each in found] == [2, 2]
    assert found[1].figures["ks_p"] > 0.01
    assert found[1].figures["n_ncuts"] == 8
    assert found[0].unit == "null network"


def test_the_interval_of_a_median_needs_six_values() -> None:
    low, high = median_interval([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (low, high) == (-math.inf, math.inf)
    assert median_interval([float(i) for i in range(6)]) == (0.0, 5.0)  # outside with 2 * 2**-6 = 3.1%
    draws = np.random.default_rng(0).standard_normal((4000, 31))
    inside = [low <= 0 <= high for low, high in (median_interval(list(each)) for each in draws)]
    assert 0.95 <= np.mean(inside) <= 0.98


@pytest.mark.requires("sklearn")
def test_a_larger_inertia_leaves_no_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netspectra.bindings.bench.inertia.INERTIA_TOLERANCE", -1.0)
    run = suites.Run(Record({}), unheard)
    run.attempt("tiny stages", lambda: run.stages(TINY, 1, 0.1, inertia_sets=8))
    assert run.record.measurements == []
    assert "inertia is larger" in run.record.failures[0]


def test_an_ensemble_without_a_peer() -> None:
    found = measure_ensemble(TINY, EnsembleSizes(nulls=4, peer_nulls=0, repeats=1))
    assert {(each.side, each.parameters["threads"]) for each in found} == {(OURS, 1), (OURS, n_cores())}


@pytest.mark.requires("sklearn")
def test_a_clustering_beside_sklearn() -> None:
    with one_thread():
        found = run_contest(clustering_contest(TINY), 1)
    assert [each.side for each in found] == [OURS, "scikit-learn", "scikit-learn, one thread"]
    assert found[0].figures["residual"] <= RESIDUAL_LIMIT


@pytest.mark.parametrize("slope", [0.9, 1.0, 1.5])
def test_the_exponent_of_a_power_is_its_power(slope: float) -> None:
    sizes = [10, 30, 100, 1000]
    points = [
        Measurement(
            "q", OURS, [0.3 + 2e-3 * n**slope], parameters={"edges": n}, figures={"start_up": 0.3}, axis="edges"
        )
        for n in sizes
    ]
    assert exponent(points) == pytest.approx(slope, rel=1e-9)
    assert math.isnan(exponent(points[:1]))


def test_growth_is_measured_point_by_point() -> None:
    nulls = grow_nulls(TINY, [2, 4], unheard)
    edges = grow_edges(64, [1, 2], unheard, k=3)
    clusters = grow_clusters(TINY, [2, 3], unheard)
    nodes = grow_nodes([800], unheard)
    for points, axis, sizes in (
        (nulls, "nulls", [2, 4]),
        (edges, "edges", [4096, 8192]),
        (clusters, "k", [2, 3]),
        (nodes, "nodes", [800]),
    ):
        assert [point.parameters[axis] for point in points] == sizes
        assert all(point.axis == axis and point.median > 0 for point in points)
    assert edges[0].figures["iterations"] == 30
    assert nodes[0].figures["ari"] > 0.95


def test_depths_reach_the_number_of_edges() -> None:
    assert depths_up_to(1024, 10**9) == [1, 3, 10, 32, 100, 316, 953]
    assert depths_up_to(1024, 10) == [1]


def test_a_child_tells_seconds_and_memory() -> None:
    found = run_child("cluster_planted", {"nodes": 2000})
    assert found["finished"]
    assert found["ari"] > 0.95
    assert 0 < found["building"] < found["seconds"]
    if sys.platform == "linux":
        assert found["peak"] >= found["at_end"] > found["after_import"] > 0


def test_a_child_that_takes_too_long_is_ended() -> None:
    assert run_child("cluster_planted", {"nodes": 2000}, timeout=0.01) == {"finished": False, "seconds": 0.01}


@pytest.mark.skipif(sys.platform != "linux", reason="an orphan has another parent, which Linux tells")
def test_a_child_ends_with_its_parent() -> None:
    """The parent is killed at once; nothing but its child holds the pipe, which is closed when that ends."""
    inner = "from netspectra.bindings.bench.children import run_child; run_child('cluster_planted', {'nodes': 10**8})"
    with subprocess.Popen([sys.executable, "-c", inner], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        deadline = time.monotonic() + 60
        while not (found := children.read_text().split()) and time.monotonic() < deadline:
            time.sleep(0.02)
        parent.kill()
    child = Path(f"/proc/{found[0]}/stat")
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_fails_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match=r"\(cluster_planted\) ended with status 1"):
        run_child("cluster_planted", {"nodes": -8})
    assert "Error" in capfd.readouterr().err


def test_a_failed_check_is_recorded_and_the_run_goes_on(tmp_path: Any) -> None:
    run = suites.Run(Record({}), unheard, tmp_path / "run.json")

    def wrong() -> None:
        message = "differs"
        raise AccuracyError(message)

    run.attempt("first", wrong)
    run.attempt("second", lambda: run.dense_chain((64, 64), 3, peers=None))
    found = Record.read(tmp_path / "run.json")
    assert found.failures == ["first: differs"]
    assert [each.side for each in found.measurements] == [OURS]
    assert found.goals == []  # of another size than any goal is about
