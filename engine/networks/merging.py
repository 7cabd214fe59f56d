"""Which nodes are one: what flows together without weights is the same node, or tied to it by an edge without weights.

``"shared"``: an addition makes its parts one node group, so that a residual stream is one layer, read and written by
every block. ``"per-layer"``: what nothing else reads becomes the sum itself (a block's last layer writes to the sum);
what others read too stays, and is tied to the sum by parameter-free edges.

Where a layer would then both read and write the same nodes directly (``x + W x`` in a shared stream), its outputs stay
nodes of their own, tied to the stream: an edge within a layer would lose its direction.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from netspectra.networks.nodes import Group, Join, Ledger
from netspectra.networks.values import Nodes

__all__ = ["Merged", "Residual", "merge"]

Residual = Literal["shared", "per-layer"]


@dataclass(frozen=True, eq=False)
class Merged:
    """Nodes after merging.

    Attributes
    ----------
    groups : list of Group
        Those that still have nodes, in the order in which they were made: the layers.
    layer : array of int64, shape (n_nodes,)
        Layer of each node of the ledger.
    place : array of int64, shape (n_nodes,)
        Its position in that layer.
    bridges : tuple of Join
        Joins that became edges without weights.
    piece : array of int64, shape (n_nodes,)
        Number of the first join that a node went into, -1 for none: outputs of one operator that went into the same
        nodes by different joins are different parameters.
    """

    groups: list[Group]
    layer: Nodes
    place: Nodes
    bridges: tuple[Join, ...]
    piece: Nodes


def merge(ledger: Ledger, residual: Residual) -> Merged:
    """Decide which joins make nodes one, and number what is left."""
    uses, kept_apart = _uses(ledger), set[int]()
    while True:
        merged = _merged(ledger, residual, uses, kept_apart)
        more = _within_a_layer(ledger, merged) - kept_apart
        if not more:
            return merged
        kept_apart |= more


def _merged(ledger: Ledger, residual: Residual, uses: Nodes, kept_apart: set[int]) -> Merged:
    parent = np.arange(ledger.n_nodes, dtype=np.int64)
    piece = np.full(ledger.n_nodes, -1, np.int64)
    bridges = []
    for number, join in enumerate(ledger.joins):
        if number in kept_apart or not _makes_one(join, uses, residual):
            bridges.append(join)
            continue
        piece[join.sources] = np.where(piece[join.sources] < 0, number, piece[join.sources])
        _unite(parent, join.sources, join.targets)
    root = _roots(parent)
    alive, place = np.unique(root, return_inverse=True)
    groups, sizes = _layers(ledger, alive, _readers(ledger, root)[alive])
    starts = np.cumsum([0, *sizes])
    layer_of_alive = np.repeat(np.arange(len(sizes)), sizes)
    layer = layer_of_alive[place]
    return Merged(groups, layer, place - starts[layer], tuple(bridges), piece)


def _layers(ledger: Ledger, alive: Nodes, readers: Nodes) -> tuple[list[Group], list[int]]:
    """Layers of the nodes that are left: groups, those of a fused operator cut where other operators begin to read.

    The queries, keys and values of one matrix are layers of their own.
    """
    groups, sizes = [], []
    of_group = ledger.group_of(alive)
    for number in np.unique(of_group).tolist():
        group, here = ledger.groups[number], np.flatnonzero(of_group == number)
        starts = [0, *(np.flatnonzero(np.diff(readers[here].astype(np.int64))) + 1).tolist(), len(here)]
        if len(starts) - 1 > len(np.unique(readers[here])):
            starts = [0, len(here)]  # read in turns: no cut makes every reader's nodes a layer
        for first, last in pairwise(starts):
            name = group.name
            if len(starts) > 2:
                low = int(alive[here[first]]) - group.first
                name = f"{name}[{low}:{int(alive[here[last - 1]]) - group.first + 1}]"
            groups.append(Group(name, group.kind, group.first, last - first, group.is_input))
            sizes.append(last - first)
    return groups, sizes


def _readers(ledger: Ledger, root: Nodes) -> Nodes:
    """A number for each node that says which connections read it."""
    found, following = np.zeros(len(root), np.int64), 1
    for connection in ledger.connections:
        read = np.unique(root[connection.reads[connection.reads >= 0]])
        kinds, own = np.unique(found[read], return_inverse=True)
        found[read] = following + own
        following += len(kinds)
    return found


def _uses(ledger: Ledger) -> Nodes:
    """How many operators, sums and products read each node."""
    uses = np.zeros(ledger.n_nodes, np.int64)
    for connection in ledger.connections:
        uses[np.unique(connection.reads[connection.reads >= 0])] += 1
    for join in ledger.joins:
        if join.kind == "sum":
            uses[np.unique(join.sources)] += 1
    for group in ledger.groups:
        if group.is_input:
            uses[group.numbers] += 1
    return uses


def _makes_one(join: Join, uses: Nodes, residual: Residual) -> bool:
    if join.kind != "sum":
        return True
    if len(np.unique(join.sources)) < len(join.sources):
        return False
    return residual == "shared" or bool(np.all(uses[join.sources] <= 1))


def _unite(parent: Nodes, sources: Nodes, targets: Nodes) -> None:
    """Make nodes one, pair by pair; the oldest stands for all."""
    roots = _roots(parent)
    a, b = roots[sources], roots[targets]
    a, b = a[a != b], b[a != b]
    low, high = np.minimum(a, b), np.maximum(a, b)
    if len(np.unique(high)) == len(high) and not np.intersect1d(low, high).size:
        parent[high] = low
        return
    for i, j in zip(a.tolist(), b.tolist(), strict=True):  # many to one: heads, shared keys
        x, y = _find(parent, i), _find(parent, j)
        parent[max(x, y)] = min(x, y)


def _find(parent: Nodes, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = int(parent[node])
    return node


def _roots(parent: Nodes) -> Nodes:
    root = parent
    while True:
        above = root[root]
        if np.array_equal(above, root):
            return np.asarray(root, np.int64)
        root = above


def _within_a_layer(ledger: Ledger, merged: Merged) -> set[int]:
    """Joins of what an operator writes into a layer that it reads."""
    found: set[int] = set()
    for connection in ledger.connections:
        reads = connection.reads[connection.reads >= 0]
        both = np.intersect1d(merged.layer[reads], merged.layer[connection.writes])
        if both.size:
            own = connection.writes[np.isin(merged.layer[connection.writes], both)]
            found |= {n for n, join in enumerate(ledger.joins) if join.kind == "sum" and _touches(join, own)}
    return found


def _touches(join: Join, nodes: Any) -> bool:
    return bool(np.isin(join.sources, nodes).any())
