"""The machines that the kernel tests compare: the oracle, and the CPU with one and with two threads."""

from __future__ import annotations

import numpy as np
import pytest

from netspectra.kernels.cpu import CpuBackend
from netspectra.kernels.keys import stream_keys
from netspectra.kernels.reference import ReferenceBackend

KMEANS_KEYS = stream_keys(0, "k-means", [None, 0, 1, 2])


@pytest.fixture(scope="session")
def reference() -> ReferenceBackend:
    return ReferenceBackend()


@pytest.fixture(scope="session")
def cpu() -> CpuBackend:
    return CpuBackend(1)


@pytest.fixture(scope="session")
def cpu_two() -> CpuBackend:
    return CpuBackend(2)


@pytest.fixture(scope="session")
def cluster():
    """Return k-means on points (n, d) or (B, n, d): labels, inertia and iterations as NumPy arrays."""

    def run(machine, points, k, n_init=5, *, live=None, tol=0.0, max_iter=300, keep_all=True, keys=KMEANS_KEYS):
        points = points if points.ndim == 3 else points[None]
        n_members = points.shape[0]
        live = np.ones(points.shape[:2], bool) if live is None else live
        found = machine.kmeans(
            machine.asarray(points),
            machine.asarray(live),
            k,
            n_init,
            keys[:n_members],
            max_iter=max_iter,
            tol=machine.asarray(np.full(n_members, tol)),
            keep_all=keep_all,
        )
        return tuple(np.asarray(machine.to_numpy(array)) for array in found)

    return run
