"""What the edges of a graph should be, found by probing a framework's own layers: independent of how graphs are built.

Every module that makes nodes is given a hook: what it computes is written down, and what the rest of the network then
sees in its place is a tensor of our own, all zeros, that gradients stop at. So the derivative of what one module
computes by what another's nodes hold runs along direct edges only, through whatever the framework does in between.
With identity activations it does not depend on the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def influences(
    module: torch.nn.Module, nodes: dict[str, torch.nn.Module], example: torch.Tensor, norm: str = "l1"
) -> dict[tuple[str, str], np.ndarray]:
    """Influence (n_a, n_b) of the nodes of every `a` on those of every `b` along direct edges.

    The norm is taken over all positions of `a` that reach one position of `b` (its middle). Axis 1 holds the nodes,
    the last one where there are no positions.
    """
    made: dict[str, torch.Tensor] = {}
    seen: dict[str, torch.Tensor] = {}

    def hook(name: str) -> Any:
        def replace(_: torch.nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
            made[name] = output
            seen[name] = torch.zeros_like(output).requires_grad_()
            return seen[name]

        return replace

    handles = [part.register_forward_hook(hook(name)) for name, part in nodes.items()]
    try:
        seen["input"] = torch.zeros_like(example).requires_grad_()
        module(seen["input"])
    finally:
        for handle in handles:
            handle.remove()
    found: dict[tuple[str, str], np.ndarray] = {}
    for b, output in made.items():
        middle = output[(0, slice(None), *(size // 2 for size in output.shape[2:]))]
        rows = [torch.autograd.grad(y, list(seen.values()), retain_graph=True, allow_unused=True) for y in middle]
        for position, a in enumerate(seen):
            parts = [row[position] for row in rows]
            if a == b or parts[0] is None:
                continue
            flat = torch.stack([part[0].reshape(part.shape[1], -1) for part in parts], dim=1)
            size = flat.abs().sum(2) if norm == "l1" else (flat * flat).sum(2).sqrt()
            if bool(size.any()):
                found[a, b] = size.detach().double().numpy()
    return found
