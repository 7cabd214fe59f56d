"""A device without a GPU: arrays of array-api-strict on its second device, which no host array can be made of.

What NumPy would copy silently raises here, as it does with CuPy; `put` and `get` are the only ways across.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import array_api_strict as strict
import numpy as np
import scipy.sparse as sp

from netspectra import Block, LayerGraph
from netspectra.kernels.reference import ReferenceBackend
from netspectra.kernels.weights import CsrWeights

__all__ = ["DEVICE", "ELSEWHERE", "FakeCsr", "FakeDeviceBackend", "device_graph", "get", "name_of", "put"]

DEVICE, ELSEWHERE = strict.Device("device1"), strict.Device("device2")
_CREATION = ("arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros")


def name_of(device: Any) -> str:
    """What the graph calls a device."""
    return str(device)


def put(array: Any, device: Any = DEVICE) -> Any:
    """Copy of a host array on the device."""
    return strict.asarray(np.asarray(array), device=device)


def get(array: Any) -> Any:
    """Copy of a device array on the host."""
    assert array.device != strict.Device("CPU_DEVICE")
    return np.asarray(array.to_device(strict.Device("CPU_DEVICE")))


class FakeCsr:
    """What `cupyx.scipy.sparse.csr_matrix` has: three device arrays, and methods that change them in place."""

    def __init__(self, data: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> None:
        self.data, self.indices, self.indptr, self.shape = data, indices, indptr, shape

    @classmethod
    def of(cls, matrix: Any) -> FakeCsr:
        csr = sp.csr_array(matrix)
        return cls(*map(put, (csr.data, csr.indices, csr.indptr)), csr.shape)

    def host(self) -> Any:
        return sp.csr_array((get(self.data), get(self.indices), get(self.indptr)), shape=self.shape)

    def tocsr(self) -> FakeCsr:
        return self

    def copy(self) -> FakeCsr:
        return FakeCsr(*(strict.asarray(a, copy=True) for a in (self.data, self.indices, self.indptr)), self.shape)

    def astype(self, dtype: Any) -> FakeCsr:
        return FakeCsr(put(get(self.data).astype(dtype)), self.indices, self.indptr, self.shape)

    def sum_duplicates(self) -> None:
        host = self.host()
        host.sum_duplicates()
        self.data, self.indices, self.indptr = map(put, (host.data, host.indices, host.indptr))


class _OnDevice:
    """Namespace of array-api-strict whose new arrays are on the device, as CuPy's are."""

    __name__ = "array_api_strict"

    def __getattr__(self, name: str) -> Any:
        found = getattr(strict, name)
        return partial(found, device=DEVICE) if name in _CREATION else found


class FakeDeviceBackend(ReferenceBackend):
    """The oracle, on the fake device."""

    name = "fake"
    device = name_of(DEVICE)

    def __init__(self) -> None:
        super().__init__(_OnDevice())

    def to_numpy(self, array: Any) -> Any:
        return get(array)

    def load_block(self, members: Any, *, symmetric: bool) -> Any:
        if not hasattr(members[0], "upper"):
            return super().load_block(members, symmetric=symmetric)
        assert len(members) == 1
        W = members[0].upper() if symmetric else members[0]
        assert W.data.device == DEVICE
        return CsrWeights(*(a[None, :] for a in (W.data, W.indices, strict.astype(W.indptr, strict.int64))), W.shape)

    def csr_array(self, values: Any, rows: Any, cols: Any, shape: tuple[int, int]) -> Any:
        assert all(a.device == DEVICE for a in (values, rows, cols))
        return SimpleNamespace(data=values, row=rows, col=cols, shape=shape, on_device=True)


def device_graph(graph: LayerGraph) -> LayerGraph:
    """The same graph with its weights on the device."""
    blocks = []
    for block in graph.blocks:
        weights = FakeCsr.of(block.weights) if block.is_sparse else put(block.weights)
        options = {"learned": block.learned, "fixed_support": block.fixed_support}
        blocks.append(Block(block.source, block.target, weights, **options))
    return LayerGraph(graph.layers, tuple(blocks))
