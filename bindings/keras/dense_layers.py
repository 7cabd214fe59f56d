"""Layers whose weight is a matrix, however many axes it is stored with."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from netspectra.bindings.keras.tape import Shape, Step
from netspectra.errors import FileFormatError
from netspectra.networks import Weight

__all__ = ["DENSE_LAYERS", "contract"]


def _dense(step: Step) -> str:
    kernel = step.weight("kernel", 2)
    if "kernel_scale" in step.weights or kernel.dtype.kind in "iu":
        return step.opaque(f"its kernel is quantised ({kernel.dtype})", _with_last(step.shape, kernel.shape[1]))
    shape = _with_last(step.shape, kernel.shape[1])
    return step.emit("dense", step.inputs[0], shape, {"weight": kernel}, orientation="in-out")


def _einsum(step: Step) -> str:
    equation = str(step.config.get("equation", "")).replace(" ", "")
    operands, _, result = equation.partition("->")
    data, _, labels = operands.partition(",")
    kernel, shape = step.weight("kernel"), step.shape
    if shape is None or not data or not labels:
        return step.opaque(f"the equation {equation!r} of a tensor of unknown shape")
    if "..." in equation:
        between = "".join(label for label in _LETTERS if label not in equation)[: len(shape) - len(data) + 3]
        data, labels, result = (part.replace("...", between) for part in (data, labels, result))
    summed, new = _parts(data, labels, result)
    kept = [label for label in data if label not in summed]
    if len(data) != len(shape) or len(labels) != len(kernel.shape) or sorted(result) != sorted([*kept, *new]):
        return step.opaque(f"the equation {equation!r} is no product with a matrix")
    made = contract(step, step.inputs[0], (data, labels, result), kernel)
    if made is None:
        return step.opaque(f"the equation {equation!r} is no product with a matrix")
    return made


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _parts(data: str, labels: str, result: str) -> tuple[list[str], list[str]]:
    summed = [label for label in labels if label in data and label not in result]
    return summed, [label for label in labels if label not in data]


def contract(step: Step, tensor: str, equation: tuple[str, str, str], kernel: Weight, part: str = "") -> str | None:
    """Write down an Einstein sum with a weight as one matrix product between reshapes.

    Parameters
    ----------
    step : Step
    tensor : str
        Of known shape.
    equation : tuple of str
        Labels of the tensor's axes, of the kernel's, and of the result's.
    kernel : Weight
    part : str
        Added to the operation's name.

    Returns
    -------
    str or None
        None where the sum is no matrix product: a label in all three.
    """
    data, labels, result = equation
    shape = step.tape.shapes[tensor]
    summed, new = _parts(data, labels, result)
    if shape is None or len(summed) + len(new) != len(labels) or len(set(labels)) != len(labels) or not summed:
        return None
    sides = dict(zip(data, shape, strict=True))
    weights = dict(zip(labels, kernel.shape, strict=True))
    wrong = next((label for label in summed if sides[label] not in (None, weights[label])), None)
    if wrong is not None:
        came = f"axis {wrong!r} has {sides[wrong]} places, its kernel takes {weights[wrong]}"
        msg = f"layer {step.name!r}: expected inputs that fit its weights, but {came}"
        raise FileFormatError(msg)
    kept = [label for label in data if label not in summed]
    outer = tuple(sides[label] for label in kept)
    tensor = _transposed(step, tensor, data, [*kept, *summed], part)
    if len(summed) > 1:
        tensor = step.emit("reshape", tensor, (*outer, math.prod(weights[label] for label in summed)), part=part)
    matrix = _matrix(kernel, labels, summed, new)
    made = step.emit("dense", tensor, (*outer, matrix.shape[1]), {"weight": matrix}, part, orientation="in-out")
    if len(new) != 1:
        made = step.emit("reshape", made, (*outer, *(weights[label] for label in new)), part=part)
    return _transposed(step, made, [*kept, *new], list(result), part)


def _matrix(kernel: Weight, labels: Sequence[str], summed: Sequence[str], new: Sequence[str]) -> Weight:
    """The kernel as a matrix (in, out): a view, unless axes have to change places."""
    order = [labels.index(label) for label in (*summed, *new)]
    sizes = dict(zip(labels, kernel.shape, strict=True))
    shape = (math.prod(sizes[label] for label in summed), math.prod(sizes[label] for label in new))
    if tuple(order) == (0, 1) and shape == kernel.shape:
        return kernel
    return replace(kernel, shape=shape, read=lambda: np.transpose(kernel.read(), order).reshape(shape))


def _transposed(step: Step, tensor: str, labels: Sequence[str], wanted: Sequence[str], part: str) -> str:
    order = tuple(list(labels).index(label) for label in wanted)
    if order == tuple(range(len(order))):
        return tensor
    shape = step.tape.shapes[tensor]
    moved = None if shape is None else tuple(shape[i] for i in order)
    return step.emit("transpose", tensor, moved, part=part, permutation=order)


def _embedding(step: Step) -> str:
    table = step.weight("embeddings", 2)
    shape = None if step.shape is None else (*step.shape, table.shape[1])
    return step.emit("embedding", step.inputs[0], shape, {"weight": table})


def _reversible_embedding(step: Step) -> str:
    reverse = step.keywords.get("reverse", step.arguments[1] if len(step.arguments) > 1 else False)
    if reverse is not True:
        return _embedding(step)
    untied = "reverse_embeddings" in step.weights
    table = step.weight("reverse_embeddings" if untied else "embeddings", 2)
    shape, side = _with_last(step.shape, table.shape[1 if untied else 0]), "in-out" if untied else "out-in"
    return step.emit("dense", step.inputs[0], shape, {"weight": table}, orientation=side)


def _with_last(shape: Shape | None, size: int) -> Shape | None:
    return None if shape is None else (*shape[:-1], size)


DENSE_LAYERS = {
    "Dense": _dense,
    "EinsumDense": _einsum,
    "Embedding": _embedding,
    "ReversibleEmbedding": _reversible_embedding,
}
