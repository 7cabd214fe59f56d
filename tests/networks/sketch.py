"""Small networks in few words: a pen that writes operations down."""

from __future__ import annotations

from typing import Any

import numpy as np

from netspectra.networks import Network, Operation, Weight


class Sketch:
    """Operations one after another; every method returns the name of the tensor that it makes."""

    def __init__(self, **inputs: Any) -> None:
        self.inputs, self.constants = inputs, {}
        self.operations: list[Operation] = []
        self.rng = np.random.default_rng(7)
        self.weights: dict[str, np.ndarray] = {}

    def constant(self, name: str, *shape: int) -> str:
        self.constants[name] = shape
        return name

    def weight(self, *shape: int) -> Weight:
        return Weight.of(self.rng.standard_normal(shape).astype(np.float32), f"weight{len(self.operations)}")

    def do(self, kind: str, name: str, *inputs: str, shape: Any = None, weights: Any = None, **options: Any) -> str:
        out = f"{name}:{len(self.operations)}"
        self.operations.append(Operation(kind, name, inputs, (out,), weights or {}, options, shape))
        return out

    def dense(self, name: str, x: str, n_in: int, n_out: int, orientation: str = "out-in", **options: Any) -> str:
        shape = (n_out, n_in) if orientation == "out-in" else (n_in, n_out)
        weight = self.weight(*shape)
        self.weights[name] = weight.read() if orientation == "in-out" else weight.read().T
        return self.do("dense", name, x, weights={"weight": weight}, orientation=orientation, **options)

    def convolution(self, name: str, x: str, n_in: int, n_out: int, size: int = 3, groups: int = 1, **more: Any) -> str:
        weight = self.weight(n_out, n_in // groups, size, size)
        self.weights[name] = weight.read()
        return self.do("convolution", name, x, weights={"weight": weight}, layout="oihw", groups=groups, **more)

    def split(self, x: str, axis: int, *sizes: int) -> list[str]:
        number = len(self.operations)
        outs = tuple(f"split{number}.{i}" for i in range(len(sizes)))
        self.operations.append(Operation("split", f"split{number}", (x,), outs, {}, {"axis": axis, "sizes": sizes}))
        return list(outs)

    def network(self, *outputs: str) -> Network:
        return Network(tuple(self.operations), self.inputs, self.constants, outputs)
