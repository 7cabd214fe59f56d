"""The clusterability penalty as a function of JAX arrays, with a closed-form derivative and a warm start."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from netspectra.errors import GraphError
from netspectra.graph.consistency import Orientation
from netspectra.kernels import get_backend
from netspectra.training.channel_weights import Norm
from netspectra.training.penalty import (
    DEFAULT_MAXITER,
    DEFAULT_TOL,
    PenaltyProblem,
    cold_shape,
    cold_start,
    evaluate,
    penalty_and_gradients,
    penalty_batch,
    penalty_problem,
    require_sound,
)

__all__ = ["PenaltyState", "clusterability_penalty", "keep_zeros", "penalty_state"]


class PenaltyState(NamedTuple):
    """What one step leaves to the next: a pytree of arrays, none of them differentiated.

    Attributes
    ----------
    block : array, shape (1, size, m)
        Start of the next step; after a step that diverged, that of the last good one.
    eigenvalues : array, shape (n_eigenvalues,)
        Numbers 2 to n_eigenvalues + 1 of the step, ascending.
    residual : array without axes
        Its largest ``|L x - lambda x|``; not finite where the step has diverged.
    n_iterations : array without axes, int32
        Iterations beyond the warm start; 0 while it is good enough.
    """

    block: Array
    eigenvalues: Array
    residual: Array
    n_iterations: Array

    @property
    def diverged(self) -> Array:
        """Whether the step's weights were not finite: bool without axes, traceable."""
        return ~jnp.isfinite(self.residual)

    def require_sound(self) -> None:
        """Raise :class:`GraphError` with the step's values if it has diverged; for use outside ``jit``."""
        if bool(self.diverged):
            msg = (
                f"the step has diverged: eigenvalues {np.asarray(self.eigenvalues)}, residual {float(self.residual)}. "
                "The state keeps the last good block; go back to weights before this step, or lower the learning rate"
            )
            raise GraphError(msg)


def clusterability_penalty(
    weights: Sequence[Any],
    n_eigenvalues: int = 3,
    strength: Any = 0.05,
    state: PenaltyState | None = None,
    edges: Any = None,
    orientation: Orientation = "in-out",
    *,
    norm: Norm = "l1",
    tol: float = DEFAULT_TOL,
    maxiter: int = DEFAULT_MAXITER,
    seed: int = 0,
) -> tuple[Array, PenaltyState]:
    """``strength / n_eigenvalues`` times the sum of Laplacian eigenvalues 2 to ``n_eigenvalues + 1`` of a network.

    Parameters
    ----------
    weights : list of arrays
        One per layer: dense (n_in, n_out) or convolution (*spatial, n_in, n_out), as Flax has them; with
        ``orientation="out-in"`` (n_out, n_in, *spatial).
    n_eigenvalues : int, default 3
    strength : float or array without axes, default 0.05
        May be traced (a schedule). What the published code of arXiv:2103.03386 calls 0.1, for its gradient is half the
        true one.
    state : PenaltyState, optional
        What the last step returned; None: start cold, from a keyed random block. For ``lax.scan`` begin with
        :func:`penalty_state`.
    edges : sequence of (source, target), optional
        Layer numbers, from 0, that each weight reads from and writes to; default a chain.
    orientation : {"in-out", "out-in"}
    norm : {"l1", "l2", "operator-1"}
        Edge between channels of a convolution, of its kernel slice.
    tol : float, default 5e-3
        Bound on ``|L x - lambda x|``. The error of an eigenvalue goes with its square; what following the weights of a
        training run gives at that bound is told at :class:`netspectra.bindings.pytorch.ClusterabilityPenalty`.
    maxiter : int, default 500
        Of the eigensolver, where a step needs more than the warm start.
    seed : int, default 0
        Of the random block of a cold start.

    Returns
    -------
    penalty : array without axes
        In float32, or float64 for float64 weights. ``grad`` (with ``has_aux=True``), ``value_and_grad``, ``jit`` and
        ``scan`` accept it; there is a first derivative by reverse mode only.
    state : PenaltyState

    Raises
    ------
    GraphError
        If the weights are no chain (or do not fit `edges`), `n_eigenvalues` is not below the number of nodes, or the
        state is that of another network. Outside ``jit`` also if weights are not finite or too few nodes have any;
        inside it values cannot be looked at: weights that are not finite, or all zero, give NaN, ``state.diverged``
        says so, and the state keeps its last good block; with too few nodes left, eigenvalues of about 1 stand in.
    RuntimeError
        Where it is differentiated a second time.

    Notes
    -----
    Where the sum ends inside a cluster of equal eigenvalues the gradient is not defined; what comes back then is that
    of the eigenvectors found. Weights that are exactly zero get none (sign(0) = 0), see :func:`keep_zeros`.
    """
    arrays = _listed(weights)
    # The strength is multiplied outside, so that it may be traced.
    problem = penalty_problem(
        [w.shape for w in arrays], n_eigenvalues=n_eigenvalues, strength=1.0, edges=edges, orientation=orientation,
        norm=norm, tol=tol, maxiter=maxiter, seed=seed,
    )  # fmt: skip
    _look(problem, arrays)
    block = _start(problem, arrays) if state is None else _checked_block(problem, state)
    value, found = _penalty(problem, arrays, jax.lax.stop_gradient(block))
    return _factor(strength).astype(value.dtype) * value, PenaltyState(*jax.lax.stop_gradient(found))


