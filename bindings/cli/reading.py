"""Options of every command that reads a network: what the file does not say, and what its graph shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "Architecture",
    "Attention",
    "DenseHead",
    "File",
    "Heads",
    "InputLayer",
    "KeyHeads",
    "Norm",
    "Normalisation",
    "Order",
    "Residual",
    "Side",
    "asked",
]

_FILE = "A .safetensors, .npz, .pt, .onnx, .keras or .h5 file, or example:mnist-mlp, example:mnist-mlp-pruned."

File = Annotated[str, typer.Argument(metavar="FILE", help=_FILE, show_default=False)]
Side = Annotated[str, typer.Option("--orientation", help="How weights are stored: auto, in-out or out-in.")]
Order = Annotated[str | None, typer.Option("--order", help="Weights to read, input side first, with commas between.")]
Architecture = Annotated[
    Path | None, typer.Option("--architecture", metavar="TOPOLOGY.json", help="How a file's tensors are joined.")
]
Heads = Annotated[int | None, typer.Option("--n-heads", help="Attention heads, where shapes do not tell.")]
KeyHeads = Annotated[int | None, typer.Option("--n-kv-heads", help="Heads of keys and values.")]
Norm = Annotated[str, typer.Option("--norm", help="Edge of two channels from their kernel: l1, l2 or operator-1.")]
InputLayer = Annotated[bool, typer.Option("--input-layer/--no-input-layer", help="Whether inputs are nodes.")]
DenseHead = Annotated[
    bool, typer.Option("--dense-head/--no-dense-head", help="Whether the last dense layers are nodes.")
]
Residual = Annotated[str, typer.Option("--residual", help="Residual streams: shared or per-layer.")]
Attention = Annotated[str, typer.Option("--attention", help="Nodes of attention: dimensions or heads.")]
Normalisation = Annotated[str, typer.Option("--normalisation", help="Its factors: fold, or skip to copy no weight.")]


_ASKED = (
    "orientation", "order", "architecture", "n_heads", "n_kv_heads", "norm", "input_layer", "dense_head", "residual",
    "attention", "normalisation",
)  # fmt: skip


def asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a command was given, by name, as ``load`` and ``inspect_file`` take it: words, which they check."""
    order = given["order"]
    names = None if order is None else [name.strip() for name in order.split(",")]
    return {**{name: given[name] for name in _ASKED}, "order": names}
