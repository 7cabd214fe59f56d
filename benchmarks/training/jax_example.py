"""Training for clusterability in plain JAX: control, penalty and clusterable initialisation, side by side.

An epoch is one ``lax.scan`` in one ``jit``; what the penalty's eigensolver starts from travels in the carry.

Run it from the root of the repository with::

    python -m benchmarks.training.jax_example
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.training.data import Images
from benchmarks.training.experiment import Arm, Settings, Trained, batches, glorot_weights, run_example
from netspectra.bindings.jax import (
    PenaltyState,
    clusterability_penalty,
    clusterable_init,
    penalty_state,
    rescale_relu,
)

__all__ = ["train"]

Array = jax.Array


class Network(NamedTuple):
    """Weights (n_in, n_out) and biases (n_out,) of each layer."""

    weights: list[Array]
    biases: list[Array]


class Carry(NamedTuple):
    """What one step hands to the next: network, Adam's two moments, steps done, the penalty's state."""

    network: Network
    mean: Network
    square: Network
    n_steps: Array
    penalty: PenaltyState


def train(arm: Arm, images: Images, settings: Settings, seed: int) -> Trained:
    """Train one network."""
    weights = [jnp.asarray(weight) for weight in glorot_weights(images.widths, seed)]
    if arm.clusterable:
        weights, _ = clusterable_init(weights, n_modules=10, seed=seed)
    network = Network(weights, [jnp.zeros(width) for width in images.widths[1:]])
    zeros = jax.tree.map(jnp.zeros_like, network)
    lit = jnp.asarray(images.lit)
    state = penalty_state(_seen(weights, arm, lit), settings.n_eigenvalues)
    carry = Carry(network, zeros, zeros, jnp.asarray(0), state)
    data = (jnp.asarray(images.train_images), jnp.asarray(images.train_digits), lit)
    for order in batches(len(images.train_digits), settings, seed):
        carry = _epoch(arm, settings, data, carry, jnp.asarray(order))
        if arm.penalised:
            carry.penalty.require_sound()
    guesses = jnp.argmax(_logits(carry.network, jnp.asarray(images.test_images)), axis=1)
    accuracy = float(jnp.mean(guesses == jnp.asarray(images.test_digits)))
    return Trained([jax.device_get(weight) for weight in carry.network.weights], accuracy)


@partial(jax.jit, static_argnums=(0, 1))
def _epoch(arm: Arm, settings: Settings, data: tuple[Array, Array, Array], carry: Carry, order: Array) -> Carry:
    pixels, digits, lit = data

    def loss(network: Network, state: PenaltyState, batch: Array) -> tuple[Array, PenaltyState]:
        logits = jax.nn.log_softmax(_logits(network, pixels[batch]))
        task = -jnp.mean(jnp.take_along_axis(logits, digits[batch][:, None], axis=1))
        if not arm.penalised:
            return task, state
        seen = _seen(network.weights, arm, lit)
        penalty, state = clusterability_penalty(seen, settings.n_eigenvalues, settings.strength, state)
        return task + penalty, state

    def step(carry: Carry, batch: Array) -> tuple[Carry, None]:
        gradient, state = jax.grad(loss, has_aux=True)(carry.network, carry.penalty, batch)
        carry = _adam(carry, gradient, settings.learning_rate)
        if arm.rescaled:
            weights, biases = rescale_relu(*carry.network)
            carry = carry._replace(network=Network(weights, biases))
        return carry._replace(penalty=state), None

    return jax.lax.scan(step, carry, order)[0]


def _seen(weights: list[Array], arm: Arm, lit: Array) -> list[Array]:
    """The weights that the penalty looks at."""
    return [weights[0][lit], *weights[1:]] if arm.penalised == "lit" else weights


def _logits(network: Network, activations: Array) -> Array:
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        activations = jax.nn.relu(activations @ weight + bias)
    return activations @ network.weights[-1] + network.biases[-1]


def _adam(carry: Carry, gradient: Network, rate: float) -> Carry:
    """One step of Adam with its usual constants."""
    n_steps = carry.n_steps + 1
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, carry.mean, gradient)
    square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, carry.square, gradient)

    def moved(value: Array, m: Array, s: Array) -> Any:
        return value - rate * (m / (1 - 0.9**n_steps)) / (jnp.sqrt(s / (1 - 0.999**n_steps)) + 1e-8)

    network = jax.tree.map(moved, carry.network, mean, square)
    return carry._replace(network=network, mean=mean, square=square, n_steps=n_steps)


if __name__ == "__main__":
    run_example("JAX", train)
