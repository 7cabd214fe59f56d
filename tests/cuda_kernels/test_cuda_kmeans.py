"""k-means on the emulated GPU against its twin, and that no bit depends on where arrays are or how work is cut."""

from __future__ import annotations

from dataclasses import dataclass

import array_api_compat.numpy as xp
import numpy as np
import pytest
from cuda_kernels.emulated import EmulatedLauncher

from netspectra.errors import LimitError
from netspectra.kernels.cuda import kmeans as on_device
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.keys import stream_keys
from netspectra.kernels.reference import ReferenceBackend
from netspectra.kernels.reference import kmeans as twin

pytestmark = pytest.mark.requires("cxx")
REFERENCE = ReferenceBackend()
KEYS = stream_keys(0, "k-means", range(8))
H100, A100 = 232448, 166912
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def planted(n, d, k, *, members=1, seed=0, dtype=np.float64, distance=1.5):
    """Overlapping balls of different weight, so that Lloyd has work to do."""
    rng = np.random.default_rng(seed)
    means = distance * rng.standard_normal((members, k, d))
    chosen = np.minimum(rng.integers(0, k, (members, n)), rng.integers(0, k, (members, n)))
    return (np.take_along_axis(means, chosen[:, :, None], axis=1) + rng.standard_normal((members, n, d))).astype(dtype)


def cluster(points, k, n_init=4, *, launcher=None, live=None, keys=KEYS, tol=0.0, max_iter=300, keep_all=True):
    """On the emulated device, or on the reference where `launcher` is that."""
    members, n = points.shape[:2]
    live = np.ones((members, n), bool) if live is None else live
    options = {"max_iter": max_iter, "tol": np.full(members, tol), "keep_all": keep_all}
    if launcher is REFERENCE:
        return REFERENCE.kmeans(points, live, k, n_init, keys[:members], **options)
    launcher = EmulatedLauncher() if launcher is None else launcher
    return on_device.kmeans(xp, launcher, points, live, k, n_init, keys[:members], **options)


def assert_same_bits(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# -- against the twin --------------------------------------------------------------------------------------------------

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


# -- empty clusters: Lloyd from given centres --------------------------------------------------------------------------

_LLOYD_FROM = """
extern "C" __global__ void lloyd_from(const WORK* points, const WORK* start, unsigned char* far, int64 n, int64 stride,
                                      int64 d, int64 k, int64 max_iter, int64 n_sums, int64 on_chip, int32* labels,
                                      double* inertia, int32* n_iter) {
    Problem p;
    p.n = n, p.d = d, p.k = k, p.padded = (k + 3) / 4 * 4, p.stride = stride;
    if (on_chip) place<true>(p, shared, far, points, n_sums, true);
    else place<false>(p, shared, far, points, n_sums, false);
    for (int32 e = threadIdx.x; e < k * d; e += blockDim.x) p.centres[e % d * p.padded + e / d] = start[e];
    __syncthreads();
    int32 iterations = iterate(p, max_iter, 0);
    double total = 0;
    for (int32 i = threadIdx.x; i < n; i += blockDim.x) labels[i] = p.labels[i], total += own_distance(p, i);
    total = block_sum(total, p.exchange->parts);
    if (threadIdx.x == 0) *inertia = total, *n_iter = iterations;
}
"""


@dataclass(frozen=True)
class LloydFrom:
    """The Lloyd iterations of kmeans.cu alone."""

    dtype: str
    name: str = "lloyd_from"

    @property
    def source(self):
        return Kernel("kmeans.cu", "", (("WORK", self.dtype),)).source + _LLOYD_FROM


def lloyd_from(points, start, max_iter=300):
    (n, d), k = points.shape, start.shape[0]
    packed = np.zeros((d, n | 1), points.dtype)
    packed[:, :n] = points.T
    block = on_device.block_size(k, d)
    plan = on_device.Plan.of(n | 1, d, k, block, points.itemsize, H100)
    labels, inertia, n_iter = np.full(n, -7, np.int32), np.empty(1), np.empty(1, np.int32)
    far, on_chip = np.empty(plan.scratch, np.uint8), int(plan.kernel == "kmeans_on_chip")
    arguments = [packed, start, far, n, n | 1, d, k, max_iter, plan.n_sums, on_chip, labels, inertia, n_iter]
    EmulatedLauncher().launch(LloydFrom(points.dtype.name), (1, 1, 1), block, arguments, plan.shared)
    return labels, float(inertia[0]), int(n_iter[0])


@DTYPES
@pytest.mark.parametrize("max_iter", [1, 2, 300])
@pytest.mark.parametrize("seed", range(8))
def test_empty_clusters_take_the_farthest_points(monkeypatch, seed, max_iter, dtype):
    """Whole numbers, whose sums are exact, with ties; most centres are so far out that nobody chooses them."""
    rng = np.random.default_rng(seed)
    n, d, k = int(rng.integers(20, 300)), int(rng.integers(1, 8)), int(rng.integers(4, 15))
    points = rng.integers(-9, 10, (n, d)).astype(dtype)
    start = rng.integers(-9, 10, (k, d)).astype(dtype)
    start[rng.random(k) < 0.6] += 1000
    empties = []

    def counted(xp, points, centres, labels):
        out = relocate(xp, points, centres, labels)
        empties.append(int((out != labels).sum()))
        return out

    relocate = twin._relocate_empty
    monkeypatch.setattr(twin, "_relocate_empty", counted)
    monkeypatch.setattr(twin, "_seed_centres", lambda *_: start)
    theirs = twin.kmeans_restart(np, points, k, 0, KEYS[0], max_iter, 0.0)
    mine = lloyd_from(points, start, max_iter)
    assert empties[0] > 0
    np.testing.assert_array_equal(mine[0], theirs[0])
    assert mine[2] == theirs[2]
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-6 if dtype == np.float32 else 1e-12)


