"""The CUDA backend: CuPy's libraries for arrays and dense algebra, our kernels for what no library does.

A wave of replicates is one batch on the device; nothing but results comes back.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from netspectra.errors import LimitError, NetspectraError
from netspectra.kernels.backend import Array, Backend, KMeansOutput, checked_dtype
from netspectra.kernels.cuda import draws, linalg, shuffle
from netspectra.kernels.cuda.kmeans import SCRATCH_BYTES, kmeans
from netspectra.kernels.cuda.layout import MAX_GRID_YZ
from netspectra.kernels.cuda.loading import load_csr, load_dense
from netspectra.kernels.cuda.machine import Machine
from netspectra.kernels.cuda.products import block_product
from netspectra.kernels.cuda.scaled import scaled_dense
from netspectra.kernels.cuda.sums import cluster_sums
from netspectra.kernels.edge_gradient import edge_gradient
from netspectra.kernels.explicit_gram import explicit_gram
from netspectra.kernels.immediate import Immediate
from netspectra.kernels.keys import ShuffleKeys
from netspectra.kernels.rayleigh_ritz import RitzPairs, rayleigh_ritz
from netspectra.kernels.scaled_gram import scaled_gram
from netspectra.kernels.vectors import deflated, degree_scales
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["CudaBackend"]

CHECK_EVERY = 4
"""Iterations between two looks at whether a loop has ended; each look waits for the device."""
LARGEST_WAVE = 1024
"""Replicates per wave: beyond this a launch is long enough to hide what it costs to start it."""
WAVE_SHARE = 0.4
"""Part of the device's memory that one wave may be planned to take; less than what is free on an idle device."""
L2_SHARE = 0.6
"""Part of the second-level cache that weights read twice may take."""
CUDA_MEMORY = (2, 13)
"""DLPack's numbers for memory on a CUDA device, and for what CUDA manages itself."""
S = TypeVar("S")
R = TypeVar("R")


