"""LOBPCG, Laplacian eigenpairs, k-means and n-cut on JAX arrays, alone and inside ``jit`` and ``vmap``."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from jax_kernels.x64 import x64
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from spectrum.acceptance import laplacian, sine_of_angle

import netspectra as ns
from netspectra.errors import GraphError

pytestmark = [pytest.mark.requires("jax"), pytest.mark.usefixtures("narrow")]

SIZES, N_MEMBERS = (16, 12, 10), 3
SKIPS = [(0, 1), (1, 2), (0, 2)]


@pytest.fixture
def narrow():
    with x64(False):
        yield


def matrices(dtype=np.float32, n=24):
    """Symmetric matrices, one of them the path's Laplacian times 1000, one of them zero but for a corner."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((N_MEMBERS, n, n))
    A[0] += 10 * np.diag(np.arange(n))
    A[1] = 1000 * (2 * np.eye(n) - sp.diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1]).toarray())
    A[2] = 0
    A[2, :4, :4] = np.diag([4, 3, 2, 1])
    return ((A + np.swapaxes(A, 1, 2)) / 2).astype(dtype)


def start(n=24, m=8, dtype=np.float32):
    return np.random.default_rng(1).standard_normal((N_MEMBERS, n, m)).astype(dtype)


def networks(seed=0, sizes=SIZES, edges=None):
    """Weights (B, n_in, n_out) of three networks."""
    rng = np.random.default_rng(seed)
    pairs = edges or list(pairwise(range(len(sizes))))
    return [rng.standard_normal((N_MEMBERS, sizes[i], sizes[j])).astype(np.float32) for i, j in pairs]


def graph_of(weights, edges=None, sizes=SIZES):
    pairs = edges or list(pairwise(range(len(sizes))))
    layers = [ns.Layer(f"layer{i}", size) for i, size in enumerate(sizes)]
    return ns.LayerGraph.from_blocks(layers, [ns.Block(*pair, W) for pair, W in zip(pairs, weights, strict=True)])


# -- lobpcg ------------------------------------------------------------------------------------------------------------


def assert_eigenpairs(found, A, k, tol):
    for b, matrix in enumerate(A.astype(np.float64)):
        values, vectors = np.linalg.eigh(matrix)
        bound = np.abs(matrix).sum(axis=1).max()
        np.testing.assert_allclose(found.values[b], values[::-1][:k], rtol=0, atol=2 * tol * bound)
        X = np.asarray(found.vectors[b], np.float64)
        residual = np.linalg.norm(matrix @ X - X * np.asarray(found.values[b], np.float64), axis=0)
        assert residual.max() <= 2 * tol * bound
        np.testing.assert_allclose(found.residual_norms[b], residual, rtol=0.01, atol=1e-5 * bound)
        np.testing.assert_allclose(X.T @ X, np.eye(k), rtol=0, atol=1e-4)
        if values[-k] - values[-k - 1] > 0.01 * bound:
            assert sine_of_angle(X, vectors[:, ::-1][:, :k]) <= 200 * tol


def test_lobpcg_finds_the_largest_eigenpairs_inside_jit(own):
    import jax

    A = matrices()
    found = jax.jit(lambda A, X: own.lobpcg(A, X, 3, tol=1e-5))(A, start())
    assert np.asarray(found.converged).all()
    assert [a.shape for a in found] == [(3, 3), (3, 24, 3), (3, 3), (3,), (3,)]
    assert [a.dtype for a in found] == [np.float32, np.float32, np.float32, np.int32, np.bool_]
    assert_eigenpairs(found, A, 3, 1e-5)


def test_lobpcg_in_float64(own):
    import jax

    A = matrices(np.float64)
    with x64():
        found = jax.jit(lambda A, X: own.lobpcg(A, X, 3, tol=1e-11))(A, start(dtype=np.float64))
        assert found.values.dtype == np.float64
        assert_eigenpairs(found, A, 3, 1e-11)


