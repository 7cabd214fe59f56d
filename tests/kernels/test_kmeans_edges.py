"""k-means at its edges: too few points, isolated points, batches, restarts, threads."""

from __future__ import annotations

import array_api_compat.numpy
import numpy as np
import pytest

from netspectra.kernels.cpu import kmeans as cpu_kmeans
from netspectra.kernels.cpu.point_blocks import packed_blocks
from netspectra.kernels.keys import stream_keys
from netspectra.kernels.reference.kmeans import _relocate_empty

KEYS = stream_keys(0, "k-means", [None, 0, 1, 2])


def cloud(n=120, d=5, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fewer_distinct_points_than_clusters(cluster, backend, reference, dtype):
    distinct = np.array([[0, 0, 1], [2, 0, 0], [0.5, 4, 0]], dtype)
    points = distinct[np.arange(20) % 3]
    labels, inertia, _ = cluster(backend, points, 7, 12)
    assert (inertia == 0).all()
    np.testing.assert_array_equal(labels, cluster(reference, points, 7, 12)[0])  # of equal centres the lowest wins
    for row in labels[0]:
        assert (row == row[np.arange(20) % 3]).all()
        assert np.unique(row).size == 3
        assert ((row >= 0) & (row < 7)).all()


def test_duplicates_whose_means_round_neither_hang_nor_split_the_inertia(cluster, backend):
    points = np.array([[0.1, 1 / 3], [0.7, -0.3]])[np.arange(31) % 2]
    _, inertia, n_iter = cluster(backend, points, 5)
    assert (inertia < 1e-28).all()
    assert (n_iter <= 300).all()


def test_all_points_equal(cluster, backend):
    labels, inertia, _ = cluster(backend, np.ones((9, 3)), 3)
    assert (inertia == 0).all()
    assert (labels == labels[:, :, :1]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 7, 12])
def test_as_many_clusters_as_points(cluster, backend, n, dtype):
    labels, inertia, _ = cluster(backend, cloud(n, 3, n, dtype), n)
    assert (np.sort(labels, axis=2) == np.arange(n)).all()
    assert (inertia == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_isolated_points_have_no_label_and_no_weight(cluster, backend, dtype):
    points = cloud(80, 4, 2, dtype)
    live = np.random.default_rng(0).random(80) < 0.7
    crowded = points.copy()
    crowded[~live] = 1e6
    labels, inertia, n_iter = cluster(backend, crowded, 6, live=live[None])
    alone = cluster(backend, points[live], 6)
    assert (labels[0][:, ~live] == -1).all()
    np.testing.assert_array_equal(labels[0][:, live], alone[0][0])
    np.testing.assert_array_equal(inertia, alone[1])
    np.testing.assert_array_equal(n_iter, alone[2])


@pytest.mark.parametrize("keep_all", [True, False])
def test_members_of_a_batch_do_not_touch_each_other(cluster, backend, keep_all):
    points = np.stack([cloud(60, 3, seed) for seed in range(3)])
    live = np.ones((3, 60), bool)
    live[1, ::3] = False
    together = cluster(backend, points, 5, live=live, keep_all=keep_all)
    for b in range(3):
        alone = cluster(backend, points[b], 5, live=live[b : b + 1], keep_all=keep_all, keys=KEYS[b:])
        for whole, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(whole[b], one[0])


def test_the_kept_restart_is_the_best_of_all(cluster, backend):
    points = cloud(150, 5, 4)
    labels, inertia, n_iter = cluster(backend, points, 9, 12)
    kept, same_inertia, same_iter = cluster(backend, points, 9, 12, keep_all=False)
    assert (labels.shape, kept.shape) == ((1, 12, 150), (1, 1, 150))
    np.testing.assert_array_equal(kept[0, 0], labels[0, np.argmin(inertia[0])])
    np.testing.assert_array_equal(inertia, same_inertia)
    np.testing.assert_array_equal(n_iter, same_iter)


def test_ties_go_to_the_lowest_restart(cluster, backend):
    """Four far corners: every restart finds the same partition, under other names."""
    corners = np.array([[0, 0], [0, 64], [64, 0], [64, 64]], np.float64)
    points = corners[np.arange(16) % 4]
    labels, inertia, _ = cluster(backend, points, 4, 8)
    kept, _, _ = cluster(backend, points, 4, 8, keep_all=False)
    assert np.unique(inertia).size == 1
    assert len({tuple(row) for row in labels[0].tolist()}) > 1
    np.testing.assert_array_equal(kept[0, 0], labels[0, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_init", [1, 2, 7])
@pytest.mark.parametrize("keep_all", [True, False])
def test_threads_change_no_bit(cluster, cpu, cpu_two, n_init, keep_all, dtype):
    points = np.stack([cloud(333, 7, seed, dtype) for seed in range(2)])
    one, two = (cluster(machine, points, 8, n_init, keep_all=keep_all) for machine in (cpu, cpu_two))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_restarts_do_not_depend_on_how_many_there_are(cluster, backend):
    points = cloud(70, 3, 5)
    for few, many in zip(cluster(backend, points, 6, 3), cluster(backend, points, 6, 8), strict=True):
        np.testing.assert_array_equal(few[0], many[0, :3])


def test_other_keys_give_other_restarts(cluster, backend):
    points = cloud(200, 6, 6)
    assert not np.array_equal(cluster(backend, points, 12)[1], cluster(backend, points, 12, keys=KEYS[1:])[1])


def test_a_cluster_that_gives_its_only_point_away_stays_empty():
    """As in scikit-learn and in the twin: which clusters are empty is settled before any point moves."""
    points, centres = np.array([[0.0], [0.1], [10.0]]), np.array([[0.0], [50.0], [7.0]])
    labels, sums, counts = np.array([0, 0, 2], np.int32), np.array([[0.1], [0.0], [10.0]]), np.array([2, 0, 1])
    cpu_kmeans._relocate_empty(packed_blocks(points), centres, labels, sums, counts, np.empty(3))
    assert labels.tolist() == [0, 0, 1]
    assert counts.tolist() == [2, 1, 0]
    np.testing.assert_allclose(sums[:, 0], [0.1, 10.0, 0.0])
    twin = _relocate_empty(array_api_compat.numpy, points, centres, np.array([0, 0, 2], np.int32))
    assert twin.tolist() == [0, 0, 1]
