"""The reference backend: the oracle that every other backend is compared with.

Only the array-API standard is used, so it runs on any library that follows it; whatever the standard has no word for
(random integers, scattering, k-means) is spelled out beside this file. Loops over members are Python's.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, TypeVar

import array_api_compat
import numpy as np
import scipy.sparse as sp

from netspectra.errors import BackendUnavailableError
from netspectra.kernels.backend import Array, Backend, KMeansOutput, checked_dtype
from netspectra.kernels.edge_gradient import edge_gradient
from netspectra.kernels.explicit_gram import explicit_gram
from netspectra.kernels.immediate import Immediate
from netspectra.kernels.keys import ShuffleKeys
from netspectra.kernels.memory import available_bytes
from netspectra.kernels.rayleigh_ritz import RitzPairs, rayleigh_ritz
from netspectra.kernels.reference import random
from netspectra.kernels.reference.kmeans import kmeans_restart, one_hot
from netspectra.kernels.reference.shuffle import permute_positions
from netspectra.kernels.reference.storage import dense, nonzero_ranks, scatter, sorted_csr, stacked_csr
from netspectra.kernels.scaled_gram import scaled_gram
from netspectra.kernels.vectors import deflated, degree_scales
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["ReferenceBackend"]

S = TypeVar("S")
R = TypeVar("R")


class ReferenceBackend(Immediate):
    """Any array-API namespace on the host, one thread, the whole wave as one batch.

    16-bit floats, which the standard does not know, are widened to float32 on loading; that is exact.

    Parameters
    ----------
    xp : str or namespace, optional
        ``"numpy"`` (default), ``"array_api_strict"``, ``"torch"``, or any namespace of the standard.

    dtype : {"float32", "float64"}, optional
        Working dtype, default that of the graph.

    Raises
    ------
    BackendUnavailableError
        If `xp` names a module that cannot be imported.
    GraphError
        If `dtype` is another.
    """

    name = "reference"
    device = "cpu"
    model = "cpu"
    n_threads = 1
    dense_size = 1200
    explicit_size = 0
    product_bytes = 0
    compile_seconds = 0.0

    def __init__(self, xp: Any = None, dtype: Any = None) -> None:
        self.dtype = checked_dtype(dtype)
        self.xp: Any = _namespace("numpy" if xp is None else xp)

    def __repr__(self) -> str:
        return f"ReferenceBackend({self.xp.__name__!r})"

    # -- arrays and time ---------------------------------------------------------------------------------------------
    def asarray(self, values: Any, dtype: Any = None) -> Array:
        if array_api_compat.is_array_api_obj(values) and not isinstance(values, np.ndarray):
            return self.xp.asarray(values, dtype=dtype)
        host = np.asarray(values)
        if host.dtype.itemsize == 2 and host.dtype.kind in "fV":  # float16, and bfloat16, whose kind is V
            host = host.astype(np.float32)
        if not array_api_compat.is_numpy_namespace(self.xp):
            host = np.require(host, requirements=["C", "W"])  # PyTorch warns of a view that it must not write to
        return self.xp.asarray(host, dtype=dtype)

    def to_numpy(self, array: Array) -> "np.ndarray[Any, Any]":
        return array if isinstance(array, np.ndarray) else np.from_dlpack(array)

    def synchronize(self) -> None:
        """Nothing is queued."""

    def free_memory(self) -> None:
        """Nothing is cached."""

    def available_memory(self) -> int:
        return available_bytes()

    def csr_array(self, values: Array, rows: Array, cols: Array, shape: tuple[int, int]) -> Any:
        host = [self.to_numpy(array) for array in (values, rows, cols)]
        return sp.csr_array((host[0], (host[1], host[2])), shape=shape)

    # -- control -----------------------------------------------------------------------------------------------------
    def session(self) -> AbstractContextManager[None]:
        return nullcontext()

    def in_flight(self, batch_size: int) -> int:
        return batch_size

    def wave_size(self, bytes_per_replicate: int, memory_limit: int | None, *, iterated: bool) -> int:
        del bytes_per_replicate, memory_limit
        return 2 if iterated else 16

    def map_replicates(self, solve: "Callable[[Backend, list[int]], R]", replicates: Sequence[int]) -> list[R]:
        """The whole wave is one batch."""
        return [solve(self, list(replicates))]

    def while_loop(self, cond: Callable[[S], Any], body: Callable[[S], S], state: S) -> S:
        while bool(cond(state)):
            state = body(state)
        return state

    # -- blocks ------------------------------------------------------------------------------------------------------
    def load_block(self, members: Sequence[Any], *, symmetric: bool) -> BlockWeights:
        shape: tuple[int, int] = members[0].shape
        if not sp.issparse(members[0]):
            values = self.xp.stack([self.asarray(W) for W in members])
            return DenseWeights(self.xp.triu(values, k=1) if symmetric else values)
        values, indices, indptr = (self.asarray(a) for a in stacked_csr(members, symmetric=symmetric))
        return CsrWeights(values, indices, indptr, shape)

    def block_degrees(self, weights: BlockWeights) -> tuple[Array, Array]:
        W = self._absolute(weights, self.xp.float64)
        return self.xp.sum(W, axis=2), self.xp.sum(W, axis=1)

    def block_product(
        self, weights: BlockWeights, x_source: Array | None, x_target: Array | None
    ) -> tuple[Array | None, Array | None]:
        xp, x = self.xp, x_target if x_target is not None else x_source
        if x is None:
            return None, None
        W = self._absolute(weights, x.dtype)
        y_source = None if x_target is None else xp.matmul(W, x_target)
        return y_source, None if x_source is None else xp.matmul(xp.matrix_transpose(W), x_source)

    def stays_in_cache(self, n_bytes: int) -> bool:
        del n_bytes
        return False

    def cluster_sums(self, weights: BlockWeights, source: Array, target: Array, n_clusters: int) -> Array:
        xp = self.xp
        ends = (xp.where(labels < 0, xp.full_like(labels, n_clusters), labels) for labels in (source, target))
        rows, cols = (one_hot(xp, labels, n_clusters + 1) for labels in ends)
        return xp.matmul(xp.matrix_transpose(rows), xp.matmul(self._absolute(weights, xp.float64), cols))

    def degree_scales(self, degrees: Array, dtype: Any) -> tuple[Array, Array]:
        return degree_scales(self.xp, degrees, dtype)

    def deflated(self, X: Array, unit: Array) -> Array:
        return deflated(self.xp, X, unit)

    def edge_gradient(self, weights: BlockWeights, rows: Array, cols: Array, U: Array, V: Array) -> Array:
        return edge_gradient(self.xp, weights, rows, cols, U, V)

    def scaled_dense(
        self, shape: tuple[int, int], blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array
    ) -> Array:
        xp = self.xp
        out = xp.zeros((rows.shape[0], *shape), dtype=rows.dtype)
        for weights, row, col, transposed in blocks:
            W = self._absolute(weights, rows.dtype)
            W = xp.matrix_transpose(W) if transposed else W
            i, j = slice(row, row + W.shape[1]), slice(col, col + W.shape[2])
            # rows first, then columns: the product of two tiny degrees' scales would overflow
            out[:, i, j] = out[:, i, j] + W * rows[:, i][:, :, None] * cols[:, j][:, None, :]
        return out

    def _absolute(self, weights: BlockWeights, dtype: Any) -> Array:
        return self.xp.abs(self.xp.astype(dense(self.xp, weights), dtype))

    def scaled_gram(
        self, blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array, X: Array
    ) -> tuple[Array, Array]:
        return scaled_gram(self, blocks, rows, cols, X)

    def explicit_gram(
        self, blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array, unit: Array
    ) -> Array:
        return explicit_gram(self, blocks, rows, cols, unit)

    # -- keyed randomness --------------------------------------------------------------------------------------------
    def permute_dense(
        self, values: Array, keys: ShuffleKeys, items: Array | None, slots: Array | None, shape: tuple[int, int]
    ) -> DenseWeights:
        xp, flat = self.xp, self.xp.reshape(values, (-1,))
        start = xp.arange(flat.shape[0], dtype=xp.int64) if items is None else items
        members = []
        for b in range(keys.rounds.shape[0]):
            places = permute_positions(xp, start, keys, b)
            places = places if slots is None else xp.take(slots, places, axis=0)
            members.append(xp.reshape(scatter(xp, flat, places, shape[0] * shape[1]), shape))
        return DenseWeights(xp.stack(members))

    def permute_pattern(self, weights: CsrWeights, keys: ShuffleKeys, slots: Array | None) -> CsrWeights:
        xp, values = self.xp, weights.values[0, :]
        moving = values if slots is None else xp.take(values, slots, axis=0)
        items = xp.arange(moving.shape[0], dtype=xp.int64)
        moved = self.permute_dense(moving, keys, items, slots, (1, values.shape[0])).values
        return CsrWeights(moved[:, 0, :], weights.indices, weights.indptr, weights.shape)

    def permute_sparse(
        self, values: Array, keys: ShuffleKeys, items: Array, shape: tuple[int, int], *, symmetric: bool
    ) -> CsrWeights:
        xp, parts = self.xp, []
        for b in range(keys.rounds.shape[0]):
            places = permute_positions(xp, items, keys, b)
            parts.append(sorted_csr(xp, values, places, shape, symmetric=symmetric))
        data, indices, indptr = (xp.stack(list(arrays)) for arrays in zip(*parts, strict=True))
        return CsrWeights(data, indices, indptr, shape)

    def resample_nonzero(
        self, weights: BlockWeights, index_keys: Any, noise_keys: Any, bandwidth: float
    ) -> BlockWeights:
        xp, members = self.xp, []
        for b in range(index_keys.shape[0]):
            source = weights.values[b if weights.n_members > 1 else 0, ...]
            mask, ranks = nonzero_ranks(xp, xp.reshape(source, (-1,)))
            values = xp.astype(xp.reshape(source, (-1,))[mask], xp.float64)
            count = values.shape[0]
            if count:
                chosen = xp.take(values, random.indices(xp, count, index_keys[b]), axis=0)
                fresh = xp.abs(chosen + bandwidth * random.normals(xp, count, noise_keys[b]))
                ranks = xp.where(mask, ranks, xp.zeros_like(ranks))
                source = xp.reshape(
                    xp.where(mask, xp.take(fresh, ranks, axis=0), xp.zeros_like(fresh[:1])), source.shape
                )
            members.append(xp.astype(source, weights.values.dtype))
        if isinstance(weights, CsrWeights):
            return CsrWeights(xp.stack(members), weights.indices, weights.indptr, weights.shape)
        return DenseWeights(xp.stack(members))

    def standard_normals(self, keys: Any, shape: tuple[int, int], dtype: Any) -> Array:
        drawn = [random.normals(self.xp, shape[0] * shape[1], key) for key in keys]
        return self.xp.astype(self.xp.stack([self.xp.reshape(z, shape) for z in drawn]), dtype)

    # -- small dense linear algebra ----------------------------------------------------------------------------------
    def largest_eigenpairs(self, A: Array, k: int) -> tuple[Array, Array]:
        values, vectors = self.eigh(A)
        first = A.shape[1] - k
        return self.xp.flip(values[:, first:], axis=1), self.xp.flip(vectors[:, :, first:], axis=2)

    def eigh(self, A: Array) -> tuple[Array, Array]:
        values, vectors = self.xp.linalg.eigh(A)
        return values, vectors

    def rayleigh_ritz(self, bases: Sequence[Array], m: int) -> RitzPairs:
        return rayleigh_ritz(self.xp, self.eigh, bases, m)

    # -- clustering --------------------------------------------------------------------------------------------------
    def kmeans(
        self,
        points: Array,
        live: Array,
        n_clusters: int,
        n_init: int,
        keys: Any,
        *,
        max_iter: int,
        tol: Array,
        keep_all: bool,
    ) -> KMeansOutput:
        xp = self.xp
        labels, inertia, n_iter = [], [], []
        for b in range(points.shape[0]):
            mask, ranks = nonzero_ranks(xp, xp.astype(live[b, :], xp.int32))
            own = xp.take(points[b, ...], xp.nonzero(mask)[0], axis=0)
            ranks = xp.where(mask, ranks, xp.zeros_like(ranks))
            runs = [kmeans_restart(xp, own, n_clusters, r, keys[b], max_iter, float(tol[b])) for r in range(n_init)]
            best = min(range(n_init), key=lambda r: (runs[r][1], r))
            kept = runs if keep_all else [runs[best]]
            everyone = [xp.take(run[0], ranks, axis=0) for run in kept]
            labels.append(xp.stack([xp.where(mask, row, xp.full_like(row, -1)) for row in everyone]))
            inertia.append([run[1] for run in runs])
            n_iter.append([run[2] for run in runs])
        return xp.stack(labels), xp.asarray(inertia, dtype=xp.float64), xp.asarray(n_iter, dtype=xp.int32)


def _namespace(xp: Any) -> Any:
    """Namespace of a name (NumPy and PyTorch through array-api-compat), or `xp` itself."""
    name = xp if isinstance(xp, str) else xp.__name__
    wrapped = name in ("numpy", "torch")
    if not isinstance(xp, str) and not wrapped:
        return xp
    try:
        return import_module(f"array_api_compat.{name}" if wrapped else name)
    except ImportError as error:
        msg = (
            f"backend 'reference': array namespace {name!r} cannot be imported ({error}); install it or use xp='numpy'"
        )
        raise BackendUnavailableError(msg) from error
