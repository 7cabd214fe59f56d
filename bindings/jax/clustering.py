"""The engine's k-means and n-cut as plain functions of JAX arrays, for use inside ``jit`` and ``vmap``."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from netspectra.bindings.jax.networks import network_batch
from netspectra.clustering.ncut import cluster_volumes, ncut_of
from netspectra.errors import GraphError
from netspectra.graph.consistency import Orientation
from netspectra.kernels import get_backend
from netspectra.kernels.keys import stream_keys
from netspectra.validation import require_count, require_seed

__all__ = ["KMeans", "kmeans", "ncut"]


class KMeans(NamedTuple):
    """Labels int32 (B, n), -1 where not live; inertia (B,); iterations of every restart, int32 (B, n_init)."""

    labels: Array
    inertia: Array
    n_iter: Array


def kmeans(
    points: Array,
    n_clusters: int,
    *,
    n_init: int = 25,
    live: Array | None = None,
    seed: int | None = 0,
    max_iter: int = 300,
    tol: float = 1e-4,
) -> KMeans:
    """Keyed k-means with scikit-learn's semantics on every member's points; the restart of least inertia.

    Parameters
    ----------
    points : array, shape (B, n, d)
    n_clusters : int
    n_init : int, default 25
    live : array of bool, shape (B, n), optional
        Which points count; default all.
    seed : int or None, default 0
    max_iter : int, default 300
    tol : float, default 1e-4
        Bound on the sum of squared centre movements, relative to the mean variance of the coordinates.

    Returns
    -------
    KMeans
    """
    points = jnp.asarray(points)
    if points.ndim != 3:
        msg = f"points must have shape (B, n, d), got {points.shape}"
        raise GraphError(msg)
    if require_count("n_clusters", n_clusters, 1) > points.shape[1]:
        msg = f"n_clusters must be at most the number of points ({points.shape[1]}), got {n_clusters}"
        raise GraphError(msg)
    alive = jnp.ones(points.shape[:2], bool) if live is None else jnp.asarray(live, bool)
    inside = alive[:, :, None]
    count = jnp.maximum(jnp.sum(inside, axis=1, keepdims=True), 1)
    mean = jnp.sum(jnp.where(inside, points, 0), axis=1, keepdims=True) / count
    centred = jnp.where(inside, points - mean, 0)
    spread = jnp.sum(centred**2, axis=(1, 2)) / (count[:, 0, 0] * points.shape[2])
    keys = stream_keys(require_seed(seed), "k-means", [None] * points.shape[0])
    labels, inertia, n_iter = get_backend("jax").kmeans(
        centred, alive, require_count("n_clusters", n_clusters, 1), require_count("n_init", n_init, 1), keys,
        max_iter=require_count("max_iter", max_iter, 1), tol=tol * spread, keep_all=False,
    )  # fmt: skip
    return KMeans(labels[:, 0, :], jnp.min(inertia, axis=1), n_iter)


def ncut(
    weights: Sequence[Array],
    labels: Array,
    n_clusters: int,
    *,
    edges: Any = None,
    orientation: Orientation = "in-out",
) -> Array:
    """Normalized cut of a labelling of one network's neurons, or of several with a leading axis B everywhere.

    Parameters
    ----------
    weights : list of arrays, shape (n_in, n_out) or (B, n_in, n_out)
    labels : array, shape (n,) or (B, n), int32
        In layer order, from 0 to `n_clusters` - 1; -1 is no cluster.
    n_clusters : int
    edges, orientation
        As of :func:`laplacian_eigenpairs`.

    Returns
    -------
    array, without axes or (B,)
    """
    batch, given = network_batch(weights, edges, orientation), jnp.asarray(labels)
    if not jnp.issubdtype(given.dtype, jnp.integer):
        msg = f"labels must be integers, got dtype {given.dtype}"
        raise GraphError(msg)
    given, count = given.astype(jnp.int32), require_count("n_clusters", n_clusters, 1)
    if not isinstance(given, jax.core.Tracer) and bool(jnp.any((given < -1) | (given >= count))):
        msg = f"labels must be from -1 to n_clusters - 1 = {count - 1}, got {int(given.min())} to {int(given.max())}"
        raise GraphError(msg)
    expected = (batch.n_members, batch.structure.n_nodes)
    if given.shape not in (expected, expected[1:]) or (given.ndim == 1 and batch.n_members != 1):
        msg = f"labels must have one entry per node, {expected} or, of one network, {expected[1:]}; got {given.shape}"
        raise GraphError(msg)
    volumes = cluster_volumes(batch, given.reshape(expected), count)
    values: Array = ncut_of(batch, volumes)
    return values if given.ndim == 2 else values[0]
