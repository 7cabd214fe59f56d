"""The engine's batched LOBPCG as plain functions of JAX arrays, for use inside ``jit`` and ``vmap``.

Whatever is decided by looking at values (escalation, verdicts, disconnected graphs) is the caller's here; the functions
of ``netspectra`` itself do all that, with ``backend="jax"``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from netspectra.bindings.jax.networks import network_batch
from netspectra.errors import GraphError
from netspectra.graph.batch import GraphBatch
from netspectra.graph.consistency import Orientation
from netspectra.kernels import get_backend
from netspectra.kernels.keys import stream_keys
from netspectra.spectrum.assemble import to_laplacian
from netspectra.spectrum.lobpcg import lobpcg as engine_lobpcg
from netspectra.spectrum.operator import NormalizedAdjacency
from netspectra.spectrum.plan import block_width
from netspectra.validation import require_count, require_seed, require_tolerance

__all__ = ["LobpcgResult", "laplacian_eigenpairs", "lobpcg"]


class LobpcgResult(NamedTuple):
    """Eigenpairs of each member, from the largest eigenvalue (of a Laplacian: from the smallest).

    Attributes
    ----------
    values : array, shape (B, k)
    vectors : array, shape (B, n, k)
        Orthonormal.
    residual_norms : array, shape (B, k)
    n_iterations : array, shape (B,), int32
    converged : array, shape (B,), bool
        Without it the pairs are the best that were found.
    """

    values: Array
    vectors: Array
    residual_norms: Array
    n_iterations: Array
    converged: Array


def lobpcg(
    operator: "Array | Callable[[Array], Array]",
    start: Array,
    n_wanted: int,
    *,
    norm_bound: Any = None,
    tol: float = 1e-5,
    maxiter: int = 500,
) -> LobpcgResult:
    """Largest eigenpairs of a batch of symmetric operators, from a starting block.

    Parameters
    ----------
    operator : array, shape (B, n, n), or callable
        Symmetric matrices, or a function (B, n, c) -> (B, n, c) that multiplies by them.
    start : array, shape (B, n, m)
        Starting block, random and m > `n_wanted` (two to eight more make it quick); float32, or float64 with x64.
    n_wanted : int
    norm_bound : array, shape (B,) or no axes, optional
        Upper bound on the operators' norms; needed with a callable, else the largest absolute row sum.
    tol : float, default 1e-5
        Bound on the residual norms, relative to `norm_bound`.
    maxiter : int, default 500

    Returns
    -------
    LobpcgResult

    Raises
    ------
    GraphError
        If shapes do not fit.
    """
    count, tolerance = require_count("n_wanted", n_wanted, 1), require_tolerance(tol) or 1e-5
    if start.ndim != 3 or start.shape[2] <= count:
        msg = f"start must have shape (B, n, m) with m > n_wanted={count}, got {start.shape}"
        raise GraphError(msg)
    limit = require_count("maxiter", maxiter, 1)
    if callable(operator):
        if norm_bound is None:
            msg = "norm_bound is needed with a callable operator: an upper bound on its norm"
            raise GraphError(msg)
        bound = jnp.broadcast_to(jnp.asarray(norm_bound, start.dtype), (start.shape[0],))
        return _largest(operator, start, bound, count, tolerance, limit)
    matrix = jnp.asarray(operator)
    if matrix.shape != (start.shape[0], start.shape[1], start.shape[1]):
        msg = f"operator must have shape (B, n, n) for start (B, n, m) {start.shape}, got {matrix.shape}"
        raise GraphError(msg)
    norm_bound = jnp.max(jnp.sum(jnp.abs(matrix), axis=2), axis=1) if norm_bound is None else norm_bound
    bound = jnp.broadcast_to(jnp.asarray(norm_bound, start.dtype), (start.shape[0],))
    return get_backend("jax").run(_largest_of_matrix, matrix, start, bound, count, tolerance, limit)


def laplacian_eigenpairs(
    weights: Sequence[Array],
    k: int,
    *,
    edges: Any = None,
    orientation: Orientation = "in-out",
    tol: float = 1e-5,
    maxiter: int = 500,
    seed: int | None = 0,
) -> LobpcgResult:
    """The k smallest eigenpairs of a network's normalized Laplacian, the trivial one first.

    Parameters
    ----------
    weights : list of arrays, shape (n_in, n_out)
        Dense layers of one network, or with a leading axis B, of several.
    k : int
        At least 2.
    edges : sequence of (source, target), optional
        Layer numbers that each weight joins; default a chain.
    orientation : {"in-out", "out-in"}
    tol, maxiter, seed
        As of ``netspectra.eigenpairs``.

    Returns
    -------
    LobpcgResult
        With the axis B, which is 1 for one network. Nodes are in layer order; rows of isolated nodes are zero.
    """
    count = require_count("k", k, 2)
    batch = network_batch(weights, edges, orientation)
    operator = NormalizedAdjacency(batch)
    if count >= operator.size:
        msg = f"k must be less than the number of nodes ({operator.size}), got {count}"
        raise GraphError(msg)
    members = [None] * batch.n_members
    keys = stream_keys(require_seed(seed), "start-block", members)
    start = batch.backend.standard_normals(keys, (operator.size, block_width(count, operator.size)), batch.dtype)
    tolerance, limit = require_tolerance(tol) or 1e-5, require_count("maxiter", maxiter, 1)
    return batch.backend.run(_smallest_of_laplacian, batch, start, count, tolerance, limit)


def _largest(
    apply: Callable[[Array], Array], start: Array, bound: Array, count: int, tolerance: float, maxiter: int
) -> LobpcgResult:
    """LOBPCG of the operators divided by the bound on their norms: the engine's spectra are in [-1, 1]."""
    scale = jnp.where(bound > 0, bound, 1)[:, None, None]
    state = engine_lobpcg(
        get_backend("jax"),
        lambda X: apply(X) / scale,
        start,
        jnp.zeros((*start.shape[:2], 1), start.dtype),
        count,
        lambda values: jnp.full_like(values, tolerance),
        maxiter,
    )
    values, vectors = state.best_values[:, :count] * scale[:, 0], state.best[:, :, :count]
    residual = jnp.linalg.norm(apply(vectors) - vectors * values[:, None, :], axis=1)
    return LobpcgResult(values, vectors, residual, state.n_iterations, state.best_error <= 1)


def _largest_of_matrix(
    matrix: Array, start: Array, bound: Array, count: int, tolerance: float, maxiter: int
) -> LobpcgResult:
    def product(X: Array) -> Array:
        return jnp.matmul(matrix, X, precision=jax.lax.Precision.HIGHEST)

    return _largest(product, start, bound, count, tolerance, maxiter)


def _smallest_of_laplacian(batch: GraphBatch, start: Array, count: int, tolerance: float, maxiter: int) -> LobpcgResult:
    operator = NormalizedAdjacency(batch)
    state = engine_lobpcg(
        batch.backend,
        operator.apply,
        start * operator.mask(batch.dtype),
        operator.trivial(batch.dtype),
        count - 1,
        lambda values: jnp.full_like(values, tolerance),
        maxiter,
    )
    found = to_laplacian(operator, state.best_values, state.best, count, state.n_iterations)
    return LobpcgResult(
        found.eigenvalues, found.vectors, found.residual_norms, state.n_iterations, state.best_error <= 1
    )
