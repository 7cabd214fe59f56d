"""LLVM's vector types for the few loops that its vectoriser does not get right, and arrays laid out for them.

The vectoriser works on inner loops only: it does not keep several sums in registers across a loop inside of the one
that is vectorised, which is what a matrix product wants. A :func:`numba.extending.intrinsic` can write such a loop out
in LLVM's own language, for every processor; here is what those of this package have in common.

LLVM may fuse products with sums here, but not reorder them: the result for a point does not depend on where in the
array it lies.
"""

from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

__all__ = [
    "FUSED", "GROUP", "INT32", "INT64", "aligned_zeros", "array_of", "integer", "lanes_of", "load", "plus_product",
    "product", "shuffle", "splat", "store", "sum_of", "variable",
]  # fmt: skip

Array: TypeAlias = np.ndarray[Any, Any]

GROUP = 4
"""Sums, each as wide as a block, that are in registers at once."""
_TARGET = cpu_target.target_context.codegen().magic_tuple()  # part of the key of cached code
BLOCK_BYTES = 128 if any("+avx512f" in part for part in _TARGET) else 64
"""A block is two vector registers wide (four of a processor with short ones), so that `GROUP` sums fit beside it."""
ALIGNMENT = 64
FUSED = ("contract",)
"""Flags of every operation; to one without any, Numba gives those of the function, and LLVM then reorders."""
INT32, INT64 = ir.IntType(32), ir.IntType(64)


def lanes_of(dtype: Any) -> int:
    """Numbers in a block."""
    return int(BLOCK_BYTES // np.dtype(dtype).itemsize)


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros that start on a cache line: a vector that crosses one is read twice."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    zeros: Array = raw[start : start + size].view(dtype).reshape(shape)
    return zeros


def array_of(context, builder, signature, args, i):
    """Argument `i`, with its ``data`` and ``shape``, and the type of one block of it."""
    dtype = signature.args[i].dtype
    vector = ir.VectorType(context.get_value_type(dtype), BLOCK_BYTES * 8 // dtype.bitwidth)
    return context.make_array(signature.args[i])(context, builder, args[i]), vector


def integer(value):
    """An index."""
    return ir.Constant(INT64, value)


def variable(builder, value):
    """Stack place that starts with a value; LLVM turns it into a register."""
    place = cgutils.alloca_once(builder, value.type)
    builder.store(value, place)
    return place


def load(builder, pointer, index, vector):
    """The vector that starts at ``pointer[index]``; 4 bytes are all the alignment that is taken for granted."""
    return builder.load(builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer()), align=4)


def store(builder, value, pointer, index):
    """Put a vector to ``pointer[index]`` and what follows."""
    builder.store(value, builder.bitcast(builder.gep(pointer, [index]), value.type.as_pointer()), align=4)


def plus_product(builder, add, total, a, b):
    """``total + a b``, or minus, as `add` is; rounded once where the processor can."""
    return add(total, builder.fmul(a, b, flags=FUSED), flags=FUSED)


@intrinsic
def product(_typing, a, b):  # noqa: ARG001
    """``a b`` of two scalars in a compiled function, which LLVM may not reorder with other products."""

    def codegen(_context, builder, _signature, args):
        return builder.fmul(*args, flags=FUSED)

    return a(a, a), codegen


def splat(builder, value, lanes):
    """A vector of one value."""
    empty = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    return shuffle(builder, builder.insert_element(empty, value, ir.Constant(INT32, 0)), [0] * lanes)


def shuffle(builder, vector, order):
    """The elements of a vector at the places `order`."""
    places = [ir.Constant(INT32, i) for i in order]
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(INT32, len(places)), places))


def sum_of(builder, vector):
    """Sum of a vector's elements: of its halves, quarters, …, in this order."""
    lanes = vector.type.count
    while lanes > 1:
        lanes //= 2
        halves = [shuffle(builder, vector, range(start, start + lanes)) for start in (0, lanes)]
        vector = builder.fadd(*halves, flags=FUSED)
    return builder.extract_element(vector, ir.Constant(INT32, 0))
