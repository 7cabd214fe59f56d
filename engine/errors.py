"""The errors netspectra raises on purpose, all under one root.

Bad input raises a class that is also a :class:`ValueError`; a machine or a run that cannot do what was asked raises one
that is also a :class:`RuntimeError`. Every message says what was expected, what came, and what to do.
"""

__all__ = [
    "AmbiguousOrientationError",
    "BackendUnavailableError",
    "FileFormatError",
    "GraphError",
    "LimitError",
    "NetspectraError",
    "NullFailureError",
]


class NetspectraError(Exception):
    """Root of every error that netspectra raises on purpose."""


class GraphError(NetspectraError, ValueError):
    """A graph, or a question asked of it, that makes no sense (shapes, values, `k`, labels, names of options)."""


class FileFormatError(NetspectraError, ValueError):
    """A file that is missing, truncated, or not what its suffix says."""


class LimitError(NetspectraError, ValueError):
    """Something larger than the limits set for it (a file's tensors, a replicate's memory)."""


class AmbiguousOrientationError(NetspectraError, ValueError):
    """Weight matrices that chain in both orientations, so that only the caller can know which one is meant."""


class NullFailureError(NetspectraError, RuntimeError):
    """More than one null network in a hundred could not be solved.

    Attributes
    ----------
    partial_result : ClusterabilityResult or None
        What was computed before the failure was established.
    """

    def __init__(self, message: str, partial_result: object | None = None) -> None:
        super().__init__(message)
        self.partial_result = partial_result


class BackendUnavailableError(NetspectraError, RuntimeError):
    """A backend that is known but cannot work here: what is missing, and which extra installs it."""
