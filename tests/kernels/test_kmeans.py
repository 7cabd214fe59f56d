"""k-means: scikit-learn's semantics, keyed random numbers, and one twin that is plain to read."""

from __future__ import annotations

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

from netspectra.kernels.cpu import kmeans as cpu_kmeans
from netspectra.kernels.cpu.point_blocks import packed_blocks
from netspectra.kernels.keys import stream_keys
from netspectra.kernels.reference import kmeans as twin

KEYS = stream_keys(0, "k-means", [None])


def cloud(n=120, d=5, seed=0, dtype=np.float64):
    """Points without any structure, where many clusterings are about as good."""
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def blobs(k=6, size=20, d=4, seed=0, dtype=np.float64):
    """Balls far apart, in random order."""
    rng = np.random.default_rng(seed)
    points = 40 * rng.standard_normal((k, 1, d)) + rng.standard_normal((k, size, d))
    return rng.permutation(points.reshape(-1, d)).astype(dtype)


def scaled_tolerance(points, tol=1e-4):
    return float(tol * np.var(points.astype(np.float64), axis=0).mean())


def means_of(points, labels, k):
    wide = points.astype(np.float64)
    return np.stack([wide[labels == c].mean(axis=0) for c in range(k)])


def inertia_of(points, centres, labels):
    return float(((points.astype(np.float64) - centres[labels]) ** 2).sum())


# -- what k-means promises ---------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(n=st.integers(12, 90), d=st.integers(1, 9), k=st.integers(2, 12), seed=st.integers(0, 2**32))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lloyd_never_loses_against_its_seeding(cluster, backend, dtype, n, d, k, seed):
    points = cloud(n, d, seed, dtype)
    labels, inertia, n_iter = cluster(backend, points, k)
    assert labels.dtype == n_iter.dtype == np.int32
    assert inertia.dtype == np.float64
    assert (n_iter >= 1).all()
    for restart in range(5):
        centres = twin._seed_centres(np, points, k, restart, KEYS[0])
        potential = twin._centre_distances(np, points, centres).min(axis=1).sum()
        assert inertia[0, restart] <= potential * (1 + 1e-5)


@settings(max_examples=15)
@given(n=st.integers(12, 90), d=st.integers(1, 9), k=st.integers(2, 12), seed=st.integers(0, 2**32))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_are_nearest_centres_and_centres_are_means(cluster, backend, dtype, n, d, k, seed):
    """With tol = 0 the iteration ends at a fixed point."""
    points = cloud(n, d, seed, dtype)
    labels, inertia, _ = cluster(backend, points, k)
    for row, value in zip(labels[0], inertia[0], strict=True):
        assert np.unique(row).tolist() == list(range(k))
        centres = means_of(points, row, k)
        distances = ((points.astype(np.float64)[:, None, :] - centres) ** 2).sum(axis=2)
        slack = 20 * np.finfo(dtype).eps * (points.astype(np.float64) ** 2).sum(axis=1).max()
        assert (distances[np.arange(n), row] <= distances.min(axis=1) + slack).all()
        np.testing.assert_allclose(value, inertia_of(points, centres, row), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_separated_balls_are_found(cluster, backend, dtype):
    points = blobs(dtype=dtype)
    labels, inertia, _ = cluster(backend, points, 6, 10)
    row = labels[0, np.argmin(inertia[0])]
    assert np.bincount(row).tolist() == [20] * 6
    assert inertia[0].min() < 20 * 6 * 4 * 2


# -- the two implementations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("k", "d"), [(2, 1), (6, 4), (7, 11), (12, 3)])
def test_cpu_equals_its_twin_on_separated_points(cluster, cpu, reference, dtype, k, d):
    points = blobs(k, 23, d, 3, dtype)
    mine, theirs = (cluster(machine, points, k, 6, tol=scaled_tolerance(points)) for machine in (cpu, reference))
    np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_array_equal(mine[2], theirs[2])
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "d", "k"), [(300, 11, 12), (517, 3, 5), (64, 8, 16)])
def test_cpu_equals_its_twin_in_float64_on_any_points(cluster, cpu, reference, n, d, k, seed):
    points = cloud(n, d, seed)
    mine, theirs = (cluster(machine, points, k, 4, tol=scaled_tolerance(points)) for machine in (cpu, reference))
    np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_array_equal(mine[2], theirs[2])
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-12)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_the_limit_of_iterations_is_kept_and_labels_still_are_nearest(cluster, cpu, reference, limit):
    points = cloud(200, 6, 1)
    mine, theirs = (cluster(machine, points, 9, 4, max_iter=limit) for machine in (cpu, reference))
    assert (mine[2] <= limit).all()
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_relocation_gives_empty_clusters_the_farthest_points(cpu):
    """Ties go to the lowest point, each point moves once, and sums and counts are those of the new clusters."""
    points = np.array([[0.0, 0], [0, 1], [5, 0], [-5, 0], [0, -5], [1, 0]])
    centres = np.array([[0.0, 0], [100, 0], [0, 0.5], [200, 0]])
    labels = np.array([0, 2, 0, 0, 0, 0], np.int32)
    expected = [0, 2, 1, 3, 0, 0]  # of the three points at distance 5, the first two
    np.testing.assert_array_equal(twin._relocate_empty(np, points, centres, labels), expected)
    counts = np.bincount(labels, minlength=4).astype(np.int64)
    sums = np.stack([points[labels == c].sum(axis=0) for c in range(4)])
    moved = labels.copy()
    cpu_kmeans._relocate_empty(packed_blocks(points), centres, moved, sums, counts, np.empty(6))
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(counts, [3, 1, 1, 1])
    np.testing.assert_array_equal(sums, [points[moved == c].sum(axis=0) for c in range(4)])


