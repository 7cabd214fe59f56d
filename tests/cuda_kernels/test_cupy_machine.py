"""What stands between the CUDA backend and CuPy: with a stand-in for CuPy, and with CuPy itself where it is installed.

No device is needed: what only a device can tell is in ``test_gpu_device.py``.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import array_api_compat.numpy
import numpy as np
import pytest

import netspectra
from netspectra.errors import GraphError
from netspectra.kernels.cuda import CudaBackend
from netspectra.kernels.cuda.compiler import compiled_file
from netspectra.kernels.cuda.cupy_launcher import CupyLauncher
from netspectra.kernels.cuda.cupy_machine import LIBRARIES, CupyMachine
from netspectra.kernels.cuda.sources import Kernel

ATTRIBUTES = {"MaxSharedMemoryPerBlockOptin": 232448, "MultiProcessorCount": 132, "L2CacheSize": 50 << 20}
NAMES = [
    "Device",
    "get_current_stream",
    "nvrtc.compileProgram",
    "nvrtc.createProgram",
    "nvrtc.getCUBIN",
    "nvrtc.getSupportedArchs",
    "runtime.CUDARuntimeError",
    "runtime.getDeviceCount",
    "runtime.getDeviceProperties",
    "runtime.memGetInfo",
]
KERNEL = Kernel("shuffle.cu", "scatter", (("BITS", "uint32"),))


class FakeNvrtc:
    """NVRTC as CuPy shows it."""

    NVRTCError = RuntimeError

    def __init__(self):
        self.compiled = []

    def getVersion(self):
        return (13, 0)

    def getSupportedArchs(self):
        return (80, 90)

    def createProgram(self, source, name, headers, include_names):
        return source

    def compileProgram(self, program, options):
        if "refused" in program:
            raise RuntimeError("NVRTC_ERROR_COMPILATION")
        self.compiled.append(options)

    def getProgramLog(self, program):
        return "line 1: no"

    def getCUBIN(self, program):
        return b"cubin"

    def getPTX(self, program):
        return b"ptx"

    def destroyProgram(self, program):
        pass


class FakeFunction:
    def __init__(self, name, calls):
        self.name, self.calls, self.max_dynamic_shared_size_bytes = name, calls, 0

    def __call__(self, grid, block, args, shared_mem):
        self.calls.append((self.name, grid, block, args, shared_mem))


class FakeCupy(ModuleType):
    """Two devices whose memory is the host's."""

    ndarray = np.ndarray

    def __init__(self):
        super().__init__("cupy")
        self.calls, self.freed, self.loaded = [], 0, []
        outer = self

        class Device:
            def __init__(self, number=0):
                self.id, self.compute_capability, self.attributes = number, "90", ATTRIBUTES

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def __eq__(self, other):
                return self.id == other.id

            __hash__ = None

        runtime = SimpleNamespace(
            getDeviceCount=lambda: 2,
            CUDARuntimeError=OSError,
            memGetInfo=lambda: (60 << 30, 80 << 30),
            getDeviceProperties=lambda number: {"name": b"Fake GPU"},
        )
        stream = SimpleNamespace(synchronize=lambda: None)
        self.cuda = SimpleNamespace(
            Device=Device, runtime=runtime, nvrtc=FakeNvrtc(), get_current_stream=lambda: stream
        )

        class Pool:
            def free_bytes(self):
                return 1 << 30

            def free_all_blocks(self):
                outer.freed += 1

        self.get_default_memory_pool = Pool

    def asnumpy(self, array):
        return np.array(array)

    def RawModule(self, *, path):
        self.loaded.append(path)
        return SimpleNamespace(get_function=lambda name: FakeFunction(name, self.calls))


@pytest.fixture
def cupy(monkeypatch, tmp_path):
    fake = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", fake)
    for name in ("", ".cuda", ".cuda.libs", *(f".cuda.libs.{library}" for library in LIBRARIES)):
        monkeypatch.setitem(sys.modules, f"cupy_backends{name}", ModuleType(name))
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", array_api_compat.numpy)
    monkeypatch.setattr(array_api_compat, "cupy", array_api_compat.numpy, raising=False)
    monkeypatch.setenv("NETSPECTRA_CACHE", str(tmp_path))
    return fake


def test_a_launch_passes_integers_as_int64_and_floats_as_float64(cupy):
    launcher = CupyLauncher(cupy, cupy.cuda.Device(0))
    array = np.zeros(3)
    launcher.launch(KERNEL, (2, 3, 1), 256, [array, 5, np.int32(6), 0.5, np.float32(1)], shared=100 << 10)
    launcher.launch(KERNEL, (0, 3, 1), 256, [array])
    ((name, grid, block, args, shared),) = cupy.calls
    assert (name, grid, block, shared) == ("scatter", (2, 3, 1), (256, 1, 1), 100 << 10)
    assert args[0] is array
    assert [type(value) for value in args[1:]] == [np.int64, np.int64, np.float64, np.float64]


