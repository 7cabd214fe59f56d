"""Sums and products over one block's ``|W|``, dense or CSR, as pure functions that XLA fuses with the absolute value.

A CSR block is worked on as coordinates: the row of every stored value is kept beside it. A member's unused tail has
zeros for weights, so that wherever it points it adds nothing.
"""

from typing import Any

import jax
import jax.numpy as jnp

from netspectra.kernels.jax.namespace import NAMESPACE, narrowed
from netspectra.kernels.weights import BlockWeights, CsrWeights

__all__ = ["PANEL", "block_degrees", "block_product", "cluster_sums", "coordinates", "edge_gradient", "scaled_dense"]


PANEL = 1 << 20
"""Weights of which a product makes a copy at a time. On a CPU that is three times as fast as all at once."""


def coordinates(weights: CsrWeights) -> tuple[Any, Any, Any]:
    """Values, rows and columns of every stored weight, each (B, nnz)."""
    members, stored = weights.values.shape
    rows = weights.derived.get("rows")
    if rows is None:
        places = jnp.arange(stored, dtype=weights.indptr.dtype)
        rows = jax.vmap(lambda ends: jnp.searchsorted(ends, places, side="right"))(weights.indptr[:, 1:])
    rows = jnp.minimum(rows, weights.shape[0] - 1)  # the unused tail
    return (weights.values, *(jnp.broadcast_to(a, (members, stored)) for a in (rows, weights.indices)))


def block_degrees(weights: BlockWeights) -> tuple[Any, Any]:
    """Row and column sums of ``|W|`` in the widest float."""
    ones = (jnp.ones((weights.n_members, size, 1), dtype=narrowed("float64")) for size in weights.shape)
    if isinstance(weights, CsrWeights):
        x_source, x_target = ones
        y_source, y_target = block_product(weights, x_source, x_target)
        return y_source[:, :, 0], y_target[:, :, 0]
    W = _absolute(weights.values, narrowed("float64"))
    return jnp.sum(W, axis=2), jnp.sum(W, axis=1)


