"""One wave of null networks, cut in the stages that the engine runs one after the other, each timed on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.gpu.bench import Bench
from netspectra.clustering import Recipe
from netspectra.clustering.embedding import embed
from netspectra.clustering.kmeans import kmeans
from netspectra.clustering.ncut import cluster_volumes, ncut_of
from netspectra.clustering.precision import solve_for_embedding
from netspectra.graph.batch import load_batch, make_batch
from netspectra.graph.compact import compact
from netspectra.kernels.keys import stream_keys
from netspectra.nulls.model import prepare_null
from netspectra.spectrum import plan_solver
from netspectra.spectrum.attempts import reduce
from netspectra.spectrum.plan import block_width

__all__ = ["measure_breakdown"]

REPEATS = 3
SEED = 0


def measure_breakdown(bench: Bench, workload: Any, wave: int) -> dict[str, dict[str, Any]]:
    """Seconds of each stage for a wave of that many replicates; also in the record, under ``"stages"``."""
    backend, k, replicates = bench.backend, workload.k, list(range(wave))
    stages: dict[str, dict[str, Any]] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        laps = bench.repeat(call, 1 if bench.quick else REPEATS)
        stages[name] = laps.as_dict()
        bench.record.put(stages=stages, stages_wave=wave)
        return laps.last

    with backend.session():
        whole = load_batch([workload.graph], backend)
        small = compact(workload.graph, backend.to_numpy(whole.degrees)[0]).graph
        observed = whole if small is workload.graph else load_batch([small], backend)
        recipe = Recipe(k, workload.n_init, "inertia", plan_solver(whole, k, "auto", None, None, SEED))
        model = prepare_null(small, observed, "shuffle", SEED)
        weights = timed("shuffle", lambda: [block.draw(backend, SEED, replicates) for block in model.blocks])
        structure, dtype = model.observed.structure, model.observed.dtype
        batch = timed("degrees", lambda: make_batch(backend, structure, weights, dtype, wave))
        solution = timed("eigen", lambda: solve_for_embedding(batch, k, recipe.solver, list(replicates)))
        iterations = backend.to_numpy(solution.n_iterations)
        bench.record.put(
            null_iterations={"median": float(sorted(iterations)[wave // 2]), "largest": int(iterations.max())},
            null_solve_status=sorted(set(solution.status)),
            explicit=recipe.solver.explicit,
        )
        _inside_eigen(bench, batch, recipe, replicates, timed)
        points = timed("embed", lambda: embed(batch, solution.vectors))
        found = timed("k-means", lambda: kmeans(batch, points, recipe, [SEED] * wave, list(replicates)))
        rounds = backend.to_numpy(found.n_iter)
        bench.record.put(kmeans_iterations={"mean": float(rounds.mean()), "largest": int(rounds.max())})
        labels = found.labels[:, 0, :]
        timed("sums, n-cut", lambda: ncut_of(batch, cluster_volumes(batch, labels, k)))
    return stages


def _inside_eigen(bench: Bench, batch: Any, recipe: Recipe, replicates: list[int], timed: Callable[..., Any]) -> None:
    """Parts of the eigen stage: the explicit matrix, one product with it or with the blocks, a Rayleigh-Ritz solve."""
    plan, backend = recipe.solver, bench.backend
    if plan.solver != "lobpcg":
        return
    operator = reduce(batch)
    width = block_width(recipe.n_clusters, operator.size)
    keys = stream_keys(SEED, "start-block", replicates)
    X = timed("  start block", lambda: backend.standard_normals(keys, (operator.size, width), plan.dtype))
    if plan.explicit:
        G = timed("  explicit matrix", lambda: operator.dense(plan.dtype))
        timed("  one product", lambda: bench.xp.matmul(G, X))
        del G
    else:
        timed("  one product", lambda: operator.apply(X))
    basis = bench.xp.concat([X, X, X], axis=2)
    gram = timed("  one Gram matrix", lambda: bench.xp.matmul(bench.xp.matrix_transpose(basis), basis))
    timed("  one small eigh", lambda: backend.eigh(gram))
