"""The result of one clustering: who is with whom, what it cuts, and how good it could be at best."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netspectra.records import Record, Run
from netspectra.spectrum import STATUS_MEANING

__all__ = ["ClusterSummary", "Partition"]


@dataclass(frozen=True, kw_only=True)
class ClusterSummary(Record):
    """One cluster: its label, nodes, volume (sum of degrees), cut (weight leaving) and share ``cut / volume``."""

    label: int
    size: int
    volume: float
    cut: float
    ncut: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Partition(Run):
    """Spectral clustering of one graph.

    Attributes
    ----------
    labels : ndarray, shape (n,), int32
        Cluster of each node, in node order; -1 for isolated nodes.
    n_clusters : int
        Clusters asked for; `n_nonempty` of them have nodes.
    ncut : float
        ``sum_c cut(c) / vol(c)``.
    ncut_lower_bound : float
        No partition into as many clusters can have a smaller n-cut.
    bound_status : str
        ``"proved"`` (dense solver, up to its rounding) or ``"conditional"`` on LOBPCG not having missed an eigenvalue.
    relative_gap : float
        ``(ncut - bound) / ncut``.
    eigenvalues, residual_norms : ndarray, shape (k,), float64
    gap : float
        Eigenvalue k + 1 minus eigenvalue k; `unique` is False where it is zero to rounding.
    inertia : float
        Of the chosen k-means restart; NaN for a disconnected graph.
    clusters : tuple of ClusterSummary
    layer_names : tuple of str
    layer_sizes : tuple of int
    converged : bool
    status : str
        As of :class:`~netspectra.spectrum.Eigenpairs`, ``"disconnected"``, or ``"fewer_clusters"`` where k-means left
        some empty.
    n_iterations, n_init : int
    select : str
    """

    labels: np.ndarray[Any, np.dtype[np.int32]]
    n_clusters: int
    n_nonempty: int
    ncut: float
    ncut_lower_bound: float
    bound_status: str
    relative_gap: float
    eigenvalues: np.ndarray[Any, np.dtype[np.float64]]
    residual_norms: np.ndarray[Any, np.dtype[np.float64]]
    gap: float
    unique: bool
    inertia: float
    clusters: tuple[ClusterSummary, ...]
    layer_names: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    converged: bool
    status: str
    n_iterations: int
    n_init: int
    select: str

    @cached_property
    def _layer_of(self) -> np.ndarray[Any, Any]:
        return np.repeat(np.arange(len(self.layer_sizes)), self.layer_sizes)

    @property
    def n_isolated(self) -> int:
        """Nodes without any edge, which are in no cluster."""
        return int(np.count_nonzero(self.labels < 0))

    @property
    def in_out_ratio(self) -> float:
        """Mean weight inside over weight leaving, as the papers print it: ``(1 - ncut/k) / (2 ncut/k)``."""
        share = self.ncut / self.n_clusters
        return (1.0 - share) / (2.0 * share) if share > 0 else float("inf")

    def by_layer(self) -> list[dict[str, Any]]:
        """One row per layer: ``layer``, ``size``, ``isolated``, and ``counts``, its nodes in each cluster."""
        rows = []
        for i, (name, size) in enumerate(zip(self.layer_names, self.layer_sizes, strict=True)):
            own = self.labels[self._layer_of == i]
            counts = np.bincount(own[own >= 0], minlength=self.n_clusters)
            rows.append(
                {"layer": name, "size": size, "isolated": int(np.count_nonzero(own < 0)), "counts": counts.tolist()}
            )
        return rows

    def to_records(self) -> list[dict[str, Any]]:
        """One row per node: ``node``, ``layer``, ``index`` within the layer, ``label`` (for ``pandas.DataFrame``)."""
        starts = np.concatenate([[0], np.cumsum(self.layer_sizes)])
        return [
            {
                "node": node,
                "layer": self.layer_names[layer],
                "index": node - int(starts[layer]),
                "label": int(self.labels[node]),
            }
            for node, layer in enumerate(self._layer_of.tolist())
        ]

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        found = f"{self.n_nonempty} clusters with n-cut {self.ncut:.4f}"
        if self.status == "disconnected":
            return f"The graph falls apart: {found}, {STATUS_MEANING['disconnected']}."
        if not self.converged:
            return f"Not to be relied on: {found}, but {STATUS_MEANING[self.status]}."
        proof = "no partition" if self.bound_status == "proved" else "unless LOBPCG missed an eigenvalue, no partition"
        return f"Found {found}; {proof} into as many clusters can be below {self.ncut_lower_bound:.4f}."

    def summary(self) -> str:
        """Few lines of text ending in one plain sentence of verdict."""
        sizes = ", ".join(str(c.size) for c in sorted(self.clusters, key=lambda c: -c.size))
        isolated = f", {self.n_isolated} isolated nodes left out" if self.n_isolated else ""
        return (
            f"Partition of {self.labels.size} nodes into {self.n_nonempty} clusters ({self.solver}, {self.dtype}, "
            f"{self.backend}{isolated})\n  sizes {sizes}\n  n-cut {self.ncut:.4f}, lower bound "
            f"{self.ncut_lower_bound:.4f} ({self.bound_status}), eigengap {self.gap:.3g}, status {self.status}\n"
            f"{self.verdict}"
        )

    def __repr__(self) -> str:
        return (
            f"Partition(n={self.labels.size}, n_clusters={self.n_clusters}, ncut={self.ncut:.4f}, "
            f"ncut_lower_bound={self.ncut_lower_bound:.4f}, status={self.status!r})"
        )
