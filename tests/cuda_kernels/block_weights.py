"""Random blocks for the kernel tests, and whether two machines draw the same null networks of one graph."""

from __future__ import annotations

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import scipy.sparse as sp

from netspectra.graph.batch import load_batch
from netspectra.kernels import get_backend
from netspectra.kernels.reference import ReferenceBackend
from netspectra.nulls.model import prepare_null

STORED = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
WORK = {np.float32: 2e-5, np.float64: 1e-12}
REFERENCE = ReferenceBackend()


def random_weights(shape, dtype, *, density=1.0, seed=0):
    """Draw weights (members, m, n) for a shape (m, n, vectors, members)."""
    m, n, _, members = shape
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((members, m, n)) * (rng.random((members, m, n)) < density)).astype(dtype)


def as_csr(machine, W, index):
    """CSR of W (members, m, n) on the machine, the index type chosen; and the same for the oracle."""
    exact = [sp.csr_array(member.astype(np.float64)) for member in W]
    parts = [
        SimpleNamespace(data=A.data.astype(W.dtype), indices=A.indices.astype(index), indptr=A.indptr, shape=A.shape)
        for A in exact
    ]
    return machine.load_block(parts, symmetric=False), REFERENCE.load_block(exact, symmetric=False)


def assert_same_null_networks(machine, graph, null="shuffle"):
    """Null networks 0 and 5 of a graph, bit for bit those of the CPU; their degrees to rounding."""
    drawn = []
    for backend in (machine, get_backend("cpu")):
        model = prepare_null(graph, load_batch([graph], backend), null, 7)
        drawn.append(model.draw(backend, [0, 5]))
    for ours, theirs in zip(drawn[0].weights, drawn[1].weights, strict=True):
        for field in ("values", "indices", "indptr") if hasattr(ours, "indptr") else ("values",):
            np.testing.assert_array_equal(machine.to_numpy(getattr(ours, field)), getattr(theirs, field))
    np.testing.assert_allclose(machine.to_numpy(drawn[0].degrees), drawn[1].degrees, rtol=1e-12)