def test_a_cluster_that_gives_its_only_point_away_stays_empty(monkeypatch):
    """As in scikit-learn: which clusters are empty is settled before any point moves."""
    points, start = np.array([[0.0], [0.1], [10.0]]), np.array([[0.0], [50.0], [7.0]])
    monkeypatch.setattr(twin, "_seed_centres", lambda *_: start)
    theirs, mine = twin.kmeans_restart(np, points, 3, 0, KEYS[0], 1, 0.0), lloyd_from(points, start, 1)
    np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_array_equal(mine[0], [0, 0, 1])


# -- where arrays are and how work is cut ------------------------------------------------------------------------------

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


def test_ties_between_groups_go_to_the_lowest_restart():
    corners = np.array([[0, 0], [0, 64], [64, 0], [64, 64]], np.float64)
    points = corners[np.arange(16) % 4][None]
    labels, inertia, _ = cluster(points, 4, 8)
    assert np.unique(inertia).size == 1
    assert len({tuple(row) for row in labels[0].tolist()}) > 1
    np.testing.assert_array_equal(cluster(points, 4, 8, keep_all=False)[0][0, 0], labels[0, 0])


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


# -- limits and sizes --------------------------------------------------------------------------------------------------


def test_more_clusters_than_labels_are_refused():
    with pytest.raises(LimitError, match="at most 65,534 clusters, got 65,535"):
        cluster(planted(3, 1, 2), 65535, 1)


def test_the_largest_number_of_clusters_is_possible():
    """The last label is next to the mark of none."""
    points, start = np.array([[5.0], [5.0], [6.0]]), np.zeros((65534, 1))
    start[-2:, 0] = 6, 5
    labels, inertia, n_iter = lloyd_from(points, start)
    np.testing.assert_array_equal(labels, [65533, 65533, 65532])
    assert (inertia, n_iter) == (0, 1)


def test_a_thousand_clusters_of_three_points():
    """Many trials for each centre, more than one pass over the points has room for."""
    points = np.array([[[0.0], [3.0], [9.0]]])
    mine, theirs = (cluster(points, 1000, 1, launcher=where) for where in (None, REFERENCE))
    assert_same_bits(mine, theirs)
    assert np.unique(mine[0]).size == 3


def test_what_fits_on_chip():
    """W1 twice on a multiprocessor of an H100, W2 once; W2 does not fit an A100."""
    first, second = ((n | 1, 11, 12, on_device.block_size(12, 11), 4) for n in (1818, 4227))
    W1, W2 = on_device.Plan.of(*first, H100), on_device.Plan.of(*second, H100)
    assert (W1.kernel, W2.kernel) == ("kmeans_on_chip", "kmeans_on_chip")
    assert 2 * (W1.shared + 1024) <= H100 + 1024
    assert on_device.Plan.of(*first, A100).kernel == "kmeans_on_chip"
    streaming = on_device.Plan.of(*second, A100)
    assert (streaming.kernel, streaming.centres_near) == ("kmeans_streaming", True)
