"""`eigenpairs` on every graph of the table, with every solver, in both dtypes: the acceptance test of the design."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from problems import PROBLEMS, Problem
from spectrum.acceptance import all_eigenvalues, assert_accepted, sine_of_angle

import netspectra as ns
from netspectra.kernels.reference import ReferenceBackend

DTYPES = ["float32", "float64"]
SOLVERS = ["dense", "lobpcg", "auto"]
#: Small and different enough to go through everything once more where a run is slow.
SAMPLE = [
    p
    for p in PROBLEMS
    if p.name in {"ring", "even-skips", "narrow-end", "union-of-4-bipartite", "isolated-and-low-rank"}
]

every_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_solver = pytest.mark.parametrize("solver", SOLVERS)


@cache
def case(problem: Problem, dtype: str) -> tuple[Any, Any]:
    graph = problem.graph(dtype)
    return graph, all_eigenvalues(problem, graph)


@cache
def solved(problem: Problem, dtype: str, solver: Any) -> ns.Eigenpairs:
    return ns.eigenpairs(case(problem, dtype)[0], problem.k, solver=solver, backend="cpu")


@every_problem
@every_dtype
@every_solver
def test_accepted(problem: Problem, dtype: str, solver: Any) -> None:
    pairs = solved(problem, dtype, solver)
    assert pairs.dtype == dtype
    assert_accepted(pairs, *case(problem, dtype))


@every_problem
@every_dtype
def test_solvers_agree(problem: Problem, dtype: str) -> None:
    (_, spectrum), k = case(problem, dtype), problem.k
    dense, iterated = solved(problem, dtype, "dense"), solved(problem, dtype, "lobpcg")
    assert np.abs(dense.eigenvalues - iterated.eigenvalues).max() <= 2 * iterated.tol
    gap = spectrum[k] - spectrum[k - 1] if k < spectrum.size else 0.0
    if gap > 100 * iterated.tol:
        assert sine_of_angle(iterated.eigenvectors, dense.eigenvectors) <= 2 * iterated.tol / gap


@every_problem
@every_dtype
def test_dense_solver_converges_without_escalation(problem: Problem, dtype: str) -> None:
    assert solved(problem, dtype, "dense").status == "converged"


def test_iteration_escalates_only_where_squares_lose_what_is_wanted() -> None:
    escalated = {p.name for p in PROBLEMS for t in DTYPES if solved(p, t, "lobpcg").status != "converged"}
    assert escalated == {
        "complete-bipartite",
        "complete-bipartite-all",
        "star",
        "star-all-pairs",
        "union-of-4-bipartite",
        "path-in-two-layers-all-pairs",
        "block-chain-into-null-space",
        "hardly-any-modules",
        "narrow-middle",
        "isolated-and-low-rank",
        "isolated-on-the-large-side",
    }


@pytest.mark.parametrize("problem", SAMPLE, ids=str)
@every_dtype
@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("xp", ["numpy", "array_api_strict"])
def test_accepted_on_the_array_api_standard_alone(problem: Problem, dtype: str, solver: Any, xp: str) -> None:
    graph, spectrum = case(problem, dtype)
    pairs = ns.eigenpairs(graph, problem.k, solver=solver, backend=ReferenceBackend(xp))
    assert_accepted(pairs, graph, spectrum)


@every_dtype
@pytest.mark.parametrize("tol", [1e-3, 3e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("name", ["path-in-two-layers", "perceptron", "even-skips-random", "union-of-3"])
def test_tolerance_is_kept(name: str, dtype: str, tol: float) -> None:
    problem = next(p for p in PROBLEMS if p.name == name)
    graph, spectrum = case(problem, dtype)
    pairs = ns.eigenpairs(graph, problem.k, solver="lobpcg", tol=tol)
    assert pairs.tol == tol
    assert pairs.dtype == ("float64" if tol < 2e-6 else dtype)  # float32 cannot reach it
    assert_accepted(pairs, graph, spectrum)


@pytest.mark.parametrize("seed", range(6))
def test_no_start_misses_an_eigenvalue(seed: int) -> None:
    for name in ("mirrored", "ring-through-a-pair", "hypercube-in-a-cluster", "union-of-8", "lateral"):
        problem = next(p for p in PROBLEMS if p.name == name)
        graph, spectrum = case(problem, "float64")
        assert_accepted(ns.eigenpairs(graph, problem.k, solver="lobpcg", seed=seed), graph, spectrum)


@pytest.mark.parametrize("spread", [0.05, 0.1])
def test_small_singular_values_need_no_wider_dtype_where_residuals_are_looked_at(spread: float) -> None:
    """A bulk that begins at 0.007 or 0.01, as that of a wide transformer's stream does."""
    rng = np.random.default_rng(0)
    W = 1 + spread * rng.standard_normal((120, 400) if spread < 0.1 else (300, 500))
    narrow, wide = (ns.LayerGraph.from_weights([W.astype(t)]) for t in (np.float32, np.float64))
    found, exact = ns.eigenpairs(narrow, 6, solver="lobpcg"), ns.eigenpairs(wide, 6, solver="dense")
    assert 0.005 < 1 - exact.eigenvalues[1] < 0.011
    assert found.status == "converged"
    assert float(found.residual_norms.max()) <= 2e-5
    np.testing.assert_allclose(found.eigenvalues, exact.eigenvalues, rtol=0, atol=1e-5)
