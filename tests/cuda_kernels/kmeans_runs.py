"""What the tests of the device's k-means share: points, and one call of either implementation."""

from __future__ import annotations

import array_api_compat.numpy as xp
import numpy as np
from cuda_kernels.emulated import EmulatedLauncher

from netspectra.kernels.cuda import kmeans as on_device
from netspectra.kernels.keys import stream_keys
from netspectra.kernels.reference import ReferenceBackend

__all__ = ["A100", "H100", "KEYS", "REFERENCE", "assert_same_bits", "cluster", "planted"]

REFERENCE = ReferenceBackend()
KEYS = stream_keys(0, "k-means", range(8))
H100, A100 = 232448, 166912  # bytes of shared memory that a thread block may take


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