def test_lobpcg_of_a_function_and_inside_vmap(own):
    """A group of batches, each multiplied by a function; the bound is all that is asked beside it."""
    import jax
    import jax.numpy as jnp

    A = np.stack([matrices(), matrices() + np.eye(24, dtype=np.float32)])
    X = np.stack([start(), start()])

    def solved(A, X):
        bound = jnp.max(jnp.sum(jnp.abs(A), axis=2), axis=1)
        return own.lobpcg(lambda Y: A @ Y, X, 3, norm_bound=bound)

    found = jax.jit(jax.vmap(solved))(A, X)
    for group in range(2):
        assert_eigenpairs(type(found)(*(a[group] for a in found)), A[group], 3, 1e-5)


def test_lobpcg_that_has_not_converged_says_so(own):
    found = own.lobpcg(matrices(), start(), 3, maxiter=1)
    assert not np.asarray(found.converged)[0]
    assert np.isfinite(found.vectors).all()
    assert np.asarray(found.n_iterations).max() == 1


# -- eigenpairs of a network -------------------------------------------------------------------------------------------


def assert_laplacian(found, b, graph, k):
    L = laplacian(graph)
    values, vectors = np.linalg.eigh(L)
    np.testing.assert_allclose(found.values[b], values[:k], rtol=0, atol=2e-5)
    X = np.asarray(found.vectors[b], np.float64)
    assert np.linalg.norm(L @ X - X * np.asarray(found.values[b]), axis=0).max() <= 3e-5
    assert sine_of_angle(X, vectors[:, :k]) <= 1e-3 / (values[k] - values[k - 1])
    degrees = np.sqrt(np.abs(X[:, 0]))
    assert degrees.min() > 0, "the first is the trivial one"


@pytest.mark.parametrize("edges", [None, SKIPS], ids=["chain", "skips"])
def test_eigenpairs_of_several_networks_inside_jit(own, edges):
    import jax

    weights = networks(edges=edges)
    found = jax.jit(lambda W: own.laplacian_eigenpairs(W, 4, edges=edges))(weights)
    assert np.asarray(found.converged).all()
    for b in range(N_MEMBERS):
        graph = graph_of([W[b] for W in weights], edges)
        assert_laplacian(found, b, graph, 4)
        theirs = ns.eigenpairs(graph, 4, backend="cpu")
        np.testing.assert_allclose(found.values[b], theirs.eigenvalues, rtol=0, atol=1e-4)


def test_eigenpairs_of_one_network_inside_vmap(own):
    """What has no axis of members inside ``vmap`` gets one of its own."""
    import jax

    weights = networks()
    found = jax.jit(jax.vmap(lambda *W: own.laplacian_eigenpairs(list(W), 4)))(*weights)
    assert found.vectors.shape == (N_MEMBERS, 1, sum(SIZES), 4)
    for b in range(N_MEMBERS):
        one = type(found)(*(a[b] for a in found))
        assert_laplacian(one, 0, graph_of([W[b] for W in weights]), 4)


def test_orientation_is_that_of_the_framework(own):
    import jax

    one = [W[0] for W in networks()]
    run = jax.jit(lambda W: own.laplacian_eigenpairs(W, 4, orientation="out-in"))
    assert_laplacian(run([W.T for W in one]), 0, graph_of(one), 4)


# -- k-means -----------------------------------------------------------------------------------------------------------


def balls(k=5, size=20, d=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(k), size))
    return (30 * rng.standard_normal((k, d))[labels] + rng.standard_normal((k * size, d))).astype(np.float32), labels


