"""Blocks of a graph, planned from shapes alone and made, one by one, when their weights are read.

A dense matrix whose rows and columns are the nodes of two layers, in order and unscaled, is used in place. Everything
else is computed: a kernel's slices by the norm, a scaled matrix in its own dtype, and where several numbers lie between
the same two nodes (the positions of a flattened image, the dimensions of a head) their norm. Kernels in groups and
matrices that join parts of layers become sparse blocks whose pattern is fixed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netspectra.networks.merging import Merged
from netspectra.networks.network import Weight
from netspectra.networks.nodes import Connection, Join, Ledger
from netspectra.networks.operators import channels
from netspectra.networks.values import Nodes, Scale

__all__ = ["BlockPlan", "plan_blocks"]


@dataclass(frozen=True, eq=False)
class BlockPlan:
    """What a block will be.

    Attributes
    ----------
    name : str
        Operator or sum that it comes from.
    source, target : int
        Layers.
    shape : tuple of int
    weight : Weight or None
        None for edges without weights.
    cols, rows : array of int64
        Which inputs and outputs of the operator (channels) the block has, in order.
    sources, targets : array of int64
        Their places in the layers.
    col_scale, row_scale : array or None
        Factors of those inputs and outputs.
    layout, groups
        Of the operator.
    learned : bool
    is_sparse : bool
    in_place : bool
        Whether the block is a view of the weight.
    """

    name: str
    source: int
    target: int
    shape: tuple[int, int]
    weight: Weight | None
    cols: Nodes
    rows: Nodes
    sources: Nodes
    targets: Nodes
    col_scale: Scale | None
    row_scale: Scale | None
    layout: str
    groups: int
    learned: bool
    is_sparse: bool
    in_place: bool

    @property
    def is_kernel(self) -> bool:
        """Whether the weight is a convolution's."""
        return self.layout not in ("in-out", "out-in")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the block's values."""
        if self.weight is None:
            return np.dtype(np.float32)
        own = self.weight.dtype
        if self.in_place or (not self.is_kernel and self.is_plain):
            return np.dtype(np.float64) if own.kind in "biu" else own
        return np.dtype(np.float32 if own.itemsize <= 4 and own.kind not in "biu" else np.float64)

    @cached_property
    def is_plain(self) -> bool:
        """Whether each edge is one number of the weight."""
        distinct = len(np.unique(self.sources)) == len(self.sources)
        return distinct and len(np.unique(self.targets)) == len(self.targets)

    @property
    def n_stored(self) -> int:
        """Numbers that the block stores (of a sparse one at most)."""
        if not self.is_sparse:
            return self.shape[0] * self.shape[1]
        if self.weight is None:
            return len(self.rows)
        per_row = len(self.cols) if self.groups == 1 else min(len(self.cols), group_width(self))
        return per_row * len(self.rows)

    @property
    def n_bytes(self) -> int:
        """Bytes of memory that the block takes beside the weights themselves."""
        if self.in_place:
            return 0
        return self.n_stored * (self.dtype.itemsize + (8 if self.is_sparse else 0))


def group_width(plan: BlockPlan) -> int:
    """Input channels of one group of a kernel."""
    assert plan.weight is not None
    return channels(plan.weight, plan.layout, plan.groups)[0] // plan.groups


def plan_blocks(ledger: Ledger, merged: Merged) -> list[BlockPlan]:
    """Blocks of all connections and bridges, in the order of the operations."""
    plans = [plan for connection in ledger.connections for plan in _of_connection(ledger, merged, connection)]
    plans += [plan for join in merged.bridges for plan in _of_bridge(ledger, merged, join)]
    return plans


def _of_connection(ledger: Ledger, merged: Merged, connection: Connection) -> Iterator[BlockPlan]:
    reads, writes = connection.reads, connection.writes
    pieces = merged.piece[writes] if connection.pieces is None else connection.pieces
    row_scale = _row_scale(ledger, writes)
    source = np.where(reads >= 0, merged.layer[reads], -1)
    target = merged.layer[writes]
    for a in np.unique(source[source >= 0]):
        cols = np.flatnonzero(source == a)
        for b, piece in np.unique(np.stack([target, pieces]), axis=1).T:
            rows = np.flatnonzero((target == b) & (pieces == piece))
            if a == b:
                ledger.skip(connection.name, f"joins the layer {merged.groups[int(a)].name!r} to itself")
                continue
            shape = (merged.groups[int(a)].size, merged.groups[int(b)].size)
            sources, targets = merged.place[reads[cols]], merged.place[writes[rows]]
            col_scale, row_factor = _chosen(connection.scale, cols), _chosen(row_scale, rows)
            unscaled = col_scale is None and row_factor is None
            full = len(np.unique(sources)) == shape[0] and len(np.unique(targets)) == shape[1]
            in_order = full and _is_run(cols) and _is_run(rows) and _is_all(sources) and _is_all(targets)
            is_kernel = connection.kind == "convolution"
            yield BlockPlan(
                name=connection.name,
                source=int(a),
                target=int(b),
                shape=shape,
                weight=connection.weight,
                cols=cols,
                rows=rows,
                sources=sources,
                targets=targets,
                col_scale=col_scale,
                row_scale=row_factor,
                layout=connection.layout,
                groups=connection.groups,
                learned=True,
                is_sparse=connection.groups > 1 or not full,
                in_place=in_order and not is_kernel and unscaled and connection.weight.dtype.kind not in "biu",
            )


def _of_bridge(ledger: Ledger, merged: Merged, join: Join) -> Iterator[BlockPlan]:
    source, target = merged.layer[join.sources], merged.layer[join.targets]
    for a, b in np.unique(np.stack([source, target]), axis=1).T:
        chosen = np.flatnonzero((source == a) & (target == b))
        if a == b:
            moved = merged.place[join.sources[chosen]] != merged.place[join.targets[chosen]]
            if moved.any():
                ledger.skip(join.name, f"ties nodes of the layer {merged.groups[int(a)].name!r} to one another")
            continue
        scale = _chosen(join.scale, chosen)
        yield BlockPlan(
            name=join.name,
            source=int(a),
            target=int(b),
            shape=(merged.groups[int(a)].size, merged.groups[int(b)].size),
            weight=None,
            cols=chosen,
            rows=chosen,
            sources=merged.place[join.sources[chosen]],
            targets=merged.place[join.targets[chosen]],
            col_scale=scale,
            row_scale=None,
            layout="in-out",
            groups=1,
            learned=scale is not None,
            is_sparse=True,
            in_place=False,
        )


def _row_scale(ledger: Ledger, writes: Nodes) -> Scale | None:
    group = ledger.groups[int(ledger.group_of(writes[:1])[0])]
    return None if group.scale is None else group.scale[writes - group.first]


def _chosen(scale: Scale | None, places: Nodes) -> Scale | None:
    """Factors of some places; None where all are 1."""
    if scale is None:
        return None
    own = scale[places]
    return None if np.all(own == 1) else own


def _is_run(numbers: Nodes) -> bool:
    return bool(np.array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers))))


def _is_all(numbers: Nodes) -> bool:
    return bool(np.array_equal(numbers, np.arange(len(numbers))))
