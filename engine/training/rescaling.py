r"""Rescaling that a ReLU network does not notice: every hidden unit's incoming weights and bias to norm sqrt(2).

For :math:`c > 0`, :math:`\mathrm{relu}(c z) = c\,\mathrm{relu}(z)`: a hidden unit's incoming weights and bias times c,
its outgoing weights over c, compute the same function, while the graph's edges change. Fixing
:math:`\|(W_{:j}, b_j)\| = \sqrt 2` for every hidden unit takes that freedom away from the clusterability penalty.

The norm is over incoming weights *and* bias together (of a convolution: over all kernel slices that lead to the
channel, and its bias), as in the published code of arXiv:2103.03386 (``NormalizeWeights`` of its training script).
Layers are taken in order, each after the one before it has been compensated in it, so that all hidden norms hold at the
end. A unit without any incoming weight is left alone, whatever its bias (the published code would scale that bias), and
so is one whose factor would not be finite and positive.
"""

import math
from collections.abc import Iterable
from typing import Any

import array_api_compat

from netspectra.errors import GraphError
from netspectra.training.weight_arrays import as_array, back_in_dtype, require_one_library, widened
from netspectra.training.weight_chain import Orientation, along, fans, per_input, require_chain

__all__ = ["HIDDEN_NORM", "rescale_relu"]

HIDDEN_NORM = math.sqrt(2)


def rescale_relu(
    weights: Any, biases: Any = None, orientation: Orientation = "in-out"
) -> tuple[list[Any], list[Any] | None]:
    """Weights and biases of the same function, every hidden unit's incoming norm being sqrt(2).

    Parameters
    ----------
    weights : list of arrays
        A chain of dense and convolution layers; see :mod:`netspectra.training.weight_chain` for shapes and flattening.
        Between them only what commutes with a positive factor per unit: ReLU, leaky ReLU, max and average pooling,
        dropout, flattening; no batch normalisation, no sigmoid, no skip.
    biases : list of (array of shape (n_out,) or None), optional
        One per layer; None: no layer has one.
    orientation : {"in-out", "out-in"}, default "in-out"
        Which axes hold inputs and outputs.

    Returns
    -------
    weights, biases
        New ones, on their own library, device and dtype; None where None was given. The last layer's bias is the
        given one, and its outputs are those of the given network up to rounding.

    Raises
    ------
    GraphError
        If the weights do not chain or the biases do not fit them.
    """
    arrays = require_chain(weights, orientation)
    shifts = _checked_biases(biases, arrays, orientation)
    for i in range(len(arrays) - 1):
        factor = _unit_factors(arrays[i], shifts[i], orientation)
        xp = array_api_compat.array_namespace(factor)
        arrays[i] = _times(arrays[i], along(factor, arrays[i], "out", orientation))
        if shifts[i] is not None:
            shifts[i] = _times(shifts[i], factor)
        inverse = per_input(xp.ones_like(factor) / factor, fans(arrays[i + 1], orientation)[0], orientation)
        arrays[i + 1] = _times(arrays[i + 1], along(inverse, arrays[i + 1], "in", orientation))
    return arrays, None if biases is None else shifts


def _unit_factors(weight: Any, bias: Any, orientation: Orientation) -> Any:
    """(n_out,) factors that bring each unit's incoming weights and bias to norm sqrt(2); 1 where it is left alone."""
    work, xp = widened(weight), array_api_compat.array_namespace(weight)
    incoming = tuple(range(1, weight.ndim)) if orientation == "out-in" else tuple(range(weight.ndim - 1))
    squares = xp.sum(work * work, axis=incoming)
    live = squares > 0
    if bias is not None:
        shift = xp.astype(bias, squares.dtype, copy=False)
        squares = squares + shift * shift
    one = xp.ones_like(squares)
    factor = HIDDEN_NORM / xp.sqrt(xp.where(live, squares, one))
    return xp.where(live & xp.isfinite(factor) & (factor > 0), factor, one)


def _times(array: Any, factor: Any) -> Any:
    work, xp = widened(array), array_api_compat.array_namespace(array)
    return back_in_dtype(work * xp.astype(factor, work.dtype, copy=False), array)


def _checked_biases(biases: Any, weights: list[Any], orientation: Orientation) -> list[Any]:
    """One bias, or None, per layer."""
    if biases is None:
        return [None] * len(weights)
    single = isinstance(biases, str) or array_api_compat.is_array_api_obj(biases)
    if single or not isinstance(biases, Iterable) or len(shifts := list(biases)) != len(weights):
        msg = f"biases must be a list of one bias, or None, per layer ({len(weights)}), or None for no bias at all"
        raise GraphError(msg)
    checked: list[Any] = []
    for i, (bias, weight) in enumerate(zip(shifts, weights, strict=True)):
        array = None if bias is None else as_array(bias, f"biases[{i}]")
        n_out = fans(weight, orientation)[1]
        if array is not None and tuple(array.shape) != (n_out,):
            msg = f"biases[{i}]: expected one number per unit of its layer, shape ({n_out},), got {tuple(array.shape)}"
            raise GraphError(msg)
        if array is not None:
            require_one_library(array, weight, f"biases[{i}]", f"weights[{i}]")
        checked.append(array)
    return checked
