"""No bit of the device's k-means depends on where its arrays are, how work is cut, or which thread runs first."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_kernels.emulated import EmulatedLauncher
from cuda_kernels.kmeans_runs import A100, H100, KEYS, assert_same_bits, cluster, planted

from netspectra.kernels.cuda import kmeans as on_device

pytestmark = pytest.mark.requires("cxx")
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])

CUTS = [(70, 3, 5), (300, 11, 12), (520, 6, 21), (130, 20, 30)]


@DTYPES
@pytest.mark.parametrize(("n", "d", "k"), CUTS)
def test_on_chip_and_streaming_are_the_same_to_the_bit(n, d, k, dtype):
    points = planted(n, d, k, members=2, dtype=dtype, distance=0.7)
    live = np.random.default_rng(1).random((2, n)) < 0.9
    plans = [on_device.Plan.of(n | 1, d, k, on_device.block_size(k, d), points.itemsize, H100)]
    limits = [H100, plans[0].shared - 1, 1104]
    found = []
    for limit in limits:
        launcher = EmulatedLauncher(shared_limit=limit)
        found.append(cluster(points, k, live=live, launcher=launcher))
        found.append(cluster(points, k, live=live, launcher=launcher, keep_all=False))
        chip = "kmeans_on_chip" if limit == H100 else "kmeans_streaming"
        assert {launch.name for launch in launcher.launches} == {chip}
        assert all((launch.shared == 1104) == (limit == 1104) for launch in launcher.launches)
    for both in range(2):
        assert_same_bits(found[both], found[2 + both])
        assert_same_bits(found[both], found[4 + both])


@DTYPES
@pytest.mark.parametrize("n_init", [1, 2, 7, 10])
@pytest.mark.parametrize("keep_all", [True, False])
def test_groups_of_restarts_change_no_bit(dtype, n_init, keep_all):
    points = planted(150, 4, 6, members=2, dtype=dtype, distance=0.5)
    found, groups = [], set()
    for wanted in (1, 2, 3, 132):
        launcher = EmulatedLauncher(multiprocessors=wanted)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(on_device, "BLOCKS_PER_MULTIPROCESSOR", 2)
            found.append(cluster(points, 6, n_init, launcher=launcher, keep_all=keep_all))
        groups.add(launcher.launches[0].grid)
    assert groups == {(min(wanted, n_init), 2, 1) for wanted in (1, 2, 3, 132)}
    for other in found[1:]:
        assert_same_bits(found[0], other)


@DTYPES
def test_the_kept_restart_is_the_best_of_all(dtype):
    points = planted(180, 5, 9, members=3, dtype=dtype, distance=0.5)
    labels, inertia, n_iter = cluster(points, 9, 13)
    for multiprocessors in (1, 4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(on_device, "BLOCKS_PER_MULTIPROCESSOR", 3)
            launcher = EmulatedLauncher(multiprocessors=multiprocessors)
            kept = cluster(points, 9, 13, keep_all=False, launcher=launcher)
        best = np.argmin(inertia, axis=1)
        assert_same_bits(kept, (labels[np.arange(3), best][:, None], inertia, n_iter))


@pytest.mark.parametrize("groups", [1, 3, 8])
def test_ties_between_restarts_go_to_the_lowest(monkeypatch, groups):
    corners = np.array([[0, 0], [0, 64], [64, 0], [64, 64]], np.float64)
    points = corners[np.arange(16) % 4][None]
    labels, inertia, _ = cluster(points, 4, 8)
    assert np.unique(inertia).size == 1
    assert len({tuple(row) for row in labels[0].tolist()}) > 1
    monkeypatch.setattr(on_device, "BLOCKS_PER_MULTIPROCESSOR", 1)
    launcher = EmulatedLauncher(multiprocessors=groups)
    kept, _, _ = cluster(points, 4, 8, keep_all=False, launcher=launcher)
    assert launcher.launches[0].grid == (groups, 1, 1)
    np.testing.assert_array_equal(kept[0, 0], labels[0, 0])


@DTYPES
@pytest.mark.parametrize("limit", [H100, 1104])
def test_a_member_of_a_batch_equals_the_member_alone(dtype, limit):
    points = planted(90, 5, 7, members=4, dtype=dtype)
    live = np.random.default_rng(3).random((4, 90)) < 0.8
    launcher = EmulatedLauncher(shared_limit=limit)
    together = cluster(points, 7, live=live, launcher=launcher)
    for b in range(4):
        alone = cluster(points[b : b + 1], 7, live=live[b : b + 1], keys=KEYS[b:], launcher=launcher)
        assert_same_bits([whole[b : b + 1] for whole in together], alone)
        packed = cluster(points[b : b + 1, live[b]], 7, keys=KEYS[b:], launcher=launcher)
        np.testing.assert_array_equal(packed[0][0], alone[0][0][:, live[b]])
        assert_same_bits(packed[1:], alone[1:])


@pytest.mark.parametrize("shared", [H100, 20000])
def test_members_are_done_in_several_launches_where_memory_is_short(monkeypatch, shared):
    points = planted(900, 6, 5, members=5, dtype=np.float32)
    whole = cluster(points, 5, 2, launcher=EmulatedLauncher(shared_limit=shared))
    launcher = EmulatedLauncher(shared_limit=shared)
    name, value = ("MAX_GRID_YZ", 2) if shared == H100 else ("SCRATCH_BYTES", 25_000)
    monkeypatch.setattr(on_device, name, value)
    assert_same_bits(cluster(points, 5, 2, launcher=launcher), whole)
    assert [launch.grid[1] for launch in launcher.launches] == [2, 2, 1]


def test_the_order_in_which_threads_run_changes_no_bit():
    """A missing barrier would show here."""
    points = planted(300, 6, 21, members=2, distance=0.3)
    points[1, 20:] = points[1, np.random.default_rng(0).integers(0, 20, 280)]
    for limit in (H100, 1104):
        found = [
            cluster(points, 21, launcher=EmulatedLauncher(shared_limit=limit, order=order))
            for order in ("ascending", "descending", "alternating")
        ]
        assert_same_bits(found[0], found[1])
        assert_same_bits(found[0], found[2])


def test_what_fits_on_chip():
    """W1 twice on a multiprocessor of an H100, W2 once; W2 does not fit an A100."""
    first, second = ((n | 1, 11, 12, on_device.block_size(12, 11), 4) for n in (1818, 4227))
    W1, W2 = on_device.Plan.of(*first, H100), on_device.Plan.of(*second, H100)
    assert (W1.kernel, W2.kernel) == ("kmeans_on_chip", "kmeans_on_chip")
    assert 2 * (W1.shared + 1024) <= H100 + 1024
    assert on_device.Plan.of(*first, A100).kernel == "kmeans_on_chip"
    streaming = on_device.Plan.of(*second, A100)
    assert (streaming.kernel, streaming.centres_near) == ("kmeans_streaming", True)