def block_product(weights: BlockWeights, x_source: Any, x_target: Any, panel: int = PANEL) -> tuple[Any, Any]:
    """``(|W| x_target, |W|^T x_source)``, dense blocks by panels of so many weights; None in, None out."""
    x = x_target if x_target is not None else x_source
    if x is None:
        return None, None
    members, (m, n) = x.shape[0], weights.shape
    if isinstance(weights, CsrWeights):
        values, rows, cols = (jnp.broadcast_to(a, (members, a.shape[1])) for a in coordinates(weights))
        values = _absolute(values, x.dtype)
        y_source = None if x_target is None else _gathered(values, cols, x_target, rows, m)
        return y_source, None if x_source is None else _gathered(values, rows, x_source, cols, n)
    height = max(1, panel // max(1, weights.n_members * n))
    return _panelled(weights.values, x_source, x_target, min(height, m))


def cluster_sums(weights: BlockWeights, source: Any, target: Any, n_clusters: int) -> Any:
    """``|W|`` from cluster to cluster, (B, k + 1, k + 1); the last row and column are those of label -1."""
    wide, count = narrowed("float64"), n_clusters + 1
    ends = [jnp.where(labels < 0, n_clusters, labels) for labels in (source, target)]
    if isinstance(weights, CsrWeights):
        values, rows, cols = coordinates(weights)
        pairs = _taken(ends[0], rows) * count + _taken(ends[1], cols)
        summed = jax.vmap(lambda w, p: jnp.zeros((count * count,), wide).at[p].add(w))
        return summed(jnp.broadcast_to(_absolute(values, wide), pairs.shape), pairs).reshape((-1, count, count))
    rows, cols = ((labels[..., None] == jnp.arange(count)).astype(wide) for labels in ends)
    return NAMESPACE.matmul(rows.mT, NAMESPACE.matmul(_absolute(weights.values, wide), cols))


def edge_gradient(weights: BlockWeights, rows: Any, cols: Any, U: Any, V: Any) -> Any:
    """``sign(w_ij) (rows_i + cols_j - U_i . V_j)`` in the shape of the stored values."""
    signs = jnp.sign(weights.values.astype(rows.dtype))
    if not isinstance(weights, CsrWeights):
        return signs * (rows[:, :, None] + cols[:, None, :] - NAMESPACE.matmul(U, V.mT))
    _, i, j = coordinates(weights)
    low_rank = jnp.sum(_vectors(U, i) * _vectors(V, j), axis=2)
    return signs * (_taken(rows, i) + _taken(cols, j) - low_rank)


def scaled_dense(
    shape: tuple[int, int], blocks: list[tuple[BlockWeights, int, int, bool]], rows: Any, cols: Any
) -> Any:
    """Dense ``diag(rows) sum(|W|) diag(cols)``, (B, *shape)."""
    out = jnp.zeros((rows.shape[0], *shape), dtype=rows.dtype)
    for weights, row, col, transposed in blocks:
        W = _absolute(_dense(weights), rows.dtype)
        W = W.mT if transposed else W
        i, j = slice(row, row + W.shape[1]), slice(col, col + W.shape[2])
        # Rows first, then columns: the product of two tiny degrees' scales would overflow.
        out = out.at[:, i, j].add(W * rows[:, i, None] * cols[:, None, j])
    return out


def _panelled(values: Any, x_source: Any, x_target: Any, height: int) -> tuple[Any, Any]:
    """Product with ``|W|`` by panels of rows: XLA makes a copy of what it takes the absolute value of."""
    m, dtype = values.shape[1], (x_target if x_target is not None else x_source).dtype
    if height >= m:
        W = _absolute(values, dtype)
        y_source = None if x_target is None else NAMESPACE.matmul(W, x_target)
        return y_source, None if x_source is None else NAMESPACE.matmul(W.mT, x_source)
    members = max(values.shape[0], *(x.shape[0] for x in (x_source, x_target) if x is not None))

    def add_panel(i: Any, y: tuple[Any, Any]) -> tuple[Any, Any]:
        first = jnp.minimum(i * height, m - height)  # the last panel begins early and repeats some rows
        W = _absolute(jax.lax.dynamic_slice_in_dim(values, first, height, axis=1), dtype)
        y_source, y_target = y
        if x_target is not None:
            y_source = jax.lax.dynamic_update_slice_in_dim(y_source, NAMESPACE.matmul(W, x_target), first, axis=1)
        if x_source is not None:
            fresh = (first + jnp.arange(height) >= i * height)[:, None]
            x = jax.lax.dynamic_slice_in_dim(x_source, first, height, axis=1) * fresh
            y_target = y_target + NAMESPACE.matmul(W.mT, x)
        return y_source, y_target

    def zeros(size: int, x: Any) -> Any:
        return None if x is None else jnp.zeros((members, size, x.shape[2]), dtype)

    y: tuple[Any, Any] = jax.lax.fori_loop(
        0, -(-m // height), add_panel, (zeros(m, x_target), zeros(values.shape[2], x_source))
    )
    return y


def _absolute(values: Any, dtype: Any) -> Any:
    return jnp.abs(values.astype(dtype))


def _dense(weights: BlockWeights) -> Any:
    if not isinstance(weights, CsrWeights):
        return weights.values
    values, rows, cols = coordinates(weights)
    return jax.vmap(lambda w, i, j: jnp.zeros(weights.shape, w.dtype).at[i, j].add(w))(values, rows, cols)


def _gathered(values: Any, here: Any, x: Any, there: Any, size: int) -> Any:
    """``y[there] += values * x[here]``, (B, size, c)."""
    added = jax.vmap(lambda y, i: jnp.zeros((size, y.shape[1]), y.dtype).at[i].add(y))
    return added(values[:, :, None] * _vectors(x, here), there)


def _vectors(x: Any, places: Any) -> Any:
    """Rows (B, nnz, c) of vectors (B, n, c)."""
    places = jnp.broadcast_to(places, (x.shape[0], places.shape[1]))
    return jax.vmap(lambda rows, i: jnp.take(rows, i, axis=0, mode="clip"))(x, places)


def _taken(x: Any, places: Any) -> Any:
    """Entries (B, nnz) of numbers (B, n)."""
    return _vectors(x[:, :, None], places)[:, :, 0]
