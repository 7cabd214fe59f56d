"""Weights as given: kept in their dtype, viewed and not copied, read-only, finite; sparse ones canonical."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from netspectra.errors import GraphError
from netspectra.graph.arrays import as_weights
from netspectra.graph.dtypes import widest_dtype, working_dtype
from netspectra.graph.panels import PANEL_ELEMENTS, row_panels

KEPT = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
WIDENED = [bool, np.int8, np.uint8, np.int32, np.int64, np.uint64]


class OnlyDLPack:
    """What PyTorch, CuPy and JAX arrays share: the two methods of the exchange, and none of NumPy's."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


class OnADevice(OnlyDLPack):
    """An array whose memory NumPy cannot reach."""

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("the array is on a GPU")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)


class UnknownToDLPack(OnADevice):
    """A dtype that DLPack cannot carry to NumPy, but `__array__` can."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.array


@pytest.mark.parametrize("dtype", KEPT)
def test_floats_are_kept_viewed_and_read_only(dtype: Any) -> None:
    W = np.arange(6).reshape(2, 3).astype(dtype)
    view = as_weights(W, "W")
    assert view.dtype == dtype
    assert np.shares_memory(view, W)
    assert W.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1
    W[0, 0] = 5
    assert view[0, 0] == 5


@pytest.mark.parametrize("dtype", WIDENED)
def test_booleans_and_integers_become_float64(dtype: Any) -> None:
    W = np.array([[0, 1], [1, 1]]).astype(dtype)
    for given_weights in (W, sp.csr_array(W)):
        array = as_weights(given_weights, "W")
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array.toarray() if sp.issparse(array) else array, W)


@pytest.mark.parametrize("W", [np.ones((4, 6))[::2, ::3], np.ones((3, 4)).T, np.ones((3, 4))[::-1]])
def test_strided_views_are_not_copied(W: Any) -> None:
    assert np.shares_memory(as_weights(W, "W"), W)


def test_a_copy_on_request() -> None:
    W = np.ones((2, 3))
    for given_weights, data in ((W, W), (S := sp.csr_array(W), S.data)):
        array = as_weights(given_weights, "W", copy=True)
        assert not np.shares_memory(array.data if sp.issparse(array) else array, data)


def test_other_byte_orders_are_made_native() -> None:
    for dtype in (">f4", ">f8", ">i2"):
        array = as_weights(np.array([[1, 2]], dtype), "W")
        assert array.dtype.isnative
        assert array.tolist() == [[1.0, 2.0]]


def test_lists_are_arrays() -> None:
    assert as_weights([[1, 2], [3, 4]], "W").tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_dlpack_objects_are_viewed() -> None:
    W = np.arange(6, dtype=np.float32).reshape(2, 3)
    array = as_weights(OnlyDLPack(W), "W")
    assert np.shares_memory(array, W)
    assert array.dtype == np.float32


def test_what_dlpack_cannot_carry_comes_by_array() -> None:
    W = np.ones((2, 3), ml_dtypes.bfloat16)
    assert as_weights(UnknownToDLPack(W), "W").dtype == ml_dtypes.bfloat16


def test_memory_out_of_reach_is_refused() -> None:
    with pytest.raises(GraphError, match=r"W: cannot be read as an array \(OnADevice\)"):
        as_weights(OnADevice(np.ones((2, 3))), "W")


@pytest.mark.requires("torch")
def test_torch_tensors(require: Any) -> None:
    torch = require("torch")
    W = torch.ones((2, 3), requires_grad=True)
    assert np.shares_memory(as_weights(W, "W"), W.detach().numpy())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"W: expected a 2-D array \(n_source, n_target\), got 1 dimension\(s\), shape \(3,\)"),
        (np.ones((2, 2, 2)), r"got 3 dimension\(s\), shape \(2, 2, 2\)"),
        (3.5, r"got 0 dimension\(s\)"),
        (sp.coo_array(np.ones(3)), r"expected a 2-D sparse array .* got shape \(3,\)"),
        (np.ones((2, 2), complex), r"W: expected real numbers .*, got dtype complex128; convert it first"),
        (np.ones((2, 2), object), "got dtype object"),
        (np.array([["a", "b"]]), "got dtype <U1"),
        (np.zeros((2, 2), "M8[s]"), "got dtype datetime64"),
        (sp.csr_array(np.ones((2, 2), complex)), "got dtype complex128"),
        ([[1, 2], [3]], r"W: cannot be read as an array \(list\)"),
        (np.ma.masked_array([[1.0, 2.0]], [[True, False]]), r"some entries are masked.*filled\(0\)"),
    ],
)
def test_what_is_no_matrix_of_real_numbers(weights: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        as_weights(weights, "W")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", KEPT)
def test_what_is_not_finite(bad: float, dtype: Any) -> None:
    W = np.ones((3, 4), dtype)
    W[2, 1] = bad
    with pytest.raises(
        GraphError, match=rf"W: weights must be finite, got 1 NaN .*, the first {bad}; check the checkp"
    ):
        as_weights(W, "W")
    if np.dtype(dtype) in (np.float32, np.float64):
        with pytest.raises(GraphError, match="W: weights must be finite"):
            as_weights(sp.csr_array(W), "W")


def test_csr_is_made_canonical() -> None:
    """Unsorted, with a duplicate, an explicit zero, and a pair that cancels."""
    data, cols = np.array([1.0, 2.0, 3.0, 0.0, 4.0, -4.0]), np.array([2, 0, 2, 1, 3, 3])
    csr = sp.csr_array((data, cols, np.array([0, 4, 6])), shape=(2, 4))
    W = as_weights(csr, "W")
    assert W.has_canonical_format
    assert (W.data.tolist(), W.indices.tolist(), W.indptr.tolist()) == ([2.0, 4.0], [0, 2], [0, 2, 2])
    assert csr.data.tolist() == data.tolist(), "the caller's array is left alone"
    support = as_weights(csr, "W", keep_zeros=True)
    assert (support.data.tolist(), support.indices.tolist()) == ([2.0, 0.0, 4.0, 0.0], [0, 1, 2, 3])


def test_canonical_csr_is_viewed_and_read_only() -> None:
    csr = sp.csr_array(np.eye(3, dtype=np.float32))
    W = as_weights(csr, "W")
    for part in ("data", "indices", "indptr"):
        assert np.shares_memory(getattr(W, part), getattr(csr, part))
        assert not getattr(W, part).flags.writeable
        assert getattr(csr, part).flags.writeable


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"])
@pytest.mark.parametrize("kind", [sp.random_array, sp.random])
def test_every_sparse_format(form: str, kind: Any) -> None:
    dense = sp.random_array((6, 8), density=0.4, rng=np.random.default_rng(0)).toarray()
    W = as_weights(
        sp.coo_array(dense).asformat(form) if kind is sp.random_array else sp.coo_matrix(dense).asformat(form), "W"
    )
    assert isinstance(W, sp.csr_array)
    np.testing.assert_array_equal(W.toarray(), dense)


@pytest.mark.parametrize("column", [-1, 3, 10**6])
def test_csr_with_an_index_out_of_range(column: int) -> None:
    csr = sp.csr_array(np.eye(3))
    csr.indices[1] = column
    with pytest.raises(GraphError, match=r"W: not a valid sparse array .*; build it again"):
        as_weights(csr, "W")


def test_duplicates_that_overflow() -> None:
    csr = sp.csr_array((np.full(2, 3e38, np.float32), np.array([0, 0]), np.array([0, 2])), shape=(1, 1))
    with np.errstate(over="ignore"), pytest.raises(GraphError, match="must be finite"):
        as_weights(csr, "W")


@given(st.integers(0, 50), st.integers(1, 3_000_000))
def test_row_panels_cover_every_row_once(n_rows: int, n_cols: int) -> None:
    array = np.broadcast_to(np.float32(0), (n_rows, n_cols))
    panels = list(row_panels(array))
    assert [i for rows in panels for i in range(rows.start, rows.stop)] == list(range(n_rows))
    assert all((rows.stop - rows.start == 1) or (rows.stop - rows.start) * n_cols <= PANEL_ELEMENTS for rows in panels)


@pytest.mark.parametrize(
    ("stored", "widest", "working"),
    [
        (["float16"], "float16", "float32"),
        (["bfloat16"], "bfloat16", "float32"),
        (["float16", "bfloat16"], "float32", "float32"),
        (["float16", "float32"], "float32", "float32"),
        (["bfloat16", "float64"], "float64", "float64"),
        (["float32", "float64"], "float64", "float64"),
    ],
)
def test_widest_and_working_dtype(stored: list[str], widest: str, working: str) -> None:
    found = widest_dtype([np.dtype(getattr(ml_dtypes, name, name)) for name in stored])
    assert (found.name, working_dtype(found).name) == (widest, working)
