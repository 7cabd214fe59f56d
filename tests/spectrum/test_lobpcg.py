"""The iteration by itself: operators of prescribed spectrum, and the invariants of every state."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from spectrum.acceptance import assert_orthonormal, sine_of_angle

from netspectra.kernels import get_backend
from netspectra.kernels.cpu import CpuBackend
from netspectra.kernels.reference import ReferenceBackend
from netspectra.spectrum.lobpcg import STALLED_AFTER, LobpcgState, lobpcg

N = 80
ULP = float(np.finfo(np.float64).eps)


def geometric(n: int) -> Any:
    return 0.8 ** np.arange(n)


def arithmetic(n: int) -> Any:
    return 1 - np.arange(n) / n


def clustered(n: int) -> Any:
    """Three values near 1, five near one half, all others below."""
    return np.r_[1 - 1e-7 * np.arange(3), 0.5 + 1e-6 * np.arange(5), 0.3 * np.linspace(1, -1, n - 8)]


def multiple(n: int) -> Any:
    return np.r_[np.ones(4), np.full(4, 0.6), np.full(n - 8, 0.1)]


def hard_diagonal(n: int) -> Any:
    """Fourteen orders of magnitude."""
    return 10.0 ** np.linspace(0, -14, n)


def with_spectrum(values: Any, *, diagonal: bool = False) -> Any:
    """Symmetric matrix of the given eigenvalues, on random eigenvectors."""
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((values.size, values.size)))[0]
    return np.diag(values) if diagonal else (Q * values) @ Q.T


def sakurai(n: int) -> tuple[Any, Any]:
    """Pentadiagonal matrix (5, -4, 1) scaled to norm 1, and its eigenvalues."""
    A = scipy.linalg.toeplitz(np.r_[6.0, -4.0, 1.0, np.zeros(n - 3)])
    A[0, 0] = A[-1, -1] = 5.0
    return A / 16, np.cos(0.5 * np.pi * np.arange(1, n + 1) / (n + 1)) ** 4


def mikota(n: int) -> tuple[Any, Any]:
    """Inverse of the Mikota pair's vibrating chain, ``M^1/2 K^-1 M^1/2``, with eigenvalues ``1 / j^2``."""
    K = (
        np.diag(np.arange(2.0 * n - 1, 0, -2))
        - np.diag(np.arange(n - 1.0, 0, -1), 1)
        - np.diag(np.arange(n - 1.0, 0, -1), -1)
    )
    root = np.diag(np.arange(1.0, n + 1) ** -0.5)
    return root @ np.linalg.inv(K) @ root, np.arange(1.0, n + 1) ** -2.0


