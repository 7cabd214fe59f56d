"""Planted partitions: sparse graphs of equal groups whose members are known, built without anything much larger.

Every node sends a Poisson number of arcs into its own group and to the others, half the mean degree each; an arc and
its mirror are one edge, several between the same two nodes too (for large graphs there are almost none). Node i is in
group ``i mod n_groups``: the order of the nodes says nothing about the groups, so no cache is helped by it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["PlantedPartition"]

_ROWS = 1 << 19
"""Rows drawn or merged at a time: some 100 MB of temporaries at a mean degree of 20."""


@dataclass(frozen=True)
class PlantedPartition:
    """A random graph with weights 1.

    Attributes
    ----------
    n_nodes : int
        Made a multiple of `n_groups`, rounded down.
    n_groups : int
    inside, outside : float
        Mean number of neighbours in the own group, and in all others together.
    seed : int
    """

    n_nodes: int
    n_groups: int = 8
    inside: float = 16.0
    outside: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_nodes", self.n_nodes // self.n_groups * self.n_groups)

    @property
    def labels(self) -> NDArray[np.int32]:
        """The planted groups, (n,)."""
        return (np.arange(self.n_nodes, dtype=np.int32) % self.n_groups).astype(np.int32)

    def adjacency(self) -> sp.csr_array:
        """Symmetric CSR matrix, int32 indices in order, float32 ones.

        At any time there are the arcs, their mirror image and the result: about 4 bytes per arc, 4 per mirror arc and
        8 per stored entry.
        """
        n = self.n_nodes
        arcs = self._arcs()
        mirror = sp.csr_array(arcs.T.tocsr())  # in C, indices in order
        counts = np.zeros(n + 1, np.int32)
        indices = np.empty(2 * arcs.nnz, np.int32)
        filled = 0
        for first in range(0, n, _ROWS):
            rows = slice(first, min(first + _ROWS, n))
            merged = sp.csr_array(arcs[rows] + mirror[rows])
            merged.sort_indices()
            indices[filled : filled + merged.nnz] = merged.indices
            counts[rows.start + 1 : rows.stop + 1] = np.diff(merged.indptr)
            filled += merged.nnz
        del arcs, mirror
        indices.resize(filled, refcheck=False)  # duplicates are gone: a few entries at the end
        indptr = np.cumsum(counts, dtype=np.int32)
        return _trusted_csr(np.ones(filled, np.float32), indices, indptr, n)

    def _arcs(self) -> sp.csr_array:
        """Arcs of all nodes, each row's in order and without repetition; one byte of data per arc."""
        parts = list(self._arcs_by_rows())
        indptr = np.concatenate([[0], np.cumsum(np.concatenate([count for count, _ in parts]))]).astype(np.int32)
        indices = np.concatenate([targets for _, targets in parts])
        return _trusted_csr(np.ones(indices.size, np.int8), indices, indptr, self.n_nodes)

    def _arcs_by_rows(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Number of arcs of each row of a block of rows, and their targets."""
        for number, first in enumerate(range(0, self.n_nodes, _ROWS)):
            rng = np.random.Generator(np.random.PCG64([self.seed, number]))
            size = min(_ROWS, self.n_nodes - first)
            own, other = (self._ends(rng, first, size, inside) for inside in (True, False))
            rows, targets = (np.concatenate(pair) for pair in zip(own, other, strict=True))
            ends = ((rows - first).astype(np.int32), targets.astype(np.int32))
            block = sp.csr_array((np.ones(rows.size, np.int8), ends), shape=(size, self.n_nodes))
            block.sum_duplicates()
            yield np.diff(block.indptr), block.indices

    def _ends(self, rng: Any, first: int, size: int, inside: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and targets of the arcs of a block of rows into the own group, or into others."""
        n, groups, mean = self.n_nodes, self.n_groups, (self.inside if inside else self.outside) / 2
        rows = first + rng.integers(size, size=rng.poisson(mean * size))
        if inside:  # to any other member: a step of 1 to n / groups - 1 members
            return rows, (rows + groups * rng.integers(1, n // groups, size=rows.size)) % n
        group = (rows + rng.integers(1, groups, size=rows.size)) % groups
        return rows, groups * rng.integers(n // groups, size=rows.size) + group


def _trusted_csr(data: Any, indices: Any, indptr: Any, n: int) -> sp.csr_array:
    """Square matrix whose rows are known to be in order: without looking, and without another index type."""
    matrix = sp.csr_array((data, indices, indptr), shape=(n, n))
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix
