"""The devices JAX sees: which one is meant, what it is called, how much memory it has."""

from typing import Any

import jax

from netspectra.errors import BackendUnavailableError, GraphError
from netspectra.kernels.memory import available_bytes

__all__ = ["chosen_device", "device_name", "free_bytes", "out_of_memory", "total_bytes"]


def chosen_device(device: Any, mesh: Any) -> Any:
    """The device meant by a number, by itself, or by None; of a mesh its first that this process can reach.

    Raises
    ------
    BackendUnavailableError
        If JAX has no such device.
    GraphError
        If `device` or `mesh` is something else, or both are given.
    """
    if mesh is not None:
        if device is not None or not isinstance(mesh, jax.sharding.Mesh):
            msg = f"mesh must be a jax.sharding.Mesh and device be left out, got mesh={mesh!r}, device={device!r}"
            raise GraphError(msg)
        return mesh.local_devices[0]
    if isinstance(device, jax.Device):
        return device
    if device is not None and (isinstance(device, bool) or not isinstance(device, int) or device < 0):
        msg = f"device must be a number of jax.devices(), a jax.Device or None, got {device!r}"
        raise GraphError(msg)
    try:
        devices = jax.devices()
    except RuntimeError as error:
        msg = f"backend 'jax': JAX finds no device ({error})"
        raise BackendUnavailableError(msg) from error
    if device is None:
        preferred = jax.config.jax_default_device
        return preferred if isinstance(preferred, jax.Device) else devices[0]
    if device >= len(devices):
        msg = f"backend 'jax': there is no device {device}; JAX sees {len(devices)}: {devices}"
        raise BackendUnavailableError(msg)
    return devices[device]


def device_name(device: Any, count: int) -> str:
    """``"cpu"``, ``"cuda:0"``, ``"tpu:0"``; of a mesh ``"8 x cpu"``."""
    kind = "cuda" if device.platform == "gpu" and "nvidia" in str(device.device_kind).lower() else device.platform
    if count > 1:
        return f"{count} x {kind}"
    return "cpu" if kind == "cpu" else f"{kind}:{device.local_hardware_id or 0}"


def total_bytes(device: Any) -> int:
    """Memory the device has for arrays; of a CPU what is free now."""
    stats = device.memory_stats() or {}
    return int(stats.get("bytes_limit", 0)) or available_bytes()


def free_bytes(device: Any) -> int:
    """Memory that can be allocated now."""
    stats = device.memory_stats() or {}
    limit = int(stats.get("bytes_limit", 0))
    return limit - int(stats.get("bytes_in_use", 0)) if limit else available_bytes()


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception of JAX says that a device's memory ran out."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error))
