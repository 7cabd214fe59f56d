"""The public function: arguments, plan, escalation record, and what a result says of itself."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from problems import PROBLEMS, block_chain, chain, random_chain
from spectrum.acceptance import assert_accepted, laplacian

import netspectra as ns
from netspectra.errors import GraphError
from netspectra.graph.batch import load_batch
from netspectra.kernels import get_backend
from netspectra.spectrum import STATUS_MEANING, plan_solver
from netspectra.spectrum.plan import block_width, explicit_fits

GRAPH = random_chain(np.dtype("float64"), (12, 10, 8))


def problem(name: str, dtype: str = "float64") -> Any:
    return next(p for p in PROBLEMS if p.name == name).graph(dtype)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be an integer of at least 1, got 0"),
        ({"k": -2}, "k must be an integer of at least 1, got -2"),
        ({"k": 2.5}, "k must be an integer of at least 1, got 2.5"),
        ({"k": 31}, r"k must be at most the number of non-isolated nodes \(30\), got 31; choose fewer"),
        ({"k": 2, "solver": "arpack"}, r"solver must be one of \['auto', 'dense', 'lobpcg'\], got 'arpack'"),
        ({"k": 2, "tol": 0}, "tol must be a number from 1e-14 .what float64 can reach. to 1 or None, got 0"),
        (
            {"k": 2, "tol": float("nan")},
            "tol must be a number from 1e-14 .what float64 can reach. to 1 or None, got nan",
        ),
        ({"k": 2, "maxiter": 0}, "maxiter must be an integer of at least 1, got 0"),
        ({"k": 2, "seed": -1}, r"seed must be an integer in \[0, 2\*\*64\) or None, got -1"),
        ({"k": 2, "backend": "gpu"}, "backend must be one of .*, got 'gpu'"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        ns.eigenpairs(GRAPH, **arguments)


def test_what_is_no_graph() -> None:
    with pytest.raises(GraphError, match="graph must be a LayerGraph, got ndarray; make one with"):
        ns.eigenpairs(np.eye(3), 2)  # type: ignore[call-overload]


def test_more_pairs_than_live_nodes() -> None:
    with pytest.raises(GraphError, match=r"non-isolated nodes \(26\), got 27"):
        ns.eigenpairs(problem("isolated-and-low-rank"), 27)


@pytest.mark.parametrize("zeros", [0, 1])
def test_an_all_zero_layer_is_named(zeros: int) -> None:
    weights = [np.ones((3, 4)), np.ones((4, 5))]
    weights[zeros][:] = 0
    names = [("layer0", "layer1"), ("layer1", "layer2")][zeros]
    with pytest.raises(GraphError, match=rf"blocks\[{zeros}\] \({names[0]} -> {names[1]}\): all weights are zero"):
        ns.eigenpairs(ns.LayerGraph.from_weights(weights), 2)


def test_weights_that_overflow_are_refused() -> None:
    with pytest.raises(GraphError, match=r"sum overflows float64 .divide them by a common factor"):
        ns.eigenpairs(ns.LayerGraph.from_weights([np.full((30, 30), 1e307)]), 2)


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_one_pair_is_the_trivial_one(solver: Any) -> None:
    degrees = np.abs(GRAPH.blocks[0].weights).sum(axis=1)
    pairs = ns.eigenpairs(GRAPH, 1, solver=solver)
    assert pairs.eigenvalues.tolist() == [0.0]
    assert pairs.gap == pytest.approx(np.linalg.eigvalsh(laplacian(GRAPH))[1], abs=2e-5)
    X = pairs.eigenvectors[:12, 0]
    np.testing.assert_allclose(X / X[0], np.sqrt(degrees / degrees[0]), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize(
    ("name", "unique"),
    [
        ("ring", True),
        ("ring-through-a-pair", False),
        ("hypercube", True),
        ("hypercube-in-a-cluster", False),
        ("union-of-8", False),
        ("star", False),
        ("star-all-pairs", True),
        ("narrow-middle", False),
        ("block-chain", True),
        ("nearly-disconnected", True),
        ("mirrored", True),
    ],
)
def test_a_gap_of_zero_is_reported(name: str, unique: bool, solver: Any, dtype: str) -> None:
    k = next(p for p in PROBLEMS if p.name == name).k
    pairs = ns.eigenpairs(problem(name, dtype), k, solver=solver)
    assert pairs.unique is unique
    assert ("not unique" in pairs.verdict) is not unique


def test_a_seed_is_drawn_and_recorded() -> None:
    one, other = (ns.eigenpairs(GRAPH, 3, solver="lobpcg", seed=None) for _ in range(2))
    assert one.seed != other.seed
    again = ns.eigenpairs(GRAPH, 3, solver="lobpcg", seed=one.seed)
    np.testing.assert_array_equal(again.eigenvectors, one.eigenvectors)


def test_another_seed_is_another_start_and_the_same_answer() -> None:
    one, other = (ns.eigenpairs(GRAPH, 3, solver="lobpcg", tol=1e-10, seed=seed) for seed in (0, 1))
    assert (one.eigenvectors != other.eigenvectors).any()
    np.testing.assert_allclose(np.abs(one.eigenvectors), np.abs(other.eigenvectors), rtol=0, atol=1e-8)


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_threads_do_not_change_anything(solver: Any) -> None:
    graph = random_chain(np.dtype("float32"), (300, 200, 250))
    one, two = (ns.eigenpairs(graph, 5, solver=solver, backend=get_backend("cpu", n_threads=n)) for n in (1, 2))
    np.testing.assert_array_equal(one.eigenvectors, two.eigenvectors)


def test_the_result_speaks_for_itself(tmp_path: Any) -> None:
    pairs = ns.eigenpairs(GRAPH, 3, solver="lobpcg", tol=1e-6, seed=5)
    assert (pairs.solver, pairs.tol, pairs.seed, pairs.backend, pairs.dtype) == ("lobpcg", 1e-6, 5, "cpu", "float64")
    assert pairs.timings["total"] > 0
    assert pairs.n_iterations > 0
    assert repr(pairs).startswith("Eigenpairs(k=3, n=30, status='converged'")
    assert pairs.summary().splitlines()[-1] == pairs.verdict == "Converged: all residuals are within the tolerance."
    plain = json.loads(json.dumps(pairs.to_dict()))
    assert (plain["kind"], plain["status"], len(plain["eigenvalues"])) == ("Eigenpairs", "converged", 3)
    pairs.save(tmp_path / "pairs.npz")
    again = ns.Eigenpairs.load(tmp_path / "pairs.npz")
    np.testing.assert_array_equal(again.eigenvectors, pairs.eigenvectors)
    assert again.to_dict() == pairs.to_dict()


def test_every_status_has_a_meaning() -> None:
    solved = {"converged", "escalated_float64", "escalated_dense"}
    assert set(STATUS_MEANING) == solved | {"not_converged", "precision_limited", "disconnected", "fewer_clusters"}
    star = ns.eigenpairs(problem("star"), 3, solver="lobpcg")
    assert star.status == "escalated_dense"
    assert star.verdict.startswith("Escalated dense: converged only after the iteration was replaced by a dense solve")


def plan(graph: Any, k: int, solver: Any = "auto", tol: float | None = None, maxiter: int | None = None) -> Any:
    return plan_solver(load_batch([graph], get_backend("cpu")), k, solver, tol, maxiter, 0)


def test_small_and_narrow_problems_are_dense_the_others_iterate() -> None:
    def sparse(*sizes: int) -> Any:
        return random_chain(np.dtype("float32"), sizes, density=0.001)

    assert plan(sparse(1500, 1500), 12).solver == "dense"
    assert plan(sparse(1501, 1501), 12).solver == "lobpcg"
    assert plan(sparse(1501, 1501), 300).solver == "dense"  # blocks of more than a fifth of the problem
    assert plan(sparse(500, 500, 500, 500), 12).solver == "dense"
    assert plan(sparse(10, 4000), 12).solver == "dense"
    assert plan(sparse(1000, 17_000), 12).solver == "lobpcg"  # the explicit B would take more than 64 MB
    assert plan(sparse(1501, 1501), 12, "dense").solver == "dense"
    assert plan(sparse(100, 100), 12, "lobpcg").solver == "lobpcg"


def test_tolerance_decides_the_dtype_and_defaults_are_filled_in() -> None:
    single = random_chain(np.dtype("float32"), (9, 8))
    assert (plan(single, 3).dtype, plan(single, 3).tol, plan(single, 3).maxiter) == (np.float32, 1e-5, 500)
    assert plan(single, 3, tol=2e-6).dtype == np.float32
    assert plan(single, 3, tol=1.9e-6).dtype == np.float64
    assert plan(GRAPH, 3, tol=1e-3, maxiter=7).dtype == np.float64
    assert plan(GRAPH, 3, tol=1e-3, maxiter=7).maxiter == 7


def test_a_block_holds_two_to_eight_guard_vectors() -> None:
    for k in range(2, 60):
        wanted = k - 1
        assert 2 <= block_width(k, 10_000) - wanted - 1 <= 8
    assert block_width(12, 8) == 7


def test_too_large_for_a_dense_solve_a_lost_reduction_iterates_on_the_whole(monkeypatch: Any) -> None:
    monkeypatch.setattr("netspectra.spectrum.plan.ESCALATE_SIZE", 4)
    for name, dtype, status in (
        ("star", "float32", "escalated_float64"),
        ("star", "float64", "converged"),
        ("union-of-4-bipartite", "float32", "escalated_float64"),
        ("isolated-and-low-rank", "float64", "converged"),
    ):
        p = next(p for p in PROBLEMS if p.name == name)
        graph = p.graph(dtype)
        assert not explicit_fits(load_batch([graph], get_backend("cpu")).structure)
        pairs = ns.eigenpairs(graph, p.k, solver="lobpcg")
        assert pairs.status == status
        live = laplacian(graph)[:, laplacian(graph).any(axis=0)]
        assert_accepted(pairs, graph, np.linalg.eigvalsh(live[live.any(axis=1)]))


def test_the_gap_to_a_null_space_is_exact_for_the_dense_solver() -> None:
    """The next singular value is 0; as the root of a rounded square it would be 1e-8."""
    weights, values = block_chain(4, 3, 6, 0.125)
    assert ns.eigenpairs(chain(np.dtype("float64"), weights), 6).gap == pytest.approx(values[6] - values[5], abs=1e-14)
