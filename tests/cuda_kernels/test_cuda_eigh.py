"""The batched eigensolver on the emulated GPU, by LAPACK's own rules of acceptance."""

from __future__ import annotations

import array_api_compat.numpy as xp
import numpy as np
import pytest
from cuda_kernels.emulated import EmulatedLauncher, Launch

from netspectra.kernels.cuda.linalg import block_size, eigh, largest_eigenpairs, shared_bytes

pytestmark = pytest.mark.requires("cxx")
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
H100 = 232448  # bytes of shared memory that a thread block may take


def symmetric(n, *, members=2, seed=0, dtype=np.float64):
    A = np.random.default_rng(seed).standard_normal((members, n, n))
    return ((A + A.swapaxes(1, 2)) / 2).astype(dtype)


def with_spectrum(eigenvalues, *, seed=0, dtype=np.float64):
    """One matrix with these eigenvalues and random eigenvectors."""
    n = len(eigenvalues)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    A = (Q * np.asarray(eigenvalues)) @ Q.T
    return ((A + A.T) / 2).astype(dtype)[None]


def solve(A, launcher=None):
    """By the kernel, and by nothing else."""
    launcher = EmulatedLauncher() if launcher is None else launcher
    before = len(launcher.launches)
    found = eigh(xp, launcher, A)
    assert len(launcher.launches) == before + 1
    return found


def check(A, values, vectors):
    """Shapes, order, and in 1-norms: residual and orthonormality by LAPACK's ratios, eigenvalues those of float64."""
    members, n, _ = A.shape
    ulp = float(np.finfo(A.dtype).eps)
    assert (values.shape, vectors.shape) == ((members, n), (members, n, n))
    assert values.dtype == vectors.dtype == A.dtype
    assert (values[:, 1:] >= values[:, :-1]).all()
    for full, d, Z in zip(A.astype(np.float64), values.astype(np.float64), vectors.astype(np.float64), strict=True):
        lower = np.tril(full) + np.tril(full, -1).T
        norm = np.abs(lower).sum(axis=0).max()
        residual = np.abs(lower @ Z - Z * d).sum(axis=0).max()
        assert residual < 30 * norm * n * ulp or residual == norm == 0
        assert np.abs(Z.T @ Z - np.eye(n)).sum(axis=0).max() < 10 * n * ulp
        assert np.abs(d - np.linalg.eigvalsh(lower)).max() <= 10 * n * ulp * norm


