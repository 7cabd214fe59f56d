"""Lloyd iterations on the emulated GPU from given centres: empty clusters, and the largest number of clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from cuda_kernels.emulated import EmulatedLauncher
from cuda_kernels.kmeans_runs import H100, KEYS, assert_same_bits

from netspectra.kernels.cuda import kmeans as on_device
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.reference import kmeans as twin

pytestmark = pytest.mark.requires("cxx")
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])

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
    far, on_chip = np.empty(plan.scratch, np.uint8), int(plan.kernel == "kmeans_on_chip")
    found = []
    for order in ("ascending", "descending"):
        out = np.full(n, -7, np.int32), np.empty(1), np.empty(1, np.int32)
        arguments = [packed, start, far, n, n | 1, d, k, max_iter, plan.n_sums, on_chip, *out]
        launcher = EmulatedLauncher(order=order)
        launcher.launch(LloydFrom(points.dtype.name), (1, 1, 1), block, arguments, plan.shared)
        found.append(out)
    assert_same_bits(*found)
    labels, inertia, n_iter = found[0]
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


def test_of_equally_far_points_the_first_is_taken():
    """Whichever thread holds them, and however many each holds."""
    points = np.where(np.arange(1100) % 2, 9.0, -9.0)[:, None]
    start = np.array([[0.0], [50.0], [60.0], [70.0]])
    labels = lloyd_from(points, start, 1)[0]
    # Points 0, 1 and 2 are taken, so that the centres are near 0, then at -9, 9 and again -9.
    np.testing.assert_array_equal(labels, np.where(np.arange(1100) % 2, 2, 1))


def test_the_largest_number_of_clusters_is_possible():
    """The last label is next to the mark of none."""
    points, start = np.array([[5.0], [5.0], [6.0]]), np.zeros((65534, 1))
    start[-2:, 0] = 6, 5
    labels, inertia, n_iter = lloyd_from(points, start)
    np.testing.assert_array_equal(labels, [65533, 65533, 65532])
    assert (inertia, n_iter) == (0, 1)
