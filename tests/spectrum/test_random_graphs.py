"""Any layered graph, any k, every solver: the acceptance test as a property."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from problems import chain, layered
from spectrum.acceptance import assert_accepted, laplacian, live_nodes

import netspectra as ns

SOLVERS = st.sampled_from(["dense", "lobpcg", "auto"])
DTYPES = st.sampled_from(["float32", "float64"])


@st.composite
def two_layers(draw: Any) -> Any:
    """One block of any rank, with isolated nodes on both sides and entries of many magnitudes."""
    m, n, rank = draw(st.integers(1, 12)), draw(st.integers(1, 16)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    W = rng.exponential(size=(m, rank)) @ rng.exponential(size=(rank, n))
    if draw(st.booleans()):
        W = W ** draw(st.integers(1, 6))
    W[rng.random(m) < draw(st.sampled_from([0.0, 0.3])), :] = 0
    W[:, rng.random(n) < draw(st.sampled_from([0.0, 0.3]))] = 0
    assume(W.any())
    return W


@st.composite
def layer_graphs(draw: Any) -> Any:
    """Layers joined at random: chains, skips, self-blocks, several blocks per pair, dense and CSR side by side."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = tuple(draw(st.lists(st.integers(1, 8), min_size=1, max_size=4)))
    layer = st.integers(0, len(sizes) - 1)
    ends = draw(st.lists(st.tuples(layer, layer), min_size=1, max_size=6))
    density = draw(st.sampled_from([0.3, 0.7, 1.0]))
    blocks = []
    for i, j in ends:
        W = rng.standard_normal((sizes[i], sizes[j])) * (rng.random((sizes[i], sizes[j])) < density)
        W = np.triu(W, 1) if i == j else W
        assume(W.any())
        blocks.append((i, j, sp.csr_array(W) if draw(st.booleans()) else W))
    return sizes, blocks


def check(graph: Any, k: int, solver: Any) -> None:
    live = live_nodes(graph)
    spectrum = np.linalg.eigvalsh(laplacian(graph)[np.ix_(live, live)])
    assert_accepted(ns.eigenpairs(graph, k, solver=solver), graph, spectrum)


@settings(max_examples=150)
@given(two_layers(), st.integers(1, 28), SOLVERS, DTYPES)
def test_two_layers_of_any_rank(W: Any, k: int, solver: Any, dtype: str) -> None:
    graph = chain(np.dtype(dtype), [W])
    check(graph, min(k, int(live_nodes(graph).sum())), solver)


@settings(max_examples=150)
@given(layer_graphs(), st.integers(1, 32), SOLVERS, DTYPES)
def test_any_layer_graph(drawn: Any, k: int, solver: Any, dtype: str) -> None:
    sizes, blocks = drawn
    graph = layered(*((i, j, W.astype(dtype)) for i, j, W in blocks), sizes=sizes)
    check(graph, min(k, int(live_nodes(graph).sum())), solver)
