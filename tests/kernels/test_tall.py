"""Tall arrays panel by panel: what is done at once, whatever the number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from netspectra.kernels import get_backend
from netspectra.kernels.cpu import tall


def blocks(n: int, dtype: str = "float32") -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(n)
    return tuple(rng.standard_normal((1, n, c)).astype(dtype) for c in (5, 3, 1))


def beside(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts, axis=2)


def gram(*parts: np.ndarray) -> np.ndarray:
    Q = beside(*parts)
    return np.matrix_transpose(Q) @ Q


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 1000, 70_001, 2_000_003])
def test_panels_are_the_whole(n: int, dtype: str) -> None:
    parts = blocks(n, dtype)
    n_panels = len(tall._panels(parts))
    assert n_panels == 1 if n <= 1000 else n_panels > 1
    np.testing.assert_array_equal(tall.rowwise(beside, parts, 2), beside(*parts))
    whole = gram(*(part.astype(np.float64) for part in parts))
    np.testing.assert_allclose(tall.row_sums(gram, parts, 2), whole, rtol=0, atol=64 * np.finfo(dtype).eps * n)


def test_results_do_not_depend_on_threads() -> None:
    parts = blocks(500_000)
    many, one = (get_backend("cpu", n_threads=n) for n in (2, 1))
    np.testing.assert_array_equal(many.row_sums(gram, *parts), one.row_sums(gram, *parts))
    np.testing.assert_array_equal(many.rowwise(beside, *parts), one.rowwise(beside, *parts))


def test_members_of_a_batch_stay_apart() -> None:
    X = np.random.default_rng(0).standard_normal((3, 60_000, 2))
    np.testing.assert_allclose(tall.row_sums(gram, (X,), 2), gram(X))
    np.testing.assert_array_equal(tall.rowwise(lambda x: x[..., 0] * 2, (X,), 2), X[..., 0] * 2)
    vector = np.arange(60_000.0)[None]
    np.testing.assert_array_equal(
        tall.rowwise(lambda x, v: x[:, :, :1] * v[..., None], (X[:1], vector), 2)[..., 0], X[:1, :, 0] * vector
    )


def test_the_reference_does_all_at_once(backend: object) -> None:
    parts = tuple(map(backend.asarray, blocks(100)))
    seen = []

    def rows(*own: object) -> object:
        seen.append(own[0].shape[1])
        return own[0] + 1

    backend.to_numpy(backend.rowwise(rows, *parts))
    assert seen == [100]
