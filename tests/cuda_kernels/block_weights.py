"""Random blocks for the kernel tests, dense and CSR."""

from __future__ import annotations

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import scipy.sparse as sp

from netspectra.kernels.reference import ReferenceBackend

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
