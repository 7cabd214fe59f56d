"""Eigensolvers on the same matrix-free operator, at equal residual: ours, SciPy's ``eigsh`` and ``lobpcg``.

The operator is the one that ours iterates on: ``G = B B^T`` of the bipartite reduction where there is one, else S, both
multiplied by the backend from the stored weights. Every answer is made a solution of L by the same Rayleigh-Ritz step,
and its residual is recomputed in float64 from the weights. SciPy's ``lobpcg`` gets our block width, our deflation and
the tolerance on G that makes ours on L, ``sqrt(2) sigma_k tol``; ARPACK the tolerance itself, which is stricter.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse.linalg
from numpy.typing import NDArray

from netspectra.bindings.bench.accuracy import RESIDUAL_LIMIT, require
from netspectra.bindings.bench.contests import OURS, Contest, run_contest
from netspectra.bindings.bench.records import Measurement
from netspectra.bindings.bench.residual import largest_residual
from netspectra.graph import LayerGraph
from netspectra.graph.batch import load_batch
from netspectra.kernels import Backend
from netspectra.spectrum import Eigenpairs, eigenpairs
from netspectra.spectrum.assemble import to_laplacian
from netspectra.spectrum.attempts import reduce
from netspectra.spectrum.operator import BipartiteGram
from netspectra.spectrum.plan import DEFAULT_TOL, block_width

__all__ = ["EIGEN_PEERS", "compare_solvers", "solver_contest"]

EIGEN_PEERS = ("SciPy eigsh", "SciPy lobpcg")
_MAXITER = 200
_RESTARTS = 20


class _OutOfTimeError(Exception):
    """A peer has had its seconds; raised out of its product with the operator."""


def solver_contest(
    question: str,
    weights: Sequence[NDArray[np.float32]],
    k: int,
    backend: Backend,
    *,
    peers: Sequence[str] = EIGEN_PEERS,
    peer_seconds: float = 600.0,
) -> Contest:
    """Contest over the k bottom eigenpairs of a chain of dense layers; ours goes first, the peers need its eigenvalue.

    Parameters
    ----------
    question : str
    weights : sequence of (n_in, n_out) float32 arrays
    k : int
    backend : Backend
        On the host; its threads are everybody's.
    peers : sequence of str
        Of :data:`EIGEN_PEERS`.
    peer_seconds : float
        After which a peer is stopped; its time is then a lower bound, and its result None.
    """
    graph = LayerGraph.from_weights(weights)
    problem = _Problem(graph, backend, k, peer_seconds)
    solvers = {"SciPy eigsh": problem.eigsh, "SciPy lobpcg": problem.lobpcg}
    sides: dict[str, Any] = {OURS: problem.ours, **{name: partial(problem.run, solvers[name]) for name in peers}}

    def check(side: str, result: Any) -> dict[str, Any]:
        if result is None:
            return {"finished": False}
        if side == OURS:
            residual = largest_residual(weights, result.eigenvalues, result.eigenvectors)
            require(residual <= RESIDUAL_LIMIT, f"{question}: our residual is {residual:.2g}")
            return {"residual": residual, "iterations": result.n_iterations, "status": result.status}
        products, solution = result[2], problem.as_solution(*result[:2])
        residual = largest_residual(weights, solution.eigenvalues[0], solution.vectors[0])
        return {"residual": residual, "products": products, "at_equal_residual": residual <= RESIDUAL_LIMIT}

    edges = sum(W.size for W in weights)
    parameters = {"nodes": graph.n_nodes, "edges": edges, "k": k, "threads": backend.n_threads}
    return Contest(question, sides, check, parameters)


def compare_solvers(
    question: str,
    weights: Sequence[NDArray[np.float32]],
    k: int,
    backend: Backend,
    *,
    peers: Sequence[str] = EIGEN_PEERS,
    peer_seconds: float = 600.0,
) -> list[Measurement]:
    """Run :func:`solver_contest` once, without a warm-up: for graphs so large that it would say nothing new.

    Raises
    ------
    AccuracyError
        If our own residual is too large.
    """
    contest = solver_contest(question, weights, k, backend, peers=peers, peer_seconds=peer_seconds)
    found = run_contest(contest, 1, warm_up=False)
    for each in found:
        each.finished = each.figures.pop("finished", True)
    return found


class _Problem:
    """The operator of one graph as SciPy takes it."""

    def __init__(self, graph: LayerGraph, backend: Backend, k: int, seconds: float) -> None:
        self.graph, self.backend, self.k, self.seconds = graph, backend, k, seconds
        self.last_eigenvalue = 0.0

    def ours(self) -> Eigenpairs:
        """LOBPCG of this package, residuals re-evaluated in float64 included."""
        pairs = eigenpairs(self.graph, self.k, solver="lobpcg", backend=self.backend)
        self.last_eigenvalue = float(pairs.eigenvalues[-1])
        return pairs

    def run(self, solve: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any, int] | None:
        """Eigenpairs by a peer, loading the graph included, and the number of its products; None if out of time."""
        self.products, self.deadline = 0, time.perf_counter() + self.seconds
        with self.backend.session(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a tolerance was not reached is told by the residual
            self.operator = reduce(load_batch([self.graph], self.backend))
            self.n = self.operator.size
            self.trivial = np.asarray(self.operator.trivial(self.backend.xp.float32))[0]
            self.linear = scipy.sparse.linalg.LinearOperator(
                (self.n, self.n), matvec=self.product, matmat=self.product, dtype=np.dtype(np.float32)
            )
            try:
                return (*solve(), self.products)
            except _OutOfTimeError:
                return None

    def product(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """One pass over the weights."""
        if time.perf_counter() > self.deadline:
            raise _OutOfTimeError
        self.products += 1
        block = np.ascontiguousarray(X.reshape(self.n, -1), np.float32)
        found: NDArray[np.float32] = np.asarray(self.operator.apply(block[None]))[0].reshape(X.shape)
        return found

    def eigsh(self) -> tuple[Any, Any]:
        """ARPACK; k + 1 pairs, the trivial one among them, so that the gap is known as ours is."""
        start = np.random.default_rng(0).standard_normal(self.n).astype(np.float32)
        values, vectors = scipy.sparse.linalg.eigsh(self.linear, self.k + 1, which="LA", v0=start, tol=DEFAULT_TOL)
        order = np.argsort(-values)
        inside = np.abs(self.trivial[:, 0] @ vectors[:, order])
        keep = order[np.arange(order.size) != int(np.argmax(inside))]
        return values[keep], vectors[:, keep]

    def lobpcg(self) -> tuple[Any, Any]:
        """SciPy's, with the trivial vector as constraint and our block width.

        In float32 it may give up long before its tolerance, so it is started again from what it returned while that is
        not good enough.
        """
        rng, width = np.random.default_rng(0), block_width(self.k, self.n)
        vectors: Any = rng.standard_normal((self.n, width)).astype(np.float32)
        on_L = 2**0.5 * (1 - self.last_eigenvalue) if isinstance(self.operator, BipartiteGram) else 1.0
        for _ in range(_RESTARTS + 1):
            values, vectors = scipy.sparse.linalg.lobpcg(
                self.linear, vectors, Y=self.trivial, tol=on_L * DEFAULT_TOL, maxiter=_MAXITER, largest=True
            )
            wanted = np.ascontiguousarray(vectors[:, : self.k])
            missing = np.linalg.norm(self.product(wanted) - wanted * values[: self.k], axis=0)
            if missing.max() <= on_L * RESIDUAL_LIMIT:
                break
        return values, vectors

    def as_solution(self, values: Any, vectors: Any) -> Any:
        """Eigenpairs of L from those of the operator, by the step that ours takes."""
        pairs = np.ascontiguousarray(vectors[:, : self.k], np.float32)[None]
        none = np.zeros(1, np.int32)
        with self.backend.session():
            return to_laplacian(self.operator, np.asarray(values[: self.k], np.float32)[None], pairs, self.k, none)
