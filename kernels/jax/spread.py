"""One graph over several devices: blocks in slabs, vectors replicated, one all-reduce per product.

A dense block is cut into slabs of rows (padded with zero rows to a multiple of the devices), a CSR block into runs of
stored values. Inside :meth:`Spread.place`, which maps a function over the devices by ``shard_map``, each device holds
its slab and multiplies it with whole vectors; what it gets is its part of the whole result, and one sum over the
devices (:meth:`Spread.add_up`) completes it. Outside, arrays are global and XLA partitions what is done with them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from netspectra.errors import BackendUnavailableError
from netspectra.kernels.jax.trees import Held
from netspectra.kernels.triangle import strict_upper
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["Spread", "SpreadDense"]


@dataclass(frozen=True)
class SpreadDense:
    """Dense weights in slabs of rows.

    Attributes
    ----------
    values : array, shape (B, m + padding, n)
        On its devices by rows; inside :meth:`Spread.place` this device's slab, (B, (m + padding) / devices, n).
    shape : (m, n)
    """

    values: Any
    shape: tuple[int, int]

    @property
    def n_members(self) -> int:
        """B."""
        return int(self.values.shape[0])

    def member(self, index: int) -> Any:
        """Weights (m, n) of a member."""
        return self.values[index if self.n_members > 1 else 0, : self.shape[0]]


class Spread:
    """The devices of a mesh, all its axes together, and how blocks lie on them."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = Mesh(mesh.devices, mesh.axis_names)  # a mesh with explicit axes would ask for types everywhere
        self.axes = tuple(mesh.axis_names)
        self.n_devices = int(mesh.devices.size)
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self._mapped = False

    # -- functions ---------------------------------------------------------------------------------------------------
    def place(self, function: Callable[[Held], Held], held: Held) -> Callable[[Held], Held]:
        """`function` mapped over the devices: arrays that lie in slabs come as such, all others whole."""
        specs = tuple(_spec(leaf) for leaf in held.leaves)

        def mapped(held: Held) -> Held:
            with self._inside():
                return function(held)

        wanted = (Held(specs, held.skeleton),)
        spread: Callable[[Held], Held] = jax.shard_map(
            mapped, mesh=self.mesh, in_specs=wanted, out_specs=PartitionSpec(), check_vma=False
        )
        return spread

    @contextmanager
    def _inside(self) -> Iterator[None]:
        self._mapped = True
        try:
            yield
        finally:
            self._mapped = False

    def add_up(self, partial: Any) -> Any:
        """Sum over the devices inside :meth:`place`; outside, the array itself."""
        return jax.lax.psum(partial, self.axes) if self._mapped else partial

    # -- blocks ------------------------------------------------------------------------------------------------------
    def load_block(self, members: Sequence[Any], convert: Callable[[Any], Any], *, symmetric: bool) -> Any:
        """One block of several graphs on the host; no device ever holds more than its slab of it."""
        if not all(sp.issparse(W) or isinstance(W, np.ndarray) for W in members):
            msg = "backend 'jax' over several devices takes weights from the host; copy them there first"
            raise BackendUnavailableError(msg)
        if sp.issparse(members[0]):
            return self._load_csr(members, convert, symmetric=symmetric)
        m, n = members[0].shape
        height = -(-m // self.n_devices) * self.n_devices

        def slab(index: tuple[slice, ...]) -> Any:
            which, rows = index[0], index[1]
            first, stop, _ = rows.indices(height)
            cut = []
            for W in members[which]:
                part = W[first : min(stop, m)]
                part = np.triu(part, k=first + 1) if symmetric else part
                cut.append(np.pad(convert(part), ((0, stop - first - part.shape[0]), (0, 0))))
            return np.stack(cut) if len(cut) > 1 else cut[0][None]

        return SpreadDense(self._array((len(members), height, n), 1, slab), (m, n))

    def _load_csr(self, members: Sequence[Any], convert: Callable[[Any], Any], *, symmetric: bool) -> CsrWeights:
        kept = strict_upper(members, symmetric=symmetric)
        longest = max(1, *(W.nnz for W in kept))
        length = -(-longest // self.n_devices) * self.n_devices
        rows = [np.repeat(np.arange(W.shape[0], dtype=W.indices.dtype), np.diff(W.indptr)) for W in kept]
        columns = [[W.data for W in kept], [W.indices for W in kept], rows]

        def spread(column: list[Any]) -> Any:
            def part(index: tuple[slice, ...]) -> Any:
                first, stop, _ = index[1].indices(length)
                cut = [convert(a[first:stop]) for a in column[index[0]]]
                return np.stack([np.pad(a, (0, stop - first - a.size)) for a in cut])

            return self._array((len(kept), length), 1, part)

        values, indices, places = map(spread, columns)
        indptr = jax.device_put(np.stack([convert(W.indptr) for W in kept]), self.replicated)
        return CsrWeights(values, indices, indptr, members[0].shape, {"rows": places})

    def _array(self, shape: tuple[int, ...], axis: int, part: Callable[[Any], Any]) -> Any:
        spec = PartitionSpec(*(self.axes if i == axis else None for i in range(len(shape))))
        return jax.make_array_from_callback(shape, NamedSharding(self.mesh, spec), part)

    def whole(self, weights: Any) -> BlockWeights:
        """The block as one array over all devices, for what is done outside :meth:`place`."""
        if isinstance(weights, SpreadDense):
            return DenseWeights(weights.values[:, : weights.shape[0], :])
        return weights  # type: ignore[no-any-return]

    def local(self, weights: Any) -> tuple[BlockWeights, Callable[[Any], Any], Callable[[Any], Any]]:
        """Weights of this device; what takes their rows out of an array (B, m, ...); what puts such rows back."""
        if not isinstance(weights, SpreadDense):
            return weights, lambda x: x, lambda y: y
        height, m = int(weights.values.shape[1]), weights.shape[0]
        total = height * self.n_devices
        first = jax.lax.axis_index(self.axes) * height

        def taken(x: Any) -> Any:
            padded = jnp.pad(x, ((0, 0), (0, total - m), *((0, 0),) * (x.ndim - 2)))
            return jax.lax.dynamic_slice_in_dim(padded, first, height, axis=1)

        def put(y: Any) -> Any:
            zeros = jnp.zeros((y.shape[0], total, *y.shape[2:]), y.dtype)
            return jax.lax.dynamic_update_slice_in_dim(zeros, y, first, axis=1)[:, :m]

        return DenseWeights(weights.values), taken, put

    @property
    def mapped(self) -> bool:
        """Whether a function of :meth:`place` is being traced."""
        return self._mapped


def _spec(leaf: Any) -> PartitionSpec:
    sharding = getattr(leaf, "sharding", None)
    return sharding.spec if isinstance(sharding, NamedSharding) else PartitionSpec()
