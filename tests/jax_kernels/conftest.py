"""Eight devices on the host for the whole run, and 32-bit numbers wherever a test does not ask for more.

JAX settles how many devices the host has when it is first used, not when it is imported. Tests use it in their bodies
only, so that this file, which pytest reads while it collects, is early enough wherever in the run these tests stand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from jax_kernels.x64 import x64

N_DEVICES = 8
COUNT = "--xla_force_host_platform_device_count"

if COUNT not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {COUNT}={N_DEVICES}".strip()


@pytest.fixture
def narrow() -> Iterator[None]:
    """No 64-bit numbers, whatever the environment says."""
    with x64(False):
        yield


@pytest.fixture(scope="session")
def on_jax() -> Any:
    """The backend of one device, shared: what is compiled for one test serves the others."""
    from netspectra.kernels import get_backend

    return get_backend("jax")


@pytest.fixture(scope="session")
def mesh() -> Any:
    """Eight devices of the host."""
    import jax

    devices = jax.devices("cpu")
    assert len(devices) >= N_DEVICES, f"JAX was used before {__name__} was read: the host has {len(devices)} devices"
    return jax.sharding.Mesh(devices[:N_DEVICES], ("devices",))


@pytest.fixture(scope="session")
def spread(mesh: Any) -> Any:
    """The backend of the whole mesh."""
    from netspectra.kernels import get_backend

    return get_backend("jax", mesh=mesh)
