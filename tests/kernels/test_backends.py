"""Which machines there are, how they are asked for, and what each must be able to do."""

from __future__ import annotations

import subprocess
import sys
from inspect import signature
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from netspectra.errors import BackendUnavailableError, GraphError
from netspectra.kernels import available_backends, get_backend
from netspectra.kernels.backend import Backend
from netspectra.kernels.cpu import CpuBackend
from netspectra.kernels.memory import available_bytes
from netspectra.kernels.reference import ReferenceBackend
from netspectra.kernels.weights import CsrWeights, DenseWeights

VERBS = [name for name, value in vars(Backend).items() if callable(value) and not name.startswith("_")]


def test_names_lead_to_backends():
    assert [name for name in available_backends() if name not in ("cuda", "jax")] == ["cpu", "reference"]
    assert isinstance(get_backend("cpu"), CpuBackend)
    assert isinstance(get_backend("reference"), ReferenceBackend)
    assert get_backend() is get_backend("auto") is get_backend("cpu")
    assert get_backend("cpu", n_threads=1) is not get_backend("cpu")


def test_a_backend_object_is_itself():
    machine = CpuBackend(1)
    assert get_backend(machine) is machine


def test_options_belong_to_a_name():
    """An object already has its settings: options beside it would be ignored."""
    with pytest.raises((GraphError, TypeError)):
        get_backend(CpuBackend(1), n_threads=2)


@pytest.mark.parametrize("name", ["gpu", "", "CPU", "cuda:0"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(GraphError, match=r"backend must be one of \['auto', 'cuda', 'cpu', 'jax', 'reference'\]"):
        get_backend(name)


@pytest.mark.parametrize("thing", [None, 3, object(), CpuBackend, ReferenceBackend, np], ids=repr)
def test_what_is_no_backend_is_refused(thing):
    with pytest.raises(GraphError, match="backend must be a name or a backend object"):
        get_backend(thing)


def without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)


def without_driver(monkeypatch):
    class CUDARuntimeError(RuntimeError):
        pass

    def count():
        raise CUDARuntimeError("cudaErrorInsufficientDriver")

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))


def without_device(monkeypatch):
    runtime = SimpleNamespace(getDeviceCount=lambda: 0, CUDARuntimeError=OSError)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))


def without_libraries(monkeypatch):
    runtime = SimpleNamespace(getDeviceCount=lambda: 1, CUDARuntimeError=OSError)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs.nvrtc", None)
    for parent in ("cupy_backends", "cupy_backends.cuda", "cupy_backends.cuda.libs"):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (without_cupy, r"CuPy cannot be imported .*pip install 'netspectra\[cuda13\]'.*\[cuda12\]"),
        (without_driver, "no CUDA device answers .*cudaErrorInsufficientDriver.*nvidia-smi.*backend='cpu'"),
        (without_device, "has no CUDA device; use backend='cpu'"),
        (without_libraries, r"CUDA's own libraries are missing .*'netspectra\[cuda13\]'.*CUDA toolkit"),
    ],
)
def test_without_a_gpu_cuda_says_what_is_missing_and_auto_does_without(monkeypatch, lacking, told):
    lacking(monkeypatch)
    with pytest.raises(BackendUnavailableError, match=rf"backend 'cuda': .*{told}"):
        get_backend("cuda", dtype="float32")
    assert "cuda" not in available_backends()
    assert get_backend("auto") is get_backend("cpu")


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, True, float("nan"), float("inf"), "2", "two", [1]], ids=repr)
def test_threads_must_be_a_positive_integer(n_threads):
    with pytest.raises(GraphError, match="n_threads must be a positive integer or None"):
        get_backend("cpu", n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1, 3, np.int64(2)])
def test_threads_are_kept(n_threads):
    machine = get_backend("cpu", n_threads=n_threads)
    assert machine.n_threads == int(n_threads)
    assert machine.in_flight(64) == int(n_threads)
    assert machine.in_flight(1) == 1
    assert f"n_threads={int(n_threads)}" in repr(machine)


def test_an_absent_namespace_is_an_unavailable_backend():
    with pytest.raises(BackendUnavailableError, match="no_such_library"):
        get_backend("reference", xp="no_such_library")


def test_every_verb_is_there_with_the_same_arguments(backend):
    assert isinstance(backend, Backend)
    assert len(VERBS) > 15
    for name in VERBS:
        wanted, found = (list(signature(getattr(kind, name)).parameters) for kind in (Backend, type(backend)))
        assert wanted == found, name


def test_what_a_backend_says_of_itself(backend):
    assert backend.name in [*available_backends(), "cuda"]
    assert backend.device.split(":")[0] == ("cuda" if backend.name == "cuda" else "cpu")
    assert (backend.compile_seconds >= 0, backend.n_threads >= 1) == (True, True)
    assert backend.model
    assert backend.available_memory() > 1 << 20
    backend.synchronize()
    backend.free_memory()
    with backend.session():
        pass


def test_while_loop_is_a_loop(backend):
    def add(s):  # as the protocol asks, a state beyond the end stays as it is
        return (s[0] + 1, s[1] + s[0]) if s[0] < 10 else s

    assert backend.while_loop(lambda s: s[0] < 10, add, (0, 0)) == (10, 45)
    assert backend.while_loop(lambda _: False, lambda _: 1 / 0, 7) == 7


def test_arrays_go_in_and_out(backend):
    for values in (
        np.arange(6.0).reshape(2, 3),
        np.array([True, False]),
        np.arange(4, dtype=np.int32),
        np.empty((0, 3)),
    ):
        values.flags.writeable = False
        back = backend.to_numpy(backend.asarray(values))
        assert back.dtype == values.dtype
        np.testing.assert_array_equal(back, values)
    assert backend.to_numpy(backend.asarray([1, 2], dtype=backend.xp.float32)).dtype == np.float32


def test_weights_know_their_shape():
    dense = DenseWeights(np.zeros((4, 2, 3)))
    assert (dense.shape, dense.n_members) == ((2, 3), 4)
    csr = CsrWeights(np.zeros((4, 5)), np.zeros((1, 5), int), np.zeros((1, 3), int), (2, 9))
    assert (csr.shape, csr.n_members) == ((2, 9), 4)


def test_free_memory_is_a_sensible_number():
    assert 1 << 20 < available_bytes() < 1 << 50


def test_the_reference_loads_no_compiler():
    code = (
        "import sys, netspectra.kernels as k; b = k.get_backend('reference'); b.available_memory(); "
        "sys.exit(bool({'numba', 'torch', 'netspectra.kernels.cpu'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