def test_a_translation_unit_is_compiled_once_and_kept(cupy):
    for _ in range(2):  # two processes
        launcher = CupyLauncher(cupy, cupy.cuda.Device(0))
        for name in ("scatter", "permute_places", "scatter"):
            launcher.launch(Kernel("shuffle.cu", name, KERNEL.types), (1, 1, 1), 32, [])
        assert launcher.compile_seconds > 0
    assert cupy.cuda.nvrtc.compiled == [("--std=c++17", "-arch=sm_90")]
    assert len(cupy.loaded) == 2
    assert cupy.loaded[0] == cupy.loaded[1]


def test_a_device_that_the_compiler_does_not_know_gets_ptx(cupy):
    assert compiled_file(cupy.cuda.nvrtc, KERNEL.source, "120").read_bytes() == b"ptx"
    assert cupy.cuda.nvrtc.compiled == [("--std=c++17", "-arch=compute_90")]


def test_a_refused_source_comes_with_the_log(cupy):
    with pytest.raises(RuntimeError, match=r"NVRTC does not compile a kernel.*\nline 1: no"):
        compiled_file(cupy.cuda.nvrtc, "refused", "90")


def test_a_machine_says_what_it_is(cupy):
    machine = CupyMachine(1)
    assert (machine.name, machine.model) == ("cuda:1", "Fake GPU")
    assert (machine.free_bytes(), machine.total_bytes()) == (61 << 30, 80 << 30)
    assert (machine.launcher.multiprocessors, machine.launcher.shared_limit) == (132, 232448)
    assert CupyMachine().name == "cuda:0"
    machine.synchronize()
    machine.release()
    assert cupy.freed == 1
    with machine.scope(), contextlib.nullcontext():
        pass


@pytest.mark.parametrize("device", [2, -1, True, 1.0, "0"], ids=repr)
def test_a_device_that_is_not_there_is_refused(cupy, device):
    with pytest.raises(GraphError, match=r"device must be the number of a CUDA device \(0 to 1\) or None"):
        CudaBackend(device)


@pytest.mark.parametrize("text", ["CUBLAS_STATUS_ALLOC_FAILED", "cudaErrorMemoryAllocation: out of memory"])
def test_libraries_that_run_out_of_memory_are_understood(cupy, text):
    machine = CupyMachine(0)
    assert machine.is_out_of_memory(RuntimeError(text))
    assert machine.is_out_of_memory(MemoryError())
    assert not machine.is_out_of_memory(RuntimeError("cudaErrorIllegalAddress"))


@pytest.mark.requires("cupy")
def test_cupy_has_what_is_asked_of_it(require):
    cupy = require("cupy")
    for name in NAMES:
        found = cupy.cuda
        for part in name.split("."):
            found = getattr(found, part)
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    for name in ("RawModule", "asnumpy", "from_dlpack", "get_default_memory_pool", "ndarray"):
        assert hasattr(cupy, name)
    assert hasattr(cupy.RawKernel, "max_dynamic_shared_size_bytes")


@pytest.mark.requires("cupy", "nvrtc")
def test_cupys_compiler_makes_a_cubin(require, tmp_path, monkeypatch):
    monkeypatch.setenv("NETSPECTRA_CACHE", str(tmp_path))
    require("cupy")
    from cupy.cuda import nvrtc

    assert compiled_file(nvrtc, KERNEL.source, "90").read_bytes()[:4] == b"\x7fELF"
    with pytest.raises(RuntimeError, match=r"NVRTC does not compile a kernel.*\n.*error"):
        compiled_file(nvrtc, "no CUDA", "90")


@pytest.mark.requires("cupy")
def test_every_function_that_is_called_on_arrays_is_in_cupy(require):
    require("cupy")
    import array_api_compat.cupy as xp

    root = Path(netspectra.__file__).parent
    files = [Path(at, name) for at, _, names in os.walk(root, followlinks=True) for name in names if name[-3:] == ".py"]
    called = {
        name
        for path in files
        if not {"cpu", "reference", "bindings"} & set(path.relative_to(root).parts)
        for name in re.findall(r"\bxp\.((?:linalg\.)?[a-z_]\w*)", path.read_text())
    }
    assert len(called) > 40
    assert [name for name in sorted(called) if not _has(xp, name)] == []


def _has(module, name):
    for part in name.split("."):
        module = getattr(module, part, None)
    return module is not None
