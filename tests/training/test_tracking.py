"""The tracker: the smallest non-trivial eigenpairs from a warm or a cold start, with honest residuals."""

from __future__ import annotations

import numpy as np
import pytest
from training.eigen_sums import dense_spectrum, planted_chain

from netspectra import Block, Layer, LayerGraph
from netspectra.graph.batch import load_batch
from netspectra.graph.laplacian import normalized_laplacian
from netspectra.training import tracking
from netspectra.training.tracking import block_shape, start_block, track

TOL = {np.float32: 1e-5, np.float64: 1e-10}


def graph_of(blocks):
    sizes = {}
    for source, target, W in blocks:
        sizes[source], sizes[target] = W.shape
    return LayerGraph.from_blocks(
        [Layer(f"layer{i}", sizes[i]) for i in range(len(sizes))], [Block(*block) for block in blocks]
    )


def chain(seed=0, sizes=(24, 20, 18, 16), k=3):
    return [(i, i + 1, W) for i, W in enumerate(planted_chain(sizes, k, seed))]


def skips(seed=0):
    """With a skip of even length: not bipartite."""
    return [*chain(seed), (0, 2, planted_chain((24, 18), 3, seed + 1)[0])]


def narrow(seed=0):
    """Its smaller side has fewer nodes than the block has columns."""
    return [(i, i + 1, W) for i, W in enumerate(planted_chain((9, 4, 9), 2, seed))]


GRAPHS = {"chain": chain, "skips": skips, "narrow": narrow}


def tracked(machine, blocks, q, dtype=np.float64, start=None, tol=None, maxiter=500):
    """What the tracker finds on the host, and the batch."""
    batch = load_batch([graph_of([(s, t, W.astype(dtype)) for s, t, W in blocks])], machine)
    name = getattr(machine.xp, np.dtype(dtype).name)
    block = start_block(machine, batch.structure, q, name) if start is None else start
    assert tuple(block.shape) == (1, *block_shape(batch.structure, q))
    return track(batch, q, block, TOL[dtype] if tol is None else tol, maxiter), batch


def true_residual(machine, blocks, found):
    """Largest ``|L x - lambda x|`` of what was found, by SciPy in float64, and the deviation from unit length."""
    L = normalized_laplacian(graph_of(blocks)).toarray()
    values, X = (machine.to_numpy(a)[0].astype(np.float64) for a in (found.eigenvalues, found.vectors))
    lengths = np.linalg.norm(X, axis=0)
    return np.linalg.norm(L @ X - X * values, axis=0).max(), np.abs(lengths - 1).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", GRAPHS)
def test_cold_start_finds_the_bottom_of_the_spectrum(backend, name, dtype):
    q = 2
    blocks = GRAPHS[name]()
    found, _ = tracked(backend, blocks, q, dtype)
    np.testing.assert_allclose(
        backend.to_numpy(found.eigenvalues)[0], dense_spectrum(blocks)[1 : q + 1], atol=30 * np.finfo(dtype).eps
    )
    assert float(found.residual[0]) <= TOL[dtype]
    residual, off_length = true_residual(backend, blocks, found)
    assert residual <= 2 * TOL[dtype]
    assert off_length <= 30 * np.finfo(dtype).eps


@pytest.mark.parametrize("name", GRAPHS)
def test_a_warm_start_on_the_same_weights_needs_no_iteration(backend, name):
    blocks = GRAPHS[name]()
    cold, _ = tracked(backend, blocks, 2)
    warm, _ = tracked(backend, blocks, 2, start=cold.block)
    assert int(cold.n_iterations[0]) > 0
    assert int(warm.n_iterations[0]) == 0
    assert float(warm.residual[0]) <= TOL[np.float64]
    np.testing.assert_allclose(backend.to_numpy(warm.eigenvalues), backend.to_numpy(cold.eigenvalues), atol=1e-13)


@pytest.mark.parametrize("name", ["chain", "skips"])
def test_moving_weights_are_followed_without_iterations(backend, name):
    """Each step leaves a better start behind, so a steady drift is followed at a steady distance."""
    blocks, rng = GRAPHS[name](), np.random.default_rng(1)
    found, _ = tracked(backend, blocks, 2, tol=1e-6)
    for _ in range(12):
        blocks = [(s, t, W * (1 + 0.02 * rng.standard_normal(W.shape))) for s, t, W in blocks]
        found, _ = tracked(backend, blocks, 2, start=found.block, tol=2e-2)
        assert int(found.n_iterations[0]) == 0
    residual, _ = true_residual(backend, blocks, found)
    assert residual == pytest.approx(float(found.residual[0]), rel=1e-6)
    np.testing.assert_allclose(backend.to_numpy(found.eigenvalues)[0], dense_spectrum(blocks)[1:3], atol=1e-3)


