"""The operator that ours and the peers' eigensolvers get: ``S`` of a smaller W3, in the form that each can read.

The peers cannot take W3 itself: as a dense array S has 69 GB, and as CSR it has more entries than a 32-bit index can
number. So all sides get 16 layers of 2,048 (6.3e7 edges), and ours is timed on the same weights in the same run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmarks.gpu.device_graphs import draw_weights, layer_graph
from netspectra.bindings.bench.residual import float64_degrees, float64_residual
from netspectra.bindings.bench.workloads import ChainShape

__all__ = ["PEER_K", "PEER_SHAPE", "PEER_TOL", "PeerProblem"]

PEER_SHAPE = ChainShape(n_layers=16, width=2048)
PEER_K = 16
PEER_TOL = 1e-5
"""Bound on ``|S x - theta x|`` that every side is asked for; what it then has is measured in float64."""


@dataclass
class PeerProblem:
    """One chain of dense layers, drawn from the same seed wherever it is made.

    Attributes
    ----------
    lib : module
        CuPy, or NumPy.
    shape : ChainShape
    k : int
    tol : float
    """

    lib: Any
    shape: ChainShape = PEER_SHAPE
    k: int = PEER_K
    tol: float = PEER_TOL

    @cached_property
    def weights(self) -> list[Any]:
        """Weights of the blocks, float32."""
        return draw_weights(self.lib, self.shape)

    @property
    def graph(self) -> Any:
        """The layer graph over the same weights."""
        return layer_graph(self.shape, self.weights)

    @property
    def n(self) -> int:
        """Nodes."""
        return self.shape.n_layers * self.shape.width

    @cached_property
    def normalized(self) -> list[Any]:
        """``D^-1/2 |W| D^-1/2`` of each block, float32."""
        scale = (1 / self.lib.sqrt(float64_degrees(self.lib, self.shape, self.weights))).astype(self.lib.float32)
        width, found = self.shape.width, []
        for (source, target), W in zip(self.shape.blocks, self.weights, strict=True):
            rows, cols = (scale[layer * width : (layer + 1) * width] for layer in (source, target))
            found.append(self.lib.abs(W) * rows[:, None] * cols[None, :])
        return found

    @cached_property
    def start(self) -> Any:
        """Random starting block (n, k), float32."""
        return self.lib.random.default_rng(1).standard_normal((self.n, self.k), dtype=self.lib.float32)

    def apply(self, X: Any) -> Any:
        """``S X`` block by block, for X (n,) or (n, c)."""
        width = self.shape.width
        Y = self.lib.zeros_like(X)
        for (source, target), B in zip(self.shape.blocks, self.normalized, strict=True):
            here, there = (slice(layer * width, (layer + 1) * width) for layer in (source, target))
            Y[here] += B @ X[there]
            Y[there] += B.T @ X[here]
        return Y

    def dense(self) -> Any:
        """``S`` as a dense array (n, n), float32."""
        width = self.shape.width
        S = self.lib.zeros((self.n, self.n), dtype=self.lib.float32)
        for (source, target), B in zip(self.shape.blocks, self.normalized, strict=True):
            here, there = (slice(layer * width, (layer + 1) * width) for layer in (source, target))
            S[here, there] = B
            S[there, here] = B.T
        return S

    def csr(self) -> tuple[Any, Any, Any]:
        """``S`` as CSR: data float32, columns int32, row pointers int64; all entries of a block are stored."""
        lib, width = self.lib, self.shape.width
        ends = dict(zip(self.shape.blocks, self.normalized, strict=True))
        data, columns, per_row = [], [], []
        for layer in range(self.shape.n_layers):
            left, right = ends.get((layer - 1, layer)), ends.get((layer, layer + 1))
            parts = ([] if left is None else [left.T]) + ([] if right is None else [right])
            first = (layer - 1 if left is not None else layer + 1) * width
            places = [first + lib.arange(width, dtype=lib.int32)]
            if len(parts) == 2:
                places.append((layer + 1) * width + lib.arange(width, dtype=lib.int32))
            data.append(lib.concatenate(parts, axis=1).ravel())
            columns.append(lib.tile(lib.concatenate(places), width))
            per_row.append(lib.full((width,), len(parts) * width, dtype=lib.int64))
        starts = lib.concatenate([lib.zeros((1,), dtype=lib.int64), lib.cumsum(lib.concatenate(per_row))])
        return lib.concatenate(data), lib.concatenate(columns), starts

    def residual(self, theta: Any, vectors: Any) -> float:
        """Largest ``|S x - theta x|`` in float64, from the weights; arrays of any library that has DLPack."""
        theta, vectors = (a if isinstance(a, self.lib.ndarray) else self.lib.from_dlpack(a) for a in (theta, vectors))
        return float64_residual(self.lib, self.shape, self.weights, 1 - theta.astype(self.lib.float64), vectors)
