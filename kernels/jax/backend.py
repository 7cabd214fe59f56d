"""The JAX backend: a CPU, GPU or TPU that JAX drives, or all the devices of a mesh for one graph.

Whatever the engine hands to :meth:`JaxBackend.run` is compiled once per shape and runs without the host in between. The
verbs are plain functions of JAX arrays and may be traced inside a caller's own ``jit``. The global configuration of JAX
is never changed: without x64 there is no 64-bit number here, and the working dtype is float32.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp

from netspectra.errors import BackendUnavailableError, LimitError, NetspectraError
from netspectra.kernels.backend import Array, Backend, KMeansOutput, checked_dtype
from netspectra.kernels.explicit_gram import explicit_gram
from netspectra.kernels.jax import draws, permute, products
from netspectra.kernels.jax.compiled import Compiler, as_numpy
from netspectra.kernels.jax.devices import chosen_device, device_name, free_bytes, out_of_memory, total_bytes
from netspectra.kernels.jax.kmeans import kmeans
from netspectra.kernels.jax.loading import ENABLE, load_block, narrow_host, to_device
from netspectra.kernels.jax.namespace import NAMESPACE
from netspectra.kernels.jax.spread import Spread
from netspectra.kernels.jax.spread_products import SpreadProducts
from netspectra.kernels.keys import ShuffleKeys
from netspectra.kernels.rayleigh_ritz import RitzPairs, rayleigh_ritz
from netspectra.kernels.scaled_gram import scaled_gram
from netspectra.kernels.vectors import deflated, degree_scales
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["JaxBackend"]

WAVE_SHARE = 0.4
"""Part of a device's memory that one wave may be planned to take."""
LARGEST_WAVE = 1024
ACCELERATOR_PANEL = 1 << 26
"""Weights of which a product makes a copy at a time on an accelerator. Modelled, not measured: launches are rare."""
CPU_WAVE = 16
"""Replicates per wave on a CPU: a wave ends with its slowest member, and a whole one is in memory at once."""
S = TypeVar("S")
R = TypeVar("R")
T = TypeVar("T")


