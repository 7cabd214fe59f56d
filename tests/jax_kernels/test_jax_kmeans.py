"""k-means in JAX against the reference: the same restarts, in lanes and in lockstep, in both precisions."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from jax_kernels.x64 import x64

from netspectra.kernels.keys import stream_keys
from netspectra.kernels.reference import kmeans as twin

pytestmark = pytest.mark.requires("jax")

KEYS = stream_keys(0, "k-means", [None, 0, 1, 2])
LOCKSTEP = pytest.mark.parametrize("lockstep", [False, True])


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def wide(request):
    with x64(request.param):
        yield np.float64 if request.param else np.float32


@pytest.fixture(scope="module")
def reference():
    from netspectra.kernels.reference import ReferenceBackend

    return ReferenceBackend()


def clustered(points, k, n_init=5, *, live=None, tol=0.0, max_iter=300, keep_all=True, keys=KEYS, lockstep=False):
    """Labels, inertia and iterations of points (n, d) or (B, n, d), as NumPy arrays."""
    import jax

    from netspectra.kernels.jax.kmeans import kmeans

    points = points if points.ndim == 3 else points[None]
    live = np.ones(points.shape[:2], bool) if live is None else live
    run = partial(kmeans, n_clusters=k, n_init=n_init, max_iter=max_iter, keep_all=keep_all, lockstep=lockstep)
    bound = np.full(len(points), tol, jax.dtypes.canonicalize_dtype(np.float64))
    found = jax.jit(run)(points, live, keys=keys[: len(points)], tol=bound)
    return tuple(np.asarray(array) for array in found)


def expected(reference, points, k, n_init=5, *, live=None, tol=0.0, max_iter=300, keep_all=True, keys=KEYS):
    points = points if points.ndim == 3 else points[None]
    live = np.ones(points.shape[:2], bool) if live is None else live
    bound = np.full(len(points), tol)
    return reference.kmeans(points, live, k, n_init, keys, max_iter=max_iter, tol=bound, keep_all=keep_all)


def cloud(n=120, d=5, seed=0, dtype=np.float64):
    """Points without any structure, where many clusterings are about as good."""
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def blobs(k=6, size=20, d=4, seed=0, dtype=np.float64):
    """Balls far apart, in random order."""
    rng = np.random.default_rng(seed)
    points = 40 * rng.standard_normal((k, 1, d)) + rng.standard_normal((k, size, d))
    return rng.permutation(points.reshape(-1, d)).astype(dtype)


def same(mine, theirs):
    np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_array_equal(mine[2], theirs[2])
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("n", "d", "k", "lockstep"), [(300, 11, 12, False), (300, 11, 12, True), (517, 3, 5, False), (64, 8, 16, True)]
)
def test_restarts_are_the_references_in_float64(reference, n, d, k, lockstep):
    points = np.stack([cloud(n, d, seed) for seed in range(3)])
    with x64():
        mine = clustered(points, k, 4, tol=1e-4, lockstep=lockstep)
    assert [array.dtype for array in mine] == [np.int32, np.float64, np.int32]
    same(mine, expected(reference, points, k, 4, tol=1e-4))


def test_more_clusters_and_features_than_are_spelled_out(reference):
    from netspectra.kernels.jax.kmeans import UNROLLED

    points = cloud(300, 20, 1)
    assert UNROLLED < 30 * 20
    with x64():
        same(clustered(points, 30, 3), expected(reference, points, 30, 3))


def test_lanes_that_take_up_restarts_give_what_one_lane_each_gives(reference, monkeypatch):
    from netspectra.kernels.jax import kmeans

    points = cloud(200, 4, 2)
    theirs = expected(reference, points, 7, 11, tol=1e-4)
    assert np.unique(theirs[2]).size > 3
    with x64():
        for lanes in (1, 3, 11):
            monkeypatch.setattr(kmeans, "LANE_POINTS", 200 * lanes)
            same(clustered(points, 7, 11, tol=1e-4), theirs)


@LOCKSTEP
def test_the_best_inertia_is_the_references_without_x64(reference, lockstep):
    points = np.stack([cloud(250, 5, seed, np.float32) for seed in range(3)])
    with x64(False):
        labels, inertia, n_iter = clustered(points, 8, 25, tol=1e-4, lockstep=lockstep)
    assert [array.dtype for array in (labels, inertia, n_iter)] == [np.int32, np.float32, np.int32]
    best = expected(reference, points, 8, 25, tol=1e-4)[1].min(axis=1)
    np.testing.assert_allclose(inertia.min(axis=1), best, rtol=1e-4)


def test_float32_points_are_summed_up_in_float64_with_x64(reference):
    points = cloud(250, 5, 1, np.float32)
    with x64():
        labels, inertia, _ = clustered(points, 8, 25, tol=1e-4, keep_all=False)
    assert inertia.dtype == np.float64
    np.testing.assert_allclose(inertia.min(), expected(reference, points, 8, 25, tol=1e-4)[1].min(), rtol=1e-6)
    wide = points.astype(np.float64)
    means = np.stack([wide[labels[0, 0] == c].mean(axis=0) for c in range(8)])
    np.testing.assert_allclose(inertia.min(), ((wide - means[labels[0, 0]]) ** 2).sum(), rtol=1e-6)


@pytest.mark.parametrize(("k", "d"), [(2, 1), (7, 5)])
def test_separated_balls_are_found(wide, reference, k, d):
    points = blobs(k, 23, d, 3, wide)
    labels, inertia, _ = clustered(points, k, 6, tol=1e-3)
    theirs = expected(reference, points, k, 6, tol=1e-3)
    np.testing.assert_array_equal(labels, theirs[0])
    np.testing.assert_allclose(inertia, theirs[1], rtol=1e-5)


def test_distances_far_from_the_origin_keep_their_digits(wide):
    """|x|^2 - 2 x.c + |c|^2 would lose all of them: 1e8 beside distances of 1."""
    points = blobs(4, 25, 3, 1, wide) / 40 + 1e4
    labels, _, _ = clustered(points, 4, 10, keep_all=False)
    near, _, _ = clustered(blobs(4, 25, 3, 1, wide), 4, 10, keep_all=False)
    for row in (labels[0, 0], near[0, 0]):
        assert np.bincount(row).tolist() == [25] * 4
    assert len(set(zip(labels[0, 0].tolist(), near[0, 0].tolist(), strict=True))) == 4


def test_a_point_out_of_proportion_is_a_cluster_of_its_own(wide):
    points = np.concatenate([blobs(3, 20, 4, 2, wide), np.full((1, 4), 1e6, wide)])
    labels, _, _ = clustered(points, 4, 10, keep_all=False)
    assert sorted(np.bincount(labels[0, 0]).tolist()) == [1, 20, 20, 20]


def test_isolated_points_have_no_label_and_no_weight(wide, reference):
    points = np.stack([cloud(80, 4, seed, wide) for seed in range(2)])
    live = np.random.default_rng(0).random((2, 80)) < 0.7
    live[1, -5:] = False
    crowded = points.copy()
    crowded[~live] = np.inf
    for lockstep in (False, True):
        labels, inertia, n_iter = clustered(crowded, 6, live=live, lockstep=lockstep)
        assert (labels.transpose(0, 2, 1)[~live] == -1).all()
        if wide is np.float64:
            same((labels, inertia, n_iter), expected(reference, points, 6, live=live))
        else:
            alone = clustered(points[1][live[1]], 6, keys=KEYS[1:], lockstep=lockstep)
            np.testing.assert_array_equal(labels[1][:, live[1]], alone[0][0])
            np.testing.assert_allclose(inertia[1], alone[1][0], rtol=1e-6)


def test_fewer_distinct_points_than_clusters(wide, reference):
    points = np.array([[0, 0, 1], [2, 0, 0], [0.5, 4, 0]], wide)[np.arange(20) % 3]
    labels, inertia, _ = clustered(points, 7, 12)
    assert (inertia == 0).all()
    if wide is np.float64:
        np.testing.assert_array_equal(labels, expected(reference, points, 7, 12)[0])  # of equal centres the lowest wins
    assert all(np.unique(row).size == 3 for row in labels[0])


@pytest.mark.parametrize("n", [1, 7])
def test_as_many_clusters_as_points(wide, n):
    labels, inertia, _ = clustered(cloud(n, 3, n, wide), n)
    assert (np.sort(labels, axis=2) == np.arange(n)).all()
    assert (inertia == 0).all()


def test_duplicates_whose_means_round_do_not_hang(wide):
    points = np.array([[0.1, 1 / 3], [0.7, -0.3]], wide)[np.arange(31) % 2]
    _, inertia, n_iter = clustered(points, 5)
    assert (inertia < 31 * np.finfo(wide).eps ** 2 * 8).all()
    assert (n_iter <= 300).all()


@pytest.mark.parametrize("limit", [1, 4])
def test_the_limit_of_iterations_is_kept(reference, limit):
    points = cloud(200, 6, 1)
    with x64():
        mine = clustered(points, 9, 4, max_iter=limit)
    assert (mine[2] <= limit).all()
    same(mine, expected(reference, points, 9, 4, max_iter=limit))


@LOCKSTEP
def test_the_kept_restart_is_the_best_of_all(lockstep):
    points = cloud(150, 5, 4, np.float32)
    labels, inertia, n_iter = clustered(points, 9, 12, lockstep=lockstep)
    kept, same_inertia, same_iter = clustered(points, 9, 12, keep_all=False, lockstep=lockstep)
    assert (labels.shape, kept.shape) == ((1, 12, 150), (1, 1, 150))
    np.testing.assert_array_equal(kept[0, 0], labels[0, np.argmin(inertia[0])])
    np.testing.assert_array_equal(inertia, same_inertia)
    np.testing.assert_array_equal(n_iter, same_iter)


def relocated(points, live, centres, labels):
    import jax

    from netspectra.kernels.jax.kmeans import _relocate_empty

    counted = np.concatenate([points.T, np.ones((1, len(points)))]).astype(points.dtype)
    found, sums = jax.jit(_relocate_empty)(points.T, counted, live, centres, np.array(labels, np.int32))
    return np.asarray(found), np.asarray(sums)


def test_relocation_gives_empty_clusters_the_farthest_points(wide):
    """Ties go to the lowest point, each point moves once, who is not live never, and sums are of the new clusters."""
    points = np.array([[0, 0], [0, 1], [5, 0], [-5, 0], [0, -5], [1, 0], [9, 9]], wide)
    centres = np.array([[0, 0], [100, 0], [0, 0.5], [200, 0]], wide)
    live = np.arange(7) < 6
    labels, sums = relocated(points, live, centres, [0, 2, 0, 0, 0, 0, -1])
    assert labels.tolist() == [0, 2, 1, 3, 0, 0, -1]  # of the three points at distance 5, the first two
    assert (
        labels[:6].tolist()
        == twin._relocate_empty(np, points[:6], centres, np.array([0, 2, 0, 0, 0, 0], np.int32)).tolist()
    )
    assert sums[:, 2].tolist() == [3, 1, 1, 1]
    np.testing.assert_array_equal(sums[:, :2], [points[labels == c].sum(axis=0) for c in range(4)])


def test_a_cluster_that_gives_its_only_point_away_stays_empty(wide):
    points, centres = np.array([[0.0], [0.1], [10.0]], wide), np.array([[0.0], [50.0], [7.0]], wide)
    labels, sums = relocated(points, np.ones(3, bool), centres, [0, 0, 2])
    assert labels.tolist() == [0, 0, 1]
    assert sums[:, 1].tolist() == [2, 1, 0]


def test_nothing_is_relocated_where_every_point_is_a_centre(wide):
    points, centres = np.array([[1.0], [2.0]], wide), np.array([[1.0], [2.0], [1.0]], wide)
    assert relocated(points, np.ones(2, bool), centres, [0, 1])[0].tolist() == [0, 1]
