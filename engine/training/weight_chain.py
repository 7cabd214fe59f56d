"""A chain of layers by its weights alone, dense or convolution: which axis holds which units, and what a flatten does.

==============  ======================  ==========================  ===================================================
orientation     dense                   convolution                 flatten between convolution and dense
==============  ======================  ==========================  ===================================================
``"in-out"``    (n_in, n_out)           (*spatial, n_in, n_out)     channel-minor (Flax, Keras): input ``p * C + c``
``"out-in"``    (n_out, n_in)           (n_out, n_in, *spatial)     channel-major (PyTorch): input ``c * P + p``
==============  ======================  ==========================  ===================================================

with channel ``c`` of ``C`` and position ``p`` of ``P``. A dense layer after a convolution of C channels may have any
multiple of C inputs (C itself after a global pooling); elsewhere the counts are equal.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import array_api_compat

from netspectra.errors import GraphError
from netspectra.graph.consistency import Orientation
from netspectra.training.weight_arrays import as_array, require_one_library, widened
from netspectra.validation import require_choice

__all__ = ["Orientation", "along", "fans", "per_input", "require_chain", "unit_counts"]

Side = Literal["in", "out"]


def require_chain(weights: Any, orientation: Any) -> list[Any]:
    """Return the weights of a chain, first layer first.

    Raises
    ------
    GraphError
        If it is no list of float arrays with two or more axes, or the shapes do not chain; the message says when they
        would in the other orientation.
    """
    orientation = require_choice("orientation", orientation, get_args(Orientation))
    single = isinstance(weights, str | Mapping) or array_api_compat.is_array_api_obj(weights)
    if single or not isinstance(weights, Iterable):
        msg = f"weights must be a list of arrays, one per layer, first layer first, got {type(weights).__name__}"
        raise GraphError(msg)
    arrays = [_checked(w, f"weights[{i}]") for i, w in enumerate(weights)]
    if not arrays:
        msg = "weights must hold the weights of at least one layer, got an empty list"
        raise GraphError(msg)
    for i, array in enumerate(arrays):
        require_one_library(array, arrays[0], f"weights[{i}]", "weights[0]")
    fault = _first_fault(arrays, orientation)
    if fault is not None:
        other: Orientation = "out-in" if orientation == "in-out" else "in-out"
        hint = "check their order; a skip is no chain"
        if _first_fault(arrays, other) is None:
            hint = f"they do chain the other way: orientation {other!r}"
        one, two = (tuple(int(size) for size in arrays[fault + step].shape) for step in (0, 1))
        msg = (
            f"weights[{fault}] and weights[{fault + 1}] do not chain as {orientation!r}: "
            f"{fans(arrays[fault], orientation)[1]} units against {fans(arrays[fault + 1], orientation)[0]} inputs "
            f"(shapes {one} and {two}); {hint}"
        )
        raise GraphError(msg)
    return arrays


def fans(weight: Any, orientation: Orientation) -> tuple[int, int]:
    """(n_in, n_out) of one layer: units of a dense one, channels of a convolution."""
    shape = weight.shape[:2][::-1] if orientation == "out-in" else weight.shape[-2:]
    return int(shape[0]), int(shape[1])


def unit_counts(weights: list[Any], orientation: Orientation) -> list[int]:
    """Units per layer of nodes, inputs first; one more than there are weights. Channels count once."""
    return [fans(weights[0], orientation)[0], *(fans(w, orientation)[1] for w in weights)]


def along(values: Any, weight: Any, side: Side, orientation: Orientation) -> Any:
    """Values (n,), one per unit on a side of a layer, shaped to be multiplied onto its weights."""
    axis = {"out-in": {"out": 0, "in": 1}, "in-out": {"in": weight.ndim - 2, "out": weight.ndim - 1}}[orientation][side]
    shape = [1] * weight.ndim
    shape[axis] = values.shape[0]
    return array_api_compat.array_namespace(values).reshape(values, tuple(shape))


def per_input(values: Any, n_inputs: int, orientation: Orientation) -> Any:
    """Values (C,), one per channel, repeated for the (n_inputs,) inputs that the next layer has for them."""
    xp, channels = array_api_compat.array_namespace(values), int(values.shape[0])
    if n_inputs == channels:
        return values
    positions = n_inputs // channels
    if orientation == "out-in":
        spread = xp.broadcast_to(xp.reshape(values, (channels, 1)), (channels, positions))
    else:
        spread = xp.broadcast_to(xp.reshape(values, (1, channels)), (positions, channels))
    return xp.reshape(spread, (n_inputs,))


def _checked(weight: Any, what: str) -> Any:
    array = as_array(weight, what)
    shape = tuple(int(size) for size in array.shape)
    if array.ndim < 2 or 0 in shape:
        msg = f"{what}: expected a dense layer's matrix or a convolution's kernel, not empty, got shape {shape}"
        raise GraphError(msg)
    if "int" in str(array.dtype):
        array = widened(array)
    return array


def _first_fault(arrays: list[Any], orientation: Orientation) -> int | None:
    """Position of the first layer that the next one does not fit onto."""
    for i in range(len(arrays) - 1):
        n_out, n_in = fans(arrays[i], orientation)[1], fans(arrays[i + 1], orientation)[0]
        flattened = arrays[i].ndim > 2 and arrays[i + 1].ndim == 2
        if n_in % n_out if flattened else n_in != n_out:
            return i
    return None
