"""The benchmark for a GPU without one: its workloads and peers at tiny sizes, through emulated kernels."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from cuda_kernels.emulated import EmulatedLauncher
from cuda_kernels.host_machine import emulated_backend

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.gpu import density, device_graphs, ensembles, peers  # noqa: E402
from benchmarks.gpu.bench import host_bench  # noqa: E402
from benchmarks.gpu.peer_problem import PeerProblem  # noqa: E402
from benchmarks.gpu.single_graphs import measure_single  # noqa: E402
from benchmarks.gpu.timing import HostClock, repeat  # noqa: E402
from netspectra.bindings.bench.residual import float64_residual  # noqa: E402
from netspectra.bindings.bench.workloads import (  # noqa: E402
    DEEP,
    LANGUAGE_MODEL,
    VGG16,
    ChainShape,
    LanguageModelShape,
    RandomWorkload,
)

TINY_MODEL = LanguageModelShape(n_blocks=2, stream=40, heads=40, hidden=60, vocabulary=70)


@pytest.fixture
def bench(require):
    require("cxx")
    return host_bench(emulated_backend(EmulatedLauncher(guarded=False)))


def all_passed(record):
    return [check for check in record.checks if not check["ok"]] == [] and len(record.checks) > 0


# -- workloads


def test_the_shapes_are_those_of_the_design():
    assert (sum(VGG16.sizes), VGG16.graph.n_stored) == (4227, 1_634_496)
    assert sum(DEEP.width**2 for _ in DEEP.blocks) == 1_006_632_960
    sizes = [size for _, size in LANGUAGE_MODEL.layers]
    assert sum(sizes[a] * sizes[b] for a, b in LANGUAGE_MODEL.blocks) == 6_738_149_376
    assert all(0 in ends for ends in LANGUAGE_MODEL.blocks)  # bipartite against the residual stream
    assert len({*range(len(sizes))} - {layer for ends in LANGUAGE_MODEL.blocks for layer in ends}) == 0


def test_drawn_bfloat16_is_rounded_to_nearest(monkeypatch):
    monkeypatch.setattr(device_graphs, "PANEL_ELEMENTS", 1000)
    drawn = device_graphs.random_bfloat16(np, np.random.default_rng(0), (37, 101))
    rng, rows = np.random.default_rng(0), []
    while len(rows) < 37:
        rows += list(rng.standard_normal((min(9, 37 - len(rows)), 101), dtype=np.float32))
    assert drawn.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(drawn.view(np.uint16), np.array(rows).astype(ml_dtypes.bfloat16).view(np.uint16))


@pytest.mark.parametrize("sizes", [(30, 20, 10), (130, 120, 100)], ids=["dense", "iterated"])
def test_an_ensemble_is_measured_and_held_against_the_cpu(bench, sizes, monkeypatch):
    monkeypatch.setattr(ensembles, "MORE_RESTARTS", 3)
    bench.backend.dense_size = 64
    workload = RandomWorkload("W2", "tiny", sizes, k=3, n_init=2)
    n_nulls = 12 if sizes[0] < 100 else 3
    ensembles.measure_ensemble(bench, workload, goal=1.0, n_nulls=n_nulls, cpu_nulls=n_nulls)
    found = bench.record.figures
    assert all_passed(bench.record), bench.record.checks
    assert "not_measured" not in found
    assert {"shuffle", "degrees", "eigen", "k-means", "sums, n-cut"} <= found["stages"].keys()
    assert ("  explicit matrix" in found["stages"]) == (sizes[0] > 100)
    assert found["median_seconds"] > 0
    assert found["cpu"]["equal_ncuts"] > 0.6
    assert found["seconds_nulls_more_restarts"] > 0
    json.dumps(bench.record.as_dict())


@pytest.mark.parametrize(("shape", "dtype"), [(ChainShape(4, 90), "float32"), (TINY_MODEL, "bfloat16")])
def test_one_graph_is_measured(bench, shape, dtype):
    bench.backend.dense_size = 16
    measure_single(bench, "tiny", shape, 4, dtype=dtype, goal=1.0)
    found = bench.record.figures
    assert all_passed(bench.record), bench.record.checks
    assert found["residual"] == pytest.approx(found["residual_reported"], rel=1e-2)
    assert found["one_product"]["both"]["seconds"] > 0
    assert "not_measured" not in found


def test_residuals_tell_eigenvectors_from_others():
    shape = ChainShape(3, 20)
    problem = PeerProblem(np, shape, k=4)
    theta, X = np.linalg.eigh(problem.dense().astype(np.float64))
    assert problem.residual(theta[-4:], X[:, -4:]) < 1e-6
    assert float64_residual(np, shape, problem.weights, 1 - theta[-4:] + 0.25, X[:, -4:]) == pytest.approx(0.25, 1e-5)


def test_every_form_of_the_peers_operator_is_the_same():
    problem = PeerProblem(np, ChainShape(4, 15), k=3)
    S, X = problem.dense(), problem.start
    np.testing.assert_array_equal(S, S.T)
    np.testing.assert_allclose(problem.apply(X), S @ X, atol=1e-6)
    np.testing.assert_allclose(problem.apply(X[:, 0]), S @ X[:, 0], atol=1e-6)
    data, columns, starts = problem.csr()
    np.testing.assert_array_equal(sp.csr_array((data, columns, starts), shape=S.shape).toarray(), S)


def test_peers_are_measured_and_their_failures_kept(bench):
    problem = PeerProblem(np, ChainShape(4, 60), k=4)

    def dense():
        theta, X = np.linalg.eigh(problem.dense())
        return lambda: (theta[-4:], X[:, -4:], -1)

    def broken():
        raise RuntimeError("no such operator")

    solvers = {"netspectra": lambda: peers.our_solver(bench, problem), "dense": dense, "broken": broken}
    rows = peers.measure_peers(bench, problem, solvers)
    assert all(rows[name]["at_equal_residual"] for name in ("netspectra", "dense"))
    assert rows["netspectra"]["smallest"] == pytest.approx(rows["dense"]["smallest"], abs=1e-5)
    assert bench.record.figures["not_measured"] == ["broken: RuntimeError: no such operator"]
    assert all_passed(bench.record)


@pytest.mark.requires("torch")
def test_torchs_solver_stops_at_the_residual(require):
    require("torch")
    problem = PeerProblem(np, ChainShape(5, 80), k=4)
    for prepare_solver in peers.torch_solvers(problem, None).values():
        theta, X, iterations = prepare_solver()()
        assert problem.residual(theta, X) <= 2e-5
        assert 1 < iterations < peers.MAXITER


def test_densities_are_compared(bench):
    density.measure_densities(bench, size=70, vectors=3)
    assert all_passed(bench.record)
    assert [row["density"] for row in bench.record.figures["densities"]] == list(density.DENSITIES)


def test_time_that_runs_out_is_said(bench):
    bench.deadline = time.monotonic()
    density.measure_densities(bench, size=10)
    assert bench.record.figures["left_out"] == ["density 0.5"]


def test_repeats_end_with_the_budget():
    laps = repeat(HostClock(), lambda: time.sleep(0.01), 50, budget=0.035)
    assert 1 <= len(laps.seconds) <= 3
    assert laps.median >= 0.01
