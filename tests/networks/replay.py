"""A network run on numbers, by PyTorch: what a reader wrote down must compute what the module does, save for biases.

``pass`` is the identity, ``reduce`` the mean, constants are zero: the modules it is compared with keep to that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from netspectra.networks import Network, Operation

__all__ = ["replay"]


def replay(network: Network, inputs: tuple[Any, ...]) -> list[Any]:
    """Return the outputs of a network; every shape that it promises is checked on the way."""
    values: dict[str, Any] = dict(zip(network.inputs, inputs, strict=True))
    values |= {name: torch.zeros(shape) for name, shape in network.constants.items()}
    for operation in network.operations:
        read = [values[name] for name in operation.inputs]
        weights = {role: torch.from_numpy(np.array(weight.read())) for role, weight in operation.weights.items()}
        made = RULES[operation.kind](operation, read, weights)
        made = made if isinstance(made, list) else [made]
        if operation.shape is not None:
            assert len(made[0].shape) == len(operation.shape), operation
            assert all(b in (a, None) for a, b in zip(made[0].shape, operation.shape, strict=True)), operation
        values.update(zip(operation.outputs, made, strict=True))
    return [values[name] for name in network.outputs]


def _dense(operation: Operation, read: list[Any], weights: dict[str, Any]) -> Any:
    axis = operation.options.get("axis", -1)
    matrix = weights["weight"] if operation.options["orientation"] == "out-in" else weights["weight"].T
    return functional.linear(read[0].movedim(axis, -1), matrix).movedim(-1, axis)


def _convolution(operation: Operation, read: list[Any], weights: dict[str, Any]) -> Any:
    kernel, options = weights["weight"], operation.options
    start = "conv_transpose" if options["layout"] == "iohw" else "conv"
    convolve = getattr(functional, f"{start}{kernel.ndim - 2}d")
    assert options.get("axis", 1) == read[0].ndim - kernel.ndim + 1
    return convolve(read[0], kernel, groups=options.get("groups", 1))


def _scale(operation: Operation, read: list[Any], weights: dict[str, Any]) -> Any:
    factor = weights["scale"]
    if "variance" in weights:
        factor = factor / torch.sqrt(weights["variance"] + operation.options["epsilon"])
    return (read[0].movedim(operation.options["axis"], -1) * factor).movedim(-1, operation.options["axis"])


def _pass(operation: Operation, read: list[Any], weights: dict[str, Any]) -> Any:
    return read[0]


def _slice(operation: Operation, read: list[Any], weights: dict[str, Any]) -> Any:
    options = operation.options
    cut = slice(options["start"], options["stop"], options.get("step", 1))
    return read[0][(slice(None),) * options["axis"] + (cut,)]


def _pad(operation: Operation, read: list[Any], weights: dict[str, Any]) -> Any:
    options, n_axes = operation.options, read[0].ndim
    after = 2 * (n_axes - 1 - options["axis"] % n_axes)
    return functional.pad(read[0], [0] * after + [options["before"], options["after"]])


def _multiply(operation: Operation, read: list[Any], weights: dict[str, Any]) -> Any:
    return torch.stack(torch.broadcast_tensors(*read)).prod(0)


RULES: dict[str, Callable[[Operation, list[Any], dict[str, Any]], Any]] = {
    "dense": _dense,
    "convolution": _convolution,
    "embedding": lambda operation, read, weights: functional.embedding(read[0], weights["weight"]),
    "scale": _scale,
    "add": lambda operation, read, weights: sum(read),
    "multiply": _multiply,
    "product": lambda operation, read, weights: torch.matmul(*read),
    "attention": lambda operation, read, weights: functional.scaled_dot_product_attention(*read),
    "pass": _pass,
    "reshape": lambda operation, read, weights: read[0].reshape(operation.shape),
    "flatten": lambda operation, read, weights: read[0].flatten(operation.options["start"], operation.options["stop"]),
    "transpose": lambda operation, read, weights: read[0].permute(operation.options["permutation"]),
    "concatenate": lambda operation, read, weights: torch.cat(read, operation.options["axis"]),
    "slice": _slice,
    "split": lambda operation, read, weights: list(
        read[0].split(list(operation.options["sizes"]), operation.options["axis"])
    ),
    "take": lambda operation, read, weights: read[0].index_select(
        operation.options["axis"], torch.tensor(operation.options["indices"])
    ),
    "pad": _pad,
    "reduce": lambda operation, read, weights: read[0].mean(
        operation.options["axes"], keepdim=operation.options.get("keepdims", False)
    ),
    "expand": lambda operation, read, weights: read[0].expand(operation.shape),
    "repeat": lambda operation, read, weights: read[0].repeat_interleave(
        operation.options["times"], operation.options["axis"]
    ),
}
"""What each kind computes."""
