"""Shapes that a model declares: of its inputs, and of what it says about tensors in between."""

from collections.abc import Mapping
from typing import Any

from netspectra.bindings.onnx.model import Model
from netspectra.errors import FileFormatError
from netspectra.networks.network import Shape

__all__ = ["Declarations"]


class Declarations:
    """Declared shapes, free sizes resolved.

    Parameters
    ----------
    model : Model
    sizes : mapping of str to int
        Of free dimensions, by name.
    """

    def __init__(self, model: Model, sizes: Mapping[str, int]) -> None:
        self.model = model
        self.sizes = sizes
        graph = model.proto.graph
        self._infos = {str(info.name): info for info in (*graph.value_info, *graph.output)}

    def of_tensor(self, name: str) -> Shape | None:
        """Shape declared for a tensor that nodes make, None where there is none; free sizes are None."""
        info = self._infos.get(name)
        return None if info is None else self.shape(info, free=None)

    def shape(self, info: Any, free: int | None) -> Shape | None:
        """Shape in a `ValueInfoProto`; `free` where a size has a name, or nothing, instead of a number."""
        kind = info.type
        if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
            return None
        sides: list[int | None] = []
        for dimension in kind.tensor_type.shape.dim:
            side: int | None = int(dimension.dim_value)
            if not dimension.HasField("dim_value") or side == -1:
                side = self.sizes.get(str(dimension.dim_param), free)
            if side is not None and not 0 <= side < 1 << 31:
                raise _wrong(self.model.source, f"a possible shape of {str(info.name)!r}", str(side))
            sides.append(side)
        self.model.tensors.require("max_dimensions", len(sides), f"the number of dimensions of {str(info.name)!r}")
        return tuple(sides)


def _wrong(source: str, expected: str, came: str) -> FileFormatError:
    return FileFormatError(f"{source}: expected {expected}, got {came}; export the model again")
