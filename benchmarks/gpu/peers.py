"""Eigensolvers on one operator in one run, each at a residual of 1e-5 that is measured in float64 afterwards.

Ours gets the layer graph, the others ``S``: CuPy's as CSR, as a dense array and as a product with the blocks, PyTorch's
as a dense array and as CSR, JAX's as a dense array. Each has a warm-up, in which it compiles.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import netspectra as ns
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.peer_problem import PeerProblem
from netspectra.bindings.bench.accuracy import RESIDUAL_LIMIT

__all__ = ["cupyx_solvers", "jax_solvers", "measure_peers", "our_solver", "run", "torch_solvers"]

REPEATS = 3
MAXITER = 500
EIGSH_VECTORS = 3000
"""Lanczos vectors that ``eigsh`` may make; its default, ten times the size of the matrix, would run for minutes."""
LEAST_SECONDS = 5
Solve = Callable[[], tuple[Any, Any, int]]
"""Returns eigenvalues (k,), eigenvectors (n, k) and iterations (-1 where the library does not tell)."""


def run(bench: Bench, libraries: Callable[[PeerProblem, Any], dict[str, Callable[[], Solve]]]) -> None:
    """Stage: ours, then the solvers of one library, on the same operator."""
    problem = PeerProblem(bench.lib)
    bench.record.put(
        title=f"{problem.shape.n_layers} layers of {problem.shape.width:,}, k = {problem.k}", tol=problem.tol
    )
    ours = measure_peers(bench, problem, {"netspectra": lambda: our_solver(bench, problem)})
    smallest = ours.get("netspectra", {}).get("smallest")
    with bench.attempt("peers"):
        measure_peers(bench, problem, libraries(problem, smallest))


def measure_peers(
    bench: Bench, problem: PeerProblem, solvers: dict[str, Callable[[], Solve]]
) -> dict[str, dict[str, Any]]:
    """Time each solver; one that fails or does not reach the residual is recorded as such."""
    rows: dict[str, dict[str, Any]] = dict(bench.record.figures.get("solvers", {}))
    for name, prepare in solvers.items():
        if not bench.has_time(LEAST_SECONDS, name):
            continue
        with bench.attempt(name):
            solve = prepare()
            laps = bench.repeat(solve, 1 if bench.quick else REPEATS, share=0.3)
            theta, vectors, iterations = laps.last
            rows[name] = {**laps.as_dict(), "iterations": int(iterations), "smallest": float(theta.min())}
            del solve
            laps.last = None
            bench.release()
            rows[name]["residual"] = residual = problem.residual(theta, vectors)
            rows[name]["at_equal_residual"] = bool(residual <= RESIDUAL_LIMIT)
            bench.say(f"{name}: {laps.median:.3f} s, residual {residual:.1e}, {iterations} iterations")
            bench.record.put(solvers=rows)
        bench.release()
    if "netspectra" in solvers:
        bench.record.check("our largest |Sx - θx|, float64", rows.get("netspectra", {}).get("residual", float("nan")),
                           RESIDUAL_LIMIT)  # fmt: skip
    return rows


def our_solver(bench: Bench, problem: PeerProblem) -> Solve:
    """Bottom eigenpairs of the Laplacian, as eigenpairs of S."""
    graph, lib = problem.graph, problem.lib

    def solve() -> tuple[Any, Any, int]:
        pairs = ns.eigenpairs(graph, problem.k, tol=problem.tol, backend=bench.backend)
        return 1 - lib.asarray(pairs.eigenvalues), lib.asarray(pairs.eigenvectors), pairs.n_iterations

    return solve


def cupyx_solvers(problem: PeerProblem, smallest: float | None) -> dict[str, Callable[[], Solve]]:
    """``eigsh`` and ``lobpcg`` of ``cupyx.scipy.sparse.linalg``; their tolerance is on the absolute residual."""
    del smallest
    from cupyx.scipy import sparse
    from cupyx.scipy.sparse import linalg

    def csr() -> Any:
        data, columns, starts = problem.csr()
        return sparse.csr_matrix((data, columns, starts.astype(columns.dtype)), shape=(problem.n, problem.n))

    def blocks() -> Any:
        shape = (problem.n, problem.n)
        return linalg.LinearOperator(shape, problem.apply, matmat=problem.apply, dtype=problem.lib.float32)

    def eigsh(operator: Any) -> Solve:
        def solve() -> tuple[Any, Any, int]:
            start = problem.start[:, 0].copy()  # it is overwritten
            theta, vectors = linalg.eigsh(
                operator, problem.k, which="LA", v0=start, tol=problem.tol, maxiter=EIGSH_VECTORS
            )
            return theta, vectors, -1

        return solve

    def lobpcg(operator: Any) -> Solve:
        def solve() -> tuple[Any, Any, int]:
            theta, vectors, history = linalg.lobpcg(
                operator, problem.start.copy(), tol=problem.tol, maxiter=MAXITER, largest=True,
                retResidualNormsHistory=True,
            )  # fmt: skip
            return theta, vectors, len(history)

        return solve

    return {
        "cupyx eigsh, blocks": lambda: eigsh(blocks()),
        "cupyx eigsh, CSR": lambda: eigsh(csr()),
        "cupyx lobpcg, blocks": lambda: lobpcg(blocks()),
        "cupyx lobpcg, CSR": lambda: lobpcg(csr()),
        "cupyx lobpcg, dense": lambda: lobpcg(problem.dense()),
    }


def torch_solvers(problem: PeerProblem, smallest: float | None) -> dict[str, Callable[[], Solve]]:
    """``torch.lobpcg``, stopped by its tracker as soon as all residuals are at most the tolerance."""
    del smallest
    import torch

    def as_tensor(array: Any) -> Any:
        return torch.from_dlpack(array)

    def csr() -> Any:
        data, columns, starts = (as_tensor(a) for a in problem.csr())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the layout is in beta
            return torch.sparse_csr_tensor(starts.to(columns.dtype), columns, data, size=(problem.n, problem.n))

    def solver(operator: Any) -> Solve:
        steps = [0]

        def tracker(worker: Any) -> None:
            steps[0] = worker.ivars["istep"]
            if float(torch.linalg.norm(worker.R, dim=0).max()) <= problem.tol:
                worker.bvars["force_stop"] = True

        def solve() -> tuple[Any, Any, int]:
            theta, vectors = torch.lobpcg(
                operator, k=problem.k, X=as_tensor(problem.start).clone(), niter=MAXITER, tol=problem.tol / 10,
                largest=True, tracker=tracker,
                ortho_fparams={f"ortho_tol{part}": problem.tol for part in ("", "_drop", "_replace")},
            )  # fmt: skip
            if theta.is_cuda:
                torch.cuda.synchronize()
            return theta, vectors.contiguous(), steps[0]

        return solve

    return {
        "torch.lobpcg, dense": lambda: solver(as_tensor(problem.dense())),
        "torch.lobpcg, CSR": lambda: solver(csr()),
    }


def jax_solvers(problem: PeerProblem, smallest: float | None) -> dict[str, Callable[[], Solve]]:
    """``jax.experimental.sparse.linalg.lobpcg_standard`` on the dense array.

    Its criterion is ``|r| < tol * 10 n (theta + |S x|)``, and ``|S x|`` is theta: `tol` is set such that this is our
    tolerance at the smallest wanted eigenvalue, which ours found before.
    """
    import jax
    from jax.experimental.sparse.linalg import lobpcg_standard

    def solver() -> Solve:
        S, start = (jax.dlpack.from_dlpack(array) for array in (problem.dense(), problem.start))
        tol = problem.tol / (20 * problem.n * max(smallest or 1.0, 1e-6))

        def solve() -> tuple[Any, Any, int]:
            theta, vectors, iterations = jax.block_until_ready(lobpcg_standard(S, start, MAXITER, tol))
            return theta, vectors, int(iterations)

        return solve

    return {"jax lobpcg_standard, dense": solver}
