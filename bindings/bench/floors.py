"""The least time that the stages of a null network could take here: compulsory bytes by a copy, operations by a GEMM.

A stage must touch certain bytes and make certain multiplications and additions, whoever writes it. A roof for either is
measured in the same run, on the same thread: a copy of as many bytes as the stage works on, from the same cache
therefore, and a product of float32 matrices. The floor is the larger of the two times; what is neither, such as random
numbers, comparisons and the latency of short loops, has no place in it and is what stands between.
"""

from collections.abc import Callable
from dataclasses import dataclass

from netspectra.bindings.bench.references import copy, gemm
from netspectra.bindings.bench.stages import StageContests
from netspectra.bindings.bench.timing import take_turns
from netspectra.kernels.weights import n_stored
from netspectra.spectrum.plan import block_width

__all__ = ["Work", "floor_seconds", "stage_work"]

GEMM_SIZE = 768
_PARTS = ("shuffle", "eigen", "k-means", "n-cut")


@dataclass(frozen=True)
class Work:
    """What a stage cannot do without.

    Attributes
    ----------
    traffic : float
        Bytes read and written.
    flops : float
        Multiplications and additions, in float32.
    resident : int
        Bytes of the arrays that it goes over: where they lie decides how fast they are read.
    """

    traffic: float
    flops: float
    resident: int


def stage_work(contests: StageContests) -> dict[str, Work]:
    """Count the work of each stage of null network 0 as it is stored, with the iterations and rounds that it takes."""
    structure, k = contests.batch.structure, contests.workload.k
    edges = sum(n_stored(block) // block.n_members for block in contests.batch.weights)
    n, size = structure.n_nodes, structure.reduced_size
    width, weights = block_width(k, size), 4 * edges
    rounds = int(contests.rounds.sum())
    work = {
        "shuffle": Work(2 * weights, 0, weights),
        "k-means": Work(rounds * 4 * n * k, 2 * rounds * n * k * k, 4 * n * k),
        "n-cut": Work(weights, 2 * edges, weights),
    }
    gram, products = 4 * size * size, int(contests.solution.n_iterations[0])
    if contests.is_dense:
        work["build"] = Work(2 * weights, _gram_flops(contests), weights)
        work["operator"] = Work(gram, 2 * size * size * width, gram)
        # Half of LAPACK's reduction to a tridiagonal matrix is products with what is left of the triangle.
        work["dense eigenpairs"] = Work(gram * size / 6, 4 * size**3 / 3 + 2 * size * size * k, gram)
        solved, pairs = work["build"], work["dense eigenpairs"]
        work["eigen"] = Work(solved.traffic + pairs.traffic, solved.flops + pairs.flops + 2 * edges * k, gram)
    else:
        work["operator"] = Work(weights, 4 * edges * width, weights)
        work["eigen"] = Work(products * weights, products * 4 * edges * width, weights)
    return work


def floor_seconds(contests: StageContests) -> dict[str, float]:
    """Seconds of the floor of each stage; call it within ``one_thread``. ``whole null`` is the sum of its parts."""
    work = stage_work(contests)
    per_flop = _shortest(gemm(GEMM_SIZE)) / (2 * GEMM_SIZE**3)
    per_byte = {size: _shortest(copy(size)) / (2 * size) for size in {each.resident for each in work.values()}}
    floors = {name: max(each.traffic * per_byte[each.resident], each.flops * per_flop) for name, each in work.items()}
    return {**floors, "whole null": sum(floors[name] for name in _PARTS)}


def _gram_flops(contests: StageContests) -> float:
    """Of half of the symmetric ``B B^T``, layer by layer of the larger side; 0 where the graph is not bipartite."""
    structure = contests.batch.structure
    if structure.sides is None:
        return 0.0
    neighbours: dict[int, int] = dict.fromkeys(structure.sides[1], 0)
    for source, target in structure.ends:
        inner, outer = (source, target) if target in neighbours else (target, source)
        neighbours[outer] += structure.sizes[inner]
    return float(sum(structure.sizes[layer] * around**2 for layer, around in neighbours.items()))


def _shortest(call: Callable[[], object]) -> float:
    return take_turns({"call": call}, 30, budget=1.0)["call"].best