def penalty_state(
    weights: Sequence[Any],
    n_eigenvalues: int = 3,
    edges: Any = None,
    orientation: Orientation = "in-out",
    *,
    seed: int = 0,
) -> PenaltyState:
    """State before the first step, of the shapes that :func:`clusterability_penalty` returns: for ``lax.scan``.

    Arguments as there. Its block is random and its residual infinite.
    """
    arrays = _listed(weights)
    problem = penalty_problem(
        [w.shape for w in arrays], n_eigenvalues=n_eigenvalues, edges=edges, orientation=orientation, seed=seed
    )
    block = _start(problem, arrays)
    unknown = jnp.full((problem.n_eigenvalues,), jnp.nan, block.dtype)
    return PenaltyState(block, unknown, jnp.asarray(jnp.inf, block.dtype), jnp.asarray(0, jnp.int32))


def keep_zeros(weights: Any) -> Any:
    """The same pytree of weights, with a derivative of zero wherever a weight is exactly zero.

    Put what both the network and the penalty use through it, and pruned weights stay zero in training, with any loss.
    """
    return jax.tree.map(lambda w: jnp.where(w != 0, w, jax.lax.stop_gradient(w)), weights)


def _listed(weights: Any) -> list[Array]:
    """The weights as arrays of real numbers."""
    if not isinstance(weights, list | tuple):
        msg = (
            f"weights must be a list of arrays, one per layer, first layer first (of Flax parameters each layer's "
            f"'kernel'), got {type(weights).__name__}"
        )
        raise GraphError(msg)
    arrays = [jnp.asarray(weight) for weight in weights]
    for i, array in enumerate(arrays):
        if not jnp.issubdtype(array.dtype, jnp.floating):
            msg = f"weights[{i}]: expected real floating-point numbers, got dtype {array.dtype}"
            raise GraphError(msg)
    return arrays


def _factor(strength: Any) -> Array:
    """The strength as an array without axes, traced or finite."""
    traced = isinstance(strength, jax.core.Tracer)
    number = traced or (isinstance(strength, int | float | np.number | jax.Array) and not isinstance(strength, bool))
    if not number or np.ndim(strength) or not (traced or np.isfinite(strength)):
        msg = f"strength must be a finite number or an array without axes, got {strength!r}"
        raise GraphError(msg)
    return jnp.asarray(strength)


@jax.custom_jvp  # type: ignore[untyped-decorator]
def _first_only(weight: Array) -> Array:
    """The weight itself, in a rule that must not be differentiated again: forward mode would give NaN."""
    return weight


@_first_only.defjvp  # type: ignore[untyped-decorator]
def _refuse(primals: Any, tangents: Any) -> Any:
    del primals, tangents
    msg = "clusterability_penalty has first derivatives only, by reverse mode: no hessian, no grad of grad"
    raise RuntimeError(msg)


def _look(problem: PenaltyProblem, weights: list[Array]) -> None:
    """Refuse weights that are not finite, wherever their values can be seen: outside of ``jit``."""
    if not any(isinstance(w, jax.core.Tracer) for w in weights):
        require_sound(problem, penalty_batch(get_backend("jax"), problem, weights), weights)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _penalty(problem: PenaltyProblem, weights: list[Array], block: Array) -> tuple[Array, PenaltyState]:
    found: tuple[Array, PenaltyState] = _value(problem, weights, block)
    return found


@partial(jax.jit, static_argnums=0)  # for those who call it outside of a jit of their own
def _value(problem: PenaltyProblem, weights: list[Array], block: Array) -> tuple[Array, PenaltyState]:
    found = evaluate(problem, penalty_batch(get_backend("jax"), problem, weights), block)
    return found.value, PenaltyState(found.block, found.eigenvalues, found.residual, found.n_iterations)


def _forward(problem: PenaltyProblem, weights: list[Array], block: Array) -> tuple[Any, list[Array]]:
    _look(problem, weights)  # grad hands tracers to the caller above, and values to this rule
    weights = [_first_only(weight) for weight in weights]
    found: tuple[Any, list[Array]] = _value_and_gradients(problem, weights, block)
    return found


@partial(jax.jit, static_argnums=0)
def _value_and_gradients(problem: PenaltyProblem, weights: list[Array], block: Array) -> tuple[Any, list[Array]]:
    found, gradients = penalty_and_gradients(get_backend("jax"), problem, weights, block)
    state = PenaltyState(found.block, found.eigenvalues, found.residual, found.n_iterations)
    return (found.value, state), gradients


def _backward(problem: PenaltyProblem, gradients: list[Array], cotangents: Any) -> tuple[list[Array], None]:
    del problem
    return [(cotangents[0] * gradient).astype(gradient.dtype) for gradient in gradients], None


_penalty.defvjp(_forward, _backward)


def _start(problem: PenaltyProblem, weights: list[Array]) -> Array:
    """Cold block in the dtype the penalty works in."""
    backend = get_backend("jax")
    wide = any(w.dtype == jnp.float64 for w in weights)
    block: Array = cold_start(backend, problem, backend.xp.float64 if wide else backend.xp.float32)
    return block


def _checked_block(problem: PenaltyProblem, state: Any) -> Array:
    if not isinstance(state, PenaltyState):
        msg = f"state must be what the last call or penalty_state returned, or None, got {type(state).__name__}"
        raise GraphError(msg)
    expected = cold_shape(problem)
    if tuple(state.block.shape) != expected:
        msg = (
            f"state is that of another network or n_eigenvalues: its block has shape {tuple(state.block.shape)}, this "
            f"penalty needs {expected}; pass state=None to start anew"
        )
        raise GraphError(msg)
    return state.block
