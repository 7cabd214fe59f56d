"""Graphs for the tests of the JAX backend: few shapes, for each is compiled for, and many weights.

Every chain has four layers of 18 nodes, is asked for :data:`K` eigenpairs, and so shares one compiled program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from clustering import planted as planting
from problems import PROBLEMS, Problem, block_chain, chain, random_chain

from netspectra import Block, Layer, LayerGraph

__all__ = [
    "CHAINS",
    "CLUSTERS",
    "PLANTED_SIZES",
    "RUN",
    "SIZES",
    "SKIPS",
    "K",
    "chain_of",
    "mixed_skips",
    "planted",
    "problem",
]

SIZES, K = (18, 18, 18, 18), 6
PLANTED_SIZES, CLUSTERS = (20, 16, 12), 4
RUN: dict[str, Any] = {"n_nulls": 12, "n_init": 4}
"""Of every clusterability test, that they share their programs too."""


def problem(name: str) -> Problem:
    """One of the problems that every backend is tested with."""
    return next(p for p in PROBLEMS if p.name == name)


def _modules(across: float) -> Problem:
    weights, values = block_chain(4, 3, 6, across)
    return Problem(f"modules-{across:g}", lambda dtype: chain(dtype, weights), K, values)


def _with_isolated_nodes(dtype: Any) -> LayerGraph:
    """The chain of modules without six nodes, one of them in each end layer."""
    blocks = [np.array(W) for W in block_chain(4, 3, 6, 0.125)[0]]
    blocks[0][[3]] = 0
    blocks[2][:, [7]] = 0
    for node in (0, 5, 9, 17):
        blocks[0][:, node] = blocks[1][node] = 0
    return chain(dtype, blocks)


def _low_rank(dtype: Any) -> LayerGraph:
    """A smaller side of rank 3: three wanted eigenvalues are 1, those of the null space."""
    rng = np.random.default_rng(12)
    blocks = [rng.random((18, 3)) @ rng.random((3, 18)) for _ in range(3)]
    blocks[1][:, 2:] = blocks[2][2:] = 0
    return chain(dtype, blocks)


CHAINS: dict[str, Problem] = {
    "modules": _modules(0.125),
    "disconnected": _modules(0.0),
    "hardly-any-modules": _modules(1 - 2.0**-17),
    "isolated-nodes": Problem("isolated-nodes", _with_isolated_nodes, K),
    "low-rank": Problem("low-rank", _low_rank, K),
    "random": Problem("random", lambda dtype: random_chain(dtype, SIZES), K),
    "pruned": Problem("pruned", lambda dtype: random_chain(dtype, SIZES, density=0.3), K),
}
SKIPS = problem("even-skips")
"""Five layers of eight, not bipartite, all eigenvalues known."""


def chain_of(make: Callable[[Any, tuple[int, ...]], Any], dtype: Any = np.float32, seed: int = 0) -> LayerGraph:
    """A chain of the shared shape with weights that ``make(rng, shape)`` draws."""
    rng = np.random.default_rng(seed)
    return chain(np.dtype(dtype), [np.asarray(make(rng, (18, 18))) for _ in range(3)])


def planted(noise: float = 0.02, dtype: Any = np.float32, seed: int = 0) -> LayerGraph:
    """A chain with four modules, far apart."""
    return planting.chain(PLANTED_SIZES, CLUSTERS, noise=noise, seed=seed, dtype=dtype)


def mixed_skips(dtype: Any = np.float32) -> LayerGraph:
    """Three layers joined all to all, not bipartite, the second block CSR; no size is a multiple of eight."""
    rng, sizes = np.random.default_rng(3), (19, 13, 9)
    layers = [Layer(f"layer{i}", size) for i, size in enumerate(sizes)]
    dense = [rng.standard_normal((sizes[i], sizes[j])).astype(dtype) for i, j in ((0, 1), (0, 2))]
    sparse = sp.random_array((13, 9), density=0.4, rng=rng, format="csr", dtype=dtype)
    return LayerGraph.from_blocks(layers, [Block(0, 1, dense[0]), Block(1, 2, sparse), Block(0, 2, dense[1])])
