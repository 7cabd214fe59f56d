"""JAX: clusterable initialisation and rescaling as functions, also inside `jit`, for both orientations."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from netspectra.errors import GraphError
from netspectra.training import initialisation, rescaling

pytestmark = pytest.mark.requires("jax")

SIZES = (12, 9, 8, 5)


def chain(dtype: Any = np.float32) -> tuple[list[np.ndarray], list[Any]]:
    """Return weights (n_in, n_out) and biases of a multi-layer perceptron; one layer has no bias."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape).astype(dtype) for shape in pairwise(SIZES)]
    return weights, [rng.standard_normal(9).astype(dtype), None, rng.standard_normal(5).astype(dtype)]


def kernels() -> tuple[list[np.ndarray], list[Any]]:
    """Return a network for (B, 6, 6, 2) as Flax stores it: two 2 x 2 convolutions and a dense layer of 4 x 4 x 3."""
    rng = np.random.default_rng(1)
    shapes = [(2, 2, 2, 4), (2, 2, 4, 3), (48, 5)]
    return [rng.standard_normal(s).astype(np.float32) for s in shapes], [
        rng.standard_normal(s[-1]).astype(np.float32) for s in shapes
    ]


def outputs(weights: list[Any], biases: list[Any], x: Any) -> Any:
    """Outputs of a ReLU network in Flax's layout."""
    import jax
    import jax.numpy as jnp

    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if weight.ndim == 2:
            x = x.reshape(x.shape[0], -1) @ weight
        else:
            x = jax.lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = x if bias is None else x + bias
        x = jnp.maximum(x, 0) if i < len(weights) - 1 else x
    return x


@pytest.mark.parametrize("orientation", ["in-out", "out-in"])
def test_initialisation_is_the_engines(orientation: str) -> None:
    import jax
    import jax.numpy as jnp

    from netspectra.bindings.jax.initialisation import clusterable_init

    weights = chain()[0] if orientation == "in-out" else [w.T for w in chain()[0]]
    expected, drawn = initialisation.clusterable_init(weights, 4, None, 3, orientation)
    new, labels = clusterable_init(weights, n_modules=4, seed=3, orientation=orientation)
    jitted = jax.jit(lambda ws: clusterable_init(ws, n_modules=4, seed=3, orientation=orientation)[0])
    for a, b, c in zip(expected, new, jitted([jnp.asarray(w) for w in weights]), strict=True):
        assert isinstance(b, jax.Array)
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    for a, b in zip(drawn, labels, strict=True):
        np.testing.assert_array_equal(a, b)


def test_flatten_is_channel_minor() -> None:
    import jax.numpy as jnp

    from netspectra.bindings.jax.initialisation import clusterable_init

    weights = [jnp.ones((3, 3, 2, 6)), jnp.ones((6 * 4, 7))]
    new, labels = clusterable_init(weights, n_modules=3, beta=0.5)
    inside = np.asarray(new[1]).reshape(4, 6, 7) == 2
    np.testing.assert_array_equal(inside, np.broadcast_to(labels[1][:, None] == labels[2], (4, 6, 7)))


@pytest.mark.requires("torch")
def test_both_frameworks_draw_the_same() -> None:
    import torch

    from netspectra.bindings.jax.initialisation import clusterable_init
    from netspectra.bindings.pytorch.initialisation import clusterable_init_

    layers = [torch.nn.Linear(*shape) for shape in pairwise(SIZES)]
    weights = [layer.weight.detach().numpy().copy() for layer in layers]
    theirs = clusterable_init_(layers, seed=9)
    new, ours = clusterable_init(weights, seed=9, orientation="out-in")
    for layer, weight in zip(layers, new, strict=True):
        np.testing.assert_array_equal(layer.weight.detach().numpy(), weight)
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("network", "shape"), [(chain, (16, 12)), (kernels, (16, 6, 6, 2))])
def test_rescaling_keeps_the_function(network: Any, shape: tuple[int, ...]) -> None:
    import jax
    import jax.numpy as jnp

    from netspectra.bindings.jax.initialisation import rescale_relu

    weights, biases = network()
    x = jnp.asarray(np.random.default_rng(2).standard_normal(shape).astype(np.float32))
    new, shifts = jax.jit(rescale_relu)(
        [jnp.asarray(w) for w in weights], [None if b is None else jnp.asarray(b) for b in biases]
    )
    before, after = outputs(weights, biases, x), outputs(new, shifts, x)
    np.testing.assert_allclose(after, before, rtol=2e-4, atol=2e-5 * float(jnp.abs(before).max()))
    for weight, bias in zip(new[:-1], shifts[:-1], strict=True):
        rows = np.asarray(weight).reshape(-1, weight.shape[-1])
        together = rows if bias is None else np.vstack([rows, bias])
        np.testing.assert_allclose(np.linalg.norm(together, axis=0), np.sqrt(2), rtol=1e-6)


def test_rescaling_is_the_engines_and_takes_host_arrays() -> None:
    import jax

    from netspectra.bindings.jax.initialisation import rescale_relu

    weights, biases = chain()
    expected, shifts = rescaling.rescale_relu(weights, biases)
    new, moved = rescale_relu(weights, biases)
    assert moved is not None
    assert moved[1] is None
    for a, b in zip([*expected, shifts[0], shifts[2]], [*new, moved[0], moved[2]], strict=True):
        assert isinstance(b, jax.Array)
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert rescale_relu(weights)[1] is None


def test_double_precision_arrays_of_the_host_become_jaxs_own() -> None:
    from netspectra.bindings.jax.initialisation import clusterable_init

    weights, _ = chain(np.float64)
    assert all(w.dtype == np.float32 for w in clusterable_init(weights)[0])  # x64 is off, and nothing warned


def test_rescaling_is_differentiable() -> None:
    import jax
    import jax.numpy as jnp

    from netspectra.bindings.jax.initialisation import rescale_relu

    weights, _ = chain()
    weights[1][:, 2] = 0  # a dead unit must not put NaN into its neighbours' gradients
    gradient = jax.grad(lambda ws: sum(jnp.sum(w**2) for w in rescale_relu(ws)[0]))([jnp.asarray(w) for w in weights])
    assert all(bool(jnp.all(jnp.isfinite(g))) for g in gradient)
    assert any(bool(jnp.any(g != 0)) for g in gradient)


def test_messages() -> None:
    import jax
    import jax.numpy as jnp

    from netspectra.bindings.jax.initialisation import clusterable_init, rescale_relu

    weights, biases = chain()
    with pytest.raises(GraphError, match=r"do not chain as 'out-in'.*the other way: orientation 'in-out'"):
        clusterable_init(weights, orientation="out-in")
    with pytest.raises(GraphError, match=r"weights must be a list of arrays, one per layer, first layer first, got"):
        clusterable_init(jnp.ones((3, 3)))
    with pytest.raises(GraphError, match=r"seed must be an integer in \[0, 2\*\*64\) or None"):
        clusterable_init(weights, seed=jax.random.key(0))
    with pytest.raises(GraphError, match=r"seed must be an integer"):
        jax.jit(lambda seed: clusterable_init(weights, seed=seed)[0])(3)
    with pytest.raises(GraphError, match=r"biases must be a list of one bias, or None, per layer \(3\)"):
        rescale_relu(weights, biases[:2])
