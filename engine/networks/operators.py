"""Weighted operators: what nodes they read, and the nodes they make."""

from dataclasses import replace
from typing import Any

import numpy as np

from netspectra.errors import GraphError
from netspectra.networks.network import LAYOUTS, Operation, Shape, Weight
from netspectra.networks.nodes import Connection
from netspectra.networks.reading import Scene, mixes_positions, read
from netspectra.networks.values import Scale, Value, along, constant

__all__ = ["NO_NODES", "channels", "convolution", "dense", "embedding", "recurrent", "scale"]

NO_NODES = "reads only what has no nodes (constants, attention weights, or what could not be represented)"


def dense(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Rows of a matrix read one axis."""
    weight, layout = operation.weights["weight"], operation.options["orientation"]
    if len(weight.shape) != 2:
        msg = f"its weight must be 2-D, got shape {weight.shape}"
        raise GraphError(msg)
    if layout not in ("in-out", "out-in"):
        msg = f"orientation must be 'in-out' or 'out-in', got {layout!r}"
        raise GraphError(msg)
    n_in, n_out = weight.shape if layout == "in-out" else weight.shape[::-1]
    value, axis = values[0], operation.options.get("axis", -1)
    if mixes_positions(value, axis, n_in):
        scene.ledger.skip(operation.name, f"mixes {n_in} positions, whose numbers belong to the same nodes")
        return value.touched(shape=_resized(value, axis, n_out, operation))
    return _operator(scene, operation, value, axis, n_in, n_out, layout=layout, kind="dense")


def convolution(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """Slices of a kernel read the channels."""
    weight, layout = operation.weights["weight"], operation.options["layout"]
    n_in, n_out = channels(weight, layout, operation.options.get("groups", 1))
    axis = operation.options.get("axis", 1)
    value = values[0]
    if value.nodes is None and value.shape is None:
        value = replace(value, shape=(None,) * len(weight.shape))
    made = _operator(
        scene,
        operation,
        value,
        axis,
        n_in,
        n_out,
        layout=layout,
        kind="channel",
        groups=operation.options.get("groups", 1),
    )
    if operation.shape is None and made.shape is not None:
        place = made.axis(axis)
        made = replace(made, shape=tuple(s if i in (0, place) else None for i, s in enumerate(made.shape)))
    return made


def channels(weight: Weight, layout: str, groups: Any) -> tuple[int, int]:
    """Channels that a kernel reads and makes, over all groups.

    Raises
    ------
    GraphError
        If the layout is unknown, or the groups do not divide the channels.
    """
    if layout not in LAYOUTS:
        msg = f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}"
        raise GraphError(msg)
    shape = weight.shape
    if len(shape) < 3:
        msg = f"its kernel must have at least one spatial axis, got shape {shape}"
        raise GraphError(msg)
    first, second = (shape[0], shape[1]) if layout in ("oihw", "iohw") else (shape[-2], shape[-1])
    n_in, n_out = (first, second) if layout in ("hwio", "iohw") else (second, first)
    whole = n_in if layout == "iohw" else n_out
    if not isinstance(groups, int) or groups < 1 or whole % groups:
        msg = f"{groups} groups do not divide {whole} channels"
        raise GraphError(msg)
    return (n_in, n_out * groups) if layout == "iohw" else (n_in * groups, n_out)


def embedding(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """One node for each token, one for each dimension."""
    weight, value = operation.weights["weight"], values[0]
    n_tokens, size = weight.shape
    shape = operation.shape or (None if value.shape is None else (*value.shape, size))
    if not value.has_nodes:
        scene.ledger.skip(operation.name, "its rows are chosen by constants: added to what follows, but no weight")
        return constant(shape)
    tokens = scene.input_nodes(value.origin or f"{operation.name}.tokens", n_tokens, "token")
    number = scene.ledger.group(operation.name, "dense", size)
    made = scene.ledger.groups[number].numbers
    scene.ledger.connections.append(Connection(operation.name, "dense", weight, tokens, made))
    rank = 2 if shape is None else len(shape)
    return Value(shape, along(shape, rank, rank - 1, made), fresh=number)


def recurrent(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """One step of a cell: from its input and from its own state before, a group of nodes of its own."""
    layout, gates = operation.options["orientation"], operation.options.get("gates", 1)
    shapes = {n: w.shape if layout == "in-out" else w.shape[::-1] for n, w in operation.weights.items()}
    n_in, stacked = shapes["input_weight"]
    size = stacked // gates
    if shapes.get("hidden_weight", (size, stacked)) != (size, stacked) or size * gates != stacked:
        msg = f"weights of shapes {shapes} (in, out) do not make a cell of {gates} gates"
        raise GraphError(msg)
    rows, place, rank = read(scene, values[0], -1, n_in)
    shape = operation.shape or _resized(values[0], -1, size, operation)
    if not rows:
        scene.ledger.skip(operation.name, NO_NODES)
        return constant(shape)
    state = scene.ledger.group(f"{operation.name}.state", "state", size)
    number = scene.ledger.group(operation.name, "recurrent", size)
    made, pieces = scene.ledger.groups[number].numbers, np.repeat(np.arange(gates), size)
    reads = [("input_weight", nodes, factors) for nodes, factors in rows]
    reads.append(("hidden_weight", scene.ledger.groups[state].numbers, None))
    for which, nodes, factors in reads:
        weight = operation.weights[which]
        scene.ledger.connections.append(
            Connection(operation.name, "dense", weight, nodes, np.tile(made, gates), factors, layout, pieces=pieces)
        )
    return Value(shape, along(shape, rank, place, made), fresh=number)


def scale(scene: Scene, operation: Operation, values: list[Value]) -> Value:
    """A factor per channel: of what writes to nodes that nothing else has touched, else of what reads them."""
    value, factor = values[0], _factor(operation)
    if value.nodes is not None and not value.has_nodes:
        return value.touched()
    rank, place = value.rank, value.axis(operation.options["axis"])
    if rank is None:
        msg = "reads an input of unknown shape; give its shape"
        raise GraphError(msg)
    if value.open_end and value.nodes is not None and value.nodes.shape[place] != len(factor):
        scene.ledger.skip(operation.name, "scales positions that were flattened; sizes are needed")
        return value.touched()
    if value.fresh is not None and scene.readers[operation.inputs[0]] == 1:
        group = scene.ledger.groups[value.fresh]
        if group.size == len(factor):  # fresh: its nodes are the whole group, in order
            group.scale = factor if group.scale is None else group.scale * factor
            return value
    if scene.normalisation == "skip":
        scene.ledger.skip(operation.name, "factors of what reads it: left out, so that the weights are used in place")
        return value.touched()
    size = None if value.shape is None else value.shape[place]
    if size is not None and size != len(factor):
        msg = f"has {len(factor)} factors for {size} features"
        raise GraphError(msg)
    factors = along(None, rank, place, factor)
    return value.touched(scale=factors if value.scale is None else value.scale * factors)


def _factor(operation: Operation) -> Scale:
    """``|scale| / sqrt(variance + epsilon)``."""
    parts = {}
    for name, weight in operation.weights.items():
        part = np.asarray(weight.read(), np.float64).ravel()
        if not np.all(np.isfinite(part)):
            msg = f"{weight.key or name} holds values that are not finite"
            raise GraphError(msg)
        parts[name] = part
    factor = np.abs(parts["scale"]) if "scale" in parts else np.ones(len(parts["variance"]))
    if "variance" in parts:
        spread = parts["variance"] + float(operation.options.get("epsilon", 0.0))
        if len(spread) != len(factor) or np.any(spread <= 0):
            msg = "its variance must be positive, one number per channel"
            raise GraphError(msg)
        factor = factor / np.sqrt(spread)
    return factor


def _operator(
    scene: Scene,
    operation: Operation,
    value: Value,
    axis: int,
    n_in: int,
    n_out: int,
    *,
    layout: str,
    kind: str,
    groups: int = 1,
) -> Value:
    """The nodes of an operator, and its connections from what it reads."""
    rows, place, rank = read(scene, value, axis, n_in)
    shape = operation.shape or _resized(value, axis, n_out, operation)
    if not rows:
        scene.ledger.skip(operation.name, NO_NODES)
        return constant(shape)
    number = scene.ledger.group(operation.name, kind, n_out)
    made = scene.ledger.groups[number].numbers
    for nodes, factors in rows:
        sort: Any = "dense" if kind == "dense" else "convolution"
        weight = operation.weights["weight"]
        scene.ledger.connections.append(Connection(operation.name, sort, weight, nodes, made, factors, layout, groups))
    return Value(shape, along(shape, rank, place, made), fresh=number)


def _resized(value: Value, axis: int, size: int, operation: Operation) -> Shape | None:
    if operation.shape is not None:
        return operation.shape
    if value.shape is None:
        return None
    place = value.axis(axis)
    return tuple(size if i == place else s for i, s in enumerate(value.shape))
