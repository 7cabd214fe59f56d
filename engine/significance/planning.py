"""Planning: what one replicate needs in bytes, and how many may be in memory at once, settled before the start."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from netspectra.clustering import Recipe
from netspectra.errors import GraphError, LimitError
from netspectra.graph.batch import structure_of
from netspectra.graph.layer_graph import LayerGraph
from netspectra.kernels.backend import Backend
from netspectra.nulls import NullName
from netspectra.records import Record
from netspectra.validation import require_count

__all__ = ["RunPlan", "plan_run", "replicate_bytes"]

MEMORY_FRACTION = 0.5
"""Share of the free memory that a run plans to use when no limit is given."""


@dataclass(frozen=True, kw_only=True)
class RunPlan(Record):
    """Bytes one replicate needs, the wave it comes in, and the limit that was kept.

    Attributes
    ----------
    bytes_per_replicate : int
    batch_size : int
        Replicates per wave.
    in_flight : int
        Replicates in memory at the same time.
    memory_limit : int
        Bytes that replicates may take together.
    model : str
        The machine's model: with the shapes and a given `memory_limit` it settles the size of a wave.
    waves : tuple of (count, size)
        The waves that were run, in order; ``clusterability_test(batch_size=result.plan)`` runs the same again.
    reductions : tuple of str
        What made waves other than shapes, model and `memory_limit` alone would have had them: free memory at the start,
        memory that ran out in a wave, which was then halved, or the plan of another machine that is replayed.
    """

    bytes_per_replicate: int
    batch_size: int
    in_flight: int
    memory_limit: int
    model: str = ""
    waves: tuple[tuple[int, int], ...] = ()
    reductions: tuple[str, ...] = ()


def replicate_bytes(graph: LayerGraph, recipe: Recipe, null: NullName = "shuffle", product_bytes: int = 0) -> int:
    """Estimated bytes that drawing and solving one null replicate takes, beyond the network's own weights.

    `product_bytes` is what the backend's products take beside their results.
    """
    item, k = np.dtype(recipe.dtype).itemsize, recipe.n_clusters
    weights = sum(_block_bytes(block, null) for block in graph.blocks if block.learned)
    n, width = graph.n_nodes, k + 9
    if recipe.solver.solver == "dense":
        sizes = _sides(graph)
        solver = item * (sizes[0] * sizes[1] + 4 * sizes[0] ** 2)
    else:
        solver = item * n * width * 14 + 8 * n * k * 4 + product_bytes
        solver += item * sum(_sides(graph)) * _sides(graph)[0] if recipe.solver.explicit else 0  # G, and B before it
    clustering = 8 * n * (2 * k + 8) + 4 * n * (recipe.n_init if recipe.select == "ncut" else 1)
    return int(weights + solver + clustering)


def plan_run(
    backend: Backend,
    recipe: Recipe,
    bytes_per_replicate: int,
    n_nulls: int,
    *,
    batch_size: Any,
    memory_limit: Any,
    at_most: bool = False,
) -> RunPlan:
    """Settle batch size and memory; `batch_size` may be an earlier :class:`RunPlan`, whose waves are then kept.

    `at_most` says that a run may end before all of `n_nulls` are drawn, and so the waves of an earlier one may, too.

    Raises
    ------
    LimitError
        If a single replicate does not fit, with the numbers.
    GraphError
        If `batch_size` or `memory_limit` is not a positive integer, or an earlier plan is of another run.
    """
    given = _given_limit(memory_limit)
    free = backend.available_memory()
    limit = int(MEMORY_FRACTION * free) if given is None else given
    fitting = limit // max(1, bytes_per_replicate)
    if fitting < 1 and n_nulls > 0:
        msg = (
            f"one null replicate needs about {bytes_per_replicate / 1e9:.3g} GB, but the limit is {limit / 1e9:.3g} "
            "GB; raise memory_limit, free memory, or take fewer clusters"
        )
        raise LimitError(msg)
    if isinstance(batch_size, RunPlan):
        _require_fitting(batch_size, n_nulls, at_most=at_most)
        return _replayed(backend, batch_size, bytes_per_replicate, limit)
    if batch_size is None:
        wanted = backend.wave_size(bytes_per_replicate, given, iterated=recipe.solver.solver == "lobpcg")
    else:
        wanted = require_count("batch_size", batch_size, 1)
    planned = wave = max(1, min(wanted, max(n_nulls, 1)))
    if backend.in_flight(wave) > max(fitting, 1):
        wave = int(max(fitting, 1))
    short = wave < planned and given is None
    return RunPlan(
        bytes_per_replicate=bytes_per_replicate,
        batch_size=wave,
        in_flight=backend.in_flight(wave),
        memory_limit=limit,
        model=backend.model,
        reductions=(f"free memory ({free / 1e9:.3g} GB): {wave} replicates per wave, not {planned}",) if short else (),
    )


def _given_limit(memory_limit: Any) -> int | None:
    if memory_limit is None:
        return None
    number = isinstance(memory_limit, int | float | np.number) and not isinstance(memory_limit, bool)
    if number and 0 < memory_limit < np.inf:
        return int(memory_limit)
    msg = f"memory_limit must be a positive number of bytes or None, got {memory_limit!r}"
    raise GraphError(msg)


def _require_fitting(earlier: RunPlan, n_nulls: int, *, at_most: bool) -> None:
    total = sum(count * size for count, size in earlier.waves)
    if total > n_nulls or (total < n_nulls and not at_most):
        msg = f"batch_size is the plan of a run of {total} null networks, this one has {n_nulls}; give an integer"
        raise GraphError(msg)


def _replayed(backend: Backend, earlier: RunPlan, bytes_per_replicate: int, limit: int) -> RunPlan:
    """The plan of an earlier run, for this one."""
    largest = max((size for _, size in earlier.waves), default=1)
    other = earlier.model != backend.model
    note = f"the plan of a run on another machine ({earlier.model}), which this one replays"
    return RunPlan(
        bytes_per_replicate=bytes_per_replicate,
        batch_size=largest,
        in_flight=backend.in_flight(largest),
        memory_limit=limit,
        model=backend.model,
        waves=earlier.waves,
        reductions=(note,) if other else (),
    )


def _block_bytes(block: Any, null: NullName) -> int:
    resampled = null.startswith("kde")
    item = max(4, block.dtype.itemsize) if resampled else block.dtype.itemsize
    held = 2 if null == "kde" else 1  # shuffled, then resampled
    return int(block.n_stored * ((3 * item + 40) if block.is_sparse else item * held + resampled))


def _sides(graph: LayerGraph) -> tuple[int, int]:
    structure = structure_of(graph)
    small = structure.reduced_size
    return small, max(structure.n_nodes - small, small)