def random_start(n: int, width: int = 9, dtype: Any = np.float64, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal((1, n, width)).astype(dtype)


def run(
    A: Any,
    start: Any,
    n_wanted: int = 5,
    *,
    tol: float = 1e-9,
    maxiter: int = 500,
    deflated: Any = None,
    backend: Any = None,
    apply: Callable[[Any], Any] | None = None,
) -> LobpcgState:
    backend = backend or get_backend("cpu")
    asarray = backend.asarray
    A = asarray(A[None].astype(start.dtype))
    return lobpcg(
        backend,
        apply or (lambda X: backend.xp.matmul(A, X)),
        asarray(start),
        asarray(np.zeros((start.shape[0], start.shape[1], 1), start.dtype) if deflated is None else deflated),
        n_wanted,
        lambda values: backend.xp.full_like(values, tol),
        maxiter,
    )


def assert_solved(A: Any, state: LobpcgState, largest: Any, tol: float = 1e-9) -> None:
    k = largest.size
    X, theta = state.best[0][:, :k], state.best_values[0][:k]
    assert bool(state.done[0])
    assert np.linalg.norm(A @ X - X * theta, axis=0).max() <= 2 * tol
    assert np.abs(theta - largest).max() <= 2 * tol
    assert_orthonormal(X)


class Recorder(CpuBackend):
    """Keeps every state of the iteration."""

    def __init__(self) -> None:
        super().__init__(1)
        self.states: list[Any] = []

    def while_loop(self, cond: Any, body: Any, state: Any) -> Any:
        self.states = [state]
        while cond(state):
            state = body(state)
            self.states.append(state)
        return state


@pytest.mark.parametrize("family", [geometric, arithmetic, clustered, multiple, hard_diagonal])
@pytest.mark.parametrize("diagonal", [False, True])
def test_prescribed_spectra(family: Any, diagonal: bool) -> None:
    values = family(N)
    A = with_spectrum(values, diagonal=diagonal)
    assert_solved(A, run(A, random_start(N)), np.sort(values)[::-1][:5])


@pytest.mark.parametrize("problem", [sakurai, mikota])
def test_problems_of_the_literature(problem: Any) -> None:
    A, values = problem(N)
    assert_solved(A, run(A, random_start(N)), values[:5])


@pytest.mark.parametrize("xp", ["numpy", "array_api_strict"])
def test_array_api_standard_alone(xp: str) -> None:
    backend = ReferenceBackend(xp)
    state = run(with_spectrum(geometric(30)), random_start(30), backend=backend)
    np.testing.assert_allclose(backend.to_numpy(state.best_values)[0, :5], geometric(30)[:5], rtol=0, atol=1e-9)


def test_float32_reaches_what_float32_can() -> None:
    A = with_spectrum(geometric(N))
    state = run(A, random_start(N, dtype=np.float32), tol=2e-6)
    assert state.best.dtype == np.float32
    assert np.linalg.norm(A @ state.best[0] - state.best[0] * state.best_values[0], axis=0)[:5].max() <= 4e-6


def test_invariants_of_every_state() -> None:
    recorder = Recorder()
    u = np.linalg.qr(np.random.default_rng(5).standard_normal((N, 1)))[0][None]
    A = with_spectrum(clustered(N))
    S = (np.eye(N) - u[0] @ u[0].T) @ A @ (np.eye(N) - u[0] @ u[0].T)
    run(S, random_start(N), deflated=u, backend=recorder)
    states = recorder.states
    assert len(states) > 10
    for s in states[1:]:
        Q = np.concatenate([s.X, s.P], axis=2)[0]
        norms = np.linalg.norm(Q, axis=0)
        assert ((norms == 0) | (np.abs(norms - 1) < 1e-12)).all(), "columns are unit vectors or zero"
        assert_orthonormal(Q[:, norms > 0])
        assert np.abs(u[0].T @ Q).max() <= 1e-13, "deflation is exact"
        np.testing.assert_allclose(s.AX[0], S @ s.X[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(s.AP[0], S @ s.P[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.diag(s.X[0].T @ s.AX[0]), s.values[0], rtol=0, atol=1e-12)
    for before, after in pairwise(states):
        assert after.best_error <= before.best_error, "the best block only improves"
        assert (np.sort(after.values[0]) >= np.sort(before.values[0]) - 1e-12).all(), "Ritz values only grow"


def test_returns_the_best_block_and_not_the_last() -> None:
    """From the twelfth product on the operator is noisy: the last block is spoiled, the best is not."""
    A, rng, calls = with_spectrum(arithmetic(N)), np.random.default_rng(6), [0]

    def apply(X: Any) -> Any:
        calls[0] += 1
        return A @ X + (0.3 * rng.standard_normal(X.shape) if calls[0] > 12 else 0.0)

    recorder = Recorder()
    state = run(A, random_start(N), tol=1e-12, backend=recorder, apply=apply)
    last, best = state.X[0][:, :5], state.best[0][:, :5]

    def residual(X: Any) -> float:
        return float(np.linalg.norm(A @ X - X @ (X.T @ A @ X), 2))

    assert float(state.best_error[0]) > 1
    assert residual(best) < 0.1 < residual(last)
    assert float(state.best_error[0]) == min(float(s.best_error[0]) for s in recorder.states)


def test_gives_up_a_member_that_no_longer_improves() -> None:
    A = with_spectrum(geometric(N))
    state = run(A, random_start(N), tol=1e-30, maxiter=10_000)
    assert bool(state.done[0])
    assert float(state.best_error[0]) > 1
    assert STALLED_AFTER < int(state.n_iterations[0]) < 400
    assert_orthonormal(state.best[0])


@pytest.mark.parametrize("exact", [1, 5, 9])
def test_residuals_that_are_zero_at_the_start(exact: int) -> None:
    """The Gram matrix of the new directions is then singular, or indefinite by rounding."""
    A = np.diag(geometric(N))
    start = random_start(N)
    start[0, :, :exact] = np.eye(N)[:, :exact]
    start[0, :exact, exact:] = 0.0
    assert_solved(A, run(A, start), geometric(N)[:5])


def test_start_that_is_rank_deficient() -> None:
    A, start = with_spectrum(geometric(N)), random_start(N)
    start[0, :, 7:] = start[0, :, :2]
    assert_solved(A, run(A, start), geometric(N)[:5])


def test_start_orthogonal_to_a_wanted_eigenvector_finds_it_by_rounding_or_not_at_all() -> None:
    """Why starts are random: a start without a component on an eigenvector converges to others, with tiny residuals."""
    A, start = np.diag(geometric(N)), random_start(N)
    start[0, 0, :] = 0.0
    state = run(A, start, maxiter=200)
    assert float(state.best_values[0, 0]) == pytest.approx(geometric(N)[1])


def test_block_nearly_as_wide_as_the_space() -> None:
    for n in range(8, 30):
        A = with_spectrum(arithmetic(n))
        assert_solved(A, run(A, random_start(n, width=min(9, n - 1))), arithmetic(n)[:5])


@pytest.mark.parametrize("seed", range(5))
def test_deflated_vector_is_never_found(seed: int) -> None:
    values = np.r_[1.0, geometric(N - 1) * 0.9]
    A = np.diag(values)
    state = run(A, random_start(N, seed=seed), deflated=np.eye(N)[None, :, :1])
    assert_solved(A, state, values[1:6])
    assert np.abs(state.best[0, 0]).max() <= 4 * ULP


def test_members_are_independent_and_stop_by_themselves() -> None:
    families = [geometric, arithmetic, clustered]
    stack = np.stack([with_spectrum(f(N)) for f in families])
    start = np.concatenate([random_start(N, seed=i) for i in range(3)])
    together = run(stack[0], start, apply=lambda X: np.matmul(stack, X), tol=1e-6)
    for i, family in enumerate(families):
        alone = run(stack[i], start[i : i + 1], tol=1e-6)
        assert int(together.n_iterations[i]) == int(alone.n_iterations[0])
        np.testing.assert_allclose(together.best_values[i], alone.best_values[0], rtol=0, atol=1e-12)
        assert sine_of_angle(together.best[i][:, :5], alone.best[0][:, :5]) <= 1e-6
        np.testing.assert_allclose(together.best_values[i, :5], np.sort(family(N))[::-1][:5], rtol=0, atol=2e-6)
    assert len(set(np.asarray(together.n_iterations).tolist())) == 3


def test_nothing_to_do_costs_nothing() -> None:
    A = np.diag(geometric(N))
    state = run(A, np.eye(N)[None, :, :9])
    assert int(state.n_iterations[0]) <= 1
    assert_solved(A, state, geometric(N)[:5])
