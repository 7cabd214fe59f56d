"""W5: what the clusterability penalty adds to a training step, and what its gradient costs beside other ways to get it.

Two networks of equal start are trained side by side on the same images, one without and one with the penalty, their
steps taken in turn, so that whatever else the machine does falls on both; medians of what is left after warm-up. The
gradient at the trained weights is then timed against automatic differentiation through a dense ``eigh`` of the full
Laplacian, and against the official per-edge formula, and both gradients are compared inside the run.

    NETSPECTRA_DATA=... python -m benchmarks.training_step [--framework pytorch] [--steps 600] [--threads 2]

A framework is one :class:`Contest`, in a file of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg
from numpy.typing import NDArray

from benchmarks.training.data import default_problem, load_images
from netspectra.bindings.bench.machine import describe_machine

__all__ = ["BATCH", "N_EIGENVALUES", "STRENGTH", "Contest", "main"]

N_EIGENVALUES, STRENGTH, BATCH = 3, 0.05, 128
HIDDEN = (256, 256, 256, 256)
N_CLASSES = 10
WARM_UP = 100
"""Steps of both networks that are not counted: the cold start, and the opening of the spectrum's gap."""
FRAMEWORKS = {
    "pytorch": "benchmarks.training_step_torch:TorchContest",
    "jax": "benchmarks.training_step_jax:JaxContest",
}
"""Where each framework's :class:`Contest` is."""
LARGEST_ERROR = 0.05
"""Relative error of the gradient, at the default tolerance, above which the run fails."""

Arrays = list[NDArray[Any]]


class Contest(Protocol):
    """Two networks of one framework in training, and ways to the gradient of the penalty."""

    n_iterations: list[int]
    """Iterations beyond the warm start, of every penalised step."""

    def __init__(self, images: NDArray[np.float32], digits: NDArray[np.int32], widths: Sequence[int], threads: int):
        """Make both networks from one start, with Adam."""
        ...

    def plain(self, chosen: NDArray[np.int64]) -> None:
        """Take one step on the task loss alone, with the images `chosen`, and wait for it."""
        ...

    def penalised(self, chosen: NDArray[np.int64]) -> None:
        """Take one step of the other network, with the penalty."""
        ...

    def gradient(self) -> Arrays:
        """Gradient of the penalty at the second network's weights, (n_in, n_out), warm started."""
        ...

    def dense_gradient(self) -> Arrays:
        """The same by automatic differentiation through a dense ``eigh`` of the full Laplacian."""
        ...

    def weights(self) -> Arrays:
        """Weights (n_in, n_out) of the second network."""
        ...


