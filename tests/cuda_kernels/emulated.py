"""Kernels on the host: a launcher that runs CUDA C++ on NumPy arrays, compiled behind `emulation/emulate.h`."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from cuda_kernels.guarded import GuardedMemory
from cuda_kernels.host_compiler import compile_library, kernel_names

__all__ = ["CudaSource", "EmulatedLauncher", "EmulationError", "Launch"]

WARP = 32
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_SHARED = 1 << 18  # what the emulation keeps; more than any GPU has so far
MOST_GUARDED = 1 << 27  # bytes of a launch; copying more takes longer than it is worth
# Bits: warps and lanes descend in odd blocks, in even blocks; blocks descend.
_ASCENDING, _DESCENDING, _ODD_DESCEND, _EVEN_DESCEND = 0, 1 | 2 | 4, 1, 2 | 4


class EmulationError(RuntimeError):
    """What a GPU would answer with a hang or with garbage."""


class CudaSource(Protocol):
    """What a launcher needs of a kernel."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...


@dataclass(frozen=True)
class Launch:
    """One launch, as a test looks at it."""

    name: str
    grid: tuple[int, int, int]
    block: int
    shared: int


class EmulatedLauncher:
    """The launcher protocol of `netspectra.kernels.cuda.launcher` without a GPU.

    Parameters
    ----------
    shared_limit : int, default 232448
        An H100's.
    multiprocessors : int, default 4
        Few, so that work is split in small problems too.
    l2_bytes : int, default 50_000_000
    order : {"alternating", "ascending", "descending"}
        In which order threads and blocks take turns. "alternating" changes it block by block and launch by launch: what
        needs a barrier and has none comes out wrong in one of the two.
    guarded : bool, default True
        Whether arrays are copied into guarded memory, if they are not large: writing past one is an error.
    flags : sequence of str
        More compiler flags, e.g. of a sanitizer; NETSPECTRA_EMULATION_FLAGS adds some for a whole run of the tests.

    Attributes
    ----------
    launches : list of Launch
        Since the start or since a test cleared it.
    """

    def __init__(
        self,
        *,
        shared_limit: int = 232448,
        multiprocessors: int = 4,
        l2_bytes: int = 50_000_000,
        order: Literal["alternating", "ascending", "descending"] = "alternating",
        guarded: bool = True,
        flags: Sequence[str] = (),
    ) -> None:
        if shared_limit > MAX_SHARED:
            raise ValueError(f"shared_limit is at most {MAX_SHARED} under emulation, got {shared_limit}")
        self.shared_limit = shared_limit
        self.multiprocessors = multiprocessors
        self.l2_bytes = l2_bytes
        self.compile_seconds = 0.0
        self.launches: list[Launch] = []
        self._orders = {
            "ascending": (_ASCENDING, _ASCENDING),
            "descending": (_DESCENDING, _DESCENDING),
            "alternating": (_ODD_DESCEND, _EVEN_DESCEND),
        }[order]
        self._guarded = guarded
        self._flags = (*flags, *os.environ.get("NETSPECTRA_EMULATION_FLAGS", "").split())

    def launch(
        self,
        kernel: CudaSource,
        grid: tuple[int, int, int],
        block: int,
        arguments: Sequence[Any],
        shared: int = 0,
    ) -> None:
        """Run one kernel to its end; see the protocol."""
        began = time.perf_counter()
        library, fresh = _library(kernel.source, self._flags)
        self.compile_seconds += (time.perf_counter() - began) * fresh
        bound = library.bound(kernel.name)
        if len(grid) != 3 or any(not 0 <= size <= limit for size, limit in zip(grid, MAX_GRID, strict=True)):
            raise ValueError(f"{kernel.name}: a grid is three sizes up to {MAX_GRID}, got {grid}")
        if block % WARP or not 0 < block <= bound:
            raise ValueError(f"{kernel.name}: a block is a multiple of {WARP} threads up to {bound}, got {block}")
        if not 0 <= shared <= self.shared_limit:
            raise ValueError(f"{kernel.name}: {shared} bytes of shared memory, the limit is {self.shared_limit}")
        parameters = library.parameters(kernel.name)
        _check(kernel.name, parameters, arguments)
        order = self._orders[len(self.launches) % 2]
        self.launches.append(Launch(kernel.name, grid, block, shared))
        if 0 not in grid:
            shape = ((ctypes.c_uint * 3)(*grid), block, ctypes.c_size_t(shared), order)
            self._run(library, kernel.name, parameters, arguments, shape)

    def _run(
        self, library: _Library, name: str, parameters: list[str], arguments: Sequence[Any], shape: tuple[Any, ...]
    ) -> None:
        places = [i for i, parameter in enumerate(parameters) if parameter[0] in "rw"]
        guarded = self._guarded and sum(arguments[i].nbytes for i in places) <= MOST_GUARDED
        arrays = [arguments[i] for i in places] if guarded else []
        memory = GuardedMemory(arrays, [parameters[i][0] == "w" for i in places][: len(arrays)])
        values: list[Any] = []
        for parameter, value in zip(parameters, arguments, strict=True):
            if parameter == "i":
                values.append(ctypes.c_longlong(int(value)))
            elif parameter == "d":
                values.append(ctypes.c_double(float(value)))
            else:
                values.append(ctypes.c_void_p(memory.address(value) if guarded else value.ctypes.data))
        library.run(name, values, shape)
        for i, array in zip(places, arrays, strict=False):
            if (past := memory.overrun(array)) is not None:
                where = f"{past} bytes past the end" if past >= 0 else f"{-past} bytes before the start"
                raise EmulationError(f"{name} writes {where} of argument {i}")
        memory.copy_back()


