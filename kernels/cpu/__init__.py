"""CPU backend. Importing it compiles its kernels, or loads them from the cache."""

from netspectra.kernels.cpu.backend import CpuBackend

__all__ = ["CpuBackend"]
