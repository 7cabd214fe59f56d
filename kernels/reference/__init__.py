"""Reference backend: the array-API standard alone, slow and obvious; what the others are tested against."""

from netspectra.kernels.reference.backend import ReferenceBackend

__all__ = ["ReferenceBackend"]
