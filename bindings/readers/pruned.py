"""Pruned weights as PyTorch saves them: the whole tensor and its mask, which make one weight."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from netspectra.bindings.readers.tensors import Array, Tensor

__all__ = ["with_masks_applied"]


def with_masks_applied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with each ``X_orig`` and ``X_mask`` of ``torch.nn.utils.prune`` made one ``X``, in its place."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        base, role = name[:-5], name[-5:]
        mask, whole = tensors.get(f"{base}_mask"), tensors.get(f"{base}_orig")
        if role not in ("_orig", "_mask") or mask is None or whole is None or base in tensors:
            found[name] = tensor
        elif role == "_orig" and mask.shape == tensor.shape:
            found[base] = replace(tensor, name=base, read=_product(tensor, mask))
        elif mask.shape != whole.shape:
            found[name] = tensor
    return found


def _product(whole: Tensor, mask: Tensor) -> Callable[[], Array]:
    def read() -> Array:
        values = whole.read()
        return np.where(np.asarray(mask.read()) != 0, values, np.zeros((), values.dtype))

    return read
