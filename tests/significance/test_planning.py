"""Planning: what a replicate needs is told before the start, and kept to."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from clustering.planted import random_chain

import netspectra as ns
from netspectra.clustering import Recipe
from netspectra.errors import GraphError, LimitError
from netspectra.significance.planning import replicate_bytes
from netspectra.spectrum import SolverPlan

RECIPE = Recipe(4, 25, "inertia", SolverPlan("dense", np.dtype(np.float32), 1e-5, 500, 0))


def test_bytes_cover_the_weights_that_are_drawn() -> None:
    for dtype in (np.float32, np.float64):
        W = np.random.default_rng(0).standard_normal((50, 40)).astype(dtype)
        dense, csr = (ns.LayerGraph.from_weights([f(W)]) for f in (np.asarray, sp.csr_array))
        assert replicate_bytes(dense, RECIPE) > W.nbytes
        assert replicate_bytes(csr, RECIPE) > csr.blocks[0].weights.data.nbytes
        assert replicate_bytes(csr, RECIPE) > replicate_bytes(dense, RECIPE)


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_bytes_grow_with_everything(solver: Any) -> None:
    recipe = replace(RECIPE, solver=replace(RECIPE.solver, solver=solver))
    graphs = [random_chain((n, 20, 10), dtype=np.float32) for n in (10, 20, 40, 80, 160)]
    by_size = [replicate_bytes(graph, recipe) for graph in graphs]
    by_clusters = [replicate_bytes(graphs[0], replace(recipe, n_clusters=k)) for k in (2, 4, 8, 16)]
    wide = replace(recipe, solver=replace(recipe.solver, dtype=np.dtype(np.float64)))
    by_width = [replicate_bytes(graphs[0], r) for r in (recipe, wide)]
    kept = [replicate_bytes(graphs[0], replace(recipe, select="ncut", n_init=n)) for n in (1, 25, 100)]
    for row in (by_size, by_clusters, by_width, kept):
        assert row[0] > 0
        assert all(small < large for small, large in pairwise(row))


def test_blocks_that_are_not_drawn_need_nothing() -> None:
    layers, W = [ns.Layer("a", 50), ns.Layer("b", 40)], np.ones((50, 40))
    one = ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, W)])
    two = ns.LayerGraph.from_blocks(layers, [ns.Block(0, 1, W), ns.Block(0, 1, W, learned=False)])
    assert replicate_bytes(one, RECIPE) == replicate_bytes(two, RECIPE)


def test_the_plan_is_in_the_result() -> None:
    result = ns.clusterability_test(random_chain(), 4, n_nulls=10, n_init=1, batch_size=4, memory_limit=10**9)
    plan = result.plan
    assert (plan.batch_size, plan.memory_limit) == (4, 10**9)
    assert 1 <= plan.in_flight <= 4
    assert plan.bytes_per_replicate > sum(block.weights.nbytes for block in random_chain().blocks)


def test_without_a_limit_part_of_the_free_memory_is_planned_with() -> None:
    plan = ns.clusterability_test(random_chain(), 4, n_nulls=2, n_init=1).plan
    assert plan.bytes_per_replicate * plan.in_flight < plan.memory_limit
    assert 1 <= plan.batch_size <= 2


def test_a_limit_reduces_what_is_in_flight_and_nothing_else() -> None:
    machine = ns.get_backend("cpu", n_threads=4)
    free = ns.clusterability_test(random_chain(), 4, n_nulls=12, n_init=1, backend=machine, batch_size=8)
    for fitting in (1, 2, 3):
        limit = int((fitting + 0.5) * free.plan.bytes_per_replicate)
        held = ns.clusterability_test(
            random_chain(), 4, n_nulls=12, n_init=1, backend=machine, batch_size=8, memory_limit=limit
        )
        assert held.plan.in_flight <= fitting
        assert held.plan.in_flight * held.plan.bytes_per_replicate <= limit
        assert held.plan.batch_size <= free.plan.batch_size
        np.testing.assert_array_equal(held.null_ncuts, free.null_ncuts)


def test_a_replicate_that_cannot_fit_is_refused_with_the_numbers() -> None:
    graph = random_chain((300, 200, 100))
    need = ns.clusterability_test(graph, 4, n_nulls=1, n_init=1).plan.bytes_per_replicate
    with pytest.raises(LimitError) as caught:
        ns.clusterability_test(graph, 4, n_nulls=10, n_init=1, memory_limit=need - 1)
    text = str(caught.value)
    assert f"needs about {need / 1e9:.3g} GB" in text
    assert f"limit is {(need - 1) / 1e9:.3g} GB" in text
    assert "raise memory_limit" in text
    ns.clusterability_test(graph, 4, n_nulls=1, n_init=1, memory_limit=need)


def test_the_partition_alone_needs_no_replicate() -> None:
    assert ns.clusterability_test(random_chain(), 4, n_nulls=0, memory_limit=1).n_nulls == 0


@pytest.mark.parametrize("limit", [0, -1, True, "1GB", float("nan"), float("inf"), [1]])
def test_limits_that_make_no_sense_are_named(limit: Any) -> None:
    with pytest.raises(GraphError, match="memory_limit must be a positive number of bytes or None, got"):
        ns.clusterability_test(random_chain(), 4, n_nulls=2, memory_limit=limit)


@pytest.mark.parametrize("batch_size", [0, -3, True, 2.5, "8"])
def test_batch_sizes_that_make_no_sense_are_named(batch_size: Any) -> None:
    with pytest.raises(GraphError, match=f"batch_size must be an integer of at least 1, got {batch_size!r}"):
        ns.clusterability_test(random_chain(), 4, n_nulls=2, batch_size=batch_size)