class _Library:
    """The kernels of one source."""

    def __init__(self, source: str, flags: tuple[str, ...]) -> None:
        self._names = sorted(kernel_names(source))
        self._library = ctypes.CDLL(str(compile_library(source, flags)))
        self._turn = threading.Lock()  # a library has one machine

    def bound(self, name: str) -> int:
        """Return the most threads that a block of this kernel may have."""
        if name not in self._names:
            raise ValueError(f"there is no kernel {name!r} in the source, only {self._names}")
        return int(self._library[f"emulated_bound_{name}"]())

    def parameters(self, name: str) -> list[str]:
        """Return the kernel's parameters as entry.h describes them."""
        describe = self._library[f"emulated_signature_{name}"]
        describe.restype = ctypes.c_char_p
        return describe().decode().split()

    def run(self, name: str, values: list[Any], shape: tuple[Any, ...]) -> None:
        entry = self._library[f"emulated_launch_{name}"]
        entry.restype = ctypes.c_char_p
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        with self._turn:
            problem = entry(pointers, *shape)
        if problem:
            raise EmulationError(f"{name}: {problem.decode()}")


_LIBRARIES: dict[tuple[str, tuple[str, ...]], _Library] = {}
_LOADING = threading.Lock()


def _library(source: str, flags: tuple[str, ...]) -> tuple[_Library, bool]:
    """Return the library of a source, the same for all launchers, and whether it was compiled just now."""
    with _LOADING:
        fresh = (source, flags) not in _LIBRARIES
        if fresh:
            _LIBRARIES[source, flags] = _Library(source, flags)
        return _LIBRARIES[source, flags], fresh


def _check(name: str, parameters: list[str], arguments: Sequence[Any]) -> None:
    """Compare arguments with parameters."""
    if len(arguments) != len(parameters):
        raise TypeError(f"{name} takes {len(parameters)} arguments, got {len(arguments)}")
    for i, (parameter, value) in enumerate(zip(parameters, arguments, strict=True)):
        what = f"argument {i} of {name}"
        if parameter == "i":
            if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
                raise TypeError(f"{what} is an int64, got {type(value).__name__}")
            if not -(2**63) <= int(value) < 2**63:
                raise OverflowError(f"{what} is an int64, got {value}")
        elif parameter == "d":
            if not isinstance(value, float | np.floating):
                raise TypeError(f"{what} is a double, got {type(value).__name__}")
        else:
            _check_array(what, parameter, value)


def _check_array(what: str, parameter: str, value: Any) -> None:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{what} is a pointer and needs an ndarray, got {type(value).__name__}")
    access, kind, size = parameter[0], parameter[1], int(parameter[2:])
    wrong = {"f": "iub", "i": "fc", "x": ""}[kind]
    if value.dtype.itemsize != size or value.dtype.kind in wrong:
        wanted = {"f": "floats", "i": "integers", "x": "items"}[kind]
        raise TypeError(f"{what} points at {wanted} of {size} bytes, got {value.dtype}")
    if access == "w" and not value.flags.writeable:
        raise ValueError(f"{what} may be written to, got a read-only array")
