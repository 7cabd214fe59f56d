"""What every format is turned into first: named tensors whose shape is known and whose values are read on request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

from netspectra.networks import Weight

__all__ = ["Array", "Tensor", "TensorFile"]

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file, not read yet.

    Attributes
    ----------
    name : str
        Key in the file.
    shape : tuple of int
        As stored.
    stored : str
        What its elements are, in words for people (``"float32"``, ``"bfloat16"``, ``"complex64"`` …).
    dtype : numpy.dtype or None
        Dtype of what :attr:`read` returns; None where the elements are nothing that weights can be made of.
    n_bytes : int
        Bytes of its elements, uncompressed.
    read : callable
        Returns the array, shape `shape`; only while the file is open, and only where `dtype` is not None.
    """

    name: str
    shape: tuple[int, ...]
    stored: str
    dtype: np.dtype[Any] | None
    n_bytes: int
    read: Callable[[], Array] = field(repr=False)

    def weight(self) -> Weight:
        """Return the tensor as a weight of a network; only where `dtype` is not None."""
        return Weight(self.shape, np.dtype(self.dtype), self.read, self.name)


@dataclass(frozen=True)
class TensorFile:
    """An open file of tensors; a context manager that closes it.

    Attributes
    ----------
    path : Path
    format : str
        ``"npz"``, ``"safetensors"`` or ``"pytorch"``.
    tensors : mapping of str to Tensor
        In the order of the file.
    metadata : mapping of str to str
        What the file says of itself (safetensors only).
    unread : tuple of (str, str)
        Members that are no tensors at all, each with the reason.
    in_order : bool
        Whether the tensors come in the order of the modules that own them (PyTorch state dicts do).
    """

    path: Path
    format: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[tuple[str, str], ...] = ()
    in_order: bool = False
    close: Callable[[], None] = field(default=lambda: None, repr=False)

    def __enter__(self) -> "TensorFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
