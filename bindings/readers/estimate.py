"""What a test of a network will take, told before anything is computed: bytes, work, and whether it fits.

Shapes alone tell: the planned blocks stand in for the weights, as arrays of one zero that is read again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from netspectra.clustering.recipe import Recipe
from netspectra.graph import Block, LayerGraph
from netspectra.graph.batch import structure_of
from netspectra.graph.dtypes import working_dtype
from netspectra.kernels.memory import available_bytes
from netspectra.networks.build import GraphPlan
from netspectra.significance.planning import MEMORY_FRACTION, replicate_bytes
from netspectra.spectrum.plan import DEFAULT_MAXITER, DEFAULT_TOL, DENSE_ELEMENTS, SolverPlan, block_width

__all__ = ["CPU_DENSE_SIZE", "CPU_PRODUCT_BYTES", "TestEstimate", "estimate_test"]

CPU_DENSE_SIZE = 1500
CPU_PRODUCT_BYTES = 3 * (8 << 20)
"""The CPU backend's own (importing it for these would load the compiled kernels)."""

ITERATIONS = 16
"""Of LOBPCG that the work is reckoned with: the shipped networks and their shuffles take 14 to 18."""


@dataclass(frozen=True, kw_only=True)
class TestEstimate:
    """What one null network of a test is reckoned to take on the CPU backend.

    Attributes
    ----------
    of : str
        In words what this is an estimate of.
    solver : str
    dtype : str
        In which is computed.
    bytes_per_null : int
        Memory for drawing and solving one null network, beyond the network's own weights.
    bytes_of_graph : int
        Memory for the network's own blocks that are computed; those used in place are not in it.
    available_bytes : int
        Free memory now.
    fits : bool
        Whether one null network fits the share of it that a run plans to use.
    flops_per_null : float
        Floating-point operations of its eigenvectors, to a factor of two or three.
    """

    __test__ = False  # for pytest

    of: str
    solver: str
    dtype: str
    bytes_per_null: int
    bytes_of_graph: int
    available_bytes: int
    fits: bool
    flops_per_null: float

    @property
    def sentence(self) -> str:
        """One plain sentence."""
        fit = "fits" if self.fits else "does NOT fit"
        own = f" (the network's own blocks: {_bytes(self.bytes_of_graph)})" if self.bytes_of_graph else ""
        return (
            f"Estimate of {self.of}: about {_bytes(self.bytes_per_null)} of memory, which {fit} in half of the "
            f"{_bytes(self.available_bytes)} that are free now{own}; about {self.flops_per_null / 1e9:,.3g} GFLOP "
            f"({self.solver} solver in {self.dtype})."
        )


def estimate_test(plan: GraphPlan, n_clusters: int = 12, n_init: int = 25) -> TestEstimate:
    """Reckon what one null network of ``clusterability_test`` takes, with its defaults, on the CPU backend."""
    graph = _stand_in(plan)
    structure = structure_of(graph)
    size = structure.reduced_size
    elements = size * (size if structure.sides is None else structure.n_nodes - size)
    small = size <= CPU_DENSE_SIZE and elements <= DENSE_ELEMENTS
    dense = small or size < 5 * block_width(n_clusters, size)
    dtype = working_dtype(graph.dtype).name
    solver = SolverPlan("dense" if dense else "lobpcg", dtype, DEFAULT_TOL, DEFAULT_MAXITER, 0)
    need = replicate_bytes(graph, Recipe(n_clusters, n_init, "inertia", solver), "shuffle", CPU_PRODUCT_BYTES)
    free = available_bytes()
    width = block_width(n_clusters, size)
    flops = 2.0 * elements * size + 9.0 * size**3 if dense else 4.0 * ITERATIONS * width * plan.n_stored
    return TestEstimate(
        of=f"one null network (null='shuffle', n_clusters={n_clusters}) on the CPU",
        solver=solver.solver,
        dtype=dtype,
        bytes_per_null=need,
        bytes_of_graph=plan.n_bytes,
        available_bytes=free,
        fits=need <= MEMORY_FRACTION * free,
        flops_per_null=flops,
    )


def _stand_in(plan: GraphPlan) -> LayerGraph:
    """A graph of the planned shapes and dtypes that takes no memory."""
    blocks: Sequence[Block] = [
        Block.of_checked(
            block.source,
            block.target,
            _sparse(block.shape, block.n_stored, block.dtype)
            if block.is_sparse
            else np.broadcast_to(np.zeros((), block.dtype), block.shape),
            learned=block.learned,
            fixed_support=block.is_sparse,
        )
        for block in plan.blocks
    ]
    return LayerGraph(plan.layers, tuple(blocks))


def _sparse(shape: tuple[int, int], n_stored: int, dtype: "np.dtype[Any]") -> Any:
    """CSR whose number of stored values is right, and nothing else; nobody looks at its values."""
    stored = np.broadcast_to(np.zeros((), dtype), n_stored)
    empty: Any = sp.csr_array(shape, dtype=np.float32)
    empty.data, empty.indices = stored, np.broadcast_to(np.zeros((), np.int32), n_stored)
    empty.indptr = np.full(shape[0] + 1, n_stored, np.int32)
    return empty


def _bytes(number: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:,.3g} {unit}"
    return f"{number:,.0f} bytes"
