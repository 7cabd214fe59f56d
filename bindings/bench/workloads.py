"""The networks that the benchmarks run on: W1 (dense), W1p (pruned), W2 (channels of VGG-16), and large ones.

W1 and W1p are the two trained networks that ship in the package, 784-256-256-256-256-10, clustered into 12 with 25
restarts of k-means, as arXiv:2103.03386 does; W5 trains a network of the same layers. Both sides of a benchmark get the
same weights. The others have the shapes of real networks and random weights, which have no modules: the hardest spectra
of their size. W3 and W4 are shapes only, drawn where and as large as they are used.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netspectra.graph import LayerGraph

__all__ = [
    "DEEP",
    "LANGUAGE_MODEL",
    "VGG16",
    "WIDE_EDGES",
    "WORKLOADS",
    "ChainShape",
    "ChainWorkload",
    "LanguageModelShape",
    "RandomWorkload",
    "Shape",
    "Workload",
    "normal_weights",
    "wide_sizes",
]

_WIDE_BLOCKS = 5
_WIDE_SIZE = 6325
WIDE_EDGES = _WIDE_BLOCKS * _WIDE_SIZE**2


@dataclass(frozen=True)
class Workload:
    """One trained network and what is asked of it.

    Attributes
    ----------
    name : str
        As the design calls it.
    title : str
        As a table shows it.
    network : str
        Name for :func:`netspectra.example_graph`.
    k, n_init : int
        Clusters, restarts of k-means.
    """

    name: str
    title: str
    network: str
    k: int = 12
    n_init: int = 25

    @cached_property
    def graph(self) -> LayerGraph:
        """The network as a user loads it."""
        from netspectra.bindings.examples import example_graph

        return example_graph(self.network)

    @cached_property
    def weights(self) -> list[NDArray[np.float32]]:
        """Its weight matrices (n_in, n_out) in memory, row-major: no peer pays for a file or a stride."""
        return [np.array(block.weights, order="C") for block in self.graph.blocks]


WORKLOADS = {
    w.name: w
    for w in (
        Workload("W1", "W1: 784-256x4-10, dense", "mnist-mlp"),
        Workload("W1p", "W1p: the same, 90% pruned", "mnist-mlp-pruned"),
    )
}


@dataclass(frozen=True)
class RandomWorkload:
    """A chain of dense layers with standard normal weights, and what is asked of it; as :class:`Workload`.

    Attributes
    ----------
    name, title : str
    sizes : tuple of int
        Nodes per layer.
    k, n_init : int
    seed : int
        Of the weights.
    """

    name: str
    title: str
    sizes: tuple[int, ...]
    k: int = 12
    n_init: int = 25
    seed: int = 0

    @cached_property
    def weights(self) -> list[NDArray[np.float32]]:
        """Weight matrices (n_in, n_out), row-major."""
        return normal_weights(self.sizes, self.seed)

    @cached_property
    def graph(self) -> LayerGraph:
        """The network as a user builds it."""
        return LayerGraph.from_weights(self.weights)


ChainWorkload: TypeAlias = Workload | RandomWorkload
"""What the official pipeline and ours are both asked."""

VGG16 = RandomWorkload(
    "W2",
    "W2: channels of VGG-16, 3-64x2-128x2-256x3-512x6",
    (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
)


class Shape(Protocol):
    """Layers and blocks of a graph."""

    @property
    def layers(self) -> list[tuple[str, int]]:
        """Name and size of each layer."""
        ...

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Source and target layer of each block."""
        ...


@dataclass(frozen=True)
class ChainShape:
    """Layers of one width, all blocks dense.

    Attributes
    ----------
    n_layers, width : int
    """

    n_layers: int
    width: int

    @property
    def layers(self) -> list[tuple[str, int]]:
        """Name and size of each layer."""
        return [(f"layer {i}", self.width) for i in range(self.n_layers)]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Source and target layer of each block."""
        return list(pairwise(range(self.n_layers)))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Nodes per layer."""
        return (self.width,) * self.n_layers

    @property
    def n_edges(self) -> int:
        """All blocks are dense."""
        return (self.n_layers - 1) * self.width**2


@dataclass(frozen=True)
class LanguageModelShape:
    """Matrices of a decoder-only language model as blocks between its residual stream and what reads or writes it.

    The dimensions of the residual stream are *one* layer, shared by all blocks of the model. Against it stand, per
    block of the model, the dimensions of queries, of keys, of values (which the values matrix writes and the output
    matrix reads) and of the gated feed-forward part (written by gate and up, read by down), and the tokens twice: once
    as what the embedding reads, once as what the unembedding writes. So the graph is bipartite with the residual stream
    as its smaller side, every matrix of the model is exactly one block, and nothing is added up or left out but the
    gains of the norms.

    Attributes
    ----------
    n_blocks, stream, heads, hidden, vocabulary : int
        Sizes; `heads` is the number of heads times their dimension.
    """

    n_blocks: int = 32
    stream: int = 4096
    heads: int = 4096
    hidden: int = 11008
    vocabulary: int = 32000

    @property
    def layers(self) -> list[tuple[str, int]]:
        """Name and size of each layer; the residual stream comes first."""
        groups = [("queries", self.heads), ("keys", self.heads), ("values", self.heads), ("hidden", self.hidden)]
        inner = [(f"block {b} {name}", size) for b in range(self.n_blocks) for name, size in groups]
        return [("stream", self.stream), *inner, ("tokens in", self.vocabulary), ("tokens out", self.vocabulary)]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Source and target layer of each matrix."""
        found = []
        for b in range(self.n_blocks):
            queries, keys, values, hidden = range(1 + 4 * b, 5 + 4 * b)
            found += [(0, queries), (0, keys), (0, values), (values, 0), (0, hidden), (0, hidden), (hidden, 0)]
        tokens_in = 1 + 4 * self.n_blocks
        return [*found, (tokens_in, 0), (0, tokens_in + 1)]


DEEP = ChainShape(n_layers=16, width=8192)
"""W3: 1,006,632,960 edges."""
LANGUAGE_MODEL = LanguageModelShape()
"""W4: 6,738,149,376 weights, as a model of 7 billion parameters has them."""


def wide_sizes() -> tuple[int, ...]:
    """Layers of 5 dense blocks of 6,325 x 6,325: 2e8 edges, 800 MB in float32."""
    return (_WIDE_SIZE,) * (_WIDE_BLOCKS + 1)


def normal_weights(sizes: tuple[int, ...], seed: int = 0) -> list[NDArray[np.float32]]:
    """Draw the blocks of a chain from a standard normal distribution.

    Nothing but the blocks is ever allocated, so that a measurement of memory may follow.

    Parameters
    ----------
    sizes : tuple of int
        Nodes per layer.
    seed : int

    Returns
    -------
    list of float32 arrays, shapes (n_in, n_out)
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = []
    for shape in pairwise(sizes):
        block = np.empty(shape, np.float32)
        rng.standard_normal(out=block, dtype=np.float32)
        weights.append(block)
    return weights
