"""How a device or a mesh is asked for, what the backend says of itself, and what is said where JAX is not as wanted."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib import metadata
from inspect import signature
from types import SimpleNamespace

import numpy as np
import pytest
from jax_kernels.jax_problems import CHAINS

import netspectra as ns
from netspectra.errors import BackendUnavailableError, GraphError, NetspectraError
from netspectra.kernels import available_backends, get_backend
from netspectra.kernels.backend import Backend
from netspectra.kernels.jax import OLDEST, jax_version, require_jax

# -- JAX is missing, too old, broken: nothing here needs it ------------------------------------------------------------


def missing(name):
    raise metadata.PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (missing, r"needs JAX 0\.7 or newer, which is not installed: pip install \"netspectra\[jax\]\" .*"),
        (lambda _: "0.6.2", r"needs JAX 0\.7 or newer, found 0\.6\.2: pip install \"netspectra\[jax\]\".*--upgrade"),
        (lambda _: "0.4.38.dev20250101", r"needs JAX 0\.7 or newer, found 0\.4\.38\.dev20250101"),
    ],
    ids=["missing", "too old", "a development release"],
)
def test_without_a_jax_that_is_new_enough_it_says_what_to_install(monkeypatch, version, told):
    monkeypatch.setattr("netspectra.kernels._default", {})
    monkeypatch.setattr(metadata, "version", version)
    for call in (
        lambda: get_backend("jax"),
        lambda: get_backend("jax", device=0),
        require_jax,
        lambda: ns.eigenpairs(CHAINS["modules"].graph("float32"), 3, backend="jax"),
    ):
        with pytest.raises(BackendUnavailableError, match=rf"backend 'jax' {told}") as caught:
            call()
        assert isinstance(caught.value, RuntimeError)
        assert isinstance(caught.value, NetspectraError)
        assert "\n" not in str(caught.value)
    assert "jax" not in available_backends()


@pytest.mark.parametrize("version", ["0.7", "0.7.0", "0.10.2", "1.0.0rc1", "0.11.0.dev1+g1234"])
def test_releases_that_are_new_enough(monkeypatch, version):
    monkeypatch.setattr(metadata, "version", lambda _: version)
    assert jax_version() >= OLDEST
    assert available_backends()[-3:] == ["cpu", "jax", "reference"]


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'jaxlib'"), RuntimeError("jaxlib version 0.6 is newer")]
)
def test_a_broken_installation_says_what_is_wrong(monkeypatch, error):
    def broken(name):
        raise error

    monkeypatch.setattr(metadata, "version", lambda _: "0.9.0")
    monkeypatch.setattr("netspectra.kernels.jax.import_module", broken)
    told = rf"JAX 0\.9\.0 is installed but cannot be imported \({error}\): pip install"
    with pytest.raises(BackendUnavailableError, match=told) as caught:
        require_jax()
    assert caught.value.__cause__ is error


def test_the_binding_says_so_too():
    """In a process of its own, for the binding checks at its import."""
    code = (
        "from importlib import metadata\n"
        "old = metadata.version\n"
        "metadata.version = lambda name: '0.5.0' if name == 'jax' else old(name)\n"
        "from netspectra.errors import BackendUnavailableError\n"
        "try:\n    import netspectra.bindings.jax\n"
        "except BackendUnavailableError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'needs JAX 0.7 or newer, found 0.5.0: pip install "netspectra[jax]"' in done.stdout


def test_neither_the_package_nor_the_list_of_backends_imports_jax():
    code = (
        "import sys, netspectra as ns, netspectra.kernels as k; k.available_backends(); ns.get_backend(); "
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_module_has_no_other_names():
    with pytest.raises(AttributeError, match="no attribute 'GpuBackend'"):
        getattr(importlib.import_module("netspectra.kernels.jax"), "Gpu" + "Backend")


# -- with JAX ----------------------------------------------------------------------------------------------------------


@pytest.mark.requires("jax")
@pytest.mark.usefixtures("narrow")
class TestDevices:
    def test_jax_is_taken_by_name_only(self):
        assert "jax" in available_backends()
        assert get_backend("auto").name != "jax"
        assert get_backend("jax") is get_backend("jax")
        assert get_backend("jax", dtype="float32") is not get_backend("jax")

    def test_every_verb_is_there_with_the_same_arguments(self, on_jax):
        assert isinstance(on_jax, Backend)
        for name, verb in vars(Backend).items():
            if callable(verb) and not name.startswith("_"):
                wanted, found = (list(signature(getattr(kind, name)).parameters) for kind in (Backend, type(on_jax)))
                assert wanted == found, name

    def test_what_it_says_of_itself(self, on_jax):
        import jax

        device = jax.devices()[0]
        assert (on_jax.name, on_jax.n_threads, on_jax.model) == ("jax", 1, device.device_kind)
        assert on_jax.device.split(":")[0] in ("cpu", "cuda", "tpu")
        assert repr(on_jax) == f"JaxBackend({on_jax.device}, {on_jax.model!r})"
        assert on_jax.available_memory() > 1 << 20
        assert on_jax.in_flight(64) == 64
        on_jax.free_memory()
        with on_jax.session():
            on_jax.synchronize()

    def test_a_device_by_number_and_by_itself(self):
        import jax

        last = jax.devices()[-1]
        for asked in (len(jax.devices()) - 1, last):
            backend = get_backend("jax", device=asked)
            assert backend.asarray(np.ones(3, np.float32)).device == last
            with backend.session():
                assert jax.numpy.zeros(2).device == last
            assert jax.config.jax_default_device is None

    def test_a_solve_stays_on_the_device_asked_for(self):
        import jax

        from netspectra.graph.batch import load_batch

        backend = get_backend("jax", device=len(jax.devices()) - 1)
        graph = CHAINS["modules"].graph("float32")
        with backend.session():
            batch = load_batch([graph], backend)
            assert {batch.degrees.device, batch.weights[0].values.device} == {jax.devices()[-1]}
        assert ns.ncut(graph, np.arange(graph.n_nodes) % 3, backend=backend) == pytest.approx(
            ns.ncut(graph, np.arange(graph.n_nodes) % 3, backend="cpu"), rel=1e-5
        )

    def test_jax_s_own_default_device_is_kept(self):
        import jax

        last = jax.devices()[-1]
        with jax.default_device(last):
            assert get_backend("jax", dtype="float32").asarray([1.0]).device == last

    @pytest.mark.parametrize("device", [-1, True, 1.0, "cpu", "cuda:0", [0]], ids=repr)
    def test_what_is_no_device_is_refused(self, device):
        with pytest.raises(
            GraphError, match=r"device must be a number of jax\.devices\(\), a jax\.Device or None, got"
        ):
            get_backend("jax", device=device)

    def test_a_device_that_is_not_there(self):
        with pytest.raises(BackendUnavailableError, match=r"'jax': there is no device 99; JAX sees \d+: \["):
            get_backend("jax", device=99)

    def test_no_device_at_all(self, monkeypatch):
        import jax

        def none():
            raise RuntimeError("Unable to initialize backend 'tpu'")

        monkeypatch.setattr(jax, "devices", none)
        with pytest.raises(
            BackendUnavailableError, match=r"JAX finds no device \(Unable to initialize backend 'tpu'\)"
        ):
            get_backend("jax", device=0)

    def test_options_it_does_not_have(self):
        with pytest.raises(GraphError, match=r"backend 'jax' does not know these options: .*n_threads"):
            get_backend("jax", n_threads=2)

    @pytest.mark.parametrize("asked", ["mesh", 8, "devices"])
    def test_what_is_no_mesh_is_refused(self, asked):
        import jax

        given = jax.devices() if asked == "devices" else asked
        with pytest.raises(GraphError, match=r"mesh must be a jax\.sharding\.Mesh and device be left out"):
            get_backend("jax", mesh=given)

    def test_a_mesh_and_a_device_are_one_too_many(self, mesh):
        with pytest.raises(GraphError, match=r"mesh must be .* and device be left out, got mesh=Mesh.*device=0"):
            get_backend("jax", mesh=mesh, device=0)

    def test_waves_are_planned_by_shapes_and_model(self, on_jax):
        one = on_jax.wave_size(1000, None, iterated=True)
        assert one == on_jax.wave_size(1000, None, iterated=False) >= 1
        assert on_jax.wave_size(1000, 5000, iterated=True) == 5
        assert on_jax.wave_size(10**18, None, iterated=True) == 0, "what cannot fit is planned as none"

    def test_a_wave_that_does_not_fit_is_a_memory_error(self, on_jax):
        def solve(backend, replicates):
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")

        with pytest.raises(MemoryError, match=r"a wave of 3 replicates does not fit .RESOURCE_EXHAUSTED"):
            on_jax.map_replicates(solve, range(3))

        def fails(backend, replicates):
            raise RuntimeError("INTERNAL: something else")

        with pytest.raises(RuntimeError, match="INTERNAL"):
            on_jax.map_replicates(fails, range(3))

    def test_arrays_go_in_and_out(self, on_jax):
        for values in (np.arange(6, dtype=np.float32), np.array([True, False]), np.empty((0, 3), np.float32)):
            values.flags.writeable = False
            back = on_jax.to_numpy(on_jax.asarray(values))
            assert back.dtype == values.dtype
            np.testing.assert_array_equal(back, values)
        assert on_jax.to_numpy(on_jax.asarray([1, 2], dtype=on_jax.xp.float32)).dtype == np.float32

    @pytest.mark.requires("torch")
    def test_arrays_of_other_libraries_come_by_dlpack(self, on_jax):
        import torch

        given = torch.arange(6, dtype=torch.float32)
        np.testing.assert_array_equal(on_jax.asarray(given), np.arange(6))

    def test_memory_of_an_accelerator_is_what_it_says(self):
        """What a GPU reports; a CPU reports nothing, and the host is asked."""
        from netspectra.kernels.jax.devices import device_name, free_bytes, total_bytes

        stats = {"bytes_limit": 1000, "bytes_in_use": 300}
        gpu = SimpleNamespace(
            platform="gpu", device_kind="NVIDIA H100", local_hardware_id=1, memory_stats=lambda: stats
        )
        assert (device_name(gpu, 1), device_name(gpu, 4), total_bytes(gpu), free_bytes(gpu)) == (
            "cuda:1",
            "4 x cuda",
            1000,
            700,
        )
        host = SimpleNamespace(platform="cpu", memory_stats=lambda: None)
        assert total_bytes(host) > 1 << 20
        assert free_bytes(host) > 1 << 20
