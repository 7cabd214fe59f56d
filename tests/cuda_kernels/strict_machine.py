"""An emulated device whose arrays refuse to meet the host's, as CuPy's do: what NumPy forgives is an error here."""

from __future__ import annotations

from typing import Any

import array_api_compat.numpy
import numpy as np
from cuda_kernels.emulated import EmulatedLauncher
from cuda_kernels.host_machine import HostMachine

from netspectra.kernels.cuda import CudaBackend

FROM_HOST = {"asarray", "finfo", "iinfo"}


class DeviceArray(np.ndarray):
    """An array that counts as being on the device."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        refuse_host(ufunc.__name__, inputs)
        outputs = kwargs.pop("out", None)
        if outputs is not None:
            kwargs["out"] = tuple(bare(value) for value in outputs)
        return on_device(getattr(ufunc, method)(*map(bare, inputs), **kwargs))


def is_host(value: Any) -> bool:
    return isinstance(value, np.ndarray) and not isinstance(value, DeviceArray)


def refuse_host(what: str, values: Any) -> None:
    for value in values:
        if is_host(value):
            raise TypeError(f"{what}: unsupported type numpy.ndarray on a device")
        if isinstance(value, list | tuple):
            refuse_host(what, value)


def bare(value: Any) -> Any:
    if isinstance(value, DeviceArray):
        return value.view(np.ndarray)
    return type(value)(map(bare, value)) if type(value) in (list, tuple) else value


def on_device(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value).view(DeviceArray)  # CuPy's reductions are arrays of no dimension, not scalars
    if isinstance(value, tuple):
        parts = [on_device(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


class StrictNamespace:
    """`array_api_compat.numpy`, of which every function takes and returns device arrays."""

    def __init__(self, module: Any = array_api_compat.numpy) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if name == "linalg":
            return StrictNamespace(found)
        if isinstance(found, type) or not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if name not in FROM_HOST:
                refuse_host(name, [*args, *kwargs.values()])
            made = found(*map(bare, args), **{key: bare(value) for key, value in kwargs.items()})
            return made if name in FROM_HOST - {"asarray"} else on_device(made)

        return call


class StrictLauncher(EmulatedLauncher):
    """Runs kernels on device arrays only."""

    def launch(self, kernel: Any, grid: Any, block: int, arguments: Any, shared: int = 0) -> None:
        refuse_host(kernel.name, arguments)
        super().launch(kernel, grid, block, [bare(value) for value in arguments], shared)


class StrictMachine(HostMachine):
    """See ``netspectra.kernels.cuda.machine.Machine``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(StrictLauncher(), **options)
        self.xp: Any = StrictNamespace()

    def owns(self, array: Any) -> bool:
        return isinstance(array, DeviceArray)

    def to_host(self, array: Any) -> Any:
        if not isinstance(array, DeviceArray):
            raise TypeError(f"to_host: {type(array).__name__} is not on the device")
        return np.array(bare(array))

    def csr_array(self, values: Any, rows: Any, cols: Any, shape: tuple[int, int]) -> Any:
        refuse_host("csr_array", (values, rows, cols))
        return super().csr_array(bare(values), bare(rows), bare(cols), shape)


def strict_backend(**options: Any) -> CudaBackend:
    """CUDA backend on an emulated device whose arrays do not mix with the host's."""
    return CudaBackend(dtype=options.pop("dtype", None), machine=StrictMachine(**options))
