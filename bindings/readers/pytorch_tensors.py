"""The tensors of a loaded PyTorch checkpoint: where they are in it, and how each becomes a NumPy view."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from netspectra.bindings.readers.tensors import Array, Tensor
from netspectra.errors import FileFormatError

__all__ = ["find_state_dict", "tensor_of"]

_LOGGER = logging.getLogger("netspectra")
_PLACES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params", "weights")
"""Keys under which checkpoints keep the state dict, the first that is there counts."""

_DEEPEST = 4


def find_state_dict(content: object, path: Path, torch: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the tensors by name, and what else there is, each with the reason why it is not read.

    Raises
    ------
    FileFormatError
        If there is no mapping from names to tensors, or several and none is called as state dicts are.
    """
    where, unread = "", []
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
        tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
        if tensors:
            others = (name for name, value in content.items() if not isinstance(value, torch.Tensor))
            unread += [(f"{where}{name}", "not a tensor") for name in others]
            return tensors, unread
        inner = [name for name, value in content.items() if isinstance(value, Mapping) and _holds(value, torch)]
        chosen = next((name for name in _PLACES if name in inner), inner[0] if len(inner) == 1 else None)
        if chosen is None:
            break
        left = [name for name in inner if name != chosen]
        if left:
            _LOGGER.warning("%s: read %r; left are %s", path, f"{where}{chosen}", ", ".join(map(repr, left)))
        beside = [name for name in content if name != chosen]
        unread += [(f"{where}{name}", f"beside {chosen!r}, the weights") for name in beside]
        where, content = f"{where}{chosen}.", content[chosen]
    held = f"the keys {_listed(content)}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
    msg = (
        f"{path}: expected tensors by name, at the top or under a key such as 'state_dict' or 'model', got {held}; "
        "save model.state_dict() alone"
    )
    raise FileFormatError(msg)


def tensor_of(name: str, value: Any, torch: Any) -> Tensor:
    """Return a tensor of PyTorch as one of a file: a view of its memory, bfloat16 included."""
    shape, stored = tuple(int(side) for side in value.shape), str(value.dtype).removeprefix("torch.")
    plain = value.layout == torch.strided and not value.is_quantized and value.device.type == "cpu"
    dtype = _numpy_dtype(stored) if plain else None
    if not plain:
        stored = f"{stored} ({'quantized' if value.is_quantized else value.layout}, on {value.device})"

    def read() -> Array:
        host = value.detach().resolve_neg()
        if stored == "bfloat16":
            return _frozen(host.view(torch.int16).numpy().view(ml_dtypes.bfloat16))
        return _frozen(host.numpy())

    return Tensor(name, shape, stored, dtype, int(value.numel()) * int(value.element_size()), read)


def _holds(content: Mapping[Any, Any], torch: Any) -> bool:
    """Whether there are tensors by name in it, at some depth (an optimizer's state is keyed by numbers)."""
    level, seen = [content], {id(content)}
    for _ in range(_DEEPEST):
        below = []
        for name, value in ((name, value) for mapping in level for name, value in mapping.items()):
            if isinstance(name, str) and isinstance(value, torch.Tensor):
                return True
            if isinstance(name, str) and isinstance(value, Mapping) and id(value) not in seen:
                seen.add(id(value))  # a pickle may name one mapping very often, or inside itself
                below.append(value)
        level = below
    return False


def _numpy_dtype(stored: str) -> "np.dtype[Any] | None":
    try:
        dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16 if stored == "bfloat16" else stored)
    except TypeError:
        return None
    return dtype if stored == "bfloat16" or dtype.kind in "biuf" else None


def _frozen(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _listed(content: Mapping[Any, Any]) -> str:
    names = [repr(name)[:40] for name in content]
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
