"""What LOBPCG and ARPACK are known to fail at, as problems: each ends, and ends in an answer or a flag."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from problems import PROBLEMS, chain, path, path_values, random_chain
from spectrum.acceptance import all_eigenvalues, assert_accepted, assert_orthonormal, laplacian, sine_of_angle

import netspectra as ns
from netspectra.kernels.cpu import CpuBackend
from netspectra.kernels.weights import BlockWeights

MARK = 7.0


def sparse_graph(A: Any) -> ns.LayerGraph:
    return ns.LayerGraph.from_adjacency(sp.csr_array(A))


def path_vectors(n: int, k: int) -> Any:
    """Eigenvectors ``sqrt(d_i) cos(pi i j / (n - 1))`` of the path."""
    d = np.r_[1.0, np.full(n - 2, 2.0), 1.0]
    V = np.sqrt(d)[:, None] * np.cos(np.pi * np.outer(np.arange(n), np.arange(k)) / (n - 1))
    return V / np.linalg.norm(V, axis=0)


@pytest.mark.parametrize(("solver", "tol", "error"), [("dense", None, 1e-11), ("lobpcg", 1e-9, 1e-5)])
def test_path_has_its_analytic_eigenpairs(solver: Any, tol: float | None, error: float) -> None:
    pairs = ns.eigenpairs(sparse_graph(path(200)), 5, solver=solver, tol=tol)
    assert np.abs(pairs.eigenvalues - path_values(200)[:5]).max() <= 1e-9
    for j, v in enumerate(path_vectors(200, 5).T):
        assert sine_of_angle(pairs.eigenvectors[:, j : j + 1], v[:, None]) <= error


def test_float32_does_not_stall() -> None:
    """Residuals of 2e-6 are a few roundings; others stay above 1e-5 on a path."""
    graph = sparse_graph(path(300).astype(np.float32))
    pairs = ns.eigenpairs(graph, 5, solver="lobpcg", tol=2e-6)
    assert (pairs.status, pairs.dtype) == ("converged", "float32")
    assert_accepted(pairs, graph, path_values(300))


@pytest.mark.parametrize("link", [1e-12, 1e-6, 1e-3])
def test_nearly_disconnected_graph_ends(link: float) -> None:
    """Too large for the dense way out; ARPACK and others spend hours on it."""
    rng, parts, n = np.random.default_rng(0), 14, 300
    A = sp.block_diag([sp.random_array((n, n), density=0.03, rng=rng) for _ in range(parts)]).tolil()
    for i in range(parts - 1):
        A[i * n, (i + 1) * n] = link
    A = sp.triu(A.tocsr() + A.tocsr().T, 1)
    graph = sparse_graph(A + A.T)
    pairs = ns.eigenpairs(graph, parts, solver="lobpcg")
    assert pairs.status == "converged"
    assert pairs.n_iterations <= 200
    S = sp.eye_array(graph.n_nodes) - ns.normalized_laplacian(graph)
    R = pairs.eigenvectors * (1 - pairs.eigenvalues) - S @ pairs.eigenvectors
    assert np.linalg.norm(R, axis=0).max() <= 2 * pairs.tol
    assert pairs.eigenvalues.max() <= link + 2 * pairs.tol
    assert pairs.gap > 0.1


def test_more_pairs_than_a_fifth_of_the_nodes() -> None:
    graph = random_chain(np.dtype("float64"), (12, 11, 10))
    spectrum = np.linalg.eigvalsh(laplacian(graph))
    for k in range(1, graph.n_nodes + 1):
        assert_accepted(ns.eigenpairs(graph, k, solver="lobpcg"), graph, spectrum)


def test_more_pairs_than_a_fifth_of_the_nodes_of_a_general_graph() -> None:
    problem = next(p for p in PROBLEMS if p.name == "lateral")
    graph = problem.graph("float32")
    spectrum = all_eigenvalues(problem, graph)
    for k in range(1, graph.n_nodes + 1, 3):
        assert_accepted(ns.eigenpairs(graph, k, solver="lobpcg"), graph, spectrum)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_iteration_is_never_an_unflagged_answer(problem: Any, dtype: str) -> None:
    graph = problem.graph(dtype)
    pairs = ns.eigenpairs(graph, problem.k, solver="lobpcg", maxiter=1)
    assert pairs.status in (
        "converged",
        "escalated_float64",
        "escalated_dense",
    )  # all are small enough for a dense solve
    assert_accepted(pairs, graph, all_eigenvalues(problem, graph))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layered", [False, True])
def test_what_cannot_be_solved_is_flagged(dtype: str, layered: bool) -> None:
    """No dense way out for 4,200 nodes and more, and three iterations in all."""
    A = path(8402).astype(dtype)
    graph = ns.LayerGraph.from_weights([A[::2, 1::2]]) if layered else sparse_graph(A[:4200, :4200])
    pairs = ns.eigenpairs(graph, 4, solver="lobpcg", maxiter=1)
    assert (pairs.status, pairs.converged) == ("not_converged", False)
    assert "Not converged" in pairs.summary().splitlines()[-1]
    assert "maxiter" in pairs.verdict
    assert pairs.n_iterations <= 4
    assert pairs.residual_norms.max() > 2 * pairs.tol
    assert np.isfinite(pairs.eigenvectors).all()
    assert_orthonormal(pairs.eigenvectors)


class Poisoned(CpuBackend):
    """The product with a block whose first weight is MARK is NaN (or infinite) in the given dtypes."""

    def __init__(self, value: float, dtypes: tuple[str, ...] = ("float32", "float64")) -> None:
        super().__init__(1)
        self.value, self.dtypes = value, dtypes

    def block_product(self, weights: BlockWeights, x_source: Any, x_target: Any) -> Any:
        parts = super().block_product(weights, x_source, x_target)
        for y in parts:
            for b in range(weights.n_members if y is not None else 0):
                if weights.values[b].flat[0] == MARK and y.dtype.name in self.dtypes:
                    y[b, 0] = self.value
        return parts


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_a_nan_is_flagged_and_stays_with_its_member(value: float, solver: Any) -> None:
    rng = np.random.default_rng(1)
    weights = rng.random((3, 20, 24))
    weights[1, 0, 0] = MARK
    graphs = [chain(np.dtype("float64"), [W]) for W in weights]
    with np.errstate(all="ignore"):
        pairs = ns.eigenpairs(graphs, 4, solver=solver, backend=Poisoned(value))
    assert [p.status for p in pairs] == ["converged", "not_converged", "converged"]
    for good in (0, 2):
        alone = ns.eigenpairs(graphs[good], 4, solver=solver)
        np.testing.assert_array_equal(pairs[good].eigenvalues, alone.eigenvalues)


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_what_fails_in_float32_is_solved_in_float64(solver: Any) -> None:
    """Of three members the middle one fails in float32: that one alone is escalated, and says so."""
    weights = np.random.default_rng(1).random((3, 20, 24)).astype(np.float32)
    weights[1, 0, 0] = MARK
    graphs = [chain(np.dtype("float32"), [W]) for W in weights]
    with np.errstate(all="ignore"):
        pairs = ns.eigenpairs(graphs, 4, solver=solver, backend=Poisoned(np.nan, ("float32",)))
    middle = "escalated_float64" if solver == "lobpcg" else "converged"  # the dense way: from B, which needs no product
    assert [p.status for p in pairs] == ["converged", middle, "converged"]
    for p, graph in zip(pairs, graphs, strict=True):
        assert p.eigenvectors.dtype == np.float32
        assert_accepted(p, graph, np.linalg.eigvalsh(laplacian(graph)))


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_the_scale_of_the_weights_does_not_matter(solver: Any, scale: float) -> None:
    weights = [np.random.default_rng(2).random((12, 10)), np.random.default_rng(3).random((10, 12))]
    plain = ns.eigenpairs(chain(np.dtype("float64"), weights), 4, solver=solver)
    scaled = ns.eigenpairs(chain(np.dtype("float64"), [W * scale for W in weights]), 4, solver=solver)
    np.testing.assert_allclose(
        scaled.eigenvalues, plain.eigenvalues, rtol=0, atol=1e-8 if solver == "lobpcg" else 1e-13
    )


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("scale", [1e-43, 1e-36, 1e36])
def test_the_scale_of_float32_weights_does_not_matter(solver: Any, scale: float) -> None:
    weights = [np.random.default_rng(2).integers(1, 200, (12, 10)).astype(float) for _ in range(2)]
    weights = [weights[0], weights[1].T]
    plain = ns.eigenpairs(chain(np.dtype("float32"), weights), 4, solver=solver)
    graph = chain(np.dtype("float32"), [W * scale for W in weights])
    scaled = ns.eigenpairs(graph, 4, solver=solver)
    assert_accepted(scaled, graph, np.linalg.eigvalsh(laplacian(graph)))
    np.testing.assert_allclose(scaled.eigenvalues, plain.eigenvalues, rtol=0, atol=1e-2 if scale < 1e-40 else 2e-5)


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_as_many_pairs_as_live_nodes_beside_many_isolated_ones(solver: Any) -> None:
    """The cut is then between what is wanted and what was moved out of the way."""
    for seed in range(25):
        rng = np.random.default_rng(seed)
        A = np.triu(rng.standard_normal((24, 24)) * (rng.random((24, 24)) < 0.5), 1)
        dead = rng.permutation(24)[: 10 + seed % 8]
        A[dead, :] = A[:, dead] = 0.0
        graph = ns.LayerGraph.from_adjacency(A + A.T)
        live = A.any(axis=0) | A.any(axis=1)
        spectrum = np.linalg.eigvalsh(laplacian(graph)[np.ix_(live, live)])
        for k in (spectrum.size - 1, spectrum.size):
            assert_accepted(ns.eigenpairs(graph, k, solver=solver), graph, spectrum)
