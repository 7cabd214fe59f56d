"""One table of test graphs, each with all eigenvalues of its normalized Laplacian where mathematics gives them.

For the others the tests compute them by LAPACK in float64 (tests/spectrum/acceptance.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.special

from netspectra import Block, Layer, LayerGraph

__all__ = ["PROBLEMS", "Problem", "block_chain", "chain", "layered", "path", "path_values", "random_chain"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """A graph, the number of eigenpairs wanted, and all eigenvalues of its non-isolated nodes where known."""

    name: str
    build: Callable[[Any], LayerGraph]
    k: int
    spectrum: Floats | None = None

    def __str__(self) -> str:
        return self.name

    def graph(self, dtype: Any) -> LayerGraph:
        """The graph with weights stored in `dtype`."""
        return self.build(np.dtype(dtype))


def layered(*shapes: tuple[int, int, Any], sizes: tuple[int, ...]) -> LayerGraph:
    """Graph of layers of the given sizes from (source, target, weights) triples."""
    layers = [Layer(f"layer{i}", size) for i, size in enumerate(sizes)]
    return LayerGraph.from_blocks(layers, [Block(*shape) for shape in shapes])


def path(n: int) -> Any:
    return sp.diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1]).tocsr()


def _ring(n: int) -> Any:
    A = path(n).tolil()
    A[0, n - 1] = A[n - 1, 0] = 1.0
    return A.tocsr()


def path_values(n: int) -> Floats:
    """``1 - cos(pi j / (n - 1))``: every eigenvalue of the path of n nodes."""
    return 1.0 - np.cos(np.pi * np.arange(n) / (n - 1))


def _ring_values(n: int) -> Floats:
    return 1.0 - np.cos(2 * np.pi * np.arange(n) / n)


def _complete_bipartite_values(m: int, n: int) -> Floats:
    return np.array([0.0] + [1.0] * (m + n - 2) + [2.0])


def _of_two_sides(A: Any, dtype: Any) -> LayerGraph:
    """Bipartite graph whose even nodes are the first layer and odd nodes the second."""
    return LayerGraph.from_weights([sp.csr_array(A).toarray()[::2, 1::2].astype(dtype)])


@cache
def block_chain(n_layers: int, n_modules: int, size: int, across: float) -> tuple[tuple[Any, ...], Floats]:
    """Layers of `n_modules` modules, weight 1 inside and `across` between modules; (weights, all eigenvalues).

    S is the Kronecker product of the path of layers, the module matrix B over its row sum, and ``J / size``; so its
    non-zero eigenvalues are ``cos(pi j / (n_layers - 1))`` times 1, or times ``mu = (1 - across) / row sum``.
    """
    B = np.full((n_modules, n_modules), across) + (1 - across) * np.eye(n_modules)
    mu = (1 - across) / (1 + (n_modules - 1) * across)
    waves = np.cos(np.pi * np.arange(n_layers) / (n_layers - 1))
    found = np.concatenate([1 - waves, *[1 - mu * waves] * (n_modules - 1)])
    rest = np.ones(n_layers * n_modules * (size - 1))
    rng = np.random.default_rng(1)
    orders = [rng.permutation(n_modules * size) for _ in range(n_layers)]
    whole = np.kron(B, np.ones((size, size)))
    weights = tuple(whole[np.ix_(a, b)] for a, b in pairwise(orders))
    return weights, np.sort(np.concatenate([found, rest]))


def chain(dtype: Any, weights: Any) -> LayerGraph:
    return LayerGraph.from_weights([W.astype(dtype) for W in weights])


def random_chain(dtype: Any, sizes: tuple[int, ...], seed: int = 0, density: float = 1.0) -> LayerGraph:
    rng = np.random.default_rng(seed)
    blocks = [rng.standard_normal(s) * (rng.random(s) < density) for s in pairwise(sizes)]
    return chain(dtype, blocks)


def _stochastic_blocks(dtype: Any) -> LayerGraph:
    rng = np.random.default_rng(2)
    labels = [np.arange(n) % 4 for n in (40, 30, 44)]
    density = [np.where(a[:, None] == b[None, :], 0.6, 0.05) for a, b in pairwise(labels)]
    weights = [(rng.random(p.shape) < p) * rng.exponential(size=p.shape) for p in density]
    return chain(dtype, weights)


def _equal_skips(n_layers: int, size: int, skip: float) -> tuple[Callable[[Any], LayerGraph], Floats]:
    """Layers joined with weight 1 to the next, `skip` to the one after: eigenvalues of the quotient, the others 1."""
    Q = sum(w * (np.eye(n_layers, k=k) + np.eye(n_layers, k=-k)) for k, w in ((1, 1.0), (2, skip)))
    d = Q.sum(axis=1)
    values = np.concatenate([1 - np.linalg.eigvalsh(Q / np.sqrt(np.outer(d, d))), np.ones(n_layers * (size - 1))])
    pairs = [(i, j, Q[i, j]) for i in range(n_layers) for j in range(i + 1, n_layers) if Q[i, j]]
    ones = np.ones((size, size))
    sizes = (size,) * n_layers
    return lambda dtype: layered(*((i, j, (q * ones).astype(dtype)) for i, j, q in pairs), sizes=sizes), values


def _random_skips(dtype: Any) -> LayerGraph:
    rng, sizes = np.random.default_rng(3), (22, 18, 26, 20)
    pairs = ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3))
    blocks = [(i, j, rng.standard_normal((sizes[i], sizes[j])).astype(dtype)) for i, j in pairs]
    return layered(*blocks, sizes=sizes)


def _residual_stream(dtype: Any) -> LayerGraph:
    """A stream of 24 that four groups of 30 units read from and write to: 2-colourable, two blocks per pair."""
    rng = np.random.default_rng(4)
    blocks = [(0, i, rng.standard_normal((24, 30)).astype(dtype)) for i in range(1, 5)]
    blocks += [(i, 0, rng.standard_normal((30, 24)).astype(dtype)) for i in range(1, 5)]
    return layered(*blocks, sizes=(24, 30, 30, 30, 30))


def _several_blocks(dtype: Any) -> LayerGraph:
    """Three blocks between the same two layers, one of them sparse, and a third layer."""
    rng = np.random.default_rng(5)
    ends, sizes = ((0, 1), (0, 1), (1, 2)), (20, 25, 12)
    blocks = [(i, j, rng.standard_normal((sizes[i], sizes[j])).astype(dtype)) for i, j in ends]
    sparse = sp.random_array((20, 25), density=0.2, rng=rng, format="csr", dtype=dtype)
    return layered(*blocks, (0, 1, sparse), sizes=sizes)


def _lateral(dtype: Any) -> LayerGraph:
    """A chain of which one layer is also joined to itself, densely, and another sparsely."""
    rng = np.random.default_rng(6)
    sizes = (20, 24, 16)
    M, N = rng.random((24, 24)), sp.random_array((16, 16), density=0.3, rng=rng).toarray()
    blocks = [(i, i + 1, rng.standard_normal((sizes[i], sizes[i + 1])).astype(dtype)) for i in range(2)]
    blocks += [(1, 1, np.triu(M + M.T, 1).astype(dtype)), (2, 2, sp.csr_array(np.triu(N + N.T, 1).astype(dtype)))]
    return layered(*blocks, sizes=sizes)


def _random_adjacency(dtype: Any, n: int = 60, density: float = 0.3, sparse: bool = False) -> LayerGraph:
    rng = np.random.default_rng(7)
    A = np.triu(rng.random((n, n)) * (rng.random((n, n)) < density), 1)
    A[:, [3, 17]] = A[[3, 17], :] = 0.0  # two isolated nodes
    A = (A + A.T).astype(dtype)
    return LayerGraph.from_adjacency(sp.csr_array(A) if sparse else A)


def _scattered_weights(dtype: Any) -> LayerGraph:
    """Every weight 10**u, u uniform in [-12, 0]."""
    rng = np.random.default_rng(8)
    return chain(dtype, [10.0 ** rng.uniform(-12, 0, s) for s in ((24, 20), (20, 26))])


def _scattered_nodes(dtype: Any) -> LayerGraph:
    """Weights ``|z_ij| s_i s_j`` whose node scales make the *degrees* span 12 orders of magnitude."""
    rng = np.random.default_rng(9)
    s = [10.0 ** rng.uniform(-6, 0, n) for n in (30, 22, 30)]
    scales = [np.outer(a, b) for a, b in pairwise(s)]
    return chain(dtype, [rng.standard_normal(scale.shape) * scale for scale in scales])


def _nearly_disconnected(dtype: Any, groups: int, link: float) -> LayerGraph:
    """Dense random groups joined by links that are hardly there."""
    rng = np.random.default_rng(10)
    blocks = [rng.random((12, 14)) for _ in range(groups)]
    W = scipy.linalg.block_diag(*blocks)
    W[W == 0] = link
    return chain(dtype, [W])


def _mirrored(dtype: Any) -> LayerGraph:
    """Two equal modules, weakly joined: a start symmetric under their exchange misses the Fiedler vector."""
    W = np.random.default_rng(11).random((14, 15))
    return chain(dtype, [np.block([[W, np.full_like(W, 1 / 64)], [np.full_like(W, 1 / 64), W]])])


def _isolated_and_low_rank(dtype: Any) -> LayerGraph:
    """Rank 3 with isolated nodes on both sides, so that k reaches into the null spaces of B."""
    rng = np.random.default_rng(12)
    W = rng.random((14, 3)) @ rng.random((3, 17))
    W[[0, 5], :] = 0.0
    W[:, [0, 1, 16]] = 0.0
    return chain(dtype, [W])


def _more_isolated_on_the_large_side(dtype: Any) -> LayerGraph:
    W = np.zeros((9, 30))
    W[:, [4, 8, 11, 20]] = np.random.default_rng(13).random((9, 4))
    return chain(dtype, [W])


def _pruned(dtype: Any) -> LayerGraph:
    sizes, rng = (60, 40, 40, 10), np.random.default_rng(14)
    shapes = pairwise(sizes)
    return LayerGraph.from_weights(
        [sp.random_array(s, density=0.1, rng=rng, format="csr", dtype=dtype) for s in shapes]
    )


def _mixed_storage(dtype: Any) -> LayerGraph:
    rng = np.random.default_rng(15)
    sparse = sp.random_array((30, 28), density=0.2, rng=rng, format="csr", dtype=dtype)
    first, last = rng.standard_normal((26, 30)), rng.random((28, 8))
    return LayerGraph.from_weights([first.astype(dtype), sparse, last.astype(dtype)])


def _hypercube(d: int) -> Any:
    nodes = np.arange(2**d)
    ends = np.concatenate([np.stack([nodes, nodes ^ (1 << b)]) for b in range(d)], axis=1)
    return sp.csr_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(2**d, 2**d))


def _hypercube_values(d: int) -> Floats:
    return np.concatenate([np.full(scipy.special.comb(d, j, exact=True), 2 * j / d) for j in range(d + 1)])


def _union(parts: int, A: Any) -> Any:
    return sp.block_diag([A] * parts, format="csr")


def _bipartite_union(parts: int, m: int, n: int) -> Callable[[Any], LayerGraph]:
    return lambda dtype: chain(dtype, [scipy.linalg.block_diag(*[np.ones((m, n))] * parts)])


_skips, _skip_values = _equal_skips(5, 8, 0.5)
_chain_weights, _chain_values = block_chain(4, 3, 6, 0.125)
_weak_weights, _weak_values = block_chain(2, 3, 8, 1 - 2.0**-4)
"""Singular values 0.022: their squares are at the edge of what float32 can tell from rounding."""
_weaker_weights, _weaker_values = block_chain(4, 3, 8, 1 - 2.0**-17)
"""Singular values down to 1.3e-6: lost in their squares in float32, and nearly so in float64."""


def _adjacent(A: Any, *, sparse: bool = True) -> Callable[[Any], LayerGraph]:
    return lambda dtype: LayerGraph.from_adjacency((A if sparse else A.toarray()).astype(dtype))


PROBLEMS = [
    Problem("path", _adjacent(path(80)), 6, path_values(80)),
    Problem("path-in-two-layers", lambda t: _of_two_sides(path(101), t), 6, path_values(101)),
    Problem("path-many-pairs", _adjacent(path(30), sparse=False), 12, path_values(30)),
    Problem("path-one-pair", _adjacent(path(12)), 1, path_values(12)),
    Problem("path-all-pairs", _adjacent(path(12)), 12, path_values(12)),
    Problem("path-in-two-layers-all-pairs", lambda t: _of_two_sides(path(13), t), 13, path_values(13)),
    Problem("path-in-two-layers-one-pair", lambda t: _of_two_sides(path(13), t), 1, path_values(13)),
    Problem("ring", _adjacent(_ring(64), sparse=False), 7, _ring_values(64)),
    Problem("ring-through-a-pair", _adjacent(_ring(64)), 6, _ring_values(64)),
    Problem("ring-in-two-layers", lambda t: _of_two_sides(_ring(60), t), 5, _ring_values(60)),
    Problem("complete", _adjacent(sp.csr_array(1 - np.eye(40))), 5, np.array([0.0] + [40 / 39] * 39)),
    Problem("complete-bipartite", lambda t: chain(t, [np.ones((12, 30))]), 4, _complete_bipartite_values(12, 30)),
    Problem("complete-bipartite-all", lambda t: chain(t, [np.ones((4, 5))]), 9, _complete_bipartite_values(4, 5)),
    Problem("star", lambda t: chain(t, [np.ones((1, 50))]), 3, _complete_bipartite_values(1, 50)),
    Problem("star-all-pairs", lambda t: chain(t, [np.ones((20, 1))]), 21, _complete_bipartite_values(1, 20)),
    Problem("hypercube", _adjacent(_hypercube(6)), 7, _hypercube_values(6)),
    Problem("hypercube-in-a-cluster", _adjacent(_hypercube(6)), 12, _hypercube_values(6)),
    Problem("union-of-3", _adjacent(_union(3, _ring(20))), 6, np.tile(_ring_values(20), 3)),
    Problem("union-of-8", _adjacent(_union(8, _ring(9))), 5, np.tile(_ring_values(9), 8)),
    Problem("union-of-4-bipartite", _bipartite_union(4, 6, 7), 6, np.tile(_complete_bipartite_values(6, 7), 4)),
    Problem("union-of-9-bipartite", _bipartite_union(9, 2, 3), 5, np.tile(_complete_bipartite_values(2, 3), 9)),
    Problem("block-chain", lambda t: chain(t, _chain_weights), 6, _chain_values),
    Problem("block-chain-into-null-space", lambda t: chain(t, _chain_weights), 14, _chain_values),
    Problem("weak-modules", lambda t: chain(t, _weak_weights), 3, _weak_values),
    Problem("hardly-any-modules", lambda t: chain(t, _weaker_weights), 6, _weaker_values),
    Problem("stochastic-blocks", _stochastic_blocks, 5),
    Problem("even-skips", _skips, 3, _skip_values),
    Problem("even-skips-random", _random_skips, 6),
    Problem("narrow-middle", lambda t: random_chain(t, (30, 4, 33)), 9),
    Problem("narrow-end", lambda t: random_chain(t, (25, 30, 3)), 8),
    Problem("perceptron", lambda t: random_chain(t, (64, 32, 32, 10)), 12),
    Problem("scattered-weights", _scattered_weights, 5),
    Problem("scattered-nodes", _scattered_nodes, 5),
    Problem("nearly-disconnected", lambda t: _nearly_disconnected(t, 2, 1e-8), 4),
    Problem("nearly-disconnected-in-5", lambda t: _nearly_disconnected(t, 5, 1e-10), 7),
    Problem("residual-stream", _residual_stream, 5),
    Problem("several-blocks", _several_blocks, 5),
    Problem("lateral", _lateral, 4),
    Problem("adjacency-dense", _random_adjacency, 5),
    Problem("adjacency-sparse", lambda t: _random_adjacency(t, sparse=True), 5),
    Problem("mirrored", _mirrored, 2),
    Problem("isolated-and-low-rank", _isolated_and_low_rank, 8),
    Problem("isolated-on-the-large-side", _more_isolated_on_the_large_side, 6),
    Problem("pruned", _pruned, 6),
    Problem("mixed-storage", _mixed_storage, 6),
]
