"""What a machine must be able to do: the protocol that every backend implements and the engine calls.

Everything that depends on the replicate has a leading axis B. A verb that a backend cannot do raises
:class:`~netspectra.errors.BackendUnavailableError` naming backend and operation; nothing falls back to the host.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

from netspectra.errors import GraphError
from netspectra.kernels.keys import ShuffleKeys
from netspectra.kernels.rayleigh_ritz import RitzPairs
from netspectra.kernels.weights import BlockWeights, CsrWeights

__all__ = ["Array", "Backend", "KMeansOutput", "checked_dtype"]

Array: TypeAlias = Any
"""An array of the backend's namespace."""
KMeansOutput: TypeAlias = "tuple[Array, Array, Array]"
S = TypeVar("S")
R = TypeVar("R")
T = TypeVar("T")


@runtime_checkable
class Backend(Protocol):
    """One machine: arrays, sums and products over blocks, keyed randomness, small dense algebra, k-means."""

    name: str
    device: str
    model: str
    """The machine's name, e.g. of the GPU: with shapes and `memory_limit` it settles the size of a wave."""
    n_threads: int
    dense_size: int
    """Size of the reduced problem up to which ``solver="auto"`` is dense."""
    explicit_size: int
    """Size up to which an iteration uses the explicit matrix, where that is smaller than the weights."""
    xp: Any
    """Array namespace (array-API style) for element-wise work, ``matmul`` and reductions."""

    product_bytes: int
    """What a product over the blocks of one replicate takes beside its result."""

    @property
    def dtype(self) -> str | None:
        """Working dtype asked of the backend, ``"float32"`` or ``"float64"``; None: that of the graph."""
        ...

    @property
    def has_64_bit(self) -> bool:
        """Whether there are float64 and int64; where not, float64 asked of `xp` gives float32, and nothing is wider."""
        ...

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling kernels so far."""
        ...

    # -- arrays and time ---------------------------------------------------------------------------------------------
    def asarray(self, values: Any, dtype: Any = None) -> Array:
        """Array of the backend from host values, without a copy where possible."""
        ...

    def to_numpy(self, array: Array) -> "np.ndarray[Any, Any]":
        """Host copy (or view) of a backend array."""
        ...

    def synchronize(self) -> None:
        """Wait until everything queued has been done."""
        ...

    def free_memory(self) -> None:
        """Give cached device memory back."""
        ...

    def available_memory(self) -> int:
        """Bytes that can be allocated now."""
        ...

    def csr_array(self, values: Array, rows: Array, cols: Array, shape: tuple[int, int]) -> Any:
        """Canonical sparse matrix of coordinate triplets, duplicates added: SciPy's on the host, CuPy's on a GPU."""
        ...

    # -- control -----------------------------------------------------------------------------------------------------
    def session(self) -> AbstractContextManager[None]:
        """Context of one public call: BLAS threads held, device selected; everything restored on leaving."""
        ...

    def in_flight(self, batch_size: int) -> int:
        """How many replicates of a wave are in memory at the same time."""
        ...

    def wave_size(self, bytes_per_replicate: int, memory_limit: int | None, *, iterated: bool) -> int:
        """How many replicates a wave should have, from shapes, the machine's model and `memory_limit` alone.

        What happens to be free is not looked at: it may reduce a wave later, and the result says so.
        """
        ...

    def map_replicates(self, solve: "Callable[[Backend, list[int]], R]", replicates: Sequence[int]) -> list[R]:
        """Solve the replicates of one wave: `solve` gets a backend view to work on and the replicates it shall do.

        How a wave is cut in calls is the backend's affair and must not change any result. Raises MemoryError where the
        wave does not fit, with its memory given back.
        """
        ...

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """``function(*arguments)``, for a pure function defined in a module; a backend may compile it for their shapes.

        It may look at Python values in its arguments and at shapes, never at the values of arrays.
        """
        ...

    def cond(self, predicate: Any, if_true: Callable[[S], T], if_false: Callable[[S], T], state: S) -> T:
        """``if_true(state) if predicate else if_false(state)``, inside a loop's body too."""
        ...

    def all_reduce(self, partial: Array) -> Array:
        """Sum of what each device made of its part of the blocks, where they are spread; else the array itself."""
        ...

    def while_loop(self, cond: Callable[[S], Any], body: Callable[[S], S], state: S) -> S:
        """``while cond(state): state = body(state)``.

        A backend that cannot look at `cond` without waiting for the device may call `body` a few times more: it must
        leave a state that fulfils `cond` no longer as it is.
        """
        ...

    def rowwise(self, function: Callable[..., Array], *arrays: Array) -> Array:
        """``function(*arrays)`` for arrays (B, n, ...) and a function that treats every row, axis 1, alone.

        A backend may call it on panels of rows, so that nothing else of the arrays' size is made.
        """
        ...

    def row_sums(self, function: Callable[..., Array], *arrays: Array) -> Array:
        """The same for a function that adds up over rows: the sum of what it makes of each panel."""
        ...

    # -- blocks ------------------------------------------------------------------------------------------------------
    def load_block(self, members: Sequence[Any], *, symmetric: bool) -> BlockWeights:
        """Stack one block of several graphs (dense or CSR, of equal shape); `symmetric` keeps the upper triangle."""
        ...

    def block_degrees(self, weights: BlockWeights) -> tuple[Array, Array]:
        """Sums of ``|W|`` over rows (B, m) and columns (B, n), float64."""
        ...

    def block_product(
        self, weights: BlockWeights, x_source: Array | None, x_target: Array | None
    ) -> tuple[Array | None, Array | None]:
        """``(|W| x_target, |W|^T x_source)`` in the dtype of x, shapes (B, m, c) and (B, n, c); None in, None out.

        Of a block spread over devices, inside :meth:`run`: this device's part, to be completed by :meth:`all_reduce`.
        """
        ...

    def stays_in_cache(self, n_bytes: int) -> bool:
        """Whether weights of that size are still in the cache for a second product, if it follows at once."""
        ...

    def cluster_sums(self, weights: BlockWeights, source: Array, target: Array, n_clusters: int) -> Array:
        """Sums of ``|W|`` from cluster to cluster, (B, k + 1, k + 1) float64, for int32 labels (B, m) and (B, n).

        The last row and column hold what belongs to label -1.
        """
        ...

    def degree_scales(self, degrees: Array, dtype: Any) -> tuple[Array, Array]:
        """``1 / sqrt(d)``, zero where d is, and ``sqrt(d / sum(d))``, for degrees (B, n), in `dtype`."""
        ...

    def deflated(self, X: Array, unit: Array) -> Array:
        """X (B, n, c) without its part along unit vectors (B, n), and zero in rows where these are."""
        ...

    def edge_gradient(self, weights: BlockWeights, rows: Array, cols: Array, U: Array, V: Array) -> Array:
        """``sign(w_ij) (rows_i + cols_j - U_i . V_j)`` for every stored weight, in the shape of ``weights.values``.

        `rows` (B, m), `cols` (B, n), `U` (B, m, c), `V` (B, n, c); the result has their dtype.
        """
        ...

    def scaled_dense(
        self, shape: tuple[int, int], blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array
    ) -> Array:
        """Dense ``diag(rows) sum(|W|) diag(cols)``, (B, *shape), in the dtype of `rows` (B, shape[0]).

        Each block comes with the row and column of its corner and whether it stands there transposed.
        """
        ...

    def scaled_gram(
        self, blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array, X: Array
    ) -> tuple[Array, Array]:
        """``B^T X`` (B, n, c) and ``B B^T X`` (B, m, c) for X (B, m, c), B being the matrix of :meth:`scaled_dense`.

        It is not formed. Blocks that stand in the same columns have the same width, and so of rows.
        """
        ...

    def explicit_gram(
        self, blocks: "Sequence[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array, unit: Array
    ) -> Array:
        """``B B^T - 2 unit unit^T``, (B, m, m), B being the matrix of :meth:`scaled_dense`; unit (B, m, 1).

        `unit` is 0 in rows of B without a block.
        """
        ...

    # -- keyed randomness --------------------------------------------------------------------------------------------
    def permute_dense(
        self, values: Any, keys: ShuffleKeys, items: Any, slots: Any, shape: tuple[int, int]
    ) -> BlockWeights:
        """``out[slots[pi(items[j])]] = values[j]`` into zeros (B, *shape); None for `items`, `slots`: all, identity."""
        ...

    def permute_pattern(self, weights: CsrWeights, keys: ShuffleKeys, slots: Any) -> CsrWeights:
        """Permute the stored values of a CSR block among its stored positions (or those named by `slots`)."""
        ...

    def permute_sparse(
        self, values: Any, keys: ShuffleKeys, items: Any, shape: tuple[int, int], *, symmetric: bool
    ) -> CsrWeights:
        """CSR block whose value j stands at row-major place ``pi(items[j])`` (of the upper triangle if symmetric)."""
        ...

    def resample_nonzero(
        self, weights: BlockWeights, index_keys: Any, noise_keys: Any, bandwidth: float
    ) -> BlockWeights:
        """Replace the r-th non-zero (row-major) by ``|w_j + bandwidth z|``, j and z keyed by r."""
        ...

    def standard_normals(self, keys: Any, shape: tuple[int, int], dtype: Any) -> Array:
        """Keyed standard normals (B, *shape), element number row-major."""
        ...

    # -- small dense linear algebra ----------------------------------------------------------------------------------
    def largest_eigenpairs(self, A: Array, k: int) -> tuple[Array, Array]:
        """The k largest eigenvalues (B, k), descending, and eigenvectors (B, n, k) of symmetric A; may overwrite A."""
        ...

    def eigh(self, A: Array) -> tuple[Array, Array]:
        """All eigenpairs of small symmetric matrices, ascending."""
        ...

    def rayleigh_ritz(self, bases: "Sequence[Array]", m: int) -> RitzPairs:
        """The m largest Ritz pairs of a symmetric A in the basis Q (B, n, c); `bases` is Q, A Q and more of c columns.

        Columns of Q are of about unit length, or zero, and need not be orthogonal. Directions that are dependent to
        rounding are left out; where fewer than m are left, the last coefficients are zero. A's spectrum is in [-1, 1];
        what is not finite in ``Q^T A Q`` counts as zero.
        """
        ...

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
        tol: Any,
        keep_all: bool,
    ) -> KMeansOutput:
        """Run `n_init` keyed restarts on points (B, n, d).

        Returns labels int32 (B, n_init, n) with `keep_all`, else (B, 1, n) of the restart of least inertia; -1 where
        not `live` (B, n); inertia float64 (B, n_init); iterations int32 (B, n_init). `tol` (B,): bound on the sum of
        squared centre movements.
        """
        ...


def checked_dtype(dtype: Any) -> str | None:
    """Return a backend's option `dtype` as ``"float32"``, ``"float64"`` or None.

    Raises
    ------
    GraphError
        If it is anything else.
    """
    if dtype is None:
        return None
    for name in ("float32", "float64"):
        if dtype == name or dtype == getattr(np, name):
            return name
    msg = f"dtype must be 'float32', 'float64' or None (that of the graph), got {dtype!r}"
    raise GraphError(msg)
