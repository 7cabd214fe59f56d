"""Householder reduction of a symmetric matrix to tridiagonal form, ``A = Q T Q^T``, in one pass over A per reflector.

LAPACK's ``sytrd`` reads the rest of the matrix once for every product ``A v`` and updates it in blocks. Here the update
by one reflector, ``A -= v w^T + w v^T``, and the product with the next are made together, four rows at a time (Van Zee
et al., Families of algorithms for reducing a matrix to condensed form, ACM TOMS 39, 2012). The last row goes first, so
that what is left begins where A does, and rows stay aligned. Of A the lower triangle is read; its rows then hold the
reflectors.

A kernel, because two thirds of a dense solve are spent here: for 522 rows in float32 OpenBLAS took 3.6 ms, this 1.1.
"""

from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from netspectra.kernels.cpu.jit import compiled, helper
from netspectra.kernels.cpu.registers import (
    FUSED,
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
)

__all__ = ["apply_reflectors", "tridiagonal"]

Array: TypeAlias = np.ndarray[Any, Any]
_TYPES = ("float32", "float64")
ROWS = 4
"""Rows that are updated together, so that the vectors are read once for all of them."""


def tridiagonal(A: Array, scale: float) -> tuple[Array, Array, Array, Array]:
    """``T`` and ``Q`` of ``scale A`` (n, n), n >= 2: diagonal (n,), off-diagonal (n - 1,), reflectors, their factors.

    The largest element of ``scale A`` should be near 1: sums of squares neither overflow then nor miss anything.
    """
    n, lanes = A.shape[0], lanes_of(A.dtype)
    work = aligned_zeros((-(-n // ROWS) * ROWS, -(-(n + ROWS) // lanes) * lanes), A.dtype)
    if scale == 1:
        work[:n, :n] = A
    else:
        np.multiply(A, A.dtype.type(scale), out=work[:n, :n])
    diagonal, beside, factors = np.empty(n, A.dtype), np.empty(n - 1, A.dtype), np.zeros(n, A.dtype)
    _reduce(work, n, diagonal, beside, factors)
    return diagonal, beside, work, factors


@compiled(*(f"void({t}[:, ::1], {t}[::1], {t}[:, ::1])" for t in _TYPES))
def apply_reflectors(reflectors, factors, Y):
    """Replace every row y (n) of Y by Q y."""
    for m in range(1, factors.shape[0]):
        if factors[m] != 0:
            v = reflectors[m, :m]
            for row in range(Y.shape[0]):
                y, inner = Y[row, :m], Y.dtype.type(0)
                for j in range(m):
                    inner += v[j] * y[j]
                inner *= factors[m]
                for j in range(m):
                    y[j] -= inner * v[j]


@helper
def _reflector(row, m):
    """Make ``row[:m]`` the vector v that ends with 1 of ``I - factor v v^T``; return the factor and what is left.

    As LAPACK's ``larfg``; the sum of squares is taken in float64. A row that needs no reflection gets the factor 0.
    """
    squares, last = 0.0, np.float64(row[m - 1])
    for j in range(m - 1):
        squares += np.float64(row[j]) * np.float64(row[j])
    if squares == 0:
        row[:m] = 0
        return row.dtype.type(0), row.dtype.type(last)
    left = -np.copysign(np.sqrt(last * last + squares), last)
    scale = 1 / (last - left)
    for j in range(m - 1):
        row[j] = np.float64(row[j]) * scale
    row[m - 1] = 1
    return row.dtype.type((left - last) / left), row.dtype.type(left)


@intrinsic
def _update_and_multiply(_typing, A, i, v, w, u, out):  # noqa: ARG001
    """``A -= v w^T + w v^T`` in rows i .. i+3 up to the diagonal, and what they add to ``out += A u``."""

    def codegen(context, builder, signature, args):
        matrix, block = array_of(context, builder, signature, args, 0)
        V, W, U, out = (array_of(context, builder, signature, args, q)[0].data for q in (2, 3, 4, 5))
        lanes, vector = block.count // 2, ir.VectorType(block.element, block.count // 2)
        zero, numbers = ir.Constant(vector, None), [builder.add(args[1], integer(r)) for r in range(ROWS)]
        width = builder.extract_value(matrix.shape, 1)
        rows = [builder.gep(matrix.data, [builder.mul(number, width)]) for number in numbers]
        v_i, w_i, u_i = (
            [splat(builder, builder.load(builder.gep(x, [number])), lanes) for number in numbers] for x in (V, W, U)
        )
        sums = [variable(builder, zero) for _ in range(ROWS)]

        def one_block(j, places):
            """Columns from j on; `places`: their numbers, where they reach the diagonal."""
            v_j, w_j, u_j, total = (load(builder, x, j, vector) for x in (V, W, U, out))
            for r in range(ROWS):
                a = load(builder, rows[r], j, vector)
                a = plus_product(builder, builder.fsub, a, v_i[r], w_j)
                a = below = plus_product(builder, builder.fsub, a, w_i[r], v_j)
                store(builder, a, rows[r], j)
                if places is not None:
                    here = splat(builder, numbers[r], lanes)
                    a = builder.select(builder.icmp_signed("<=", places, here), a, zero)
                    below = builder.select(builder.icmp_signed("<", places, here), below, zero)
                builder.store(plus_product(builder, builder.fadd, builder.load(sums[r]), a, u_j), sums[r])
                total = plus_product(builder, builder.fadd, total, below, u_i[r])
            store(builder, total, out, j)

        whole = builder.and_(args[1], integer(-lanes))
        with cgutils.for_range_slice(builder, integer(0), whole, integer(lanes), inc=True) as (j, _):
            one_block(j, None)
        steps = ir.Constant(ir.VectorType(INT64, lanes), [integer(step) for step in range(lanes)])
        one_block(whole, builder.add(splat(builder, whole, lanes), steps))
        for number, part in zip(numbers, sums, strict=True):
            place = builder.gep(out, [number])
            builder.store(builder.fadd(builder.load(place), sum_of(builder, builder.load(part)), flags=FUSED), place)
        return context.get_dummy_value()

    return types.none(A, types.int64, v, w, u, out), codegen


@compiled(*(f"void({t}[:, ::1], int64, {t}[::1], {t}[::1], {t}[::1])" for t in _TYPES))
def _reduce(A, n, diagonal, beside, factors):
    """Reflect rows n-1 .. 1; v and w, of the reflector before, are zero from row m on, u is the one of row m."""
    width, half = A.shape[1], A.dtype.type(0.5)
    v, w = np.zeros(width, A.dtype), np.zeros(width, A.dtype)
    u, product = np.zeros(width, A.dtype), np.empty(width, A.dtype)
    for m in range(n - 1, 0, -1):
        row, v_m, w_m = A[m], v[m], w[m]
        for j in range(m + 1):
            row[j] -= v_m * w[j] + w_m * v[j]
        v[m] = w[m] = u[m] = 0
        diagonal[m] = row[m]
        factor, beside[m - 1] = _reflector(row, m)
        factors[m] = factor
        u[:m] = row[:m]
        product[:] = 0
        for i in range(0, m, ROWS):
            _update_and_multiply(A, i, v, w, u, product)
        inner = A.dtype.type(0)
        for j in range(m):
            inner += product[j] * u[j]
        inner *= factor * factor * half
        for j in range(m):
            v[j] = u[j]
            w[j] = factor * product[j] - inner * u[j]
    diagonal[0] = A[0, 0]
