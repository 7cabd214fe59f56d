"""Operations written one after another: each helper adds one or a few, and returns the tensor that comes out."""

import re
from collections.abc import Mapping
from typing import Any

from netspectra.bindings.readers.families.hints import Hints
from netspectra.bindings.readers.norms import split_role
from netspectra.bindings.readers.selection import CONSTANT, natural_key, why_not
from netspectra.bindings.readers.tensors import Tensor
from netspectra.errors import GraphError
from netspectra.graph.layer_graph import Orientation
from netspectra.networks import Network, Operation, Skipped, Weight
from netspectra.networks.network import Shape

__all__ = ["Writer"]

_CONSTANTS = (
    (
        re.compile(r"(^|[._])(wpe|pos(ition(al)?)?_embed\w*|embed_positions|token_type_embed\w*)(\.|$)"),
        "embeds positions",
    ),
    (re.compile(r"(^|[._])(cls|class|dist|mask|distillation)_token$"), "a token of its own"),
    (re.compile(r"(^|[._])(masked_bias|inv_freq|position_ids|attn\.bias|attention\.bias|freqs_\w+)$"), "a buffer"),
)


class Writer:
    """A network being written from named tensors; `used` holds the names of those that have become weights."""

    def __init__(self, tensors: Mapping[str, Tensor], orientation: Orientation, family: str) -> None:
        self.tensors, self.orientation, self.family = tensors, orientation, family
        self.operations: list[Operation] = []
        self.used: set[str] = set()

    def weight(self, name: str, n_dimensions: int) -> Weight:
        """Return a tensor as a weight, and remember that it is used.

        Raises
        ------
        GraphError
            If it has other dimensions than `n_dimensions`, is empty or holds no real numbers.
        """
        tensor = self.tensors[name]
        if len(tensor.shape) != n_dimensions or tensor.dtype is None or 0 in tensor.shape:
            msg = (
                f"expected {name!r} of {self.family} with {n_dimensions} dimensions, got {tensor.stored} of shape "
                f"{tensor.shape}"
            )
            raise GraphError(msg)
        self.used.add(name)
        return tensor.weight()

    def write(
        self,
        kind: str,
        name: str,
        inputs: tuple[str, ...],
        options: Mapping[str, Any] | None = None,
        weights: Mapping[str, Weight] | None = None,
        shape: Shape | None = None,
    ) -> str:
        """Add an operation of one output."""
        output = f"{name}:{kind}:{len(self.operations)}"
        self.operations.append(Operation(kind, name, inputs, (output,), weights or {}, options or {}, shape))
        return output

    def dense(self, key: str, source: str, name: str | None = None, orientation: Orientation | None = None) -> str:
        """Add a dense layer; it is called after its tensor."""
        options = {"orientation": orientation or self.orientation}
        return self.write(
            "dense", name or split_role(key)[0] or key, (source,), options, {"weight": self.weight(key, 2)}
        )

    def n_out(self, key: str) -> int:
        """How many units a matrix makes."""
        return self.tensors[key].shape[0 if self.orientation == "out-in" else 1]

    def embedding(self, key: str, source: str) -> str:
        """Add a table of rows that are chosen by number."""
        return self.write("embedding", split_role(key)[0] or key, (source,), weights={"weight": self.weight(key, 2)})

    def norm(self, key: str | None, source: str) -> str:
        """Add a normalisation of the last axis; without a scale it changes nothing."""
        if key is None:
            return source
        return self.write("scale", split_role(key)[0], (source,), {"axis": -1}, {"scale": self.weight(key, 1)})

    def split(self, name: str, source: str, sizes: tuple[int, ...]) -> tuple[str, ...]:
        """Split the last axis."""
        outputs = tuple(f"{name}:part{i}" for i in range(len(sizes)))
        self.operations.append(Operation("split", name, (source,), outputs, {}, {"axis": -1, "sizes": sizes}))
        return outputs

    def attention(
        self,
        name: str,
        query: str,
        key: str,
        value: str,
        sizes: tuple[int, int],
        hints: Hints,
        norms: Any = (None, None),
    ) -> str:
        """Add attention between (1, positions, channels); `sizes` are the channels of queries and of keys."""
        n_query, n_key = sizes
        head_size = next((self.weight(norm, 1).shape[0] for norm in norms if norm is not None), None)
        heads, kv_heads, size = hints.split(n_query, n_key, name, head_size)
        parts = []
        for source, count, scale in ((query, heads, norms[0]), (key, kv_heads, norms[1]), (value, kv_heads, None)):
            part = self.write("reshape", name, (source,), shape=(1, 1, count, size))
            part = self.write("transpose", name, (self.norm(scale, part),), {"permutation": (0, 2, 1, 3)})
            if count < heads:
                part = self.write("repeat", name, (part,), {"axis": 1, "times": heads // count})
            parts.append(part)
        mixed = self.write("attention", name, tuple(parts))
        mixed = self.write("transpose", name, (mixed,), {"permutation": (0, 2, 1, 3)})
        return self.write("reshape", name, (mixed,), shape=(1, 1, n_query))

    def network(self, inputs: Mapping[str, Shape | None], output: str, origin: str) -> Network:
        """Return the network; tensors that no operation uses are skipped, each with the reason."""
        left = sorted((name for name in self.tensors if name not in self.used), key=natural_key)
        skipped = tuple(Skipped(name, self._reason(name)) for name in left)
        return Network(tuple(self.operations), inputs, outputs=(output,), skipped=skipped, format=origin)

    def _reason(self, name: str) -> str:
        bare = name.removesuffix(".weight")
        what = next((what for pattern, what in _CONSTANTS if pattern.search(bare) or pattern.search(name)), None)
        if what is not None:
            return f"{CONSTANT}: {what}, it has no nodes"
        return why_not(self.tensors[name]) or f"no part of {self.family} as it is known here"
