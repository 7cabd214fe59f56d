"""Nodes while a network is followed: groups of them, what reads and writes them, and which of them are one.

Every operator makes a group of nodes. Additions, elementwise products and attention join nodes of several groups: the
sum that two layers write to is one node, not three. Joined or not is decided at the end, when it is known what else
reads them (:mod:`netspectra.networks.merging`).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from netspectra.networks.network import Skipped, Weight
from netspectra.networks.values import Nodes, Scale

__all__ = ["Connection", "Group", "Join", "Ledger"]


@dataclass(eq=False)
class Group:
    """Nodes that were made together, numbered from `first`.

    Attributes
    ----------
    name, kind : str
    first, size : int
    is_input : bool
        Comes from outside: a network's inputs, the tokens of an embedding.
    scale : array, shape (size,), or None
        Factor that a normalisation put on all that writes to them.
    """

    name: str
    kind: str
    first: int
    size: int
    is_input: bool = False
    scale: Scale | None = None

    @property
    def numbers(self) -> Nodes:
        """Its nodes."""
        return np.arange(self.first, self.first + self.size, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Connection:
    """A weighted operator between nodes.

    Attributes
    ----------
    name : str
    kind : {"dense", "convolution"}
    weight : Weight
    reads : array, shape (n_in,)
        Node of each of its inputs; -1 for none.
    writes : array, shape (n_out,)
        Node of each of its outputs.
    scale : array, shape (n_in,), or None
        Factor of each input.
    layout : str
        Of the weight: "in-out", "out-in", or a convolution's (see :mod:`netspectra.networks.network`).
    groups : int
        Of a convolution.
    pieces : array of int, shape (n_out,), or None
        Outputs of one piece are distinct parameters of distinct nodes (gates stacked in one matrix).
    """

    name: str
    kind: Literal["dense", "convolution"]
    weight: Weight
    reads: Nodes
    writes: Nodes
    scale: Scale | None = None
    layout: str = "in-out"
    groups: int = 1
    pieces: Nodes | None = None


@dataclass(frozen=True, eq=False)
class Join:
    """Nodes that flow into others without weights, place by place.

    Attributes
    ----------
    name : str
    kind : {"sum", "product", "head"}
        ``"sum"``: an addition or an elementwise product of the network. ``"product"``: query and key of an attention.
        ``"head"``: the dimensions of a head.
    sources, targets : arrays of equal length
        Nodes.
    scale : array of that length, or None
    """

    name: str
    kind: Literal["sum", "product", "head"]
    sources: Nodes
    targets: Nodes
    scale: Scale | None = None


@dataclass(eq=False)
class Ledger:
    """All that following a network's operations has found."""

    groups: list[Group] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    n_nodes: int = 0

    def group(self, name: str, kind: str, size: int, *, is_input: bool = False) -> int:
        """Make a group of nodes and return its number."""
        self.groups.append(Group(name, kind, self.n_nodes, size, is_input))
        self.n_nodes += size
        return len(self.groups) - 1

    def skip(self, name: str, reason: str) -> None:
        """Note what the graph will not show."""
        self.skipped.append(Skipped(name, reason))

    def group_of(self, nodes: Any) -> Nodes:
        """Group of each node."""
        starts = np.array([group.first for group in self.groups], np.int64)
        return np.asarray(np.searchsorted(starts, nodes, side="right") - 1, np.int64)
