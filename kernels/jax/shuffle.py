"""The keyed bijection of :mod:`netspectra.kernels.keys`, forwards and backwards, for one replicate.

Cycle walking by table: what the network makes of the words *outside* {0 .. N-1} is computed once, and whoever lands
there reads on, the table doubling its stride at each step. That is as many evaluations of the network as walking every
element by itself needs, all of them in full arrays; compacting the survivors took 2.8 times as long, walking the whole
array in lockstep 3.4 times (N = 4e5, CPU). Where few places of a large block are asked for, lockstep is less work.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from netspectra.errors import LimitError
from netspectra.kernels.backend import Array
from netspectra.kernels.keys import MIX_1, MIX_2, ROUNDS, feistel_bits

__all__ = ["every_place", "permute_positions"]

_MAX_32 = 2**31 - 1


def every_place(size: int) -> Array:
    """Places ``0 .. size-1`` in the word that they are permuted in: uint32, uint64 where they need more bits.

    Raises
    ------
    LimitError
        If they need more bits and x64 is off.
    """
    return jnp.arange(size, dtype=_word(size))


def permute_positions(places: Array, rounds: Array, swaps: Array, size: int, *, inverse: bool = False) -> Array:
    """Image of every place under the bijection of one replicate, or with `inverse` the place of every image.

    Parameters
    ----------
    places : array of integers
        In ``{0 .. size-1}``.
    rounds, swaps : arrays, shapes (24,) uint32 and (2,)
        One row of :class:`~netspectra.kernels.keys.ShuffleKeys`.
    size : int

    Returns
    -------
    array of uint32, or uint64 where `size` is beyond 2**31 - 1
    """
    word = _word(size)
    places, (first, second) = places.astype(word), swaps.astype(word)
    if inverse:
        return _walk(_exchange(places, first, second), rounds, size, inverse=True)
    return _exchange(_walk(places, rounds, size, inverse=False), first, second)


def _word(size: int) -> Any:
    if size <= _MAX_32:
        return np.dtype(np.uint32)
    if jnp.result_type(int) != jnp.int64:
        msg = (
            f"backend 'jax': {size} places to permute in one block, without 64-bit numbers at most {_MAX_32}: enable "
            "them (jax_enable_x64) or use backend='cpu'"
        )
        raise LimitError(msg)
    return np.dtype(np.uint64)


def _exchange(places: Array, first: Array, second: Array) -> Array:
    return jnp.where(places == first, second, jnp.where(places == second, first, places))


def _walk(places: Array, rounds: Array, size: int, *, inverse: bool) -> Array:
    """Apply the network until every place is below `size`."""
    image = _feistel(places, rounds, size, inverse=inverse)
    beyond = (1 << sum(feistel_bits(size))) - size
    if beyond == 0:
        return image
    if beyond > _lockstep_passes(places.size, size) * places.size:
        return _walk_in_lockstep(image, rounds, size, inverse=inverse)
    outside = jnp.arange(size, size + beyond, dtype=image.dtype)
    return _walk_by_table(image, _feistel(outside, rounds, size, inverse=inverse), size)


def _lockstep_passes(count: int, size: int) -> float:
    """About how often `count` places walk in lockstep until the last is home."""
    outside = 1 - size / (1 << sum(feistel_bits(size)))
    return 1 + math.log(max(count, 1)) / -math.log(outside)


def _walk_in_lockstep(image: Array, rounds: Array, size: int, *, inverse: bool) -> Array:
    def step(image: Array) -> Array:
        return jnp.where(image >= size, _feistel(image, rounds, size, inverse=inverse), image)

    return lax.while_loop(lambda image: jnp.any(image >= size), step, image)


def _walk_by_table(image: Array, table: Array, size: int) -> Array:
    """Follow ``table[image - size]`` from every image outside; entry p of the table leads 1, 2, 4 ... steps on.

    Ends, as nobody from inside can run into a cycle that stays outside: the network is a bijection.
    """

    def follow(image: Array, table: Array) -> Array:
        outside = image >= size
        entry = jnp.where(outside, image - image.dtype.type(size), 0)
        return jnp.where(outside, table.at[entry].get(mode="promise_in_bounds"), image)

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        image, table = state
        return follow(image, table), follow(table, table)

    return lax.while_loop(lambda state: jnp.any(state[0] >= size), step, (image, table))[0]


def _feistel(places: Array, rounds: Array, size: int, *, inverse: bool) -> Array:
    """All rounds of the alternating network on words of ``feistel_bits(size)`` bits.

    In a loop, not unrolled: XLA's fusion computes a chain of rounds again for each of its uses.
    """
    left_bits, right_bits = feistel_bits(size)
    left_mask, right_mask = np.uint32((1 << left_bits) - 1), np.uint32((1 << right_bits) - 1)
    left = (places >> right_bits).astype(jnp.uint32)
    right = places.astype(jnp.uint32) & right_mask

    def forwards(pair: int, words: tuple[Array, Array]) -> tuple[Array, Array]:
        left, right = words
        left = left ^ (_mix(right ^ rounds[2 * pair]) & left_mask)
        return left, right ^ (_mix(left ^ rounds[2 * pair + 1]) & right_mask)

    def backwards(pair: int, words: tuple[Array, Array]) -> tuple[Array, Array]:
        left, right = words
        right = right ^ (_mix(left ^ rounds[ROUNDS - 1 - 2 * pair]) & right_mask)
        return left ^ (_mix(right ^ rounds[ROUNDS - 2 - 2 * pair]) & left_mask), right

    left, right = lax.fori_loop(0, ROUNDS // 2, backwards if inverse else forwards, (left, right))
    return (left.astype(places.dtype) << right_bits) | right.astype(places.dtype)


def _mix(x: Array) -> Array:
    h = x * np.uint32(MIX_1)
    h = (h ^ (h >> 13)) * np.uint32(MIX_2)
    return h ^ (h >> 16)
