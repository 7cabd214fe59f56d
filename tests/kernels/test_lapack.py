"""The subset eigensolver, by LAPACK's own rule of acceptance: ``|A Z - Z D| < 30 |A| n ulp``."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from netspectra.kernels.cpu import lapack
from netspectra.kernels.cpu.workers import single_threaded_blas


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As in every public call; on a busy machine a small matrix takes seconds otherwise."""
    with single_threaded_blas():
        yield


def symmetric(n, dtype, seed=0):
    A = np.random.default_rng(seed).standard_normal((n, n))
    return ((A + A.T) / 2).astype(dtype)


def check(A, values, vectors, k):
    """Shapes, order, residual, orthonormality and agreement with all eigenvalues in float64."""
    n, ulp = A.shape[0], np.finfo(A.dtype).eps
    assert (values.shape, vectors.shape) == ((k,), (n, k))
    assert values.dtype == vectors.dtype == A.dtype
    assert (np.diff(values) <= 0).all()
    wide, Z, d = A.astype(np.float64), vectors.astype(np.float64), values.astype(np.float64)
    norm = max(np.abs(wide).sum(axis=1).max(), np.finfo(A.dtype).tiny)
    assert np.abs(wide @ Z - Z * d).max(initial=0) < 30 * norm * n * ulp
    assert np.abs(Z.T @ Z - np.eye(k)).max(initial=0) < 30 * n * ulp
    assert np.abs(d - np.linalg.eigvalsh(wide)[::-1][:k]).max(initial=0) < 30 * norm * n * ulp


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", range(1, 61))
def test_largest_eigenpairs(backend, n, dtype):
    for k in sorted({1, min(n, 12), (n + 1) // 2, n}):
        A = symmetric(n, dtype, n)
        values, vectors = map(backend.to_numpy, backend.largest_eigenpairs(backend.asarray(A[None].copy()), k))
        check(A, values[0], vectors[0], k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_size_of_a_real_network(cpu, dtype):
    A = symmetric(522, dtype)
    values, vectors = cpu.largest_eigenpairs(A[None].copy(), 12)
    check(A, values[0], vectors[0], 12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "A",
    [
        np.zeros((6, 6)),
        np.eye(7),
        np.ones((9, 9)),
        np.diag([1.0, 1.0, 0.0, -2.0, 1.0]),
        np.diag(10.0 ** np.arange(-12, 9, 3)),
    ],
    ids=["zero", "identity", "rank one", "repeated", "18 orders of magnitude"],
)
def test_degenerate_matrices(backend, A, dtype):
    A = A.astype(dtype)
    values, vectors = map(backend.to_numpy, backend.largest_eigenpairs(backend.asarray(A[None].copy()), 4))
    check(A, values[0], vectors[0], 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0.0, 0.02, 0.1, 0.4, 0.6, 0.9, 0.98])
def test_matrices_of_any_scale(dtype, place):
    """From subnormal elements (place 0 of the range) to nearly infinite ones."""
    low, high = (np.log10(float(x)) for x in (np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max))
    A = (symmetric(30, np.float64) * 10 ** (low + 1 + place * (high - low - 1))).astype(dtype)
    values, vectors = lapack.largest_eigenpairs(A, 5)
    size = float(np.abs(A).max())
    residual = (A.astype(np.float64) / size) @ vectors.astype(np.float64) - vectors * (values.astype(np.float64) / size)
    resolution = np.finfo(dtype).eps + float(np.finfo(dtype).smallest_subnormal) / size
    assert np.abs(residual).max() < 30 * 30 * resolution
    assert np.abs(vectors.T @ vectors - np.eye(5)).max() < 30 * 30 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_inverse_iteration_refuses_goes_to_syevr(dtype, monkeypatch):
    A, calls = symmetric(30, dtype), []
    whole = lapack._call_syevr
    monkeypatch.setattr(lapack, "_call_syevr", lambda *arguments: calls.append(1) or whole(*arguments))
    check(A, *lapack.largest_eigenpairs(A, 4), 4)
    assert not calls
    for name, refusal in (("_bisect", (np.empty(0, dtype), None, None)), ("_iterate_inversely", None)):
        with monkeypatch.context() as patched:
            patched.setattr(lapack, name, lambda *_, refusal=refusal: refusal)
            check(A, *lapack.largest_eigenpairs(A, 4), 4)
    assert len(calls) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("copies", [2, 5])
def test_equal_blocks_have_equal_eigenvalues_and_orthogonal_vectors(cpu, dtype, copies):
    """As equal components of a graph do: the tridiagonal matrix falls apart."""
    A = np.kron(np.eye(copies), symmetric(11, np.float64)).astype(dtype)
    shuffled = np.random.default_rng(0).permutation(len(A))
    for order in (np.arange(len(A)), shuffled):
        for k in (1, copies - 1, copies, copies + 1, 3 * copies):
            values, vectors = cpu.largest_eigenpairs(A[np.ix_(order, order)][None].copy(), k)
            check(A[np.ix_(order, order)], values[0], vectors[0], k)


def test_a_batch_is_its_members(backend):
    A = np.stack([symmetric(20, np.float64, seed) for seed in range(3)])
    values, vectors = map(backend.to_numpy, backend.largest_eigenpairs(backend.asarray(A.copy()), 5))
    for b in range(3):
        check(A[b], values[b], vectors[b], 5)


def test_eigh_gives_all_pairs_ascending(backend):
    A = np.stack([symmetric(8, np.float32, seed) for seed in range(3)])
    values, vectors = map(backend.to_numpy, backend.eigh(backend.asarray(A)))
    assert (np.diff(values) >= 0).all()
    for b in range(3):
        check(A[b], values[b, ::-1], vectors[b, :, ::-1], 8)


def test_threads_change_no_bit():
    """Two calls at once share nothing: the GIL is released inside LAPACK."""
    matrices = [symmetric(150, np.float32, seed) for seed in range(8)]
    alone = [lapack.largest_eigenpairs(A.copy(), 6) for A in matrices]
    found: list = [None] * 8

    def run(first):
        for i in range(first, 8, 2):
            found[i] = lapack.largest_eigenpairs(matrices[i].copy(), 6)

    threads = [threading.Thread(target=run, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (d, Z), (d_alone, Z_alone) in zip(found, alone, strict=True):
        np.testing.assert_array_equal(d, d_alone)
        np.testing.assert_array_equal(Z, Z_alone)


def test_not_a_number_is_an_error_and_no_hang():
    A = symmetric(20, np.float64)
    A[3, 4] = A[4, 3] = np.nan
    with pytest.raises(np.linalg.LinAlgError, match="20 x 20"):
        lapack.largest_eigenpairs(A, 3)


def test_a_subset_that_ends_inside_a_repeated_eigenvalue():
    """On this matrix OpenBLAS's ``syevr`` finds 8 of the 11 eigenpairs asked for, without an error."""
    with np.load(Path(__file__).with_name("syevr_finds_fewer.npz")) as saved:
        A, k = saved["A"], int(saved["k"])
    check(A, *lapack.largest_eigenpairs(A, k), k)
