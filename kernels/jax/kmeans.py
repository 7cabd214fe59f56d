"""k-means with scikit-learn's semantics: greedy k-means++, then Lloyd iterations, restarts side by side.

JAX has no k-means. One restart is written for one set of points; restarts run in a fixed number of *lanes*, and a lane
whose restart is done takes up the next one: restarts need between 15 and 100 iterations, and waiting for the slowest
would double the work. See :mod:`netspectra.kernels.reference.kmeans` for the same without any of this.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from netspectra.kernels.backend import Array, KMeansOutput
from netspectra.kernels.jax.kmeans_seeding import seed_centres, squared_distances
from netspectra.kernels.jax.random import wide_float

__all__ = ["kmeans"]

UNROLLED = 256
"""Features times clusters that are spelled out in one loop over the points."""
LANE_POINTS = 1 << 13
"""Points times lanes that a step of a CPU should have, to be worth its start."""


class _Lanes(NamedTuple):
    """State of a member's restarts: `centres` (R, k, d) and `n_iter` (R,) of all of them; the rest is of the lanes."""

    centres: Array
    n_iter: Array
    restart: Array  # (S,); R or more: idle
    labels: Array  # (S, n) of the iteration before
    next: Array  # first restart that no lane has taken up


def kmeans(
    points: Array,
    live: Array,
    n_clusters: int,
    n_init: int,
    keys: Array,
    *,
    max_iter: int,
    tol: Array,
    keep_all: bool,
    lockstep: bool,
) -> KMeansOutput:
    """Run `n_init` keyed restarts on each member's points.

    Parameters
    ----------
    points : array, shape (B, n, d)
    live : array of bool, shape (B, n)
    n_clusters, n_init, max_iter : int
    keys : array, shape (B, 2), uint32
    tol : array, shape (B,)
        Bound on the sum of squared centre movements.
    keep_all : bool
        Return the labels of all restarts, not only those of least inertia.
    lockstep : bool
        Run all members and restarts side by side, which suits an accelerator; else members one after the other, a few
        restarts at a time.

    Returns
    -------
    labels : array, shape (B, n_init, n) or (B, 1, n), int32
        -1 where not `live`.
    inertia : array, shape (B, n_init), float64
        float32 without x64.
    n_iter : array, shape (B, n_init), int32
    """
    n_points = points.shape[1]
    n_lanes = n_init if lockstep else min(n_init, max(1, LANE_POINTS // max(n_points, 1)))

    go = jnp.sum(live, dtype=jnp.int32) >= 0  # always, and XLA does not know: see _iterate

    def member(given: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array]:
        own, alive, key, bound = given
        own = jnp.where(alive[:, None], own, 0).T
        centres, n_iter = _restarts(own, alive, n_clusters, n_init, n_lanes, key, max_iter, bound, go)
        labels = jax.vmap(partial(_nearest, own, alive))(centres)
        inertia = jnp.sum(jax.vmap(partial(_own_distances, own, alive))(centres, labels), axis=1, dtype=wide_float())
        return (labels if keep_all else labels[jnp.argmin(inertia)][None]), inertia, n_iter

    members = (points, live, keys, tol.astype(wide_float()))
    found: KMeansOutput = jax.vmap(member)(members) if lockstep else lax.map(member, members)
    return found


def _restarts(
    points: Array,
    live: Array,
    n_clusters: int,
    n_init: int,
    n_lanes: int,
    key: Array,
    max_iter: int,
    tol: Array,
    go: Array,
) -> tuple[Array, Array]:
    """Centres (R, k, d) and numbers of iterations (R,) that the restarts end with."""
    number = jnp.arange(n_init, dtype=jnp.uint32)
    centres = jax.vmap(lambda restart: seed_centres(points, live, n_clusters, restart, key))(number)
    exact = points.astype(wide_float())
    counted = jnp.concatenate([exact, jnp.ones_like(exact[:1])])  # so that one product gives sums and counts
    advance = jax.vmap(partial(_iterate, points, counted, live, go))

    def step(lanes: _Lanes) -> _Lanes:
        centres, n_iter = (a.at[lanes.restart].get(mode="clip") for a in (lanes.centres, lanes.n_iter))
        labels, centres, shift, repeated = advance(centres, lanes.labels)
        n_iter = n_iter + 1
        ended = repeated | (shift <= tol) | (n_iter >= max_iter)
        taken = lanes.next + jnp.cumsum(ended, dtype=jnp.int32) - 1
        return _Lanes(
            lanes.centres.at[lanes.restart].set(centres, mode="drop"),
            lanes.n_iter.at[lanes.restart].set(n_iter, mode="drop"),
            jnp.where(ended & (lanes.restart < n_init), taken, lanes.restart),
            jnp.where(ended[:, None], -2, labels),
            lanes.next + jnp.sum(ended, dtype=jnp.int32),
        )

    start = _Lanes(
        centres,
        jnp.zeros(n_init, jnp.int32),
        jnp.arange(n_lanes, dtype=jnp.int32),
        jnp.full((n_lanes, points.shape[1]), -2, jnp.int32),
        jnp.asarray(n_lanes, jnp.int32),
    )
    done = lax.while_loop(lambda lanes: jnp.any(lanes.restart < n_init), step, start)
    return done.centres, done.n_iter


def _iterate(
    points: Array, counted: Array, live: Array, go: Array, centres: Array, previous: Array
) -> tuple[Array, Array, Array, Array]:
    """One Lloyd iteration: labels, new centres, sum of squared movements, and whether the labels are the previous.

    Where they are, the centres stay as they are. `go` is always true: a branch is where XLA's fusion ends, which would
    else compute all distances again in each of the k comparisons with the labels (five times slower; an optimisation
    barrier is gone by then).
    """
    labels = lax.cond(go, lambda: _nearest(points, live, centres), lambda: previous)
    repeated = jnp.all(labels == previous)
    labels, sums = _relocate_empty(points, counted, live, centres, labels)
    count, old = sums[:, -1:], centres.astype(sums.dtype)
    means = jnp.where(count > 0, sums[:, :-1] / jnp.maximum(count, 1), old)
    shift = jnp.sum((means - old) ** 2)
    return labels, jnp.where(repeated, centres, means.astype(centres.dtype)), shift, repeated


def _nearest(points: Array, live: Array, centres: Array) -> Array:
    """Nearest centre of every point, ties to the lowest, -1 where not live.

    The barrier keeps XLA from fusing this into all who read the labels, each of whom would then compute it again.
    """
    k, (d, n) = centres.shape[0], points.shape
    block = max(1, min(k, UNROLLED // d))
    n_blocks = -(-k // block)
    padded = jnp.pad(centres, ((0, n_blocks * block - k), (0, 0)), constant_values=jnp.inf)

    def compare(b: Any, best: tuple[Array, Array]) -> tuple[Array, Array]:
        label, least = best
        for c in range(block):
            distance = squared_distances(points, padded[b * block + c])
            label = jnp.where(distance < least, jnp.asarray(b * block + c, jnp.int32), label)
            least = jnp.minimum(least, distance)
        return label, least

    best = jnp.zeros(n, jnp.int32), jnp.full(n, jnp.inf, points.dtype)
    label, _ = compare(0, best) if n_blocks == 1 else lax.fori_loop(0, n_blocks, compare, best)
    return jnp.where(live, label, -1)


def _own_distances(points: Array, live: Array, centres: Array, labels: Array) -> Array:
    """Squared distance (n,) of every point to the centre of its cluster, 0 where not live."""
    return jnp.where(live, squared_distances(points, centres[labels].T), 0)


def _cluster_sums(counted: Array, labels: Array, n_clusters: int) -> Array:
    """Sums over clusters (k, d + 1) of points (d + 1, n) whose last feature is 1."""
    own = labels == jnp.arange(n_clusters, dtype=jnp.int32)[:, None]
    return jnp.matmul(own.astype(counted.dtype), counted.T, precision=lax.Precision.HIGHEST)


def _relocate_empty(points: Array, counted: Array, live: Array, centres: Array, labels: Array) -> tuple[Array, Array]:
    """Give each empty cluster the point farthest from its centre, ties to the lowest; new labels and cluster sums.

    Which clusters are empty is settled before: one that gives its only point away stays so. A point that has moved is
    the centre of its new cluster, hence at no distance and never the farthest again.
    """
    n_clusters = centres.shape[0]
    sums = _cluster_sums(counted, labels, n_clusters)
    number = jnp.cumsum(sums[:, -1] == 0, dtype=jnp.int32)  # of each empty cluster, from 1

    def give(state: tuple[Array, ...]) -> tuple[Array, ...]:
        given, labels, centres, _ = state
        far = _own_distances(points, live, centres, labels)
        farthest = jnp.argmax(far)
        found = far[farthest] > 0
        empty = jnp.sum(number <= given, dtype=jnp.int32)
        labels = labels.at[farthest].set(jnp.where(found, empty, labels[farthest]))
        centres = centres.at[empty].set(jnp.where(found, points[:, farthest], centres[empty]))
        given = jnp.where(found, given + 1, number[-1])
        return given, labels, centres, _cluster_sums(counted, labels, n_clusters)

    start = jnp.zeros((), jnp.int32), labels, centres, sums
    _, labels, _, sums = lax.while_loop(lambda state: state[0] < number[-1], give, start)
    return labels, sums
