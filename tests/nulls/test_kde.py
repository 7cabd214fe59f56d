"""The KDE models: non-zero positions get ``|w_j + 0.01 z|``, j a random non-zero and z standard normal."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from nulls.test_shuffle import dense, sparse_weights
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import netspectra as ns
from netspectra.nulls.model import NullName

KDES: list[NullName] = ["kde", "kde-nonzero"]
BANDWIDTH = 0.01


@pytest.mark.parametrize("density", [0.1, 0.7])
@pytest.mark.parametrize("null", KDES)
def test_values_are_close_to_absolute_weights_of_the_block(null: NullName, density: float) -> None:
    weights = [sparse_weights(13, 17, density), 100 + sparse_weights(17, 9, density, seed=1)]
    drawn = ns.null_network(ns.LayerGraph.from_weights(weights), 6, null)
    for W, block in zip(weights, drawn.blocks, strict=True):
        values, sources = block.weights[block.weights != 0], np.abs(W[W != 0])
        assert values.size == sources.size
        assert values.min() > 0
        distance = np.abs(values[:, None] - sources[None, :]).min(axis=1)
        assert distance.max() < 5 * BANDWIDTH


def test_kde_nonzero_keeps_the_pattern_and_kde_that_of_the_shuffle() -> None:
    W = sparse_weights(13, 17, 0.3)
    graph = ns.LayerGraph.from_weights([W])
    for index in range(5):
        shuffled, kde, nonzero = (
            dense(ns.null_network(graph, index, null).blocks[0]) != 0 for null in ("shuffle", "kde", "kde-nonzero")
        )
        assert_array_equal(nonzero, W != 0)
        assert_array_equal(kde, shuffled)
        assert np.any(kde != (W != 0))


@pytest.mark.parametrize("null", KDES)
def test_noise_is_normal_of_the_bandwidth(null: NullName) -> None:
    W = np.full((60, 50), -3.0)
    drawn = ns.null_network(ns.LayerGraph.from_weights([W]), 0, null).blocks[0].weights
    z = (np.ravel(drawn) - 3.0) / BANDWIDTH  # |-3 + 0.01 z|, mirrored
    assert stats.kstest(z, "norm").pvalue > 0.01
    assert np.unique(z).size == z.size


def test_sources_are_drawn_with_replacement_and_uniformly() -> None:
    W = np.repeat([1.0, -2.0, 3.0, 4.0], 500).reshape(40, 50)
    drawn = ns.null_network(ns.LayerGraph.from_weights([W]), 0, "kde-nonzero").blocks[0].weights
    counts = np.bincount(np.rint(drawn).astype(int).ravel(), minlength=5)[1:]
    assert np.any(counts != 500)
    assert stats.chisquare(counts).pvalue > 0.01


def test_small_weights_are_folded_at_zero() -> None:
    W = np.full((60, 50), 1e-6)
    drawn = ns.null_network(ns.LayerGraph.from_weights([W]), 0, "kde-nonzero").blocks[0].weights
    assert drawn.min() >= 0
    assert stats.kstest(np.ravel(drawn) / BANDWIDTH, "halfnorm").pvalue > 0.01


@pytest.mark.parametrize("null", KDES)
def test_blocks_do_not_share_their_noise(null: NullName) -> None:
    W = np.full((30, 30), 2.0)
    one, other = (
        block.weights.ravel() for block in ns.null_network(ns.LayerGraph.from_weights([W, W]), 0, null).blocks
    )
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / 30


@pytest.mark.parametrize("density", [0.1, 0.7])
@pytest.mark.parametrize("null", KDES)
def test_dense_and_csr_storage_give_the_same_replicate(null: NullName, density: float) -> None:
    weights = [sparse_weights(13, 17, density), sparse_weights(17, 9, density, seed=1)]
    one = ns.null_network(ns.LayerGraph.from_weights(weights), 2, null)
    other = ns.null_network(ns.LayerGraph.from_weights([sp.csr_array(W) for W in weights]), 2, null)
    for mine, theirs in zip(one.blocks, other.blocks, strict=True):
        assert theirs.is_sparse
        assert_array_equal(mine.weights != 0, theirs.weights.toarray() != 0)
        assert_allclose(mine.weights, theirs.weights.toarray(), rtol=1e-14)


@pytest.mark.parametrize(
    ("dtype", "computed"),
    [
        (np.float16, np.float32),
        (ml_dtypes.bfloat16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
    ],
)
def test_new_values_have_the_working_dtype(dtype: Any, computed: Any) -> None:
    W = sparse_weights(20, 15, 0.5).astype(dtype)
    drawn = ns.null_network(ns.LayerGraph.from_weights([W]), 0, "kde").blocks[0]
    assert drawn.dtype == np.dtype(computed)
    sources = np.abs(W[W != 0].astype(np.float64))
    values = drawn.weights[drawn.weights != 0].astype(np.float64)
    assert np.abs(values[:, None] - sources[None, :]).min(axis=1).max() < 5 * BANDWIDTH


def test_float32_and_float64_draw_the_same_sources() -> None:
    W = np.random.default_rng(0).permutation(np.arange(1.0, 181.0)).reshape(15, 12)
    narrow, wide = (
        ns.null_network(ns.LayerGraph.from_weights([W.astype(t)]), 3, "kde").blocks[0].weights
        for t in (np.float32, np.float64)
    )
    assert_array_equal(np.rint(narrow), np.rint(wide))
    assert_allclose(narrow, wide, rtol=1e-6)
