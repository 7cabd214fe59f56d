"""Small ONNX models in few words, and the networks read from them as NumPy would run them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netspectra.networks import Network, Operation

RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node, its tensors named in words apart; ``-`` leaves one out."""
    from onnx import helper

    names = [[part.replace("-", "") if part == "-" else part for part in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op, *names, **attributes)


def model(nodes: list[Any], inputs: dict[str, Any], parameters: dict[str, Any], *outputs: str, **more: Any) -> Any:
    """A model; inputs by shape (float32) or by (shape, element type), outputs without a shape."""
    from onnx import TensorProto, helper, numpy_helper

    opset = more.pop("opset", 21)
    domains = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in more.pop("domains", ()))]
    given = [
        helper.make_tensor_value_info(
            name, *(shape[::-1] if isinstance(shape[0], list) else (TensorProto.FLOAT, shape))
        )
        for name, shape in inputs.items()
    ]
    made = [helper.make_empty_tensor_value_info(name) for name in outputs]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in parameters.items()]
    graph = helper.make_graph(nodes, "g", given, made, tensors, value_info=more.pop("value_info", []))
    return helper.make_model(graph, opset_imports=domains, ir_version=10, **more)


def tokens(*shape: int) -> tuple[list[int], int]:
    """An input of whole numbers, for :func:`model`."""
    return list(shape), 7  # TensorProto.INT64


def kinds(network: Network) -> list[str]:
    return [operation.kind for operation in network.operations]


def find(network: Network, kind: str) -> Operation:
    (found,) = (operation for operation in network.operations if operation.kind == kind)
    return found


def run(network: Network, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Outputs of a network of linear operations whose kernels are of size 1, checking every shape that it declares."""
    values = dict(inputs)
    values |= {name: np.zeros(shape, np.float32) for name, shape in network.constants.items()}
    for operation in network.operations:
        read = [values[name] for name in operation.inputs]
        weights = {role: np.asarray(weight.read(), np.float64) for role, weight in operation.weights.items()}
        for role, weight in operation.weights.items():
            assert weights[role].shape == weight.shape
            assert weight.read().dtype == weight.dtype
        made = RUN[operation.kind](operation, read, **weights)
        made = made if isinstance(made, list) else [made]
        assert operation.shape is None or made[0].shape == operation.shape, (operation, made[0].shape)
        values |= dict(zip(operation.outputs, made, strict=True))
    return [values[name] for name in network.outputs]


def _dense(operation: Operation, read: list[np.ndarray], weight: np.ndarray) -> np.ndarray:
    matrix = weight if operation.options["orientation"] == "in-out" else weight.T
    axis = operation.options.get("axis", -1)
    return np.moveaxis(np.moveaxis(read[0], axis, -1) @ matrix, -1, axis)


def _convolution(operation: Operation, read: list[np.ndarray], weight: np.ndarray) -> np.ndarray:
    assert math.prod(weight.shape[2:]) == 1, "only kernels of size 1 are run"
    groups, transposed = operation.options["groups"], operation.options["layout"] == "iohw"
    matrix = weight.reshape(weight.shape[:2])
    parts = []
    kernels = np.split(matrix, groups, axis=0)
    for channels, kernel in zip(np.split(read[0], groups, axis=1), kernels, strict=True):
        parts.append(np.einsum("oi,ni...->no...", kernel.T if transposed else kernel, channels))
    return np.concatenate(parts, axis=1)


def _scale(
    operation: Operation, read: list[np.ndarray], scale: np.ndarray, variance: np.ndarray | None = None
) -> np.ndarray:
    factor = scale if variance is None else scale / np.sqrt(variance + operation.options.get("epsilon", 0))
    sides = [1] * read[0].ndim
    sides[operation.options["axis"]] = -1
    return read[0] * factor.reshape(sides)


def _slice(operation: Operation, read: list[np.ndarray]) -> np.ndarray:
    o = operation.options
    return np.moveaxis(np.moveaxis(read[0], o["axis"], 0)[o["start"] : o["stop"] : o.get("step", 1)], 0, o["axis"])


def _pad(operation: Operation, read: list[np.ndarray]) -> np.ndarray:
    amounts = [(0, 0)] * read[0].ndim
    amounts[operation.options["axis"]] = operation.options["before"], operation.options["after"]
    return np.pad(read[0], amounts)


def _split(operation: Operation, read: list[np.ndarray]) -> list[np.ndarray]:
    return np.split(read[0], np.cumsum(operation.options["sizes"])[:-1], axis=operation.options["axis"])


RUN: dict[str, Any] = {
    "dense": _dense,
    "convolution": _convolution,
    "embedding": lambda _, read, weight: weight[read[0]],
    "scale": _scale,
    "add": lambda _, read: sum(read[1:], start=read[0]),
    "multiply": lambda _, read: math.prod(read[1:], start=read[0]),
    "product": lambda _, read: read[0] @ read[1],
    "pass": lambda _, read: read[0],
    "reshape": lambda operation, read: read[0].reshape(operation.shape),
    "transpose": lambda operation, read: read[0].transpose(operation.options["permutation"]),
    "concatenate": lambda operation, read: np.concatenate(read, axis=operation.options["axis"]),
    "slice": _slice,
    "split": _split,
    "take": lambda operation, read: np.take(read[0], operation.options["indices"], axis=operation.options["axis"]),
    "pad": _pad,
    "reduce": lambda o, read: read[0].mean(axis=o.options["axes"], keepdims=o.options.get("keepdims", False)),
    "expand": lambda operation, read: np.broadcast_to(read[0], operation.shape),
    "repeat": lambda o, read: np.repeat(read[0], o.options["times"], axis=o.options["axis"]),
}
