"""The CPU backend: NumPy, LAPACK, Numba where NumPy is slow, threads over replicates."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import numpy as np
import scipy.sparse as sp

from netspectra.errors import GraphError
from netspectra.kernels.backend import KMeansOutput, checked_dtype
from netspectra.kernels.cpu import draws, gram, jit, lapack, products, sums, tall
from netspectra.kernels.cpu.edge_gradient import edge_gradient
from netspectra.kernels.cpu.explicit_gram import explicit_gram
from netspectra.kernels.cpu.kmeans import kmeans_restarts
from netspectra.kernels.cpu.panels import contiguous_panels, is_plain
from netspectra.kernels.cpu.point_blocks import packed_blocks
from netspectra.kernels.cpu.rayleigh_ritz import rayleigh_ritz
from netspectra.kernels.cpu.scaled import scaled_dense
from netspectra.kernels.cpu.vectors import deflated, degree_scales
from netspectra.kernels.cpu.workers import run_tasks, single_threaded_blas
from netspectra.kernels.immediate import Immediate
from netspectra.kernels.keys import ShuffleKeys
from netspectra.kernels.memory import available_bytes
from netspectra.kernels.rayleigh_ritz import RitzPairs
from netspectra.kernels.scaled_gram import scaled_gram
from netspectra.kernels.triangle import strict_upper
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["CpuBackend"]

Array: TypeAlias = np.ndarray[Any, Any]
RESTARTS_PER_CALL = 64
"""k-means restarts in one call that cannot be interrupted."""
S = TypeVar("S")
R = TypeVar("R")


class CpuBackend(Immediate):
    """NumPy arrays, one thread per replicate (or per panel and k-means restart of a single graph).

    Parameters
    ----------
    n_threads : int, optional
        Threads, default all that this process may use. Results do not depend on it.

    dtype : {"float32", "float64"}, optional
        Working dtype, default that of the graph (float64, or float32 for everything narrower).

    Raises
    ------
    GraphError
        If `n_threads` is not a positive integer, or `dtype` is another.
    """

    name = "cpu"
    model = "cpu"
    dense_size = 1500
    """There ``syevr`` took 51 ms and the iteration 68 on a dense chain, 41 ms and 17 to 68 on sparse graphs."""
    explicit_size = 0
    product_bytes = 3 * (8 << 20)
    xp: Any = np  # follows the array-API standard from 2.1 on; each call through a wrapper would cost 3 microseconds

    def __init__(self, n_threads: int | None = None, dtype: Any = None) -> None:
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        wrong = isinstance(n_threads, bool) or not isinstance(n_threads, int | np.integer) or n_threads < 1
        if n_threads is not None and wrong:
            msg = f"n_threads must be a positive integer or None, got {n_threads!r}"
            raise GraphError(msg)
        self.n_threads = allowed if n_threads is None else int(n_threads)
        self.dtype = checked_dtype(dtype)
        self.device = "cpu"
        self.compile_seconds = jit.compile_seconds()
        self._cancelled = threading.Event()

    def __repr__(self) -> str:
        return f"CpuBackend(n_threads={self.n_threads})"

    # -- arrays and time ---------------------------------------------------------------------------------------------
    def asarray(self, values: Any, dtype: Any = None) -> Array:
        return np.asarray(values, dtype=dtype)

    def to_numpy(self, array: Any) -> Array:
        return np.asarray(array)

    def synchronize(self) -> None:
        """Nothing is queued on a CPU."""

    def free_memory(self) -> None:
        """Nothing is cached on a CPU."""

    def available_memory(self) -> int:
        return available_bytes()

    def csr_array(self, values: Array, rows: Array, cols: Array, shape: tuple[int, int]) -> Any:
        return sp.csr_array((values, (rows, cols)), shape=shape)

    # -- control -----------------------------------------------------------------------------------------------------
    @contextmanager
    def session(self) -> Iterator[None]:
        with single_threaded_blas():
            yield

    def in_flight(self, batch_size: int) -> int:
        return min(batch_size, self.n_threads)

    def wave_size(self, bytes_per_replicate: int, memory_limit: int | None, *, iterated: bool) -> int:
        """Enough for each thread to hide the end of a wave, few enough to report progress."""
        del bytes_per_replicate, memory_limit
        return self.n_threads * (2 if iterated else 16)

    def map_replicates(self, solve: "Callable[[Any, list[int]], R]", replicates: Sequence[int]) -> list[R]:
        """Each replicate is solved alone, on one thread: so its result cannot depend on wave or threads."""
        worker = CpuBackend(1, self.dtype)
        return run_tasks(lambda i: solve(worker, [i]), list(replicates), self.n_threads, worker._cancelled)

    def while_loop(self, cond: Callable[[S], Any], body: Callable[[S], S], state: S) -> S:
        while not self._cancelled.is_set() and bool(cond(state)):
            state = body(state)
        return state

    def rowwise(self, function: Callable[..., Array], *arrays: Array) -> Array:
        return tall.rowwise(function, arrays, self.n_threads)

    def row_sums(self, function: Callable[..., Array], *arrays: Array) -> Array:
        return tall.row_sums(function, arrays, self.n_threads)

    # -- blocks ------------------------------------------------------------------------------------------------------
    def load_block(self, members: Sequence[Any], *, symmetric: bool) -> BlockWeights:
        if sp.issparse(members[0]):
            return _stack_csr(strict_upper(members, symmetric=symmetric))
        if symmetric:
            return DenseWeights(np.stack([np.triu(W, k=1) for W in members]))
        return DenseWeights(members[0][None] if len(members) == 1 else np.stack(members))

    def block_degrees(self, weights: BlockWeights) -> tuple[Array, Array]:
        (m, n), members = weights.shape, weights.n_members
        rows, cols = np.zeros((members, m)), np.zeros((members, n))
        for b in range(members):
            if isinstance(weights, CsrWeights):
                sums.add_degrees_csr(*weights.member(b), rows[b], cols[b])
                continue
            W = weights.member(b)
            if is_plain(W):
                sums.add_degrees_dense(W, rows[b], cols[b])
                continue
            for first, last, read in contiguous_panels(W):
                panel, swapped = read(slice(first, last))
                ends = (rows[b, first:last], cols[b])
                sums.add_degrees_dense(panel, *(ends[::-1] if swapped else ends))
        return rows, cols

    def block_product(
        self, weights: BlockWeights, x_source: Array | None, x_target: Array | None
    ) -> tuple[Array | None, Array | None]:
        return products.block_product(weights, x_source, x_target, self.n_threads)

    def stays_in_cache(self, n_bytes: int) -> bool:
        del n_bytes
        return False

    def cluster_sums(self, weights: BlockWeights, source: Array, target: Array, n_clusters: int) -> Array:
        out = np.zeros((source.shape[0], n_clusters + 1, n_clusters + 1))
        for b in range(source.shape[0]):
            ends = [np.where(a[b] < 0, n_clusters, a[b]).astype(np.int32) for a in (source, target)]
            if isinstance(weights, CsrWeights):
                sums.add_cluster_sums_csr(*weights.member(b), *ends, out[b])
                continue
            for first, last, read in contiguous_panels(weights.member(b)):
                panel, swapped = read(slice(first, last))
                if swapped:
                    part = np.zeros_like(out[b])
                    sums.add_cluster_sums_dense(panel, ends[1], ends[0][first:last], part)
                    out[b] += part.T
                else:
                    sums.add_cluster_sums_dense(panel, ends[0][first:last], ends[1], out[b])
        return out

    def degree_scales(self, degrees: Array, dtype: Any) -> tuple[Array, Array]:
        return degree_scales(degrees, dtype)

    def deflated(self, X: Array, unit: Array) -> Array:
        return deflated(X, unit)

    def edge_gradient(self, weights: BlockWeights, rows: Array, cols: Array, U: Array, V: Array) -> Array:
        return edge_gradient(weights, rows, cols, U, V, self.n_threads)

    def scaled_dense(
        self, shape: tuple[int, int], blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array
    ) -> Array:
        return scaled_dense(shape, list(blocks), rows, cols)

    def scaled_gram(
        self, blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array, X: Array
    ) -> tuple[Array, Array]:
        if gram.are_skinny(blocks, X):
            return gram.scaled_gram(blocks, rows, cols, X)
        return scaled_gram(self, blocks, rows, cols, X)

    def explicit_gram(
        self, blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array, unit: Array
    ) -> Array:
        return explicit_gram(blocks, rows, cols, unit)

    # -- keyed randomness --------------------------------------------------------------------------------------------
    def permute_dense(
        self, values: Array, keys: ShuffleKeys, items: Array | None, slots: Array | None, shape: tuple[int, int]
    ) -> DenseWeights:
        return draws.permute_dense(values, keys, items, slots, shape)

    def permute_pattern(self, weights: CsrWeights, keys: ShuffleKeys, slots: Array | None) -> CsrWeights:
        return draws.permute_pattern(weights, keys, slots)

    def permute_sparse(
        self, values: Array, keys: ShuffleKeys, items: Array, shape: tuple[int, int], *, symmetric: bool
    ) -> CsrWeights:
        return draws.permute_sparse(values, keys, items, shape, symmetric=symmetric)

    def resample_nonzero(
        self, weights: BlockWeights, index_keys: Array, noise_keys: Array, bandwidth: float
    ) -> BlockWeights:
        return draws.resample_nonzero(weights, index_keys, noise_keys, bandwidth)

    def standard_normals(self, keys: Array, shape: tuple[int, int], dtype: Any) -> Array:
        return draws.standard_normals(keys, shape, dtype)

    # -- small dense linear algebra ----------------------------------------------------------------------------------
    def largest_eigenpairs(self, A: Array, k: int) -> tuple[Array, Array]:
        pairs = [lapack.largest_eigenpairs(np.ascontiguousarray(member), k) for member in A]
        return np.stack([values for values, _ in pairs]), np.stack([vectors for _, vectors in pairs])

    def eigh(self, A: Array) -> tuple[Array, Array]:
        values, vectors = np.linalg.eigh(A)
        return values, vectors

    def rayleigh_ritz(self, bases: Sequence[Array], m: int) -> RitzPairs:
        return rayleigh_ritz(bases, m)

    # -- clustering --------------------------------------------------------------------------------------------------
    def kmeans(
        self,
        points: Array,
        live: Array,
        n_clusters: int,
        n_init: int,
        keys: Array,
        *,
        max_iter: int,
        tol: Array,
        keep_all: bool,
    ) -> KMeansOutput:
        n_members, n, _ = points.shape
        labels = np.full((n_members, n_init if keep_all else 1, n), -1, np.int32)
        inertia, n_iter = np.empty((n_members, n_init)), np.empty((n_members, n_init), np.int32)
        n_trials = 2 + int(np.log(n_clusters))
        n_ranges = max(min(self.n_threads, n_init), -(-n_init // RESTARTS_PER_CALL))
        bounds = [n_init * r // n_ranges for r in range(n_ranges + 1)]
        for b in range(n_members):
            nodes = np.flatnonzero(live[b])
            packed = packed_blocks(points[b] if nodes.size == n else points[b, nodes])

            def run(r: int, b: int = b, packed: Array = packed, n_live: int = nodes.size) -> Array:
                first, last = bounds[r], bounds[r + 1]
                out = np.empty((last - first if keep_all else 1, n_live), np.int32)
                kmeans_restarts(
                    packed, n_live, n_clusters, first, last, n_trials, max_iter, float(tol[b]), keys[b], out,
                    inertia[b, first:last], n_iter[b, first:last], keep_all,
                )  # fmt: skip
                return out

            parts = run_tasks(run, range(n_ranges), self.n_threads)
            if keep_all:
                labels[b][:, nodes] = np.concatenate(parts)
            else:
                best = int(np.searchsorted(bounds, np.argmin(inertia[b]), side="right")) - 1
                labels[b, 0, nodes] = parts[best][0]
        return labels, inertia, n_iter


def _stack_csr(members: "list[sp.csr_array]") -> CsrWeights:
    """Stack CSR arrays of equal shape, padding values and indices to the longest."""
    longest = max(W.nnz for W in members)
    dtype, index_type = members[0].data.dtype, np.result_type(*(W.indices.dtype for W in members))
    if len(members) == 1:
        W = members[0]
        return CsrWeights(W.data[None], W.indices[None], W.indptr.astype(np.int64)[None], W.shape)
    values = np.zeros((len(members), longest), dtype)
    indices = np.zeros((len(members), longest), index_type)
    for row, W in enumerate(members):
        values[row, : W.nnz], indices[row, : W.nnz] = W.data, W.indices
    return CsrWeights(values, indices, np.stack([W.indptr.astype(np.int64) for W in members]), members[0].shape)
