"""From the observed network and its null networks to a result, and whether too many of them failed."""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from netspectra.clustering import Partition
from netspectra.errors import NullFailureError
from netspectra.kernels import Backend
from netspectra.records.version import installed_version
from netspectra.significance.planning import RunPlan
from netspectra.significance.question import Question
from netspectra.significance.replicates import NullOutcome
from netspectra.significance.result import ClusterabilityResult
from netspectra.significance.sensitivity import SIGNIFICANCE_LEVEL, seed_sensitivity
from netspectra.significance.sequential import SequentialTest
from netspectra.significance.statistics import NullStatistics, cohens_d, compare, tie_width

__all__ = ["conclude", "judge_failures", "ncuts_of", "tie_of"]

FAILURE_LIMIT = 0.01


def ncuts_of(outcomes: Sequence[NullOutcome]) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """n-cuts in replicate order, NaN where a null network failed."""
    return np.array([o.ncut for o in outcomes], np.float64)


def tie_of(partition: Partition) -> float:
    """Difference from the n-cut of `partition` within which a null counts as tied."""
    return tie_width(partition.n_clusters, float64=partition.dtype == "float64")


def conclude(
    machine: Backend,
    q: Question,
    run_plan: RunPlan,
    partition: Partition,
    further: "np.ndarray[Any, Any]",
    outcomes: Sequence[NullOutcome],
    timings: dict[str, float],
    rule: SequentialTest | None,
) -> ClusterabilityResult:
    """Put all that was found together; `rule` is what ended a sequential test."""
    values, tie = ncuts_of(outcomes), tie_of(partition)
    place = compare if rule is None else rule.compare
    found = place(partition.ncut, values, tie) if outcomes else None
    every = np.append(further, partition.ncut)
    status = "ok"
    if not partition.converged:
        status = "not_converged"
    elif found is None:
        status = "no_nulls"
    elif np.isnan(found.z_score):
        status = "degenerate_null"
    return ClusterabilityResult(
        version=installed_version(),
        backend=machine.name,
        device=machine.device,
        dtype=partition.dtype,
        solver=partition.solver,
        tol=partition.tol,
        seed=q.seed,
        timings=timings,
        ncut=partition.ncut,
        null_ncuts=values,
        p_value=None if found is None else found.p_value,
        p_interval=None if found is None else found.p_interval,
        z_score=None if found is None else found.z_score,
        percentile=None if found is None else found.percentile,
        cohens_d=None if found is None else cohens_d(every, values),
        null_mean=None if found is None else found.null_mean,
        null_sd=None if found is None else found.null_sd,
        partition=partition,
        seed_sensitivity=seed_sensitivity(partition.ncut, further, values, tie, place),
        status=status,
        null_status=dict(Counter(o.status for o in outcomes)),
        plan=run_plan,
        n_clusters=q.n_clusters,
        n_nulls=values.size,
        max_nulls=q.n_nulls,
        stop=q.stop,
        stopped=_why_stopped(q, values.size, found),
        n_failed=int(np.count_nonzero(np.isnan(values))),
        n_init=q.n_init,
        null=q.null,
        select=q.select,
        n_threads=machine.n_threads,
    )


def _why_stopped(q: Question, n_nulls: int, found: NullStatistics | None) -> str:
    if found is None or n_nulls == q.n_nulls:
        return "all"
    return "significant" if found.p_value <= SIGNIFICANCE_LEVEL else "not_significant"


def judge_failures(result: ClusterabilityResult) -> ClusterabilityResult:
    """Warn about failed nulls, raise where they are too many: more than one in a hundred.

    A single one is not too many where fewer were enough: with a hundred more of them it might have been the only one.
    """
    if result.n_failed == 0:
        return result
    why = ", ".join(f"{count} {status}" for status, count in sorted(result.null_status.items()))
    msg = f"{result.n_failed} of {result.n_nulls} null networks failed ({why})"
    bearable = FAILURE_LIMIT * result.n_nulls
    if result.n_failed > (bearable if result.stopped == "all" else max(bearable, 1)):
        msg += "; the p-value would mean little: take fewer clusters, solver='dense', or another null model"
        raise NullFailureError(msg, partial_result=result)
    warnings.warn(f"{msg}; each counts as at or below the observed n-cut", RuntimeWarning, stacklevel=4)
    return result