def test_the_general_solver_finishes_what_lean_steps_do_not(backend, monkeypatch):
    monkeypatch.setattr(tracking, "LEAN_STEPS", 1)
    blocks = skips(seed=2)
    found, _ = tracked(backend, blocks, 2)
    assert int(found.n_iterations[0]) > 1
    assert float(found.residual[0]) <= TOL[np.float64]
    np.testing.assert_allclose(backend.to_numpy(found.eigenvalues)[0], dense_spectrum(blocks)[1:3], atol=1e-12)


def test_what_does_not_converge_says_so(backend, monkeypatch):
    monkeypatch.setattr(tracking, "LEAN_STEPS", 1)
    blocks = skips(seed=2)
    found, _ = tracked(backend, blocks, 2, maxiter=1)
    assert float(found.residual[0]) > TOL[np.float64]
    residual, _ = true_residual(backend, blocks, found)
    assert residual == pytest.approx(float(found.residual[0]), rel=1e-6)


@pytest.mark.parametrize("name", ["chain", "skips"])
def test_isolated_nodes_are_masked_warm_and_cold(backend, name):
    blocks = GRAPHS[name]()
    warm, _ = tracked(backend, blocks, 2)
    for _, _, W in blocks:  # node 3 of layer 0 and node 5 of layer 1 die
        if W.shape[0] == 24:
            W[3] = 0
        if W.shape == (24, 20):
            W[:, 5] = 0
        if W.shape == (20, 18):
            W[5] = 0
    for start in (warm.block, None):
        found, batch = tracked(backend, blocks, 2, start=start)
        vectors, live = backend.to_numpy(found.vectors)[0], backend.to_numpy(batch.live)[0]
        assert (~live).sum() == 2
        assert not vectors[~live].any()
        np.testing.assert_allclose(backend.to_numpy(found.eigenvalues)[0], dense_spectrum(blocks)[1:3], atol=1e-12)
        residual, _ = true_residual(backend, blocks, found)
        assert residual <= 2 * TOL[np.float64]


def test_disconnected_graph_has_a_second_zero(backend):
    left, right = (planted_chain((13, 12, 12), 2, seed) for seed in (3, 4))
    blocks = [
        (i, i + 1, np.block([[a, np.zeros((a.shape[0], b.shape[1]))], [np.zeros((b.shape[0], a.shape[1])), b]]))
        for i, (a, b) in enumerate(zip(left, right, strict=True))
    ]
    found, _ = tracked(backend, blocks, 3)
    values = backend.to_numpy(found.eigenvalues)[0]
    assert abs(values[0]) <= 1e-13
    np.testing.assert_allclose(values, dense_spectrum(blocks)[1:4], atol=1e-12)


def test_singular_values_of_zero_count_as_eigenvalues_of_one(backend):
    """Blocks of rank one: B has two positive singular values, and the third eigenvalue is 1."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.uniform(0.5, 1.5, size) for size in (30, 16, 14))
    blocks = [(0, 1, np.outer(a, b)), (1, 2, np.outer(b, c))]
    found, _ = tracked(backend, blocks, 2)
    expected = dense_spectrum(blocks)[1:3]
    np.testing.assert_allclose(expected, 1, atol=1e-12)
    np.testing.assert_allclose(backend.to_numpy(found.eigenvalues)[0], expected, atol=1e-6)


def test_weights_that_are_not_finite_leave_the_block_alone(backend):
    blocks = chain()
    good, _ = tracked(backend, blocks, 2)
    batch = load_batch([graph_of(blocks)], backend)
    values = backend.to_numpy(batch.weights[0].values).copy()
    values[0, 2, 3] = np.nan
    object.__setattr__(batch.weights[0], "values", backend.asarray(values))
    with np.errstate(invalid="ignore"):
        bad = track(batch, 2, good.block, 1e-10, 100)
    assert not np.isfinite(float(bad.residual[0]))
    np.testing.assert_array_equal(backend.to_numpy(bad.block), backend.to_numpy(good.block))


def test_a_batch_is_its_members(backend):
    graphs = [graph_of(chain(seed)) for seed in (0, 1, 2)]
    batch = load_batch(graphs, backend)
    block = start_block(backend, batch.structure, 2, backend.xp.float64)
    xp = backend.xp
    found = track(batch, 2, xp.concat([block] * 3, axis=0), 1e-10, 500)
    for b in range(3):
        np.testing.assert_allclose(backend.to_numpy(found.eigenvalues)[b], dense_spectrum(chain(b))[1:3], atol=1e-12)
        assert float(found.residual[b]) <= 1e-10
