"""CSR on a device against SciPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from graph.fake_device import get, put
from hypothesis import given
from hypothesis import strategies as st

from netspectra.graph.consistency import asymmetry, has_diagonal
from netspectra.graph.device_csr import DeviceCsr


@st.composite
def matrices(draw: Any, square: bool = False) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    m = draw(st.integers(1, 9))
    n = m if square else draw(st.integers(1, 9))
    density = draw(st.sampled_from([0.0, 0.2, 0.6, 1.0]))
    return sp.csr_array(rng.integers(1, 9, (m, n)) * (rng.random((m, n)) < density) * 1.0)


def on_device(csr: Any) -> DeviceCsr:
    return DeviceCsr(put(csr.data), put(csr.indices), put(csr.indptr), csr.shape)


def assert_same(found: DeviceCsr, expected: Any) -> None:
    expected = sp.csr_array(expected)
    expected.sort_indices()
    assert found.shape == expected.shape
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(get(getattr(found, part)), getattr(expected, part))
    assert found.fault() == ""
    assert found.is_canonical()


@given(matrices())
def test_rows_and_transpose(csr: Any) -> None:
    found = on_device(csr)
    np.testing.assert_array_equal(get(found.rows), csr.tocoo().row)
    assert_same(found.T, csr.T)
    assert_same(found.T.T, csr)


@given(matrices(), st.integers(0, 2**32 - 1))
def test_rows_and_columns_taken_out(csr: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cols = (rng.random(size) < 0.6 for size in csr.shape)
    assert_same(on_device(csr).between(rows, cols), csr[np.flatnonzero(rows)][:, np.flatnonzero(cols)])


@given(matrices(square=True))
def test_upper_triangle_diagonal_and_asymmetry(csr: Any) -> None:
    found = on_device(csr)
    assert_same(found.upper(), sp.triu(csr, k=1))
    assert has_diagonal(found) == has_diagonal(csr)
    for one, other in ((found, csr), (on_device(sp.csr_array(csr + csr.T)), csr + csr.T)):
        assert asymmetry(one) == asymmetry(other)


def test_an_explicit_zero_is_no_self_loop() -> None:
    csr = sp.csr_array((np.array([0.0, 3.0]), np.array([0, 0]), np.array([0, 1, 2])), shape=(2, 2))
    assert not has_diagonal(on_device(csr))
    assert asymmetry(on_device(csr)) == (3.0, 3.0)


def test_columns_out_of_order_or_twice() -> None:
    for columns in ([2, 0], [1, 1]):
        csr = DeviceCsr(put(np.ones(2)), put(np.array(columns)), put(np.array([0, 2, 2])), (2, 3))
        assert csr.fault() == ""
        assert not csr.is_canonical()
