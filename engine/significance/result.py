"""The result of a clusterability test, and how it reads."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from netspectra.clustering import Partition
from netspectra.records import Run
from netspectra.significance.boundaries import RISK
from netspectra.significance.planning import RunPlan
from netspectra.significance.sensitivity import SIGNIFICANCE_LEVEL, SeedSensitivity

__all__ = ["ClusterabilityResult"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterabilityResult(Run):
    """How modular a network is, and whether that is more than chance.

    Attributes
    ----------
    ncut : float
        Of the observed network.
    null_ncuts : ndarray, shape (n_nulls,), float64
        In replicate order; NaN where a null failed (`n_failed` of them).
    p_value : float or None
        ``(1 + #{null <= observed}) / (1 + n_nulls)``, or what :mod:`netspectra.significance.sequential` says of a
        sequential test; None without nulls. `p_interval` is the 95% Monte-Carlo interval of the scheme that was run.
    z_score : float or None
        ``(observed - null_mean) / null_sd``; NaN with status ``"degenerate_null"`` where the nulls do not vary.
    percentile : float or None
        Share of nulls at or below the observed n-cut, in percent.
    cohens_d : float or None
        Between the observed n-cuts over k-means seeds and the nulls.
    null_mean, null_sd : float or None
    partition : Partition
        Of the observed network; `labels` are its labels.
    seed_sensitivity : SeedSensitivity
        The observed network over 20 further k-means seeds.
    status : str
        ``"ok"``, ``"no_nulls"``, ``"degenerate_null"`` (the nulls do not vary, or are too few to) or
        ``"not_converged"`` (the observed network).
    null_status : dict of str to int
        How many nulls ended in which status.
    plan : RunPlan
    stop : str
        ``"fixed"``, or ``"sequential"`` where nulls were drawn until p was clear of 0.05.
    stopped : str
        ``"all"`` (that were asked for were drawn), or ``"significant"`` or ``"not_significant"`` where `n_nulls` of at
        most `max_nulls` were enough to say so.
    n_clusters, n_nulls, max_nulls, n_failed, n_init : int
        `n_nulls` is how many the numbers come from, `max_nulls` how many were asked for.
    null, select : str
    n_threads : int
    """

    ncut: float
    null_ncuts: np.ndarray[Any, np.dtype[np.float64]]
    p_value: float | None
    p_interval: tuple[float, float] | None
    z_score: float | None
    percentile: float | None
    cohens_d: float | None
    null_mean: float | None
    null_sd: float | None
    partition: Partition
    seed_sensitivity: SeedSensitivity
    status: str
    null_status: dict[str, int]
    plan: RunPlan
    n_clusters: int
    n_nulls: int
    n_failed: int
    n_init: int
    null: str
    select: str
    n_threads: int
    stop: str = "fixed"
    stopped: str = "all"
    max_nulls: int = -1

    def __post_init__(self) -> None:
        """Fill in what results saved before there were sequential tests do not say."""
        super().__post_init__()
        if self.max_nulls < 0:
            object.__setattr__(self, "max_nulls", self.n_nulls)

    @property
    def labels(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Cluster of each node of the observed network, (n,) int32, -1 for isolated nodes."""
        return self.partition.labels

    @property
    def batch_size(self) -> int:
        """Null networks per wave."""
        return self.plan.batch_size

    @property
    def n_isolated(self) -> int:
        """Nodes without any edge, left out before weights are shuffled."""
        return self.partition.n_isolated

    @property
    def stopping(self) -> str:
        """Why no more null networks were drawn, in a few words."""
        if self.stopped == "all":
            return "all null networks drawn that were asked for"
        side = "below" if self.stopped == "significant" else "above"
        return f"stopped as p is {side} {SIGNIFICANCE_LEVEL}; risk that all would say otherwise: {RISK} at most"

    @property
    def _drawn(self) -> str:
        return str(self.n_nulls) if self.stopped == "all" else f"{self.n_nulls} of at most {self.max_nulls}"

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        if self.p_value is None:
            return f"Not tested: {self.partition.verdict}"
        if self.status == "not_converged":
            return f"{self.partition.verdict[:-1]} (p = {self.p_value:.3g})."
        nulls = f"{self._drawn} {self.null!r} null networks"
        compared = f"n-cut {self.ncut:.4f} against {self.null_mean:.4f} for {nulls}"
        if self.n_nulls - self.n_failed < 2:
            return f"Cannot tell: {compared}, too few to know their spread; take more."
        if self.status == "degenerate_null":
            return f"Cannot tell: {compared}, which do not vary at all."
        if self.seed_sensitivity.sensitive:
            low, high = self.seed_sensitivity.p_range or (float("nan"), float("nan"))
            return (
                f"Seed-sensitive: {compared}, but over k-means seeds p goes from {low:.3g} to {high:.3g}; choose "
                "select='ncut' for a verdict that does not hang on the seed."
            )
        place = f"z = {self.z_score:.2f}, p = {self.p_value:.3g}"
        if self.p_value <= SIGNIFICANCE_LEVEL:
            return f"More modular than chance: {compared} ({place}), for every k-means seed tried."
        if self.z_score is not None and self.z_score > 0:
            return f"Not more modular than chance: {compared}, so above their mean ({place})."
        if (1 + self.n_nulls - self.n_failed) * SIGNIFICANCE_LEVEL < 1:
            return f"Cannot tell: {compared} ({place}), too few for a p-value of {SIGNIFICANCE_LEVEL:g}; take more."
        return f"Not distinguishable from chance: {compared} ({place})."

    def summary(self) -> str:
        """Few lines of text ending in one plain sentence of verdict."""
        part = self.partition
        lines = [
            f"Clusterability of {part.labels.size} neurons in {self.n_clusters} clusters",
            f"  {self.backend}, {self.solver}, {self.dtype}, seed {self.seed}",
            f"  n-cut {self.ncut:.4f}, no partition below {part.ncut_lower_bound:.4f} ({part.bound_status})",
        ]
        if self.p_interval is not None and self.p_value is not None:
            low, high = self.p_interval
            failed = f"{self.n_failed} failed"
            lines += [
                f"  nulls {self.null_mean:.4f} ± {self.null_sd:.4f} ({self._drawn} by {self.null!r}, {failed})",
                f"  z {self.z_score:.2f}, p {self.p_value:.4g} (95% interval {low:.4g} to {high:.4g})",
                f"  percentile {self.percentile:.1f}, Cohen's d {self.cohens_d:.2f}",
            ]
        if self.stop == "sequential":
            lines.append(f"  {self.stopping}")
        lines += [f"  waves: {reduction}" for reduction in self.plan.reductions]
        low, high = self.seed_sensitivity.ncut_range
        seeds = f"  over {self.seed_sensitivity.n_seeds} further k-means seeds: n-cut {low:.4f} to {high:.4f}"
        if self.stopped != "all" and self.seed_sensitivity.p_range is not None:
            low, high = self.seed_sensitivity.p_range
            seeds += f", p {low:.3g} to {high:.3g} by the nulls drawn"
        lines.append(seeds)
        lines.append(f"  {self.timings['total']:.2f} s, compilation {self.timings['compile']:.2f} s apart")
        return "\n".join([*lines, self.verdict])

    def __repr__(self) -> str:
        z = "None" if self.z_score is None else f"{self.z_score:.2f}"
        p = "None" if self.p_value is None else f"{self.p_value:.4g}"
        drawn = f"n_nulls={self.n_nulls}" + ("" if self.stop == "fixed" else f", max_nulls={self.max_nulls}")
        return f"ClusterabilityResult(ncut={self.ncut:.4f}, z_score={z}, p_value={p}, {drawn})"
