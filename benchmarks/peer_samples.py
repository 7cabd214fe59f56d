"""n-cuts of the official pipeline that ours are compared with, scored once per session."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netspectra.bindings.bench.official_pool import OfficialPool
from netspectra.bindings.bench.workloads import ChainWorkload

__all__ = ["PeerSamples"]

MOST_OF_LARGE = 6
"""Null networks of workloads whose networks have more than a million edges: each takes the peer seconds."""


class PeerSamples:
    """n-cuts of the official pipeline, scored once per workload: where it is timed, or where they are first needed."""

    def __init__(self, n_nulls: int) -> None:
        self._n_nulls = n_nulls
        self._samples: dict[str, NDArray[np.float64]] = {}

    def seeds(self, workload: ChainWorkload) -> range:
        """Seeds of the null networks."""
        large = workload.graph.n_edges > 1_000_000
        return range(min(self._n_nulls, MOST_OF_LARGE) if large else self._n_nulls)

    def keep(self, workload: ChainWorkload, ncuts: NDArray[np.float64]) -> None:
        """Remember what a timed run found."""
        self._samples[workload.name] = ncuts

    def of(self, workload: ChainWorkload, n_processes: int) -> NDArray[np.float64]:
        """Return the sample of a workload, made now if no timed run has been."""
        if workload.name not in self._samples:
            with OfficialPool(workload, n_processes) as pool:
                self.keep(workload, pool.ncuts(self.seeds(workload)))
        return self._samples[workload.name]
