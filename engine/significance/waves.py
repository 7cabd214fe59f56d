"""Running the null networks wave by wave: a wave that does not fit is halved, and what was run can be run again.

Where the run ends as soon as the verdict is clear, a wave has at most as many nulls as all before it together, so that
few are drawn in vain; those beyond the one that decided are dropped, and waves change no result.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from netspectra.errors import LimitError
from netspectra.kernels.backend import Backend
from netspectra.progress import ProgressCallback
from netspectra.significance.boundaries import FIRST_LOOK
from netspectra.significance.planning import RunPlan
from netspectra.significance.replicates import NullOutcome, NullSolver

__all__ = ["solve_waves"]


def solve_waves(
    machine: Backend,
    solver: NullSolver,
    n_nulls: int,
    plan: RunPlan,
    callback: ProgressCallback | None,
    n_enough: Callable[[Sequence[NullOutcome]], int | None] | None = None,
) -> tuple[list[NullOutcome], RunPlan]:
    """Outcomes of null networks 0 to `n_nulls` - 1, and the plan with the waves that were run.

    A wave for which memory runs out is tried again in halves, and all later ones keep the smaller size. `n_enough` says
    after each wave how many outcomes are enough, or None; the first of them are then returned, and progress is told
    that what was drawn is all there is.

    Raises
    ------
    LimitError
        If memory runs out with a single null network.
    """
    started, outcomes = time.perf_counter(), list[NullOutcome]()
    waves, reductions, largest = list[int](), list(plan.reductions), plan.batch_size
    for stretch in _stretches(plan, n_nulls, growing=n_enough is not None):
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
            enough = None if n_enough is None else n_enough(outcomes)
            if callback is not None:
                total = n_nulls if enough is None else len(outcomes)
                callback(len(outcomes), total, time.perf_counter() - started)
            if enough is not None:
                return outcomes[:enough], _run(plan, waves, reductions)
    return outcomes, _run(plan, waves, reductions)


def _attempt(machine: Backend, solver: NullSolver, replicates: range) -> "list[NullOutcome] | MemoryError":
    """Outcomes of one wave; or the error, so that nothing of the wave outlives this call."""
    try:
        return [outcome for some in machine.map_replicates(solver, replicates) for outcome in some]
    except MemoryError as error:
        return error.with_traceback(None)


def _stretches(plan: RunPlan, n_nulls: int, *, growing: bool) -> Iterator[int]:
    """The waves of a plan that is replayed, then all other null networks.

    Those are one stretch, which waves divide, or `growing` a wave each, until all before it together fill a wave.
    """
    done = 0
    for count, size in plan.waves:
        yield from [size] * count
        done += count * size
    while done < n_nulls:
        size = min(max(FIRST_LOOK, done), plan.batch_size, n_nulls - done) if growing else n_nulls - done
        yield size
        done += size


def _run(plan: RunPlan, waves: list[int], reductions: list[str]) -> RunPlan:
    """The plan with the waves that were run, equal ones together as (count, size)."""
    runs: list[tuple[int, int]] = []
    for size in waves:
        if runs and runs[-1][1] == size:
            runs[-1] = (runs[-1][0] + 1, size)
        else:
            runs.append((1, size))
    return replace(plan, waves=tuple(runs), reductions=tuple(reductions))