def main() -> None:
    """Run the benchmark of one framework and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--framework", choices=list(FRAMEWORKS), default="pytorch")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    module, name = FRAMEWORKS[options.framework].split(":")
    images = load_images(default_problem())
    widths = (images.train_images.shape[1], *HIDDEN, N_CLASSES)
    contest = getattr(import_module(module), name)(images.train_images, images.train_digits, widths, options.threads)
    machine = describe_machine()
    print(f"{machine['processor']}, {options.threads} threads, load {machine['load']}, {machine['commit']}")
    print(f"{options.framework}, {'-'.join(map(str, widths))}, batch {BATCH}, Adam, float32, {images.problem}")
    _print_steps(contest, options.steps, len(images.train_images))
    _print_gradients(contest)


def _print_steps(contest: Contest, n_steps: int, n_images: int) -> None:
    rng, times = np.random.default_rng(0), np.empty((2, n_steps + WARM_UP))
    for number in range(n_steps + WARM_UP):
        chosen = rng.integers(0, n_images, BATCH)
        for row, step in enumerate((contest.plain, contest.penalised)):
            times[row, number] = _seconds(lambda step=step, chosen=chosen: step(chosen))
    plain, penalised = 1e3 * np.median(times[:, WARM_UP:], axis=1)
    quick = np.percentile(times[:, WARM_UP:], 10, axis=1)
    iterations = contest.n_iterations[WARM_UP:]
    print(
        f"step: {plain:.2f} ms without, {penalised:.2f} ms with the penalty: +{100 * (penalised / plain - 1):.0f}% "
        f"(tenth percentiles: +{100 * (quick[1] / quick[0] - 1):.0f}%); iterations beyond the warm start: mean "
        f"{np.mean(iterations):.2f}, most {max(iterations)}"
    )


def _print_gradients(contest: Contest) -> None:
    """Times of one gradient by each way, and how far they are from the exact one (float64, dense LAPACK)."""
    following = contest.gradient()  # one step behind the weights, as in training
    exact = per_edge_gradient(contest.weights(), *_dense_pairs(contest.weights()))
    ours, error = _median(contest.gradient, 50), _error(following, exact)
    ways: list[tuple[str, Callable[[], Arrays], int]] = [
        ("autograd through dense eigh", contest.dense_gradient, 3),
        ("per-edge formula, ARPACK's vectors", lambda: official_gradient(contest.weights()), 3),
    ]
    print(f"gradient: {1e3 * ours:.2f} ms, relative error {error:.1e} at the default tolerance")
    assert error <= LARGEST_ERROR, f"the gradient is {error:.1e} off"
    for name, way, repeats in ways:
        seconds = _median(way, repeats)
        print(f"  {name}: {1e3 * seconds:.0f} ms, {seconds / ours:.0f} times ours, error {_error(way(), exact):.1e}")


def official_gradient(weights: Arrays) -> Arrays:
    """ARPACK's eigenvectors of the sparse operator, then the per-edge formula of arXiv:2103.03386, doubled to be right.

    Vectorised over arrays of one entry per edge; the published code loops over edges in Python.
    """
    S, scale = _sparse_operator(weights)
    values, vectors = scipy.sparse.linalg.eigsh(S, N_EIGENVALUES + 1, which="LA")
    order = np.argsort(-values)[1:]
    return per_edge_gradient(weights, 1 - values[order], vectors[:, order] * scale[:, None])


def per_edge_gradient(weights: Arrays, eigenvalues: NDArray[Any], scaled: NDArray[Any]) -> Arrays:
    """``sign(w) sum((1 - lambda)(u_m^2 + u_n^2) - 2 u_m u_n)`` with arrays of one entry per edge."""
    offsets, found = np.cumsum([0, *(W.shape[0] for W in weights), weights[-1].shape[1]]), []
    for number, W in enumerate(weights):
        i, j = np.nonzero(W)
        m, n = scaled[offsets[number] + i], scaled[offsets[number + 1] + j]
        rates = np.sum((1 - eigenvalues) * (m * m + n * n) - 2 * m * n, axis=1)
        out = np.zeros(W.shape)
        out[i, j] = STRENGTH / N_EIGENVALUES * np.sign(W[i, j]) * rates
        found.append(out)
    return found


def _sparse_operator(weights: Arrays) -> tuple[sp.csr_array, NDArray[np.float64]]:
    """``S = D^-1/2 A D^-1/2`` in float64, and ``D^-1/2``."""
    blocks: list[list[Any]] = [[None] * (len(weights) + 1) for _ in range(len(weights) + 1)]
    for number, W in enumerate(weights):
        block = sp.csr_array(np.abs(W, dtype=np.float64))
        blocks[number][number + 1], blocks[number + 1][number] = block, block.T
    A = sp.csr_array(sp.block_array(blocks))
    degrees = A.sum(axis=1)
    scale = np.divide(1.0, np.sqrt(degrees), out=np.zeros_like(degrees), where=degrees > 0)
    diagonal = sp.diags_array(scale)
    return sp.csr_array(diagonal @ A @ diagonal), scale


def _dense_pairs(weights: Arrays) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues 2 to q + 1 by LAPACK, and their vectors divided by sqrt(d)."""
    S, scale = _sparse_operator(weights)
    last = S.shape[0] - 1
    values, vectors = scipy.linalg.eigh(S.toarray(), subset_by_index=(last - N_EIGENVALUES, last))
    return 1 - values[-2::-1], vectors[:, -2::-1] * scale[:, None]


def _error(found: Arrays, exact: Arrays) -> float:
    difference = sum(float(np.sum((a - b) ** 2)) for a, b in zip(found, exact, strict=True))
    return float(np.sqrt(difference / sum(float(np.sum(b**2)) for b in exact)))


def _median(call: Callable[[], Any], repeats: int) -> float:
    call()
    return float(np.median([_seconds(call) for _ in range(repeats)]))


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
