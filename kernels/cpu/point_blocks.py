"""Points in blocks a few registers wide, and the two loops over a block that k-means spends its time in.

Reading one vector of points and the coordinates of four centres allows four fused multiply-adds on each register.
Measured on 1,818 points in 11 dimensions against 12 centres, float32, AVX-512: 2.0 microseconds, the arithmetic's own
time, against 7.3 for the best loop that Numba vectorised by itself.

A distance is the same bits wherever in the array its point lies, and equal centres have equal distances.
"""

from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from netspectra.kernels.cpu.registers import (
    FUSED,
    GROUP,
    INT32,
    INT64,
    aligned_zeros,
    array_of,
    integer,
    lanes_of,
    load,
    plus_product,
    splat,
    store,
    sum_of,
    variable,
)  # fmt: skip

__all__ = ["lowest_bit", "nearer_in_block", "nearest_in_block", "packed_blocks"]

Array: TypeAlias = np.ndarray[Any, Any]


def packed_blocks(points: Array) -> Array:
    """Copy points (n, d) to blocks (number of blocks, d, points per block), the last one filled up with zeros."""
    (n, d), lanes = points.shape, lanes_of(points.dtype)
    blocks, whole = aligned_zeros((-(-n // lanes), d, lanes), points.dtype), n // lanes
    blocks[:whole] = points[: whole * lanes].reshape(whole, lanes, d).transpose(0, 2, 1)
    if whole * lanes < n:
        blocks[whole, :, : n - whole * lanes] = points[whole * lanes :].T
    return blocks


@intrinsic
def nearest_in_block(_typing, blocks, block, centres, half_norms, labels, found):  # noqa: ARG001
    """Write the nearest centres of a block's points to `found`; return as bits which differ from those in `labels`.

    The nearest is the lowest of least ``|c|^2/2 - c.x``. blocks : (blocks, d, lanes); centres : (multiple of `GROUP`,
    d); half_norms : infinite for padding; labels : (blocks * lanes,) int32; found : (lanes,) int32.
    """

    def codegen(context, builder, signature, args):
        points, features, vector = _block_of(context, builder, signature, args)
        rows, norms, old, out = (array_of(context, builder, signature, args, i)[0] for i in (2, 3, 4, 5))
        lanes, wide = vector.count, ir.IntType(signature.args[0].dtype.bitwidth)
        best = variable(builder, splat(builder, ir.Constant(vector.element, float("inf")), lanes))
        label = variable(builder, ir.Constant(ir.VectorType(wide, lanes), None))
        scores = [cgutils.alloca_once(builder, vector) for _ in range(GROUP)]
        n_centres = builder.extract_value(rows.shape, 0)
        with cgutils.for_range_slice(builder, integer(0), n_centres, integer(GROUP), inc=True) as (first, _):
            numbers = [builder.add(first, integer(j)) for j in range(GROUP)]
            group = [builder.gep(rows.data, [builder.mul(number, features)]) for number in numbers]
            for number, score in zip(numbers, scores, strict=True):
                builder.store(splat(builder, builder.load(builder.gep(norms.data, [number])), lanes), score)
            with cgutils.for_range(builder, features) as loop:
                x = load(builder, points, builder.mul(loop.index, integer(lanes)), vector)
                for row, score in zip(group, scores, strict=True):
                    c = splat(builder, builder.load(builder.gep(row, [loop.index])), lanes)
                    builder.store(plus_product(builder, builder.fsub, builder.load(score), c, x), score)
            for number, score in zip(numbers, scores, strict=True):
                nearer = builder.fcmp_ordered("<", builder.load(score), builder.load(best))
                name = splat(builder, number if wide == INT64 else builder.trunc(number, wide), lanes)
                builder.store(builder.select(nearer, builder.load(score), builder.load(best)), best)
                builder.store(builder.select(nearer, name, builder.load(label)), label)
        short = ir.VectorType(INT32, lanes)
        nearest = builder.load(label) if wide == INT32 else builder.trunc(builder.load(label), short)
        store(builder, nearest, out.data, integer(0))
        before = load(builder, old.data, builder.mul(args[1], integer(lanes)), short)
        return builder.zext(builder.bitcast(builder.icmp_signed("!=", nearest, before), ir.IntType(lanes)), INT64)

    return types.uint64(blocks, types.int64, centres, half_norms, labels, found), codegen


@intrinsic
def nearer_in_block(_typing, blocks, block, centre, closest, out):  # noqa: ARG001
    """Write ``min(closest, |x - centre|^2)`` of a block's points to `out`; return their sum in float64.

    centre : (d,); closest, out : (blocks * lanes,), of which the block's part is read and written.
    """

    def codegen(context, builder, signature, args):
        points, features, vector = _block_of(context, builder, signature, args)
        row, near, to = (array_of(context, builder, signature, args, i)[0].data for i in (2, 3, 4))
        lanes = vector.count
        total = variable(builder, ir.Constant(vector, None))
        with cgutils.for_range(builder, features) as loop:
            x = load(builder, points, builder.mul(loop.index, integer(lanes)), vector)
            centre = splat(builder, builder.load(builder.gep(row, [loop.index])), lanes)
            d = builder.fsub(x, centre, flags=FUSED)
            builder.store(plus_product(builder, builder.fadd, builder.load(total), d, d), total)
        place, distance = builder.mul(args[1], integer(lanes)), builder.load(total)
        least = load(builder, near, place, vector)
        least = builder.select(builder.fcmp_ordered("<", distance, least), distance, least)
        store(builder, least, to, place)
        if vector.element != ir.DoubleType():
            least = builder.fpext(least, ir.VectorType(ir.DoubleType(), lanes))
        return sum_of(builder, least)

    return types.float64(blocks, types.int64, centre, closest, out), codegen


@intrinsic
def lowest_bit(_typing, bits):
    """Position of the lowest set bit of a uint64 that is not 0."""

    def codegen(_context, builder, _signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(bits), codegen


def _block_of(context, builder, signature, args):
    """Pointer to the first value of block ``args[1]`` of ``args[0]``, number of features, type of one of them."""
    blocks, vector = array_of(context, builder, signature, args, 0)
    features = builder.extract_value(blocks.shape, 1)
    first = builder.mul(builder.mul(args[1], features), integer(vector.count))
    return builder.gep(blocks.data, [first]), features, vector
