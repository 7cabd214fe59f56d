"""The JAX side of :mod:`benchmarks.training_step`: each step one jitted function, warm start in its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from benchmarks.training_step import N_EIGENVALUES, STRENGTH
from netspectra.bindings.jax import PenaltyState, clusterability_penalty, penalty_state

__all__ = ["JaxContest"]

Layers = list[tuple[jax.Array, jax.Array]]


class JaxContest:
    """See :class:`benchmarks.training_step.Contest`. XLA takes as many threads as the process may use."""

    def __init__(
        self, images: NDArray[np.float32], digits: NDArray[np.int32], widths: Sequence[int], threads: int
    ) -> None:
        del threads
        self._images, self._digits = jnp.asarray(images), jnp.asarray(digits)
        layers = _network(widths)
        moments = jax.tree.map(jnp.zeros_like, (layers, layers))
        self._nets: list[Any] = [(layers, moments, jnp.asarray(0)) for _ in range(2)]
        self._state = penalty_state([W for W, _ in layers], N_EIGENVALUES)
        self._steps = [jax.jit(partial(_step, penalised=penalised)) for penalised in (False, True)]
        self._gradient = jax.jit(jax.grad(_penalty, has_aux=True))
        self._dense: Callable[..., Any] = jax.jit(jax.grad(_dense_penalty))
        self.n_iterations: list[int] = []

    def plain(self, chosen: NDArray[np.int64]) -> None:
        """One step on the task loss alone."""
        self._train(0, chosen)

    def penalised(self, chosen: NDArray[np.int64]) -> None:
        """One step with the penalty."""
        self._train(1, chosen)
        self.n_iterations.append(int(self._state.n_iterations))

    def gradient(self) -> list[NDArray[Any]]:
        """By the penalty's own derivative."""
        gradients, self._state = self._gradient(self._weights(), self._state)
        return [np.asarray(gradient) for gradient in gradients]

    def dense_gradient(self) -> list[NDArray[Any]]:
        """By ``jax.grad`` through ``jnp.linalg.eigh`` of the full Laplacian, float32, jitted."""
        return [np.asarray(gradient) for gradient in self._dense(self._weights())]

    def weights(self) -> list[NDArray[Any]]:
        """Of the second network."""
        return [np.asarray(W) for W in self._weights()]

    def _weights(self) -> list[jax.Array]:
        return [W for W, _ in self._nets[1][0]]

    def _train(self, number: int, chosen: NDArray[np.int64]) -> None:
        batch = self._images[chosen], self._digits[chosen]
        self._nets[number], self._state = self._steps[number](self._nets[number], self._state, *batch)
        jax.block_until_ready(self._nets[number])


def _network(widths: Sequence[int]) -> Layers:
    rng = np.random.default_rng(0)
    layers = []
    for n_in, n_out in pairwise(widths):
        bound = n_in**-0.5
        W, b = (rng.uniform(-bound, bound, shape).astype(np.float32) for shape in ((n_in, n_out), (n_out,)))
        layers.append((jnp.asarray(W), jnp.asarray(b)))
    return layers


def _step(net: Any, state: PenaltyState, x: jax.Array, y: jax.Array, *, penalised: bool) -> tuple[Any, PenaltyState]:
    """Adam, learning rate 1e-3."""
    layers, (first, second), count = net

    def loss(layers: Layers) -> tuple[jax.Array, PenaltyState]:
        task = _cross_entropy(layers, x, y)
        if not penalised:
            return task, state
        value, following = _penalty([W for W, _ in layers], state)
        return task + value, following

    gradients, following = jax.grad(loss, has_aux=True)(layers)
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
    rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    layers = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), layers, first, second)
    return (layers, (first, second), count), following


def _cross_entropy(layers: Layers, x: jax.Array, y: jax.Array) -> jax.Array:
    for W, b in layers[:-1]:
        x = jax.nn.relu(x @ W + b)
    scores = jax.nn.log_softmax(x @ layers[-1][0] + layers[-1][1])
    return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))


def _penalty(weights: list[jax.Array], state: PenaltyState) -> tuple[jax.Array, PenaltyState]:
    return clusterability_penalty(weights, N_EIGENVALUES, STRENGTH, state)


def _dense_penalty(weights: list[jax.Array]) -> jax.Array:
    sizes = [weights[0].shape[0], *(W.shape[1] for W in weights)]
    offsets, n = np.cumsum([0, *sizes]).tolist(), sum(sizes)
    half = jnp.zeros((n, n))
    for number, W in enumerate(weights):
        block = W * jnp.sign(W)  # the derivative of jnp.abs at 0 is 1
        half = half.at[offsets[number] : offsets[number + 1], offsets[number + 1] : offsets[number + 2]].set(block)
    A = half + half.T
    scale = jax.lax.rsqrt(A.sum(1))
    L = jnp.eye(n) - scale[:, None] * A * scale
    return STRENGTH / N_EIGENVALUES * jnp.sum(jnp.linalg.eigh(L)[0][1 : N_EIGENVALUES + 1])
