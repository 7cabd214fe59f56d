"""The JAX backend: whatever machine JAX has, the solve compiled once per shape."""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from netspectra.errors import BackendUnavailableError

__all__ = ["OLDEST", "JaxBackend", "jax_version", "require_jax"]

OLDEST = (0, 7)
"""Oldest release of JAX that has what is used here, and that the tests passed with."""


if TYPE_CHECKING:
    from netspectra.kernels.jax.backend import JaxBackend


def jax_version() -> tuple[int, ...] | None:
    """Release of JAX that is installed, None if there is none; nothing is imported."""
    try:
        return tuple(int(part) for part in metadata.version("jax").split(".")[:2])
    except metadata.PackageNotFoundError:
        return None


def require_jax() -> None:
    """Import JAX, or raise :class:`BackendUnavailableError` where it is missing, too old or broken."""
    install = 'pip install "netspectra[jax]" (or [jax-cuda12], [jax-cuda13] on an NVIDIA GPU)'
    wanted = ".".join(map(str, OLDEST))
    found = jax_version()
    if found is None:
        msg = f"backend 'jax' needs JAX {wanted} or newer, which is not installed: {install}"
        raise BackendUnavailableError(msg)
    if found < OLDEST:
        msg = f"backend 'jax' needs JAX {wanted} or newer, found {metadata.version('jax')}: {install} --upgrade"
        raise BackendUnavailableError(msg)
    try:
        import_module("jax")
    except (ImportError, RuntimeError) as error:  # jaxlib is missing, or is another release than jax wants
        msg = f"backend 'jax': JAX {metadata.version('jax')} is installed but cannot be imported ({error}): {install}"
        raise BackendUnavailableError(msg) from error


def __getattr__(name: str) -> Any:
    """:class:`JaxBackend`, loaded with JAX at its first use."""
    if name != "JaxBackend":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    require_jax()
    return import_module("netspectra.kernels.jax.backend").JaxBackend
