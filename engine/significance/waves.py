"""Running the null networks wave by wave: a wave that does not fit is halved, and what was run can be run again."""

import time
from collections.abc import Iterator
from dataclasses import replace

from netspectra.errors import LimitError
from netspectra.kernels.backend import Backend
from netspectra.progress import ProgressCallback
from netspectra.significance.planning import RunPlan
from netspectra.significance.replicates import NullOutcome, NullSolver

__all__ = ["solve_waves"]


def solve_waves(
    machine: Backend, solver: NullSolver, n_nulls: int, plan: RunPlan, callback: ProgressCallback | None
) -> tuple[list[NullOutcome], RunPlan]:
    """Outcomes of null networks 0 to `n_nulls` - 1, and the plan with the waves that were run.

    A wave for which memory runs out is tried again in halves, and all later ones keep the smaller size.

    Raises
    ------
    LimitError
        If memory runs out with a single null network.
    """
    started, outcomes = time.perf_counter(), list[NullOutcome]()
    waves, reductions, largest = list[int](), list(plan.reductions), plan.batch_size
    for stretch in _stretches(plan, n_nulls):
        end = len(outcomes) + stretch
        while len(outcomes) < end:
            size = min(largest, end - len(outcomes))
            found = _attempt(machine, solver, range(len(outcomes), len(outcomes) + size))
            if isinstance(found, MemoryError):
                if size == 1:
                    msg = f"not even one null network fits in memory ({found}); free memory, or take fewer clusters"
                    raise LimitError(msg) from found
                largest = -(-size // 2)
                reductions.append(f"out of memory at null {len(outcomes)}: {largest} replicates per wave, not {size}")
                continue
            outcomes += found
            waves.append(size)
            if callback is not None:
                callback(len(outcomes), n_nulls, time.perf_counter() - started)
    return outcomes, replace(plan, waves=_counted(waves), reductions=tuple(reductions))


def _attempt(machine: Backend, solver: NullSolver, replicates: range) -> "list[NullOutcome] | MemoryError":
    """Outcomes of one wave; or the error, so that nothing of the wave outlives this call."""
    try:
        return [outcome for some in machine.map_replicates(solver, replicates) for outcome in some]
    except MemoryError as error:
        return error.with_traceback(None)


def _stretches(plan: RunPlan, n_nulls: int) -> Iterator[int]:
    """The waves of a plan that is replayed, else all null networks in one stretch, which waves then divide."""
    if not plan.waves:
        yield n_nulls
    for count, size in plan.waves:
        yield from [size] * count


def _counted(waves: list[int]) -> tuple[tuple[int, int], ...]:
    """Runs of equal sizes as (count, size)."""
    runs: list[tuple[int, int]] = []
    for size in waves:
        if runs and runs[-1][1] == size:
            runs[-1] = (runs[-1][0] + 1, size)
        else:
            runs.append((1, size))
    return tuple(runs)