def test_kmeans_is_that_of_scikit_learn(own):
    import jax

    points, labels = zip(*(balls(seed=seed) for seed in range(N_MEMBERS)), strict=True)
    found = jax.jit(lambda P: own.kmeans(P, 5, n_init=6))(np.stack(points))
    assert (found.labels.shape, found.labels.dtype, found.n_iter.shape) == ((3, 100), np.int32, (3, 6))
    for b in range(N_MEMBERS):
        assert adjusted_rand_score(labels[b], np.asarray(found.labels[b])) == 1
        theirs = KMeans(5, n_init=6, random_state=0).fit(points[b])
        assert float(found.inertia[b]) == pytest.approx(theirs.inertia_, rel=1e-4)


def test_kmeans_inside_vmap_and_with_points_left_out(own):
    import jax

    points, labels = zip(*(balls(seed=seed) for seed in range(N_MEMBERS)), strict=True)
    live = np.random.default_rng(3).random((N_MEMBERS, 100)) < 0.8
    spoilt = np.where(live[:, :, None], np.stack(points), np.float32(np.nan))

    def one(P, here):
        found = own.kmeans(P[None], 5, n_init=6, live=here[None])
        return found.labels[0], found.inertia[0]

    found, inertia = jax.jit(jax.vmap(one))(spoilt, live)
    for b in range(N_MEMBERS):
        row = np.asarray(found[b])
        assert (row[~live[b]] == -1).all()
        assert adjusted_rand_score(labels[b][live[b]], row[live[b]]) == 1
        theirs = KMeans(5, n_init=6, random_state=0).fit(points[b][live[b]])
        assert float(inertia[b]) == pytest.approx(theirs.inertia_, rel=1e-4)


def test_kmeans_far_from_the_origin(own):
    points, labels = balls()
    found = own.kmeans(points[None] + np.float32(1e4), 5, n_init=6)
    assert adjusted_rand_score(labels, np.asarray(found.labels[0])) == 1


# -- n-cut -------------------------------------------------------------------------------------------------------------


def test_ncut_is_that_of_the_cpu(own):
    import jax

    weights, n = networks(edges=SKIPS), sum(SIZES)
    labels = np.random.default_rng(0).integers(-1, 4, (N_MEMBERS, n)).astype(np.int32)
    expected = [ns.ncut(graph_of([W[b] for W in weights], SKIPS), labels[b], backend="cpu") for b in range(N_MEMBERS)]
    run = jax.jit(lambda W, c: own.ncut(W, c, 4, edges=SKIPS))
    np.testing.assert_allclose(run(weights, labels), expected, rtol=1e-5)
    mapped = jax.vmap(lambda W, c: own.ncut(W, c, 4, edges=SKIPS))(weights, labels)
    np.testing.assert_allclose(mapped, expected, rtol=1e-5)
    alone = own.ncut([W[0] for W in weights], labels[0], 4, edges=SKIPS)
    assert alone.shape == ()
    assert float(alone) == pytest.approx(expected[0], rel=1e-5)


def test_ncut_of_16_bit_and_integer_weights(own):
    import ml_dtypes

    labels = np.arange(sum(SIZES)) % 3
    for dtype in (np.float16, ml_dtypes.bfloat16, np.int32):
        weights = [(4 * W[0]).astype(dtype) for W in networks()]
        found = own.ncut(weights, labels, 3)
        assert found.dtype == np.float32
        theirs = ns.ncut(graph_of([W.astype(np.float64) for W in weights]), labels, backend="cpu")
        assert float(found) == pytest.approx(theirs, rel=1e-5)


