"""How weights are stored does not change the answer: 16-bit floats, dense or CSR, memory order, signs, splitting."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from problems import chain, layered

import netspectra as ns

RNG = np.random.default_rng(0)
WEIGHTS = [RNG.standard_normal((20, 16)), RNG.standard_normal((16, 24))]
ADJACENCY = np.triu(RNG.random((30, 30)) * (RNG.random((30, 30)) < 0.5), 1)
ADJACENCY = ADJACENCY + ADJACENCY.T

every_solver = pytest.mark.parametrize("solver", ["dense", "lobpcg"])


def assert_equal(one: ns.Eigenpairs, other: ns.Eigenpairs, atol: float = 0.0) -> None:
    np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, rtol=0, atol=atol)
    np.testing.assert_allclose(np.abs(one.eigenvectors), np.abs(other.eigenvectors), rtol=0, atol=100 * atol)
    assert (one.status, one.dtype, one.n_iterations) == (other.status, other.dtype, other.n_iterations)


@every_solver
@pytest.mark.parametrize("storage", [np.float16, ml_dtypes.bfloat16])
def test_16_bit_floats_are_computed_in_float32(storage: Any, solver: Any, backend: Any) -> None:
    narrow = chain(np.dtype(storage), WEIGHTS)
    wide = chain(np.dtype("float32"), [W.astype(storage) for W in WEIGHTS])
    assert narrow.dtype == storage
    pairs = ns.eigenpairs(narrow, 4, solver=solver, backend=backend)
    assert pairs.dtype == "float32"
    assert_equal(pairs, ns.eigenpairs(wide, 4, solver=solver, backend=backend))


@every_solver
@pytest.mark.parametrize("storage", [np.float16, ml_dtypes.bfloat16])
def test_16_bit_adjacency(storage: Any, solver: Any) -> None:
    narrow = ns.LayerGraph.from_adjacency(ADJACENCY.astype(storage))
    wide = ns.LayerGraph.from_adjacency(ADJACENCY.astype(storage).astype(np.float32))
    assert_equal(ns.eigenpairs(narrow, 4, solver=solver), ns.eigenpairs(wide, 4, solver=solver))


@every_solver
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-5), ("float64", 1e-13)])
def test_dense_and_csr(solver: Any, dtype: str, atol: float, backend: Any) -> None:
    dense = chain(np.dtype(dtype), WEIGHTS)
    sparse = ns.LayerGraph.from_weights([sp.csr_array(W.astype(dtype)) for W in WEIGHTS])
    atol = max(atol, 1e-6 if solver == "lobpcg" else 0)
    one, other = (ns.eigenpairs(g, 4, solver=solver, backend=backend) for g in (dense, sparse))
    np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, rtol=0, atol=atol)
    dense, sparse = (ns.LayerGraph.from_adjacency(A) for A in (ADJACENCY, sp.csr_array(ADJACENCY)))
    one, other = (ns.eigenpairs(g, 4, solver=solver, backend=backend) for g in (dense, sparse))
    np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, rtol=0, atol=atol)


@every_solver
def test_signs_do_not_matter(solver: Any) -> None:
    plain = chain(np.dtype("float64"), [np.abs(W) for W in WEIGHTS])
    assert_equal(
        ns.eigenpairs(chain(np.dtype("float64"), WEIGHTS), 4, solver=solver), ns.eigenpairs(plain, 4, solver=solver)
    )


@every_solver
def test_memory_order_and_strides_do_not_matter(solver: Any) -> None:
    plain = ns.eigenpairs(chain(np.dtype("float64"), WEIGHTS), 4, solver=solver)
    fortran = [np.asfortranarray(W) for W in WEIGHTS]
    strided = [np.repeat(np.repeat(W, 2, axis=0), 3, axis=1)[::2, ::3] for W in WEIGHTS]
    backwards = [W[::-1, ::-1].copy()[::-1, ::-1] for W in WEIGHTS]
    for weights in (fortran, strided, backwards):
        pairs = ns.eigenpairs(ns.LayerGraph.from_weights(weights), 4, solver=solver)
        np.testing.assert_allclose(pairs.eigenvalues, plain.eigenvalues, rtol=0, atol=1e-12)
    flipped = ns.LayerGraph.from_weights([W.T for W in WEIGHTS], orientation="out-in")
    assert_equal(ns.eigenpairs(flipped, 4, solver=solver), plain)


@every_solver
def test_blocks_between_the_same_layers_add_up(solver: Any) -> None:
    W = [np.abs(w) for w in WEIGHTS]
    whole = layered((0, 1, W[0]), (1, 2, W[1]), sizes=(20, 16, 24))
    parts = layered((0, 1, W[0] / 4), (0, 1, 0.75 * W[0]), (1, 2, W[1] / 2), (2, 1, W[1].T / 2), sizes=(20, 16, 24))
    one, other = (ns.eigenpairs(g, 4, solver=solver) for g in (whole, parts))
    np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, rtol=0, atol=1e-8)


@every_solver
def test_a_self_block_counts_its_upper_triangle(solver: Any) -> None:
    lower = np.tril(RNG.random((30, 30)))
    plain = ns.eigenpairs(ns.LayerGraph.from_adjacency(ADJACENCY), 4, solver=solver)
    for block in (np.triu(ADJACENCY), np.triu(ADJACENCY) + np.tril(lower, -1), sp.csr_array(np.triu(ADJACENCY))):
        assert_equal(ns.eigenpairs(layered((0, 0, block), sizes=(30,)), 4, solver=solver), plain, atol=1e-13)


@every_solver
def test_integers_and_booleans(solver: Any) -> None:
    W = RNG.integers(-3, 4, (12, 15))
    for dtype in (np.int8, np.int64):
        one = ns.eigenpairs(ns.LayerGraph.from_weights([W.astype(dtype)]), 3, solver=solver)
        assert one.dtype == "float64"
        assert_equal(one, ns.eigenpairs(chain(np.dtype("float64"), [W]), 3, solver=solver))
    one = ns.eigenpairs(ns.LayerGraph.from_weights([W > 0]), 3, solver=solver)
    assert_equal(one, ns.eigenpairs(chain(np.dtype("float64"), [W > 0]), 3, solver=solver))


@every_solver
def test_mixed_dtypes_take_the_widest(solver: Any) -> None:
    mixed = ns.LayerGraph.from_weights([WEIGHTS[0].astype(np.float32), WEIGHTS[1]])
    pairs = ns.eigenpairs(mixed, 4, solver=solver)
    assert pairs.dtype == "float64"
    wide = ns.LayerGraph.from_weights([WEIGHTS[0].astype(np.float32).astype(np.float64), WEIGHTS[1]])
    np.testing.assert_allclose(pairs.eigenvalues, ns.eigenpairs(wide, 4, solver=solver).eigenvalues, rtol=0, atol=1e-12)
