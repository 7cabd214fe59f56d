"""What every test shares: the backends, what a test may require of the machine, and the last line of a run.

A *capability* is something a machine may lack. A test names it with ``@pytest.mark.requires("torch")`` or asks for it
with the ``require`` fixture; where it is absent the test is skipped with the reason, and where the environment variable
``NETSPECTRA_REQUIRE`` (a comma list) names it, the test fails instead. The last line of a run sums the skips up.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Reproducible and free of clocks: two runs try the same examples, and a busy machine fails none of them.
settings.register_profile(
    "netspectra", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("netspectra")

#: Every backend, and the capabilities it stands on beside the core dependencies.
#: "emulated" is the CUDA backend with NumPy for CuPy, its arrays kept from meeting the host's, and its kernels run on
#: the host.
BACKENDS: dict[str, tuple[str, ...]] = {"reference": (), "cpu": (), "emulated": ("cxx",)}


def _data_folder() -> Path:
    folder = os.environ.get("NETSPECTRA_DATA", "")
    if not folder:
        pytest.skip("data: NETSPECTRA_DATA is not set")
    if not (Path(folder) / "mnist10k.npz").is_file():
        pytest.skip("data: the folder in NETSPECTRA_DATA has no mnist10k.npz")
    return Path(folder)


def _module(name: str) -> Callable[[], Any]:
    return lambda: pytest.importorskip(name, reason=f"{name}: not installed", exc_type=ImportError)


def _cxx() -> str:
    from cuda_kernels.host_compiler import find_compiler

    return find_compiler() or pytest.skip("cxx: no C++ compiler, neither $CXX nor g++ nor clang++")


def _nvrtc() -> Any:
    from cuda_kernels.device_compiler import load_nvrtc

    try:
        return load_nvrtc()
    except (ImportError, RuntimeError) as missing:
        pytest.skip(f"nvrtc: {missing}")


def _keras() -> str:
    """Keras is never imported here: it reads KERAS_BACKEND once. Tests run it in processes of their own."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras: not installed")
    found = next((name for name in ("torch", "jax", "tensorflow") if importlib.util.find_spec(name)), None)
    return found or pytest.skip("keras: none of its backends torch, jax and tensorflow is installed")


def _gpu() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what CUDA's libraries say about themselves is no fault of ours
        cupy = pytest.importorskip("cupy", reason="gpu: CuPy is not installed", exc_type=ImportError)
        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError:
            count = 0
    return cupy if count else pytest.skip("gpu: no CUDA device answers")


#: How each capability is obtained; whoever lacks it raises pytest's skip with "<capability>: <reason>".
CAPABILITIES: dict[str, Callable[[], Any]] = {
    "cupy": _module("cupy"),  # the library alone, with or without a device
    "cxx": _cxx,
    "data": _data_folder,
    "gpu": _gpu,
    "h5py": _module("h5py"),
    "jax": _module("jax"),
    "keras": _keras,
    "matplotlib": _module("matplotlib"),
    "nvrtc": _nvrtc,
    "onnx": _module("onnx"),
    "onnxscript": _module("onnxscript"),  # PyTorch's exporter needs it
    "sklearn": _module("sklearn"),
    "torch": _module("torch"),
}

REQUIRED = frozenset(filter(None, (name.strip() for name in os.environ.get("NETSPECTRA_REQUIRE", "").split(","))))


def obtain(capability: str) -> Any:
    """Return what `capability` stands for (a module, a folder), skip without it, fail where it is required."""
    try:
        return CAPABILITIES[capability]()
    except pytest.skip.Exception as absent:
        reason = absent.msg
    if capability in REQUIRED:
        pytest.fail(f"{reason}, yet NETSPECTRA_REQUIRE names {capability!r}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def require() -> Callable[[str], Any]:
    """Return ``require(capability)``: the module or folder of that name, or a skip, or a failure."""
    return obtain


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder that NETSPECTRA_DATA names: `mnist10k.npz` and its neighbours."""
    return obtain("data")


# Of the session, for hypothesis forbids function-scoped fixtures around @given; backends hold settings, not results.
@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    """Run the test on every backend this machine has."""
    for capability in BACKENDS[request.param]:
        obtain(capability)
    if request.param == "emulated":
        return importlib.import_module("cuda_kernels.strict_machine").strict_backend()
    return importlib.import_module("netspectra.kernels").get_backend(request.param)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a required capability that no test could ever ask for: a typing error there would require nothing."""
    if unknown := REQUIRED - CAPABILITIES.keys():
        message = f"NETSPECTRA_REQUIRE names {sorted(unknown)}; known capabilities: {sorted(CAPABILITIES)}"
        raise pytest.UsageError(message)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Honour the marker `requires`."""
    for mark in item.iter_markers("requires"):
        for capability in mark.args:
            obtain(capability)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Print the very last line of a run, below pytest's own: what was skipped, and why."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or not hasattr(terminal, "stats") or config.option.collectonly:
        return
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminal.stats.get("skipped", []))
    listed = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
    terminal.write_line(f"skipped: {listed or 'nothing'}")
