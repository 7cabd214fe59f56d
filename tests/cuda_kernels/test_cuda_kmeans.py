"""k-means on the emulated GPU against its twin."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_kernels.kmeans_runs import KEYS, REFERENCE, assert_same_bits, cluster, planted

from netspectra.errors import LimitError

pytestmark = pytest.mark.requires("cxx")
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# n, d, k: around one warp, one block of 256 and one of 512; the padding of k to 4 and 8; more trials than one pass has
# (k = 20 and 40); sums of a block of 512 and of 256 threads (k d above 512).
SHAPES = [
    (31, 1, 2),
    (32, 2, 3),
    (33, 3, 4),
    (65, 16, 5),
    (97, 17, 7),
    (255, 5, 8),
    (256, 11, 12),
    (257, 20, 9),
    (300, 4, 40),
    (511, 13, 6),
    (513, 8, 16),
    (600, 20, 26),
    (1025, 7, 13),
]


@DTYPES
def test_equals_the_twin_on_planted_points(dtype):
    """Of float32 points at the same distance from two centres to seven digits, a few may go the other way."""
    same, closest, alike = [], [], []
    for seed, (n, d, k) in enumerate(SHAPES):
        points = planted(n, d, k, members=2, seed=seed, dtype=dtype)
        live = np.random.default_rng(seed).random((2, n)) < 0.9
        tol = 1e-4 * float(points.var()) if seed % 2 else 0.0
        mine, theirs = (cluster(points, k, live=live, tol=tol, launcher=where) for where in (None, REFERENCE))
        assert mine[0].dtype == mine[2].dtype == np.int32
        assert mine[1].dtype == np.float64
        assert (mine[0][~np.broadcast_to(live[:, None], mine[0].shape)] == -1).all()
        same += (mine[0] == theirs[0]).all(axis=2).ravel().tolist()
        closest += (np.abs(mine[1] / theirs[1] - 1) < 1e-5).ravel().tolist()
        alike += (mine[2] == theirs[2]).ravel().tolist()
    least = 1.0 if dtype == np.float64 else 0.95
    assert len(same) == 2 * 4 * len(SHAPES)
    assert min(np.mean(same), np.mean(closest), np.mean(alike)) >= least


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_twin_at_random_small_sizes(seed):
    """Several points per cluster: of two lone points next to each other both are equally good centres, by any order."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        d, k = int(rng.integers(1, 21)), int(rng.integers(2, 13))
        n = 4 * k + int(rng.integers(0, 70))
        points = planted(n, d, k, seed=int(rng.integers(1 << 30)))
        mine, theirs = (cluster(points, k, 3, launcher=where) for where in (None, REFERENCE))
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[2], theirs[2])
        np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-12)


@DTYPES
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_the_limit_of_iterations_is_kept(dtype, limit):
    points = planted(200, 6, 9, distance=0.0, dtype=dtype)
    mine, theirs = (cluster(points, 9, max_iter=limit, launcher=where) for where in (None, REFERENCE))
    np.testing.assert_array_equal(mine[2], np.full((1, 4), limit))
    np.testing.assert_array_equal(mine[2], theirs[2])
    np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-6)


def test_a_tolerance_ends_earlier_and_labels_still_are_nearest():
    points = planted(400, 5, 8, distance=0.5)
    tight, loose = (cluster(points, 8, tol=tol) for tol in (0.0, 0.02))
    assert (loose[2] < tight[2]).all()
    assert_same_bits(loose[:1] + loose[2:], cluster(points, 8, tol=0.02, launcher=REFERENCE)[::2])


# -- few points, equal points, no points -------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("n", [1, 2, 5])
def test_fewer_points_than_clusters(dtype, n):
    points = planted(n, 3, 2, seed=n, dtype=dtype)
    mine, theirs = (cluster(points, 7, 6, launcher=where) for where in (None, REFERENCE))
    assert_same_bits(mine, theirs)
    assert (mine[1] == 0).all()
    assert (np.sort(mine[0], axis=2)[:, :, 1:] > np.sort(mine[0], axis=2)[:, :, :-1]).all()


@DTYPES
@pytest.mark.parametrize("n_distinct", [1, 3])
def test_fewer_distinct_points_than_clusters(dtype, n_distinct):
    """Candidates without weight are drawn only where nothing else is left, then the last point."""
    distinct = np.array([[0, 0, 1], [2, 0, 0], [0.5, 4, 0]], dtype)[:n_distinct]
    points = distinct[np.random.default_rng(0).integers(0, n_distinct, (2, 300))]
    mine, theirs = (cluster(points, 6, 8, launcher=where) for where in (None, REFERENCE))
    assert_same_bits(mine, theirs)
    assert (mine[1] == 0).all()


def test_a_candidate_without_weight_is_never_drawn():
    """All but every 97th of 1,500 points stand on one place: each centre must stand on another of the rest."""
    points = np.zeros((1, 1500, 2))
    points[0, ::97] = 100 * planted(16, 2, 4)[0]
    labels, inertia, _ = cluster(points, 17, 20)
    assert (inertia == 0).all()
    for row in labels[0]:
        assert np.unique(row[::97]).size == 16


def test_of_equally_good_candidates_the_first_is_kept():
    """The corners of a cube, every one a centre at last: labels tell in which order. All sums are exact."""
    corners = np.array([[a, b, c] for a in (0, 8) for b in (0, 8) for c in (0, 8)], np.float64)
    points = corners[np.arange(40) % 8][None]
    mine, theirs = (cluster(points, 8, 30, launcher=where) for where in (None, REFERENCE))
    assert_same_bits(mine, theirs)
    assert (mine[1] == 0).all()


def test_a_member_without_live_points_harms_nobody():
    points = planted(60, 3, 4, members=3)
    live = np.ones((3, 60), bool)
    live[1] = False
    labels, inertia, n_iter = cluster(points, 4, live=live)
    assert (labels[1] == -1).all()
    assert (inertia[1] == 0).all()
    assert (n_iter[1] == 0).all()
    rest = cluster(points[::2], 4, keys=KEYS[[0, 2]])
    assert_same_bits((labels[::2], inertia[::2], n_iter[::2]), rest)


# -- many clusters -----------------------------------------------------------------------------------------------------


def test_more_clusters_than_labels_are_refused():
    with pytest.raises(LimitError, match="at most 65,534 clusters, got 65,535"):
        cluster(planted(3, 1, 2), 65535, 1)


def test_a_thousand_clusters_of_three_points():
    """Many trials for each centre, more than one pass over the points has room for."""
    points = np.array([[[0.0], [3.0], [9.0]]])
    mine, theirs = (cluster(points, 1000, 1, launcher=where) for where in (None, REFERENCE))
    assert_same_bits(mine, theirs)
    assert np.unique(mine[0]).size == 3
