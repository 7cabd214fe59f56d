"""64-bit numbers in JAX for the length of a test, whatever the release calls the switch."""

from __future__ import annotations

from contextlib import AbstractContextManager


def x64(enabled: bool = True) -> AbstractContextManager[None]:
    """Return a context with 64-bit numbers on, or off; the global configuration is left alone."""
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(enabled)
    from jax.experimental import disable_x64, enable_x64

    return enable_x64() if enabled else disable_x64()
