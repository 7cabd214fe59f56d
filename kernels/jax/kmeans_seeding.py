"""Greedy k-means++ for one restart, on points (d, n) with their features first: n is the long axis.

Random numbers are the uniforms of Philox counter (restart, centre, trial, 0), as in
:mod:`netspectra.kernels.reference.kmeans`. Points that are not live weigh nothing and are never drawn.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from netspectra.kernels.backend import Array
from netspectra.kernels.jax.random import uniform, wide_float

__all__ = ["seed_centres", "squared_distances"]


def seed_centres(points: Array, live: Array, n_clusters: int, restart: Array, key: Array) -> Array:
    """Centres (k, d): of ``2 + floor(ln k)`` candidates drawn by squared distance, the one of least potential each."""
    n_trials = 2 + int(math.log(n_clusters))
    first = _draw_any(live, uniform(restart, 0, 0, key))
    closest = jnp.where(live, squared_distances(points, points[:, first]), 0)
    trials = jnp.arange(n_trials, dtype=jnp.uint32)

    def choose(c: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        centres, closest = state
        candidates = _draw_far(closest, live, uniform(restart, c.astype(jnp.uint32), trials, key))
        there = points.at[:, candidates].get(mode="promise_in_bounds")
        left = jax.vmap(lambda centre: jnp.minimum(closest, squared_distances(points, centre)), in_axes=1)(there)
        best = jnp.argmin(jnp.sum(left, axis=1, dtype=wide_float()))
        return centres.at[c].set(there[:, best]), left[best]

    centres = jnp.zeros((n_clusters, points.shape[0]), points.dtype).at[0].set(points[:, first])
    return lax.fori_loop(1, n_clusters, choose, (centres, closest))[0]


def squared_distances(points: Array, centre: Array) -> Array:
    """Squared distances (n,) of points (d, n) to one centre (d,), from differences.

    Spelled out feature by feature: XLA makes that one loop over the points, in vector registers.
    """
    total = jnp.zeros(points.shape[1], points.dtype)
    for f in range(points.shape[0]):
        difference = points[f] - centre[f]
        total = total + difference * difference
    return total


def _draw_any(live: Array, u: Array) -> Array:
    """Live point number ``floor(u * count)``."""
    before = jnp.cumsum(live, dtype=jnp.int32)
    number = jnp.minimum((u * before[-1].astype(u.dtype)).astype(jnp.int32), before[-1] - 1)
    return jnp.minimum(jnp.sum(before <= number, dtype=jnp.int32), live.shape[0] - 1)


def _draw_far(closest: Array, live: Array, u: Array) -> Array:
    """For each uniform the first point where the running sum of `closest` exceeds its share, else the last live one.

    Only points with weight are looked at: sums made in parallel need not rise, and could cross at one without.
    """
    place = jnp.arange(closest.shape[0], dtype=jnp.int32)
    cumulative = jnp.cumsum(closest, dtype=wide_float())
    beyond = (cumulative > u[:, None] * cumulative[-1]) & (closest > 0)
    last = jnp.max(jnp.where(live, place, 0))
    return jnp.minimum(jnp.min(jnp.where(beyond, place, closest.shape[0]), axis=1), last)
