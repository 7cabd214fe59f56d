"""The n-cut from its definition, the best of all partitions in two, and small graphs to try them on."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import netspectra as ns

__all__ = ["best_two_way", "dense_adjacency", "ncut_by_definition", "small_graphs"]

Matrix = np.ndarray[Any, np.dtype[np.float64]]


def dense_adjacency(graph: ns.LayerGraph) -> Matrix:
    """Add up ``|w|`` over all blocks, both directions, strict upper triangle of a symmetric block."""
    A = np.zeros((graph.n_nodes, graph.n_nodes))
    for block in graph.blocks:
        W = block.weights.toarray() if block.is_sparse else np.asarray(block.weights)
        W = np.abs(W.astype(np.float64))
        source, target = graph.layer_slice(block.source), graph.layer_slice(block.target)
        if block.is_symmetric:
            W = np.triu(W, k=1)
        A[source, target] += W
        A[target, source] += W.T
    return A


def ncut_by_definition(A: Matrix, labels: np.ndarray[Any, Any]) -> float:
    """Sum ``cut(c) / vol(c)`` edge by edge; label -1 is no cluster."""
    total = 0.0
    for c in set(labels.tolist()) - {-1}:
        inside = [i for i in range(len(A)) if labels[i] == c]
        volume = sum(A[i, j] for i in inside for j in range(len(A)))
        cut = sum(A[i, j] for i in inside for j in range(len(A)) if labels[j] != c)
        total += cut / volume if volume > 0 else 0.0
    return total


def best_two_way(A: Matrix) -> float:
    """Return the least n-cut over all partitions of the nodes in two clusters of positive volume."""
    n = len(A)
    codes = np.arange(1, 1 << (n - 1))  # the last node is always outside: every partition once
    inside = ((codes[:, None] >> np.arange(n)) & 1).astype(np.float64)
    degrees = A.sum(axis=1)
    volume, within = inside @ degrees, np.sum(inside @ A * inside, axis=1)
    rest = degrees.sum() - volume
    valid = (volume > 0) & (rest > 0)
    cut = np.maximum(volume - within, 0.0)[valid]
    return float(np.min(cut / volume[valid] + cut / rest[valid]))


_ELEMENTS = st.sampled_from([0.0, 0.0, 1.0, -1.0, 2.0, -0.5, 3.0, 1e-3])


@st.composite
def small_graphs(draw: st.DrawFn, max_nodes: int = 10) -> ns.LayerGraph:
    """Draw a chain, a chain with a skip over one layer, or a plain graph; at least one weight in every block."""
    kind = draw(st.sampled_from(["chain", "skip", "plain"]))
    if kind == "plain":
        n = draw(st.integers(3, max_nodes))
        upper = np.triu(draw(arrays(np.float64, (n, n), elements=_ELEMENTS)), k=1)
        assume(upper.any())
        return ns.LayerGraph.from_adjacency(upper + upper.T)
    n_layers = 3 if kind == "skip" else draw(st.integers(2, 3))
    sizes = draw(st.lists(st.integers(1, max_nodes // n_layers), min_size=n_layers, max_size=n_layers))
    pairs = [(i, i + 1) for i in range(n_layers - 1)] + ([(0, 2)] if kind == "skip" else [])
    weights = [draw(arrays(np.float64, (sizes[i], sizes[j]), elements=_ELEMENTS)) for i, j in pairs]
    assume(all(W.any() for W in weights))
    layers = [ns.Layer(f"layer{i}", size) for i, size in enumerate(sizes)]
    return ns.LayerGraph.from_blocks(layers, [ns.Block(i, j, W) for (i, j), W in zip(pairs, weights, strict=True)])