def assert_same_bits(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# -- accuracy ----------------------------------------------------------------------------------------------------------

# Around one pair of rows, odd and even, around each block size, the pitch's own parity (n / 2 odd), the largest.
SIZES = [1, 2, 3, 7, 16, 17, 31, 32, 33, 48, 64, 65, 96, 128]


@DTYPES
@pytest.mark.parametrize("n", SIZES)
def test_random_matrices(n, dtype):
    A = symmetric(n, seed=n, dtype=dtype)
    check(A, *solve(A))


@DTYPES
@pytest.mark.parametrize("n", [7, 33, 48])
@pytest.mark.parametrize(
    "spectrum",
    [
        lambda n: np.geomspace(1e-12, 1, n),
        lambda n: np.geomspace(1e-12, 1, n) * (-1.0) ** np.arange(n),
        lambda n: 1 + 1e-7 * np.arange(n),
        lambda n: np.where(np.arange(n) < n // 2, 1.0, -1.0),
        np.ones,
        lambda n: np.where(np.arange(n) < 3, 1.0, 0.0),
    ],
    ids=["graded", "graded, both signs", "clustered", "repeated", "all equal", "rank three"],
)
def test_given_spectra(spectrum, n, dtype):
    A = with_spectrum(spectrum(n), seed=n, dtype=dtype)
    values, vectors = solve(A)
    check(A, values, vectors)
    np.testing.assert_allclose(values[0], np.sort(spectrum(n)), rtol=0, atol=4 * n * np.finfo(dtype).eps)


SPECIAL = {
    "zero": np.zeros((6, 6)),
    "identity": np.eye(7),
    "ones": np.ones((9, 9)),
    "repeated": np.diag([1.0, 1.0, 0.0, -2.0, 1.0]),
    "18 orders of magnitude": np.diag(10.0 ** np.arange(-12, 9, 3)),
    "path": np.diag(np.ones(20), -1),
    "Wilkinson": np.diag(np.abs(np.arange(-10.0, 11.0))) + np.diag(np.ones(20), -1),
    "blocks": np.kron(np.eye(4), symmetric(5)[0]),
    "strides": np.kron(symmetric(5)[0], np.eye(4)),
    "Hilbert": 1 / (1 + np.add.outer(np.arange(12.0), np.arange(12.0))),
    "graded rows": symmetric(48)[0] * np.outer(np.geomspace(1e-10, 1, 48), np.geomspace(1e-10, 1, 48)),
}


@DTYPES
@pytest.mark.parametrize("A", SPECIAL.values(), ids=SPECIAL)
def test_special_matrices(A, dtype):
    A = (np.tril(A) + np.tril(A, -1).T).astype(dtype)[None]
    check(A, *solve(A))


def test_diagonal_matrices_are_sorted_exactly_ties_by_place():
    values, vectors = solve(np.diag([3.0, -1.0, 3.0, 0.0, -1.0])[None])
    np.testing.assert_array_equal(values, [[-1, -1, 0, 3, 3]])
    np.testing.assert_array_equal(vectors[0], np.eye(5)[:, [1, 4, 3, 0, 2]])


@DTYPES
def test_empty_directions_of_lobpcg_stay_apart(dtype):
    """Rows of zeros with -4 on the diagonal, as `_Step.ritz_coefficients` fills them in."""
    A = symmetric(48, dtype=dtype) / 20
    empty = np.arange(48) % 5 == 3
    A[:, empty, :] = A[:, :, empty] = 0
    A[:, empty, empty] = -4
    values, vectors = solve(A)
    check(A, values, vectors)
    np.testing.assert_array_equal(values[:, : empty.sum()], -4)
    assert (vectors[:, empty, empty.sum() :] == 0).all()


@DTYPES
def test_the_rank_of_a_gram_matrix_is_seen(dtype):
    """SVQB drops what lies below ten n eps of the largest eigenvalue."""
    X = np.random.default_rng(3).standard_normal((200, 16)).astype(dtype)
    X[:, 9:] = X[:, :7] @ np.random.default_rng(4).standard_normal((7, 7)).astype(dtype)
    X /= np.linalg.norm(X, axis=0)
    A = (X.T @ X)[None]
    values, vectors = solve(A)
    check(A, values, vectors)
    assert (values[0] > 10 * 16 * np.finfo(dtype).eps * values[0, -1]).sum() == 9


@DTYPES
@pytest.mark.parametrize("power", [-1, 1])
def test_the_scale_changes_nothing_but_the_values(dtype, power):
    """Squares of such numbers are beyond the dtype."""
    A = symmetric(9, dtype=dtype)
    far = dtype(2.0) ** (power * (120 if dtype == np.float32 else 1000))
    (values, vectors), (scaled, same) = solve(A), solve(A * far)
    np.testing.assert_array_equal(vectors, same)
    np.testing.assert_array_equal(values * far, scaled)


@DTYPES
def test_subnormal_numbers(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    A = (np.array([[[0, 3], [3, 0]]]) * tiny).astype(dtype)
    values, vectors = solve(A)
    np.testing.assert_array_equal(values, [[-3 * tiny, 3 * tiny]])
    np.testing.assert_allclose(np.abs(vectors), 0.5**0.5, rtol=1e-6)


# -- members apart, order of threads -----------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("n", [5, 16, 33, 70])
def test_a_member_is_the_same_bits_alone_and_in_any_order_of_threads(n, dtype):
    A = symmetric(n, members=5, seed=n, dtype=dtype)
    together = solve(A)
    for member in (0, 3):
        alone = solve(A[member : member + 1])
        assert_same_bits(alone, [part[member : member + 1] for part in together])
    for order in ("ascending", "descending"):
        assert_same_bits(solve(A, EmulatedLauncher(order=order)), together)


@DTYPES
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0), (8, 3), (16, 16)])
def test_a_member_that_is_not_finite_harms_no_other(wrong, where, dtype):
    A = symmetric(17, members=3, dtype=dtype)
    broken = A.copy()
    broken[1][where] = wrong
    values, vectors = solve(broken)
    assert np.isnan(values[1]).all()
    assert np.isnan(vectors[1]).all()
    assert_same_bits((values[::2], vectors[::2]), solve(A[::2].copy()))