def test_the_whole_recipe_is_one_function(own):
    """Spectral clustering inside ``jit``: embedding, k-means, n-cut, of planted modules."""
    import jax
    import jax.numpy as jnp

    rng, modules = np.random.default_rng(0), [np.arange(size) % 3 for size in (18, 15)]
    inside = modules[0][:, None] == modules[1][None, :]
    W = np.where(inside, 1.0, 0.05) * rng.uniform(0.5, 1.5, (18, 15)).astype(np.float32)

    @jax.jit
    def clustered(W):
        degrees = jnp.concatenate([jnp.sum(W, axis=1), jnp.sum(W, axis=0)])
        pairs = own.laplacian_eigenpairs([W], 3)
        labels = own.kmeans(pairs.vectors / jnp.sqrt(degrees)[:, None], 3, n_init=4).labels[0]
        return labels, own.ncut([W], labels, 3)

    labels, value = clustered(W.astype(np.float32))
    assert adjusted_rand_score(np.concatenate(modules), np.asarray(labels)) == 1
    part = ns.spectral_clustering(ns.LayerGraph.from_weights([W.astype(np.float32)]), 3, backend="cpu")
    assert float(value) == pytest.approx(part.ncut, rel=1e-5)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o: o.lobpcg(matrices(), start(m=3), 3), r"start must have shape \(B, n, m\) with m > n_wanted=3"),
        (lambda o: o.lobpcg(matrices(), start()[0], 3), r"start must have shape .*, got \(24, 8\)"),
        (lambda o: o.lobpcg(matrices()[:2], start(), 3), r"operator must have shape \(B, n, n\) .*, got \(2, 24, 24\)"),
        (lambda o: o.lobpcg(lambda X: X, start(), 3), "norm_bound is needed with a callable operator"),
        (lambda o: o.lobpcg(matrices(), start(), 0), "n_wanted must be an integer of at least 1, got 0"),
        (lambda o: o.lobpcg(matrices(), start(), 3, tol=-1), "tol must be a number"),
        (lambda o: o.lobpcg(matrices(), start(), 3, maxiter=0), "maxiter must be an integer of at least 1, got 0"),
        (lambda o: o.laplacian_eigenpairs(networks(), 1), "k must be an integer of at least 2, got 1"),
        (
            lambda o: o.laplacian_eigenpairs([np.ones((3, 2))], 5),
            r"k must be less than the number of nodes \(5\), got 5",
        ),
        (
            lambda o: o.laplacian_eigenpairs([np.ones((3, 2)), np.ones((3, 2))], 2),
            r"weights\[0\] and weights\[1\] do not",
        ),
        (lambda o: o.laplacian_eigenpairs([np.ones((2, 3, 2)), np.ones((2, 2))], 2), r"weights must all have shape"),
        (lambda o: o.laplacian_eigenpairs([np.ones((2, 3, 2)), np.ones((3, 2, 2))], 2), r"with one B, got"),
        (lambda o: o.laplacian_eigenpairs([], 2), "at least one layer, got an empty list"),
        (lambda o: o.laplacian_eigenpairs(networks(), 2, orientation="oi"), "orientation must be one of"),
        (lambda o: o.laplacian_eigenpairs(networks(), 2, edges=[(0, 1)]), "edges must hold one .* per weight"),
        (lambda o: o.laplacian_eigenpairs(networks(), 2, seed=-1), "seed must be an integer"),
        (lambda o: o.kmeans(np.ones((4, 2)), 2), r"points must have shape \(B, n, d\), got \(4, 2\)"),
        (lambda o: o.kmeans(np.ones((1, 4, 2)), 0), "n_clusters must be an integer of at least 1, got 0"),
        (lambda o: o.kmeans(np.ones((1, 4, 2)), 2, n_init=0), "n_init must be an integer of at least 1, got 0"),
        (
            lambda o: o.ncut(networks(), np.zeros((3, 7), int), 2),
            r"labels must have one entry per node, .*got \(3, 7\)",
        ),
        (lambda o: o.ncut(networks(), np.zeros(38, int), 2), r"labels must have one entry per node"),
        (lambda o: o.ncut(networks(), np.zeros((3, 38), int), 0), "n_clusters must be an integer of at least 1"),
    ],
)
def test_bad_input_is_named(own, call, message):
    with pytest.raises(GraphError, match=message):
        call(own)


def test_everything_public_is_there(own):
    assert all(hasattr(own, name) for name in own.__all__)
    assert set(own.__all__) >= {"kmeans", "laplacian_eigenpairs", "lobpcg", "ncut", "clusterability_penalty"}
