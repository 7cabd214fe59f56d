"""A batch of graphs on a backend: what depends on the replicate, with a leading axis of replicates.

All members have the same layers and the same blocks; only weights, and so degrees and live nodes, differ. The real
network is a batch of one, checkpoints of a sweep are a batch, and so is a wave of null networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netspectra.errors import GraphError, LimitError
from netspectra.graph.dtypes import working_dtype
from netspectra.graph.layer_graph import LayerGraph
from netspectra.kernels.backend import Array, Backend
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["GraphBatch", "Structure", "in_range", "load_batch", "make_batch", "structure_of"]


@dataclass(frozen=True)
class Structure:
    """What the members of a batch share.

    Attributes
    ----------
    sizes : tuple of int
        Nodes per layer.
    ends : tuple of (int, int)
        Source and target layer of each block.
    """

    sizes: tuple[int, ...]
    ends: tuple[tuple[int, int], ...]

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First node of each layer, then the number of nodes."""
        return (0, *np.cumsum(self.sizes).tolist())

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return self.offsets[-1]

    def layer_slice(self, layer: int) -> slice:
        """Positions of a layer's nodes in node order."""
        return slice(self.offsets[layer], self.offsets[layer + 1])

    @cached_property
    def sides(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Layers of the smaller and of the larger side where the graph of layers is 2-colourable, else None."""
        colour = _two_colouring(len(self.sizes), self.ends)
        if colour is None:
            return None
        sides = tuple(tuple(i for i, c in enumerate(colour) if c == side) for side in (0, 1))
        small, large = sorted(sides, key=lambda side: sum(self.sizes[i] for i in side))
        return small, large

    @property
    def reduced_size(self) -> int:
        """Size of the eigenproblem: nodes of the smaller side of a bipartite graph, all nodes otherwise."""
        return self.n_nodes if self.sides is None else sum(self.sizes[i] for i in self.sides[0])


@dataclass(frozen=True)
class GraphBatch:
    """Weights and degrees of B graphs of one structure.

    Attributes
    ----------
    backend : Backend
    structure : Structure
    weights : tuple of BlockWeights
        One per block; a leading axis of 1 means that all members share the block.
    degrees : array, shape (B, n), float64
    dtype : dtype
        Working dtype: what the backend was asked for, else float64, or float32 for everything narrower.
    """

    backend: Backend
    structure: Structure
    weights: tuple[BlockWeights, ...]
    degrees: Array
    dtype: Any

    @property
    def n_members(self) -> int:
        """B."""
        return int(self.degrees.shape[0])

    @cached_property
    def live(self) -> Array:
        """Nodes of non-zero degree, (B, n) bool."""
        return self.degrees > 0

    @cached_property
    def volume(self) -> Array:
        """Sum of degrees, (B,) float64."""
        return self.backend.xp.sum(self.degrees, axis=1)

    def inverse_sqrt_degrees(self, dtype: Any) -> Array:
        """``1 / sqrt(d)``, zero for isolated nodes, (B, n)."""
        return self._degree_scales(dtype)[0]

    def trivial_vector(self, dtype: Any) -> Array:
        """Exact null vector of every normalized Laplacian, ``sqrt(d / vol)``, (B, n)."""
        return self._degree_scales(dtype)[1]

    def _degree_scales(self, dtype: Any) -> tuple[Array, Array]:
        """Made once per dtype, for every product asks for them."""
        made = self._scales.get(dtype)
        if made is None:
            made = self._scales[dtype] = self.backend.degree_scales(self.degrees, dtype)
        return made

    @cached_property
    def _scales(self) -> dict[Any, tuple[Array, Array]]:
        return {}

    def member(self, index: int) -> "GraphBatch":
        """Batch of one member."""
        return self.select([index])

    def select(self, members: list[int]) -> "GraphBatch":
        """Batch of some members, in the order given."""
        if members == list(range(self.n_members)):
            return self
        chosen = self.backend.asarray(np.asarray(members, dtype=np.int64))
        weights = tuple(_select(self.backend.xp, block, chosen) for block in self.weights)
        degrees = self.backend.xp.take(self.degrees, chosen, axis=0)
        return GraphBatch(self.backend, self.structure, weights, degrees, self.dtype)


def in_range(batch: GraphBatch, dtype: Any) -> Array:
    """Which members' degrees, and so all of their weights, are far from the ends of the range of `dtype`; (B,) bool."""
    xp = batch.backend.xp
    limits = xp.finfo(dtype)
    low, high = float(limits.smallest_normal), float(limits.max)
    inside = (batch.degrees > low * 2**24) & (batch.degrees < high / 2**24)
    return xp.all(inside | ~batch.live, axis=1)


def make_batch(
    backend: Backend, structure: Structure, weights: Sequence[BlockWeights], dtype: Any, n_members: int
) -> GraphBatch:
    """Batch from weights that are on the backend already; computes the degrees."""
    xp = backend.xp
    parts: list[Any] = [None] * len(structure.sizes)
    # From the last block: the first, with which products begin, are then still in the cache.
    for ends, block in zip(reversed(structure.ends), reversed(weights), strict=True):
        for layer, degrees in zip(ends, backend.block_degrees(block), strict=True):
            parts[layer] = degrees if parts[layer] is None else parts[layer] + degrees
    for layer, size in enumerate(structure.sizes):
        shape = (n_members, size)
        if parts[layer] is None or parts[layer].shape != shape:  # no block touches it, or only such as members share
            parts[layer] = xp.zeros(shape, dtype=xp.float64) + (0.0 if parts[layer] is None else parts[layer])
    return GraphBatch(backend, structure, tuple(weights), xp.concat(parts, axis=1), dtype)


def structure_of(graph: LayerGraph) -> Structure:
    """Layer sizes and block ends of a graph."""
    ends = tuple((int(block.source), int(block.target)) for block in graph.blocks)
    return Structure(tuple(layer.size for layer in graph.layers), ends)


def load_batch(graphs: Sequence[LayerGraph], backend: Backend) -> GraphBatch:
    """Put graphs of equal layer sizes and blocks on a backend, as one batch.

    Raises
    ------
    GraphError
        If there are none, if their layers, blocks or storage differ, or if their weights overflow when added up.
    LimitError
        If they overflow float32 on a backend that has no float64.
    """
    if not graphs:
        msg = "expected at least one graph, got an empty sequence"
        raise GraphError(msg)
    first = graphs[0]
    structure = structure_of(first)
    for number, graph in enumerate(graphs[1:], start=1):
        _require_same(first, graph, number)
    weights = [
        backend.load_block([g.blocks[i].weights for g in graphs], symmetric=first.blocks[i].is_symmetric)
        for i in range(len(first.blocks))
    ]
    dtype = getattr(backend.xp, backend.dtype or working_dtype(first.dtype).name)
    batch = make_batch(backend, structure, weights, dtype, len(graphs))
    if not bool(backend.xp.all(backend.xp.isfinite(batch.volume))):
        if not backend.has_64_bit:
            msg = (
                f"graph: the weights add up to more than float32 holds, and backend {backend.name!r} has no float64 "
                "here; divide them by a common factor, enable it (JAX: x64, jax_enable_x64), or use backend='cpu'"
            )
            raise LimitError(msg)
        msg = (
            "graph: the weights do not add up to a finite number: their sum overflows float64 (divide them by a common "
            "factor), or an array changed after the graph was made (weights are views)"
        )
        raise GraphError(msg)
    return batch


def _select(xp: Any, block: BlockWeights, chosen: Array) -> BlockWeights:
    if block.n_members == 1:
        return block
    values = xp.take(block.values, chosen, axis=0)
    if isinstance(block, DenseWeights):
        return DenseWeights(values)
    if block.indices.shape[0] == 1:
        return CsrWeights(values, block.indices, block.indptr, block.shape)
    return CsrWeights(
        values, xp.take(block.indices, chosen, axis=0), xp.take(block.indptr, chosen, axis=0), block.shape
    )


def _require_same(first: LayerGraph, other: LayerGraph, number: int) -> None:
    sizes = [[layer.size for layer in g.layers] for g in (first, other)]
    blocks = [[(b.source, b.target, b.is_sparse, b.dtype) for b in g.blocks] for g in (first, other)]
    if sizes[0] != sizes[1] or blocks[0] != blocks[1]:
        msg = (
            f"graphs of one batch must have equal layer sizes, blocks, storage and dtypes; graph 0 is {first}, graph "
            f"{number} is {other}; solve them one by one instead"
        )
        raise GraphError(msg)


def _two_colouring(n_layers: int, ends: Sequence[tuple[int, int]]) -> list[int] | None:
    """Colour 0 or 1 per layer such that every block joins different colours, or None."""
    neighbours: list[list[int]] = [[] for _ in range(n_layers)]
    for source, target in ends:
        neighbours[source].append(target)
        neighbours[target].append(source)
    colour = [-1] * n_layers
    for start in range(n_layers):
        if colour[start] >= 0:
            continue
        colour[start], queue = 0, [start]
        while queue:
            layer = queue.pop()
            for other in neighbours[layer]:
                if colour[other] == colour[layer]:
                    return None
                if colour[other] < 0:
                    colour[other] = 1 - colour[layer]
                    queue.append(other)
    return colour
