"""Graphs with a known answer: modules planted in chains, sparse chains, adjacency graphs and graphs with an even skip.

Every node of every layer belongs to one of `k` modules; an edge inside a module has a weight between 0.5 and 1.5, an
edge across modules `noise` times that, and signs are drawn at random (the graph is of absolute weights).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

import netspectra as ns

__all__ = ["adjacency_graph", "chain", "csr_chain", "even_skip", "planted_block", "planted_labels", "random_chain"]

Labels = np.ndarray[Any, np.dtype[np.int64]]


def modules(size: int, k: int) -> Labels:
    """Return the module of each of a layer's nodes: k runs of almost equal length."""
    return np.arange(size) * k // size


def planted_labels(sizes: tuple[int, ...], k: int) -> Labels:
    """Return the module of each node of a layered graph, in node order."""
    return np.concatenate([modules(size, k) for size in sizes])


def planted_block(m: int, n: int, k: int, noise: float, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Draw signed weights (m, n) of two layers that share k modules."""
    inside = modules(m, k)[:, None] == modules(n, k)[None, :]
    return rng.uniform(0.5, 1.5, (m, n)) * np.where(inside, 1.0, noise) * rng.choice([-1.0, 1.0], (m, n))


def chain(
    sizes: tuple[int, ...] = (20, 16, 12), k: int = 4, *, noise: float = 0.02, seed: int = 0, dtype: Any = np.float64
) -> ns.LayerGraph:
    """Draw a chain of dense blocks."""
    rng = np.random.default_rng(seed)
    return ns.LayerGraph.from_weights([planted_block(m, n, k, noise, rng).astype(dtype) for m, n in pairwise(sizes)])


def csr_chain(sizes: tuple[int, ...] = (20, 16, 12), k: int = 4, *, seed: int = 0) -> ns.LayerGraph:
    """Draw a chain of CSR blocks; a tenth of the edges across modules is there at all."""
    rng = np.random.default_rng(seed)
    blocks = []
    for m, n in pairwise(sizes):
        W = planted_block(m, n, k, 0.1, rng)
        W[(np.abs(W) < 0.3) & (rng.random((m, n)) < 0.9)] = 0
        blocks.append(sp.csr_array(W))
    return ns.LayerGraph.from_weights(blocks)


def even_skip(sizes: tuple[int, int, int] = (20, 16, 12), k: int = 4, *, seed: int = 0) -> ns.LayerGraph:
    """Draw a chain of three layers with a block from the first to the last: not bipartite."""
    rng = np.random.default_rng(seed)
    layers = [ns.Layer(f"layer{i}", size) for i, size in enumerate(sizes)]
    pairs = [(0, 1), (1, 2), (0, 2)]
    blocks = [ns.Block(i, j, planted_block(sizes[i], sizes[j], k, 0.02, rng)) for i, j in pairs]
    return ns.LayerGraph.from_blocks(layers, blocks)


def adjacency_graph(
    n: int = 40, k: int = 4, *, noise: float = 0.02, seed: int = 0, sparse: bool = False
) -> ns.LayerGraph:
    """Draw a graph of one layer from a symmetric adjacency matrix without diagonal."""
    upper = np.triu(planted_block(n, n, k, noise, np.random.default_rng(seed)), k=1)
    A = upper + upper.T
    return ns.LayerGraph.from_adjacency(sp.csr_array(A) if sparse else A)


def random_chain(sizes: tuple[int, ...] = (16, 12, 10), *, seed: int = 0, dtype: Any = np.float64) -> ns.LayerGraph:
    """Draw a chain of Gaussian blocks: no modules but those of chance."""
    rng = np.random.default_rng(seed)
    return ns.LayerGraph.from_weights([rng.standard_normal((m, n)).astype(dtype) for m, n in pairwise(sizes)])