class CudaBackend(Immediate):
    """One NVIDIA GPU.

    Parameters
    ----------
    device : int, optional
        Number of the CUDA device, default the current one.
    dtype : {"float32", "float64"}, optional
        Working dtype, default that of the graph.
    machine : Machine, optional
        Array module, kernel launcher and memory, default the CuPy device of that number. The tests pass NumPy and
        emulated kernels.

    Raises
    ------
    BackendUnavailableError
        If CuPy or the device is missing; the message names what to install.
    GraphError
        If `device` is not the number of a device, or `dtype` is another.
    """

    name = "cuda"
    n_threads = 1
    product_bytes = 0
    dense_size = 128
    explicit_size = 2048
    """Both modelled, not measured: up to 128 our kernel solves all matrices of a wave at once, and one batched product
    with an explicit matrix takes the place of some ten launches per block."""

    def __init__(self, device: int | None = None, dtype: Any = None, *, machine: Machine | None = None) -> None:
        self.dtype = checked_dtype(dtype)
        if machine is None:
            from netspectra.kernels.cuda.cupy_machine import CupyMachine

            machine = CupyMachine(device)
        self._machine = machine
        self._launcher = machine.launcher
        self.xp: Any = machine.xp
        self.device = machine.name
        self.model = machine.model

    def __repr__(self) -> str:
        return f"CudaBackend({self.device}, {self.model!r})"

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling kernels so far."""
        return self._launcher.compile_seconds

    # -- arrays and time ---------------------------------------------------------------------------------------------
    def asarray(self, values: Any, dtype: Any = None) -> Array:
        if not self._machine.owns(values):
            on_device = hasattr(values, "__dlpack_device__") and values.__dlpack_device__()[0] in CUDA_MEMORY
            values = self._machine.adopt(values) if on_device else self.xp.asarray(np.asarray(values))
        return values if dtype is None else self.xp.astype(values, dtype, copy=False)

    def to_numpy(self, array: Array) -> "np.ndarray[Any, Any]":
        host: np.ndarray[Any, Any] = self._machine.to_host(array)
        return host

    def synchronize(self) -> None:
        self._machine.synchronize()

    def free_memory(self) -> None:
        self._machine.release()

    def available_memory(self) -> int:
        return self._machine.free_bytes()

    def csr_array(self, values: Array, rows: Array, cols: Array, shape: tuple[int, int]) -> Any:
        return self._machine.csr_array(values, rows, cols, shape)

    # -- control -----------------------------------------------------------------------------------------------------
    @contextmanager
    def session(self) -> Iterator[None]:
        """The device selected; after an exception cached memory is given back. What does not fit is a LimitError."""
        with self._machine.scope():
            try:
                yield
            except BaseException as error:
                self._machine.release()
                if isinstance(error, NetspectraError) or not self._machine.is_out_of_memory(error):
                    raise
                msg = f"{self.device} ran out of memory ({error}); free some, or take fewer clusters or restarts"
                raise LimitError(msg) from error

    def in_flight(self, batch_size: int) -> int:
        return batch_size

    def wave_size(self, bytes_per_replicate: int, memory_limit: int | None, *, iterated: bool) -> int:
        """As many as the limit, or the device by its model, has room for."""
        del iterated
        room = WAVE_SHARE * self._machine.total_bytes() if memory_limit is None else memory_limit
        room = max(room - SCRATCH_BYTES, room / 2)  # of k-means, once per wave
        return int(min(LARGEST_WAVE, room // max(1, bytes_per_replicate)))

    def map_replicates(self, solve: "Callable[[Backend, list[int]], R]", replicates: Sequence[int]) -> list[R]:
        """The whole wave is one batch. Raises MemoryError, device memory given back, where it does not fit."""
        numbers = list(replicates)
        try:
            return [solve(self, numbers[i : i + MAX_GRID_YZ]) for i in range(0, len(numbers), MAX_GRID_YZ)]
        except Exception as error:
            if not self._machine.is_out_of_memory(error):
                raise
            reason = str(error)
        # Outside the handler, because the exception holds the frames that hold the arrays.
        self._machine.release()
        msg = f"{self.device}: a wave of {len(numbers)} replicates does not fit ({reason})"
        raise MemoryError(msg)

    def while_loop(self, cond: Callable[[S], Any], body: Callable[[S], S], state: S) -> S:
        """Looks at the condition every few iterations only: steps beyond the end must leave the state as it is."""
        while bool(cond(state)):
            for _ in range(CHECK_EVERY):
                state = body(state)
        return state

    # -- blocks ------------------------------------------------------------------------------------------------------
    def load_block(self, members: Sequence[Any], *, symmetric: bool) -> BlockWeights:
        load = load_csr if hasattr(members[0], "indptr") else load_dense
        return load(self.xp, self.asarray, list(members), symmetric=symmetric)

    def block_degrees(self, weights: BlockWeights) -> tuple[Array, Array]:
        xp, (m, n), members = self.xp, weights.shape, weights.n_members
        ones = (xp.ones((members, size, 1), dtype=xp.float64) for size in (m, n))
        rows, cols = block_product(xp, self._launcher, weights, *ones)
        return rows[:, :, 0], cols[:, :, 0]  # type: ignore[index]

    def block_product(
        self, weights: BlockWeights, x_source: Array | None, x_target: Array | None
    ) -> tuple[Array | None, Array | None]:
        return block_product(self.xp, self._launcher, weights, x_source, x_target)

    def stays_in_cache(self, n_bytes: int) -> bool:
        return n_bytes <= L2_SHARE * self._launcher.l2_bytes

    def cluster_sums(self, weights: BlockWeights, source: Array, target: Array, n_clusters: int) -> Array:
        return cluster_sums(self.xp, self._launcher, weights, source, target, n_clusters)

    def degree_scales(self, degrees: Array, dtype: Any) -> tuple[Array, Array]:
        return degree_scales(self.xp, degrees, dtype)

    def deflated(self, X: Array, unit: Array) -> Array:
        return deflated(self.xp, X, unit)

    def edge_gradient(self, weights: BlockWeights, rows: Array, cols: Array, U: Array, V: Array) -> Array:
        return edge_gradient(self.xp, weights, rows, cols, U, V)

    def scaled_dense(
        self, shape: tuple[int, int], blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array
    ) -> Array:
        return scaled_dense(self.xp, self._launcher, shape, blocks, rows, cols)

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
        return shuffle.permute_dense(self.xp, self._launcher, values, keys, items, slots, shape)

    def permute_pattern(self, weights: CsrWeights, keys: ShuffleKeys, slots: Array | None) -> CsrWeights:
        return shuffle.permute_pattern(self.xp, self._launcher, weights, keys, slots)

    def permute_sparse(
        self, values: Array, keys: ShuffleKeys, items: Array, shape: tuple[int, int], *, symmetric: bool
    ) -> CsrWeights:
        return shuffle.permute_sparse(self.xp, self._launcher, values, keys, items, shape, symmetric=symmetric)

    def resample_nonzero(
        self, weights: BlockWeights, index_keys: Any, noise_keys: Any, bandwidth: float
    ) -> BlockWeights:
        return draws.resample_nonzero(self.xp, self._launcher, weights, index_keys, noise_keys, bandwidth)

    def standard_normals(self, keys: Any, shape: tuple[int, int], dtype: Any) -> Array:
        return draws.standard_normals(self.xp, self._launcher, keys, shape, dtype)

    # -- small dense linear algebra ----------------------------------------------------------------------------------
    def largest_eigenpairs(self, A: Array, k: int) -> tuple[Array, Array]:
        return linalg.largest_eigenpairs(self.xp, self._launcher, A, k)

    def eigh(self, A: Array) -> tuple[Array, Array]:
        return linalg.eigh(self.xp, self._launcher, A)

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
        return kmeans(
            self.xp, self._launcher, points, live, n_clusters, n_init, keys, max_iter=max_iter, tol=tol,
            keep_all=keep_all,
        )  # fmt: skip
