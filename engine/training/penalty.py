"""Clusterability penalty: ``strength / m`` times the sum of eigenvalues 2 to m + 1 of a network's Laplacian.

A small sum means that the network falls apart into m + 1 clusters with little weight between them. Source:
arXiv:2103.03386 (strength 0.1, m = 3), whose gradient is half the true one: its 0.1 is 0.05 here.

What a framework's binding wraps is a :class:`PenaltyProblem`, fixed by shapes and options, and pure functions of
weights and of the block that the step before left: :func:`penalty_batch`, :func:`evaluate`, :func:`penalty_gradients`.
A backend that compiles may trace all three. :func:`require_sound` looks at values and belongs to the host.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from netspectra.errors import GraphError
from netspectra.graph.batch import GraphBatch, make_batch
from netspectra.graph.dtypes import storage_dtype
from netspectra.kernels.backend import Array, Backend
from netspectra.training.channel_weights import channel_weights, channel_weights_gradient
from netspectra.training.gradient import SpectralFactors, block_gradients, spectral_factors
from netspectra.training.problem import (
    DEFAULT_MAXITER,
    DEFAULT_TOL,
    PenaltyProblem,
    penalty_options,
    penalty_problem,
    too_many,
)
from netspectra.training.tracking import block_shape, reduces, start_block, track
from netspectra.training.weight_arrays import back_in_dtype

__all__ = [
    "DEFAULT_MAXITER",
    "DEFAULT_TOL",
    "Evaluation",
    "PenaltyProblem",
    "cold_shape",
    "cold_start",
    "evaluate",
    "penalty_and_gradients",
    "penalty_batch",
    "penalty_gradients",
    "penalty_options",
    "penalty_problem",
    "require_sound",
]


class Evaluation(NamedTuple):
    """The penalty at some weights, and what its gradient and the next step need.

    Attributes
    ----------
    value : array without axes
    eigenvalues : array, shape (n_eigenvalues,)
        Numbers 2 to n_eigenvalues + 1, ascending.
    factors : SpectralFactors
    block : array, shape (1, size, m)
        Start of the next step; that of this step where the weights were not finite.
    residual : array without axes
        Largest ``|L x - lambda x|``.
    n_iterations : array without axes, int32
    """

    value: Array
    eigenvalues: Array
    factors: SpectralFactors
    block: Array
    residual: Array
    n_iterations: Array


def penalty_batch(backend: Backend, problem: PenaltyProblem, weights: Sequence[Array]) -> GraphBatch:
    """Graph of weights that are on the backend: views of dense ones, channel graphs of convolutions."""
    blocks = tuple(backend.load_block([_edges(problem, w)], symmetric=False) for w in weights)
    wide = any(storage_dtype(w) == np.float64 for w in weights)
    dtype = getattr(backend.xp, backend.dtype or ("float64" if wide else "float32"))
    return make_batch(backend, problem.structure, blocks, dtype, 1)


def cold_shape(problem: PenaltyProblem) -> tuple[int, int, int]:
    """Shape (1, size, m) of the block that goes from step to step."""
    return 1, *block_shape(problem.structure, problem.n_eigenvalues)


def cold_start(backend: Backend, problem: PenaltyProblem, dtype: Any) -> Array:
    """Keyed random block (1, size, m) for the first step."""
    return start_block(backend, problem.structure, problem.n_eigenvalues, dtype, problem.seed)


def evaluate(problem: PenaltyProblem, batch: GraphBatch, block: Array) -> Evaluation:
    """Track the eigenpairs from `block` and return the penalty."""
    xp = batch.backend.xp
    found = track(batch, problem.n_eigenvalues, block, problem.tol_for(block.dtype), problem.maxiter)
    factors = spectral_factors(batch, found.eigenvalues, found.vectors)
    value = xp.sum(found.eigenvalues) * problem.factor
    return Evaluation(value, found.eigenvalues[0, :], factors, found.block, found.residual[0], found.n_iterations[0])


def penalty_gradients(
    problem: PenaltyProblem,
    batch: GraphBatch,
    weights: Sequence[Array],
    factors: SpectralFactors,
    cotangent: Any = 1.0,
    chosen: Sequence[int] | None = None,
) -> list[Array]:
    """`cotangent` times the derivative of the penalty by each of the weights (those `chosen`), in shape and dtype."""
    numbers = range(len(weights)) if chosen is None else chosen
    gradients = block_gradients(batch, factors, cotangent * problem.factor, numbers)
    return [_by_weight(problem, weights[i], gradient[0, ...]) for i, gradient in zip(numbers, gradients, strict=True)]


def penalty_and_gradients(
    backend: Backend, problem: PenaltyProblem, weights: Sequence[Array], block: Array
) -> tuple[Evaluation, list[Array]]:
    """The penalty and its derivative by every weight, in one call."""
    batch = penalty_batch(backend, problem, weights)
    found = evaluate(problem, batch, block)
    return found, penalty_gradients(problem, batch, weights, found.factors)


def require_sound(problem: PenaltyProblem, batch: GraphBatch, weights: Sequence[Array]) -> None:
    """Refuse weights that are not finite, and a graph with too few live nodes, before anything is tracked.

    Raises
    ------
    GraphError
        Naming the weights and what they hold.
    """
    if not math.isfinite(float(batch.volume[0])):
        raise GraphError(_diverged(batch.backend, weights))
    count, n_live, structure = problem.n_eigenvalues, int(batch.backend.xp.count_nonzero(batch.live)), batch.structure
    if n_live <= count:
        raise GraphError(too_many(count, n_live, "nodes with any weight"))
    if n_live < structure.n_nodes and structure.sides is not None and reduces(structure, count):
        # Each pair of nodes on the two sides has one eigenvalue below 1; the reduction does not see those above.
        fewest = min(sum(_n_live(batch, layer) for layer in side) for side in structure.sides)
        if fewest <= count:
            raise GraphError(too_many(count, fewest, "nodes with any weight on one side of the graph"))


def _n_live(batch: GraphBatch, layer: int) -> int:
    return int(batch.backend.xp.count_nonzero(batch.live[:, batch.structure.layer_slice(layer)]))


def _edges(problem: PenaltyProblem, weight: Array) -> Array:
    if weight.ndim == 2:
        return weight
    return channel_weights(weight, problem.norm, "oihw" if problem.orientation == "out-in" else "hwio")


def _by_weight(problem: PenaltyProblem, weight: Array, gradient: Array) -> Array:
    if weight.ndim == 2:
        return back_in_dtype(gradient, weight)
    layout: Any = "oihw" if problem.orientation == "out-in" else "hwio"
    return channel_weights_gradient(weight, gradient, problem.norm, layout)


def _diverged(backend: Backend, weights: Sequence[Array]) -> str:
    faults = []
    for i, weight in enumerate(weights):
        host = backend.to_numpy(weight)
        finite = np.isfinite(host)
        if not finite.all():
            place = tuple(int(k) for k in np.unravel_index(int(np.argmin(finite)), host.shape))
            largest = f", the largest finite one {np.abs(host[finite]).max():.3g}" if finite.any() else ""
            faults.append(
                f"weights[{i}]: {int((~finite).sum())} of {host.size:,} values are not finite, first {host[place]} at "
                f"{place}{largest}"
            )
    if not faults:
        faults = ["the weights do not add up to a finite number: their sum overflows"]
    return (
        f"the step has diverged: {'; '.join(faults)}. The penalty keeps its last good state; go back to weights before "
        "this step, or lower the learning rate"
    )
