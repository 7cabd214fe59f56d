"""What an operator reads: the nodes along one axis, each with the factor that it was multiplied with."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netspectra.errors import GraphError
from netspectra.networks.nodes import Ledger
from netspectra.networks.values import Nodes, Scale, Value, along

__all__ = ["Scene", "mixes_positions", "read"]


@dataclass(eq=False)
class Scene:
    """What all operations write to.

    Attributes
    ----------
    ledger : Ledger
    readers : Counter of str
        How many operations read a tensor.
    attention : {"dimensions", "heads"}
    normalisation : {"fold", "skip"}
    inputs : dict
        Group of nodes of an input, by its name and the number of nodes.
    attentions : list of array
        Query nodes (..., heads, 1, dimensions) of each.
    """

    ledger: Ledger
    readers: "Counter[str]"
    attention: str
    normalisation: str
    inputs: dict[tuple[str, int], int] = field(default_factory=dict)
    attentions: list[Nodes] = field(default_factory=list)

    def input_nodes(self, origin: str, size: int, kind: str = "input") -> Nodes:
        """Nodes of an input, made when it is first read."""
        number = self.inputs.get((origin, size))
        if number is None:
            number = self.ledger.group(origin, kind, size, is_input=True)
            self.inputs[origin, size] = number
        return self.ledger.groups[number].numbers


def read(scene: Scene, value: Value, axis: int, size: int) -> tuple[list[tuple[Nodes, Scale | None]], int, int]:
    """Rows of `size` nodes that an operator reads along an axis, each with its factors, and the axis and the rank.

    More than one row where the same weights are applied to several groups of nodes.
    """
    if not value.has_nodes:
        return [], 0, value.rank or 1
    if value.nodes is None:
        rank = value.rank or (abs(axis) if axis < 0 else axis + 1)
        place = axis % rank
        known = None if value.shape is None else value.shape[place]
        if known is not None and known != size and value.open_end is None:
            msg = f"reads {known} features, but its weight takes {size}"
            raise GraphError(msg)
        nodes = along(value.shape, rank, place, scene.input_nodes(value.origin, size))
    else:
        nodes, rank = value.nodes, value.nodes.ndim
        place = value.axis(axis)
    own = nodes.shape[place]
    factors = None if value.scale is None else _spread(value.scale, nodes)
    if own != size:
        if not (value.open_end and size % own == 0) and own != 1:
            msg = f"reads {own} features, but its weight takes {size}"
            raise GraphError(msg)
        nodes, factors = (_filled(a, place, size, value.open_end) for a in (nodes, factors))
    rows = np.moveaxis(nodes, place, -1).reshape(-1, size)
    factors = None if factors is None else np.moveaxis(factors, place, -1).reshape(-1, size)
    first = [0] if len(rows) == 1 else np.unique(rows, axis=0, return_index=True)[1]
    found = [(rows[i], None if factors is None else factors[i]) for i in sorted(first) if np.any(rows[i] >= 0)]
    return found, place, rank


def _spread(scale: Scale, nodes: Nodes) -> Scale | None:
    """Factors of `nodes`; None where they vary within one node."""
    shape = np.broadcast_shapes(scale.shape, nodes.shape)
    return np.broadcast_to(scale, shape) if shape == nodes.shape else None


def _filled(array: Any, place: int, size: int, open_end: str | None) -> Any:
    if array is None:
        return None
    times = size // array.shape[place]
    if open_end == "tile":
        return np.concatenate([array] * times, axis=place)
    return np.repeat(array, times, axis=place)


def mixes_positions(value: Value, axis: int, size: int) -> bool:
    """Whether an operator reads an axis of positions beside one of nodes."""
    if value.nodes is None or not value.has_nodes or size == 1 or value.open_end:
        return False
    return value.nodes.shape[value.axis(axis)] == 1 and value.nodes.size > 1