def test_only_the_lower_triangle_is_read():
    A = symmetric(12)
    half = np.where(np.tri(12, dtype=bool), A, np.nan)
    assert_same_bits(solve(half), solve(A))


@pytest.mark.parametrize(
    "view",
    [
        lambda A: A[::2, 1:14, 1:14],
        lambda A: A[:, ::3, ::3],
        lambda A: A.swapaxes(1, 2),
        np.asfortranarray,
        lambda A: np.broadcast_to(A[:1], (4, 20, 20)),
        lambda A: A[::-1, ::-1, ::-1],
    ],
    ids=["part", "steps", "transposed", "Fortran", "broadcast", "backwards"],
)
def test_any_strides(view):
    A = symmetric(20, members=4)
    before = A.copy()
    seen = view(A)
    assert_same_bits(solve(seen), solve(np.ascontiguousarray(seen)))
    np.testing.assert_array_equal(A, before)


# -- who solves what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 5, 5), (3, 0, 0)])
def test_nothing_to_solve(shape):
    launcher = EmulatedLauncher()
    values, vectors = eigh(xp, launcher, np.zeros(shape, np.float32))
    assert (values.shape, vectors.shape) == (shape[:2], shape)
    assert values.dtype == vectors.dtype == np.float32
    assert launcher.launches == []


def test_a_launch_has_a_block_for_each_member():
    launcher = EmulatedLauncher()
    solve(symmetric(48, members=3, dtype=np.float32), launcher)
    assert launcher.launches == [Launch("symmetric_eigenpairs", (3, 1, 1), 128, shared_bytes(48, 4))]


@pytest.mark.parametrize("itemsize", [4, 8])
def test_every_size_fits_an_h100_and_its_block(itemsize):
    sizes = [shared_bytes(n, itemsize) for n in range(1, 129)]
    assert sizes == sorted(sizes)
    assert sizes[-1] <= H100
    assert all(block_size(n) >= (n + 1) // 2 for n in range(1, 129))


@pytest.mark.parametrize(
    ("n", "shared_limit"), [(129, H100), (150, H100), (20, shared_bytes(20, 8) - 1), (128, 166912)]
)
@pytest.mark.parametrize("in_parts", [False, True])
def test_what_does_not_fit_goes_to_the_library(n, shared_limit, in_parts):
    launcher = EmulatedLauncher(shared_limit=shared_limit)
    A = symmetric(n, members=3)
    found = eigh(xp, launcher, A, batch_elements=2 * n * n if in_parts else 2**31 - 1)
    assert launcher.launches == []
    assert_same_bits(found, np.linalg.eigh(A))


def test_the_last_size_that_fits_is_solved_here():
    A = symmetric(20)
    check(A, *solve(A, EmulatedLauncher(shared_limit=shared_bytes(20, 8))))


@DTYPES
@pytest.mark.parametrize("n", [13, 140])
@pytest.mark.parametrize("k", [1, 5, 13])
def test_the_largest_pairs_are_the_last_ones_backwards(n, k, dtype):
    A = symmetric(n, dtype=dtype)
    values, vectors = eigh(xp, EmulatedLauncher(), A)
    largest = largest_eigenpairs(xp, EmulatedLauncher(), A, k)
    assert_same_bits(largest, (values[:, ::-1][:, :k], vectors[:, :, ::-1][:, :, :k]))
