"""Clusterable initialisation and the ReLU-preserving rescaling, as functions on lists of JAX arrays.

Both can be called inside ``jax.jit``: modules are drawn on the host from the shapes, `n_modules`, `beta` and `seed`,
which must be known there.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from netspectra.graph.consistency import Orientation
from netspectra.training import initialisation, rescaling
from netspectra.training.weight_arrays import as_array

__all__ = ["clusterable_init", "rescale_relu"]


def clusterable_init(
    weights: Any,
    n_modules: int = 10,
    beta: float | None = None,
    seed: int | None = 0,
    orientation: Orientation = "in-out",
    *,
    first_layer: bool = True,
) -> "tuple[list[Any], list[np.ndarray[Any, np.dtype[np.int32]]]]":
    """Weights with those inside a module multiplied up and those across modules multiplied down.

    Parameters
    ----------
    weights : list of arrays
        Of a chain of layers, as any standard initialisation made them: (n_in, n_out) or (*spatial, n_in, n_out) for
        ``"in-out"`` (Flax, Keras), (n_out, n_in) or (n_out, n_in, *spatial) for ``"out-in"``. A flatten between a
        convolution and a dense layer is channel-minor in the former, channel-major in the latter.
    n_modules : int, default 10
        M.
    beta : float, optional
        Factor across modules, in (0, 1]; inside it is ``1 + (1 - beta) * (M - 1)``. Default 0.6, or 0.8 if there is a
        convolution.
    seed : int or None, default 0
        Of the modules: an integer, not a JAX key.
    orientation : {"in-out", "out-in"}, default "in-out"
    first_layer : bool, default True
        False leaves the first layer's weights as they are, as the published code does.

    Returns
    -------
    weights : list of jax.Array
    labels : list of numpy arrays, int32
        Module of every unit, or channel: of the inputs, then of each layer. The same as PyTorch's twin draws.

    Raises
    ------
    GraphError
        If the weights do not chain or an argument is out of range.
    """
    return initialisation.clusterable_init(
        _arrays(weights, "weights"), n_modules, beta, seed, orientation, first_layer=first_layer
    )


def rescale_relu(
    weights: Any, biases: Any = None, orientation: Orientation = "in-out"
) -> tuple[list[Any], list[Any] | None]:
    """Weights and biases of the same ReLU network with every hidden unit's incoming norm at sqrt(2).

    Parameters
    ----------
    weights : list of arrays
        As for :func:`clusterable_init`; between the layers only ReLU, leaky ReLU, pooling, dropout and flatten.
    biases : list of (array or None), optional
        One per layer; the norm is over incoming weights and bias together.
    orientation : {"in-out", "out-in"}, default "in-out"

    Returns
    -------
    weights : list of jax.Array
    biases : list of (jax.Array or None), or None
        As given.

    Raises
    ------
    GraphError
        If the weights do not chain or the biases do not fit them.
    """
    return rescaling.rescale_relu(_arrays(weights, "weights"), _arrays(biases, "biases"), orientation)


def _arrays(values: Any, name: str) -> Any:
    """A list's host arrays as JAX arrays; what is no list is left for the check that names it."""
    if not isinstance(values, list | tuple):
        return values
    return [
        jnp.asarray(as_array(value, f"{name}[{i}]")) if isinstance(value, np.ndarray | list | tuple) else value
        for i, value in enumerate(values)
    ]
