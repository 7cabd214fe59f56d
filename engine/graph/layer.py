"""A layer: one named group of nodes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from netspectra.errors import GraphError

__all__ = ["Layer"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One group of nodes of a :class:`~netspectra.graph.LayerGraph`.

    Parameters
    ----------
    name : str
        What the layer is called wherever results name it; unique within a graph.
    size : int
        Number of nodes, at least 1 (0 is allowed for what remains of a layer after its isolated nodes are removed).
    kind : str, default "dense"
        What the nodes are (``"dense"`` units, ``"channel"``, ``"nodes"`` of a plain graph …); free text.

    Raises
    ------
    GraphError
        If the name is empty or the size is not a non-negative integer.
    """

    name: str
    size: int
    kind: str = "dense"

    def __post_init__(self) -> None:
        name: Any = self.name
        size: Any = self.size
        if not isinstance(name, str) or not name:
            msg = f"a layer's name must be a non-empty string, got {self.name!r}"
            raise GraphError(msg)
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 0:
            msg = f"layer {self.name!r}: size must be a non-negative integer, got {self.size!r}"
            raise GraphError(msg)
        object.__setattr__(self, "size", int(size))
