"""Waves on a GPU: planned from shapes and the device, made smaller by memory alone, told and replayed."""

from __future__ import annotations

import numpy as np
import pytest
from clustering.planted import random_chain
from cuda_kernels.emulated import EmulatedLauncher
from cuda_kernels.host_machine import HostMachine, emulated_backend

import netspectra as ns
from netspectra.errors import GraphError, LimitError
from netspectra.kernels.cuda import CudaBackend

pytestmark = pytest.mark.requires("cxx")
GRAPH = random_chain()


class ScarceLauncher(EmulatedLauncher):
    """Runs out of memory where more than `room` null networks are drawn at once, as a device of little memory would."""

    def __init__(self, room, error=MemoryError):
        super().__init__()
        self.room, self.error = room, error

    def launch(self, kernel, grid, block, arguments, shared=0):
        if kernel.name == "scatter" and grid[1] > self.room:
            raise self.error("CUBLAS_STATUS_ALLOC_FAILED")
        super().launch(kernel, grid, block, arguments, shared)


def run(backend, **options):
    return ns.clusterability_test(GRAPH, 4, n_nulls=20, n_init=2, backend=backend, **options)


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
def test_a_wave_that_does_not_fit_is_halved_and_the_run_goes_on(error):
    machine = HostMachine(ScarceLauncher(6, error))
    result = run(CudaBackend(machine=machine))
    assert result.plan.waves == ((4, 5),)
    assert result.plan.reductions == (
        "out of memory at null 0: 10 replicates per wave, not 20",
        "out of memory at null 0: 5 replicates per wave, not 10",
    )
    assert machine.released == 2
    assert result.null_status == {"converged": 20}
    assert "waves: out of memory at null 0" in result.summary()
    np.testing.assert_allclose(result.null_ncuts, run("cpu").null_ncuts, rtol=1e-6)


def test_a_plan_can_be_replayed():
    scarce = run(CudaBackend(machine=HostMachine(ScarceLauncher(6))), batch_size=7)
    assert scarce.plan.waves == ((5, 4),)
    again = run(emulated_backend(EmulatedLauncher()), batch_size=scarce.plan)
    assert again.plan.waves == scarce.plan.waves
    assert again.plan.reductions == ()
    np.testing.assert_array_equal(again.null_ncuts, scarce.null_ncuts)


def test_memory_that_runs_out_late_leaves_what_was_done():
    class Late(ScarceLauncher):
        def launch(self, kernel, grid, block, arguments, shared=0):
            self.room = 1000 if [launch.name for launch in self.launches].count("scatter") < 4 else 3
            super().launch(kernel, grid, block, arguments, shared)

    result = run(CudaBackend(machine=HostMachine(Late(1000))), batch_size=5)
    assert result.plan.waves == ((2, 5), (3, 3), (1, 1))
    assert result.plan.reductions == ("out of memory at null 10: 3 replicates per wave, not 5",)


def test_a_plan_of_another_run_is_refused():
    plan = run("cpu").plan
    with pytest.raises(GraphError, match="plan of a run of 20 null networks, this one has 30"):
        ns.clusterability_test(GRAPH, 4, n_nulls=30, backend="cpu", batch_size=plan)


def test_where_not_even_one_fits_the_limit_is_named():
    machine = HostMachine(ScarceLauncher(0))
    with pytest.raises(LimitError, match=r"not even one null network fits in memory .*ALLOC_FAILED"):
        run(CudaBackend(machine=machine))
    assert machine.released > 4


def test_other_errors_are_not_swallowed_and_memory_is_given_back():
    class Broken(EmulatedLauncher):
        def launch(self, kernel, grid, block, arguments, shared=0):
            if kernel.name == "scatter":
                raise RuntimeError("an illegal memory access was encountered")
            super().launch(kernel, grid, block, arguments, shared)

    machine = HostMachine(Broken())
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run(CudaBackend(machine=machine))
    assert machine.released == 1


def test_the_size_of_a_wave_follows_from_device_and_limit_alone():
    large, small = (emulated_backend(EmulatedLauncher(), total=total) for total in (80 << 30, 1 << 20))
    assert large.wave_size(1 << 20, None, iterated=True) == 1024
    assert large.wave_size(1 << 30, None, iterated=True) == 31  # four tenths of the device, less k-means' scratch
    assert large.wave_size(1 << 20, 1 << 30, iterated=False) == (1 << 10) - 256
    assert small.wave_size(1 << 14, None, iterated=True) == 12  # never less than half of it


def test_free_memory_may_only_reduce_a_wave_and_is_told():
    machine = HostMachine(EmulatedLauncher())
    backend = CudaBackend(machine=machine)
    plenty = run(backend)
    assert plenty.plan.batch_size == 20
    assert plenty.plan.reductions == ()
    machine.free = 20 * plenty.plan.bytes_per_replicate  # half of it is planned with
    scarce = run(backend)
    assert scarce.plan.batch_size == 10
    assert len(scarce.plan.reductions) == 1
    assert "10 replicates per wave, not 20" in scarce.plan.reductions[0]
    assert scarce.plan.model == "emulated GPU"
    limited = run(backend, memory_limit=20 * plenty.plan.bytes_per_replicate)
    assert limited.plan.batch_size == 10
    assert limited.plan.reductions == ()


def test_what_does_not_fit_outside_the_waves_is_a_limit():
    class NoRoomForKMeans(EmulatedLauncher):
        def launch(self, kernel, grid, block, arguments, shared=0):
            if kernel.file == "kmeans.cu":
                raise MemoryError("Out of memory allocating 8,000,000 bytes")
            super().launch(kernel, grid, block, arguments, shared)

    machine = HostMachine(NoRoomForKMeans())
    with pytest.raises(LimitError, match=r"cuda:emulated ran out of memory \(Out of memory allocating 8,000,000 bytes"):
        run(CudaBackend(machine=machine))
    assert machine.released == 1


def test_a_replay_on_another_machine_says_so():
    plan = run(emulated_backend(EmulatedLauncher())).plan
    result = run("cpu", batch_size=plan)
    assert result.plan.waves == plan.waves
    assert "another machine (emulated GPU)" in result.plan.reductions[0]


def test_the_plan_survives_saving(tmp_path):
    result = run(CudaBackend(machine=HostMachine(ScarceLauncher(6))))
    result.save(tmp_path / "result.npz")
    back = ns.ClusterabilityResult.load(tmp_path / "result.npz")
    assert back.plan == result.plan
    assert run("cpu", batch_size=back.plan).plan.waves == result.plan.waves
