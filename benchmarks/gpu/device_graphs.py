"""Large graphs drawn where they are used: nothing of them is ever on the host."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

import netspectra as ns
from netspectra.bindings.bench.workloads import Shape

__all__ = ["draw_weights", "layer_graph", "random_bfloat16"]

PANEL_ELEMENTS = 1 << 26
"""Elements drawn at a time, so that a block of 16-bit numbers needs little beside itself."""


def draw_weights(lib: Any, shape: Shape, dtype: str = "float32", seed: int = 0) -> list[Any]:
    """Standard normal weights, one array (n_source, n_target) per block, on the device of `lib`.

    Parameters
    ----------
    lib : module
        CuPy, or NumPy.
    shape : Shape
    dtype : {"float32", "bfloat16"}
    seed : int
    """
    rng = lib.random.default_rng(seed)
    sizes = [size for _, size in shape.layers]
    draw = _float32 if dtype == "float32" else random_bfloat16
    return [draw(lib, rng, (sizes[source], sizes[target])) for source, target in shape.blocks]


def layer_graph(shape: Shape, weights: list[Any]) -> ns.LayerGraph:
    """Graph over these arrays, which are not copied."""
    layers = [ns.Layer(name, size) for name, size in shape.layers]
    blocks = [ns.Block(*ends, array) for ends, array in zip(shape.blocks, weights, strict=True)]
    return ns.LayerGraph.from_blocks(layers, blocks)


def random_bfloat16(lib: Any, rng: Any, shape: tuple[int, int]) -> Any:
    """Standard normals in bfloat16, rounded to nearest, ties to even.

    Made of integers, so that no arithmetic of the library in that dtype is needed to draw them.
    """
    rows, cols = shape
    out = lib.empty(shape, dtype=lib.uint16)
    height = max(1, PANEL_ELEMENTS // max(1, cols))
    for start in range(0, rows, height):
        stop = min(start + height, rows)
        bits = rng.standard_normal((stop - start, cols), dtype=lib.float32).view(lib.uint32)
        even = (bits >> lib.uint32(16)) & lib.uint32(1)
        out[start:stop] = ((bits + even + lib.uint32(0x7FFF)) >> lib.uint32(16)).astype(lib.uint16)
    return out.view(np.dtype(ml_dtypes.bfloat16))


def _float32(lib: Any, rng: Any, shape: tuple[int, int]) -> Any:
    return rng.standard_normal(shape, dtype=lib.float32)