class JaxBackend:
    """One device of JAX, or one graph over the devices of a mesh.

    Parameters
    ----------
    device : int or jax.Device, optional
        Number in ``jax.devices()``, or the device itself; default JAX's own default.
    dtype : {"float32", "float64"}, optional
        Working dtype, default that of the graph; without x64 float32.
    mesh : jax.sharding.Mesh, optional
        Devices over which the blocks of a graph are spread. Eigenpairs, clusterings and n-cuts are computed; null
        networks are drawn on one device only.

    Raises
    ------
    BackendUnavailableError
        If JAX has no such device, or float64 is asked for without x64.
    GraphError
        If an option makes no sense.
    """

    name = "jax"
    n_threads = 1
    product_bytes = 0
    dense_size = 128
    explicit_size = 2048
    """On a CPU LOBPCG with the explicit matrix took a sixth of the time, or less, of JAX's batched ``eigh`` for 16
    matrices of 522 rows (two cores, both busy); on a GPU neither is measured."""

    def __init__(self, device: Any = None, dtype: Any = None, *, mesh: Any = None) -> None:
        self._asked = checked_dtype(dtype)
        if self._asked == "float64" and not self.has_64_bit:
            msg = f"backend 'jax' has no float64 here: {ENABLE}, or take dtype='float32'"
            raise BackendUnavailableError(msg)
        self._device = chosen_device(device, mesh)
        self._spread = None if mesh is None else Spread(mesh)
        self._place = self._device if self._spread is None else self._spread.replicated
        self._compiler = Compiler(self._spread)
        self._products: Any = products if self._spread is None else SpreadProducts(self._spread)
        self.xp: Any = NAMESPACE
        self.device = device_name(self._device, 1 if self._spread is None else self._spread.n_devices)
        self.model = str(self._device.device_kind)
        self._on_cpu = self._device.platform == "cpu"
        self._panel = products.PANEL if self._on_cpu else ACCELERATOR_PANEL

    def __repr__(self) -> str:
        return f"JaxBackend({self.device}, {self.model!r})"

    @property
    def has_64_bit(self) -> bool:
        """Whether x64 is enabled, now and in this thread."""
        return bool(jax.config.jax_enable_x64)

    @property
    def dtype(self) -> str | None:
        """Working dtype asked for; without x64 float32."""
        return self._asked if self.has_64_bit else "float32"

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return self._compiler.seconds

    @property
    def n_compiled(self) -> int:
        """Number of compiled programs, one for each function and shapes."""
        return self._compiler.n_compiled

    # -- arrays and time ---------------------------------------------------------------------------------------------
    def asarray(self, values: Any, dtype: Any = None) -> Array:
        array = to_device(values, self._place)
        return array if dtype is None else self.xp.astype(array, dtype)

    def to_numpy(self, array: Array) -> "np.ndarray[Any, Any]":
        return as_numpy(array)

    def synchronize(self) -> None:
        """Wait for whatever this device was given last, and so for all before it."""
        jax.block_until_ready(jax.device_put(np.zeros(()), self._place) + 0)

    def free_memory(self) -> None:
        """JAX gives back an array's memory with the array, and its pool never."""

    def available_memory(self) -> int:
        return free_bytes(self._device)

    def csr_array(self, values: Array, rows: Array, cols: Array, shape: tuple[int, int]) -> Any:
        return sp.csr_array((as_numpy(values), (as_numpy(rows), as_numpy(cols))), shape=shape)

    # -- control -----------------------------------------------------------------------------------------------------
    @contextmanager
    def session(self) -> Iterator[None]:
        """The device as this thread's default. What does not fit is a LimitError."""
        chosen: AbstractContextManager[Any] = nullcontext()
        if self._spread is None:
            chosen = jax.default_device(self._device)
        with chosen:
            try:
                yield
            except BaseException as error:
                if isinstance(error, NetspectraError) or not out_of_memory(error):
                    raise
                msg = f"{self.device} ran out of memory ({error}); free some, or take fewer clusters or restarts"
                raise LimitError(msg) from error

    def in_flight(self, batch_size: int) -> int:
        return batch_size

    def wave_size(self, bytes_per_replicate: int, memory_limit: int | None, *, iterated: bool) -> int:
        """As many as the limit, or the device by its model, has room for; on a CPU no more than a few."""
        del iterated
        self._require_one_device()
        room = WAVE_SHARE * total_bytes(self._device) if memory_limit is None else memory_limit
        largest = CPU_WAVE if self._on_cpu else LARGEST_WAVE
        return int(min(largest, room // max(1, bytes_per_replicate)))

    def map_replicates(self, solve: "Callable[[Backend, list[int]], R]", replicates: Sequence[int]) -> list[R]:
        """The whole wave is one batch. Raises MemoryError where it does not fit."""
        self._require_one_device()
        try:
            return [solve(self, list(replicates))]
        except Exception as error:
            if not out_of_memory(error):
                raise
            reason = str(error)
        # Outside the handler, because the exception holds the frames that hold the arrays.
        msg = f"{self.device}: a wave of {len(replicates)} replicates does not fit ({reason})"
        raise MemoryError(msg)

    def _require_one_device(self) -> None:
        if self._spread is not None:
            msg = "backend 'jax' over several devices draws no null networks; use one device, or backend='cpu'"
            raise BackendUnavailableError(msg)

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        return self._compiler.run(function, *arguments)

    def cond(self, predicate: Any, if_true: Callable[[S], T], if_false: Callable[[S], T], state: S) -> T:
        chosen: T = jax.lax.cond(predicate, if_true, if_false, state)
        return chosen

    def all_reduce(self, partial: Array) -> Array:
        return partial if self._spread is None else self._spread.add_up(partial)

    def while_loop(self, cond: Callable[[S], Any], body: Callable[[S], S], state: S) -> S:
        last: S = jax.lax.while_loop(cond, body, state)
        return last

    def rowwise(self, function: Callable[..., Array], *arrays: Array) -> Array:
        return function(*arrays)

    def row_sums(self, function: Callable[..., Array], *arrays: Array) -> Array:
        return function(*arrays)

    # -- blocks ------------------------------------------------------------------------------------------------------
    def load_block(self, members: Sequence[Any], *, symmetric: bool) -> BlockWeights:
        if self._spread is not None:
            block: BlockWeights = self._spread.load_block(members, narrow_host, symmetric=symmetric)
            return block
        return load_block(members, self.asarray, symmetric=symmetric)

    def block_degrees(self, weights: BlockWeights) -> tuple[Array, Array]:
        sums: tuple[Array, Array] = self.run(self._products.block_degrees, weights)
        return sums

    def block_product(
        self, weights: BlockWeights, x_source: Array | None, x_target: Array | None
    ) -> tuple[Array | None, Array | None]:
        product: Callable[..., tuple[Array | None, Array | None]] = self._products.block_product
        if self._spread is not None:  # mapped by itself it would return one device's part
            return product(weights, x_source, x_target, self._panel)
        return self.run(product, weights, x_source, x_target, self._panel)

    def stays_in_cache(self, n_bytes: int) -> bool:
        del n_bytes
        return False

    def cluster_sums(self, weights: BlockWeights, source: Array, target: Array, n_clusters: int) -> Array:
        return self.run(self._products.cluster_sums, weights, source, target, n_clusters)

    def degree_scales(self, degrees: Array, dtype: Any) -> tuple[Array, Array]:
        return degree_scales(self.xp, degrees, dtype)

    def deflated(self, X: Array, unit: Array) -> Array:
        return deflated(self.xp, X, unit)

    def edge_gradient(self, weights: BlockWeights, rows: Array, cols: Array, U: Array, V: Array) -> Array:
        gradient: Array = self._products.edge_gradient(weights, rows, cols, U, V)
        return gradient

    def scaled_dense(
        self, shape: tuple[int, int], blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array
    ) -> Array:
        return self.run(self._products.scaled_dense, shape, list(blocks), rows, cols)

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
        moved = self.run(permute.permute_dense, values, keys.rounds, keys.swaps, items, slots, keys.size, shape)
        return DenseWeights(moved)

    def permute_pattern(self, weights: CsrWeights, keys: ShuffleKeys, slots: Array | None) -> CsrWeights:
        values = self.run(permute.permute_pattern, weights.values[0], keys.rounds, keys.swaps, slots, keys.size)
        return CsrWeights(values, weights.indices, weights.indptr, weights.shape)

    def permute_sparse(
        self, values: Array, keys: ShuffleKeys, items: Array, shape: tuple[int, int], *, symmetric: bool
    ) -> CsrWeights:
        drawn = self._compiler.run(
            permute.permute_sparse, values, keys.rounds, keys.swaps, items, keys.size, shape, symmetric=symmetric
        )
        return CsrWeights(*drawn, shape)

    def resample_nonzero(
        self, weights: BlockWeights, index_keys: Any, noise_keys: Any, bandwidth: float
    ) -> BlockWeights:
        values = self.run(draws.resample_nonzero, weights.values, index_keys, noise_keys, bandwidth)
        if isinstance(weights, CsrWeights):
            return CsrWeights(values, weights.indices, weights.indptr, weights.shape)
        return DenseWeights(values)

    def standard_normals(self, keys: Any, shape: tuple[int, int], dtype: Any) -> Array:
        return self.run(draws.standard_normals, keys, tuple(shape), np.dtype(dtype))

    # -- small dense linear algebra ----------------------------------------------------------------------------------
    def largest_eigenpairs(self, A: Array, k: int) -> tuple[Array, Array]:
        values, vectors = self.eigh(A)
        first = A.shape[1] - k
        return jnp.flip(values[:, first:], axis=1), jnp.flip(vectors[:, :, first:], axis=2)

    def eigh(self, A: Array) -> tuple[Array, Array]:
        values, vectors = jnp.linalg.eigh(A)
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
        return self._compiler.run(
            kmeans, points, live, n_clusters, n_init, keys, max_iter=max_iter, tol=tol, keep_all=keep_all,
            lockstep=not self._on_cpu,
        )  # fmt: skip
