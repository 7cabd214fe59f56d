"""``B B^T`` without B, against the reference that forms B: every storage, any sizes, tiny degrees."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from netspectra.kernels.cpu.registers import lanes_of
from netspectra.kernels.weights import DenseWeights

STORED = {
    "float32": lambda W: W.astype(np.float32),
    "float64": lambda W: W,
    "bfloat16": lambda W: W.astype(ml_dtypes.bfloat16),
    "column-major": lambda W: np.asfortranarray(W.astype(np.float32)),
    "a view": lambda W: np.repeat(np.repeat(W, 2, axis=0), 3, axis=1)[::2, ::3],
    "CSR": sp.csr_array,
}


def grid(heights, widths, present, rng):
    """(Matrix, row, column, transposed) of random blocks of B where `present`, and the shape of B."""
    blocks, row = [], 0
    for i, m in enumerate(heights):
        col = 0
        for j, n in enumerate(widths):
            if present[i][j]:
                transposed = bool(rng.integers(2))
                W = rng.standard_normal((n, m) if transposed else (m, n))
                blocks.append((W * (rng.random(W.shape) < 0.8), row, col, transposed))
            col += n
        row += m
    return blocks, (row, sum(widths))


def both(cpu, reference, blocks, rows, cols, unit):
    """G of the two machines, from blocks (list of members' matrices, row, column, transposed)."""
    found = []
    for machine in (cpu, reference):
        loaded = [(machine.load_block(W, symmetric=False), *place) for W, *place in blocks]
        found.append(np.asarray(machine.explicit_gram(loaded, *map(machine.asarray, (rows, cols, unit)))))
    return found


def scales(shape, members, dtype, rng):
    rows, cols = (rng.random((members, n)).astype(dtype) + dtype(0.1) for n in shape)
    return rows, cols, rng.standard_normal((members, shape[0], 1)).astype(dtype)


@settings(max_examples=30)
@given(
    heights=st.lists(st.integers(1, 70), min_size=1, max_size=3),
    widths=st.lists(st.integers(1, 70), min_size=1, max_size=3),
    stored=st.sampled_from(sorted(STORED)),
    seed=st.integers(0, 2**32),
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_the_matrix_that_the_reference_forms(cpu, reference, dtype, heights, widths, stored, seed):
    rng = np.random.default_rng(seed)
    present = rng.random((len(heights), len(widths))) < 0.8
    present[:, 0] = True
    blocks, shape = grid(heights, widths, present, rng)
    blocks = [([STORED[stored](W)], *place) for W, *place in blocks]
    mine, theirs = both(cpu, reference, blocks, *scales(shape, 1, dtype, rng))
    assert mine.dtype == dtype
    np.testing.assert_array_equal(mine, mine.transpose(0, 2, 1))
    bound = 4 * np.sqrt(shape[1]) * np.finfo(dtype).eps
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=bound * np.abs(theirs).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("height", [1, 31, 32, 33, 64, 65])
@pytest.mark.parametrize("width", [1, 255, 256, 257, 700])
def test_sizes_around_those_of_the_loops(cpu, reference, dtype, height, width):
    rng = np.random.default_rng(height * width)
    blocks, shape = grid([height, 5], [width, 3], [[1, 1], [1, 0]], rng)
    mine, theirs = both(cpu, reference, [([W], *place) for W, *place in blocks], *scales(shape, 1, dtype, rng))
    bound = 4 * np.sqrt(shape[1]) * np.finfo(dtype).eps
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=bound * np.abs(theirs).max())


def test_members_and_blocks_that_they_share(cpu, reference):
    rng = np.random.default_rng(0)
    own, shared = rng.standard_normal((3, 40, 50)), rng.standard_normal((50, 7))
    blocks = [(list(own), 0, 0, False), ([shared], 40, 0, True)]
    mine, theirs = both(cpu, reference, blocks, *scales((47, 50), 3, np.float64, rng))
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_blocks_at_the_same_place_add_up(cpu, reference):
    """As the parallel edges of two branches between the same layers do."""
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((35, 20)), rng.standard_normal((20, 35))
    blocks = [([first], 0, 0, False), ([second], 0, 0, True)]
    mine, theirs = both(cpu, reference, blocks, *scales((35, 20), 1, np.float64, rng))
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_rows_without_a_block_and_empty_layers(cpu):
    block = DenseWeights(np.ones((1, 2, 3)))
    nothing = DenseWeights(np.ones((1, 0, 3)))
    rows, cols, unit = np.ones((1, 6)), np.ones((1, 3)), np.zeros((1, 6, 1))
    G = cpu.explicit_gram([(nothing, 4, 0, False), (block, 4, 0, False)], rows, cols, unit)[0]
    expected = np.zeros((6, 6))
    expected[4:, 4:] = 3
    np.testing.assert_array_equal(G, expected)
    np.testing.assert_array_equal(cpu.explicit_gram([], rows, cols, unit)[0], np.zeros((6, 6)))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_scales_of_tiny_degrees_do_not_overflow(cpu, transposed, order):
    """``1 / sqrt(d)`` of both ends would: each is multiplied with the weight."""
    size = 2 * lanes_of(np.float32) + 3
    W = np.asarray(np.full((size, size), 1e-42, np.float32), order=order)
    scale = np.full((1, size), 1e21 / np.sqrt(size), np.float32)
    G = cpu.explicit_gram([(DenseWeights(W[None]), 0, 0, transposed)], scale, scale, np.zeros((1, size, 1), np.float32))
    np.testing.assert_allclose(G, 1 / size, rtol=2e-3)  # 1e-42 is subnormal: three digits
