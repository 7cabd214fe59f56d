"""Weights that are zero stay zero: a hook on each leaf tensor masks its gradient where it is exactly zero."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.hooks import unserializable_hook

__all__ = ["KeptZeros"]


class KeptZeros:
    """Hooks on tensors, one each; the tensors are held weakly, and a copy starts without any."""

    def __init__(self) -> None:
        self._watched: dict[int, weakref.ref[torch.Tensor]] = {}

    def watch(self, tensors: Iterable[torch.Tensor]) -> None:
        """Hook every leaf among the tensors that needs a gradient and has no hook yet."""
        for tensor in tensors:
            known = self._watched.get(id(tensor))
            if tensor.is_leaf and tensor.requires_grad and (known is None or known() is not tensor):
                reference = weakref.ref(tensor)
                tensor.register_hook(_masked_by(reference))
                self._watched[id(tensor)] = reference

    def __getstate__(self) -> dict[str, Any]:
        return {"_watched": {}}


def _masked_by(reference: "weakref.ref[torch.Tensor]") -> Callable[[torch.Tensor], torch.Tensor | None]:
    @unserializable_hook  # type: ignore[untyped-decorator]
    def mask(gradient: torch.Tensor) -> torch.Tensor | None:
        tensor = reference()
        return None if tensor is None else torch.where(tensor.detach() == 0, torch.zeros_like(gradient), gradient)

    return mask  # type: ignore[no-any-return]
