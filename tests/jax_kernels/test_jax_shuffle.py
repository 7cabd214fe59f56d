"""The keyed bijection in JAX: bit for bit that of the reference, on every way of walking."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from jax_kernels.x64 import x64

from netspectra.errors import LimitError
from netspectra.kernels.cpu import shuffle as cpu_shuffle
from netspectra.kernels.keys import feistel_bits, shuffle_keys
from netspectra.kernels.reference.shuffle import permute_positions as reference_positions

pytestmark = pytest.mark.requires("jax")

SIZES = [1, 2, 3, 4, 5, 16, 255, 256, 257, 1000]  # 257: half of the network's words are outside


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def wide(request):
    with x64(request.param):
        yield request.param


def images(places, keys, **options):
    """Images of `places` in every replicate, compiled."""
    import jax

    from netspectra.kernels.jax.shuffle import permute_positions

    one = partial(permute_positions, size=keys.size, **options)
    return jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))(places, keys.rounds, keys.swaps)


def compiled_images(places, keys):
    """The same by the CPU backend's kernel, which tests/kernels vouches for; int64."""
    out = []
    for rounds, swap in zip(keys.rounds, keys.swaps, strict=True):
        image = np.array(places, np.int64)
        cpu_shuffle.permute_positions(image, keys.size, *feistel_bits(keys.size), rounds, swap)
        out.append(image)
    return np.stack(out)


@pytest.mark.parametrize("size", SIZES)
def test_every_place_moves_as_in_the_reference(wide, size):
    from netspectra.kernels.jax.shuffle import every_place

    keys = shuffle_keys(3, range(4), 1, size)
    found = images(every_place(size), keys)
    assert found.dtype == np.uint32
    for b, image in enumerate(found):
        np.testing.assert_array_equal(image, reference_positions(np, np.arange(size, dtype=np.int64), keys, b))


@pytest.mark.parametrize("size", SIZES)
def test_the_inverse_leads_back(wide, size):
    from netspectra.kernels.jax.shuffle import every_place

    keys = shuffle_keys(4, range(4), 1, size)
    back = images(every_place(size), keys, inverse=True)
    for image, origin in zip(compiled_images(np.arange(size), keys), back, strict=True):
        np.testing.assert_array_equal(image[origin], np.arange(size))


def test_a_large_block(wide):
    size = 400_000
    keys = shuffle_keys(5, [0, 7], 0, size)
    found = images(np.arange(size, dtype=np.uint32), keys)
    np.testing.assert_array_equal(found, compiled_images(np.arange(size), keys))


@pytest.mark.parametrize("size", [257, 100_003, 2**20, 2**20 + 1, 2**31 - 1])
@pytest.mark.parametrize("inverse", [False, True])
def test_few_places_of_a_large_block(wide, size, inverse):
    """No table of all words outside is made for them."""
    keys = shuffle_keys(6, [0, 1, 2], 0, size)
    places = np.unique(np.linspace(0, size - 1, 9).astype(np.int32))
    expected = compiled_images(places, keys)
    if inverse:
        for image in expected:
            alone = images(image.astype(np.uint32), keys, inverse=True)
            assert any(np.array_equal(row, places) for row in np.asarray(alone))
    else:
        np.testing.assert_array_equal(images(places, keys), expected)


def test_places_of_more_than_32_bits():
    size = 2**33 + 12345
    keys = shuffle_keys(7, [0, 1], 0, size)
    places = np.concatenate([np.arange(6), size - 1 - np.arange(6), keys.swaps.reshape(-1)])
    with x64(True):
        found = images(places, keys)
        assert found.dtype == np.uint64
        np.testing.assert_array_equal(found, compiled_images(places, keys))
    with x64(False), pytest.raises(LimitError, match="enable"):
        images(np.arange(3, dtype=np.uint32), keys)