def test_nothing_is_relocated_where_every_point_is_a_centre():
    points, centres = np.array([[1.0], [2.0]]), np.array([[1.0], [2.0], [1.0]])
    labels = np.array([0, 1], np.int32)
    np.testing.assert_array_equal(twin._relocate_empty(np, points, centres, labels), labels)
    moved, counts, sums = labels.copy(), np.array([1, 1, 0]), np.array([[1.0], [2.0], [0.0]])
    cpu_kmeans._relocate_empty(packed_blocks(points), centres, moved, sums, counts, np.empty(2))
    np.testing.assert_array_equal(moved, labels)
    np.testing.assert_array_equal(counts, [1, 1, 0])


# -- against scikit-learn ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tol", [0.0, 1e-4, 1e-2])
def test_lloyd_is_scikit_learns_from_the_same_centres(cluster, backend, tol, seed):
    from sklearn.cluster import KMeans

    points = cloud(250, 5, seed)
    labels, inertia, n_iter = cluster(backend, points, 8, 3, tol=scaled_tolerance(points, tol))
    for restart in range(3):
        start = twin._seed_centres(np, points, 8, restart, KEYS[0])
        with threadpoolctl.threadpool_limits(1):
            peer = KMeans(8, init=start, n_init=1, max_iter=300, tol=tol, algorithm="lloyd").fit(points)
        np.testing.assert_array_equal(labels[0, restart], peer.labels_)
        np.testing.assert_allclose(inertia[0, restart], peer.inertia_, rtol=1e-12)
        assert n_iter[0, restart] == peer.n_iter_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_best_of_25_is_as_good_as_scikit_learns(cluster, cpu, dtype):
    """Medians over 60 seeds of each, on one set of points whose best clusterings differ by 0.1%."""
    from sklearn.cluster import KMeans

    points, keys = cloud(120, 3, 0, dtype), stream_keys(1, "k-means", range(60))
    _, inertia, _ = cluster(
        cpu, np.stack([points] * 60), 5, 25, tol=scaled_tolerance(points), keys=keys, keep_all=False
    )
    with threadpoolctl.threadpool_limits(1):
        peers = [KMeans(5, n_init=25, random_state=seed).fit(points).inertia_ for seed in range(60)]
    assert abs(np.median(inertia.min(axis=1)) / np.median(peers) - 1) < 1e-3
