"""CUDA backend: CuPy and CUDA C++. Importing it needs neither; making a :class:`CudaBackend` does."""

from netspectra.kernels.cuda.backend import CudaBackend

__all__ = ["CudaBackend"]
