"""The closed-form derivative of eigenvalue sums: against differences, on chains, skips, CSR and batches."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from training.eigen_sums import central_difference, dense_spectrum, planted_chain, relative_error

from netspectra import Block, Layer, LayerGraph
from netspectra.graph.batch import load_batch
from netspectra.graph.laplacian import normalized_laplacian
from netspectra.training.gradient import eigenvalue_gradient

STEP = 1e-5


def graph_of(blocks):
    sizes = {}
    for source, target, W in blocks:
        sizes[source], sizes[target] = W.shape
    return LayerGraph.from_blocks(
        [Layer(f"layer{i}", sizes[i]) for i in range(len(sizes))], [Block(*block) for block in blocks]
    )


def exact_pairs(graph, q):
    """Eigenpairs 2 to q + 1 by LAPACK, their largest residual, and the gap behind them."""
    L = normalized_laplacian(graph).toarray()
    values, vectors = np.linalg.eigh(L)
    values, vectors = values[: q + 2], vectors[:, : q + 2]
    residual = np.linalg.norm(L @ vectors - vectors * values, axis=0).max()
    return values[1 : q + 1], vectors[:, 1 : q + 1], residual, values[q + 1] - values[q]


def gradients_of(machine, graph, q, scale=1.0):
    values, vectors, residual, gap = exact_pairs(graph, q)
    assert residual <= 1e-10
    assert gap >= 1e-2
    batch = load_batch([graph], machine)
    found = eigenvalue_gradient(
        batch, machine.asarray(values[None]), machine.asarray(np.ascontiguousarray(vectors[None])), scale
    )
    return [machine.to_numpy(gradient)[0] for gradient in found]


def chain_blocks(seed=0):
    return [(i, i + 1, W) for i, W in enumerate(planted_chain((9, 8, 8, 6), 3, seed))]


def skip_blocks(seed=0):
    """An even-length skip, so that the graph is not bipartite, and an odd one."""
    first, second, third = planted_chain((9, 8, 8, 6), 3, seed)
    even, odd = planted_chain((9, 8), 3, seed + 1)[0], planted_chain((9, 6), 3, seed + 2)[0]
    return [(0, 1, first), (0, 2, even), (0, 3, odd), (1, 2, second), (2, 3, third)]


GRAPHS = {"chain": chain_blocks, "skips": skip_blocks}


@pytest.mark.parametrize("name", GRAPHS)
def test_central_differences(backend, name):
    blocks = GRAPHS[name]()
    ends, weights = [block[:2] for block in blocks], [block[2] for block in blocks]

    def total(moved):
        return float(dense_spectrum([(*pair, W) for pair, W in zip(ends, moved, strict=True)])[1:3].sum())

    found = gradients_of(backend, graph_of(blocks), 2)
    assert relative_error(found, central_difference(total, weights, STEP)) <= 1e-6


@pytest.mark.parametrize("name", GRAPHS)
def test_scaling_all_weights_changes_no_eigenvalue(backend, name):
    """Euler: eigenvalues of L are homogeneous of degree 0, so the gradient is orthogonal to the weights."""
    blocks = GRAPHS[name](seed=5)
    found = gradients_of(backend, graph_of(blocks), 2, scale=7.0)
    inner = sum(float(np.sum(g * W)) for g, (_, _, W) in zip(found, blocks, strict=True))
    size = np.sqrt(sum(float(np.sum(g * g)) for g in found))
    assert size > 1
    assert abs(inner) <= 1e-11 * size


def test_csr_blocks_get_the_entries_of_dense_ones(backend):
    blocks = skip_blocks()
    sparse = [(s, t, sp.csr_array(np.where(np.abs(W) > 0.15, W, 0))) for s, t, W in blocks]
    dense = [(s, t, W.toarray()) for s, t, W in sparse]
    found = gradients_of(backend, graph_of(sparse), 2)
    expected = gradients_of(backend, graph_of(dense), 2)
    for values, whole, (_, _, W) in zip(found, expected, sparse, strict=True):
        np.testing.assert_allclose(values, whole[W.nonzero()], rtol=0, atol=1e-12)
        assert not whole[W.toarray() == 0].any()


def test_a_flipped_sign_flips_the_derivative(backend):
    blocks = chain_blocks()
    flipped = [(s, t, -W if s == 1 else W) for s, t, W in blocks]
    found, other = (gradients_of(backend, graph_of(b), 2) for b in (blocks, flipped))
    np.testing.assert_allclose(other[1], -found[1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(other[0], found[0], rtol=0, atol=1e-12)


def test_a_batch_is_its_members(backend):
    graphs = [graph_of(chain_blocks(seed)) for seed in (0, 1)]
    pairs = [exact_pairs(graph, 2) for graph in graphs]
    values, vectors = (backend.asarray(np.stack([pair[i] for pair in pairs])) for i in (0, 1))
    found = eigenvalue_gradient(load_batch(graphs, backend), values, vectors)
    for b, graph in enumerate(graphs):
        for gradient, alone in zip(found, gradients_of(backend, graph, 2), strict=True):
            np.testing.assert_allclose(backend.to_numpy(gradient)[b], alone, rtol=0, atol=1e-13)


def test_zero_eigenvalues_of_further_components_contribute_nothing(backend):
    """Two components: number 2 is 0 with vectors constant on each component, after division by sqrt(d)."""
    left, right = planted_chain((5, 4, 4), 1, seed=3), planted_chain((4, 5, 3), 1, seed=4)
    weights = [np.block([[a, np.zeros((a.shape[0], b.shape[1]))], [np.zeros((b.shape[0], a.shape[1])), b]])
               for a, b in zip(left, right, strict=True)]  # fmt: skip
    found = gradients_of(backend, graph_of([(i, i + 1, W) for i, W in enumerate(weights)]), 1)
    assert max(float(np.abs(g).max()) for g in found) <= 1e-13
