"""Networks of the literature from their public architecture, with random weights of a seed: what readers are tested on.

Import it only where torch is required. ``entry("vgg16")`` makes a module and its example inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from networks import zoo_cnn, zoo_inception, zoo_transformers
from torch import nn

__all__ = ["CNNS", "ENTRIES", "TRANSFORMERS", "Entry", "entry", "filled"]


class Entry(NamedTuple):
    """A module in training mode, as constructors leave it, and what its `forward` takes."""

    module: Any
    inputs: tuple[Any, ...]


def filled(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """Return a module made without initialisation, then filled: weights small and normal, variances in [0.5, 1.5]."""
    with torch.device("meta"):
        module = make()
    module = module.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            if tensor.ndim < 2 and name.endswith("weight"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            else:
                tensor.normal_(0.0, 0.05, generator=generator)
        for name, tensor in module.named_buffers():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            else:
                tensor.zero_()
    return module


def entry(name: str, seed: int = 0, **sizes: Any) -> Entry:
    """Return a module of the zoo, and inputs for it: images of full channels, few positions; or a few tokens."""
    make, inputs = ENTRIES[name]
    return Entry(filled(lambda: make(**sizes), seed), inputs())


def _image(size: int) -> Callable[[], tuple[Any, ...]]:
    return lambda: (torch.zeros(1, 3, size, size),)


def _tokens() -> tuple[Any, ...]:
    return (torch.zeros(1, 5, dtype=torch.long),)


CNNS: dict[str, tuple[Callable[..., nn.Module], Callable[[], tuple[Any, ...]]]] = {
    "vgg16": (lambda **sizes: zoo_cnn.VGG(16, **sizes), _image(32)),
    "vgg19": (lambda **sizes: zoo_cnn.VGG(19, **sizes), _image(32)),
    "resnet18": (lambda **sizes: zoo_cnn.ResNet(18, **sizes), _image(32)),
    "resnet34": (lambda **sizes: zoo_cnn.ResNet(34, **sizes), _image(32)),
    "resnet50": (lambda **sizes: zoo_cnn.ResNet(50, **sizes), _image(32)),
    "mobilenet_v2": (zoo_cnn.MobileNetV2, _image(32)),
    "inception_v3": (zoo_inception.InceptionV3, _image(75)),
}
TRANSFORMERS: dict[str, tuple[Callable[..., nn.Module], Callable[[], tuple[Any, ...]]]] = {
    "gpt2": (zoo_transformers.GPT2, _tokens),
    "llama": (zoo_transformers.Llama, _tokens),
    "bert": (zoo_transformers.Bert, _tokens),
    "vit": (zoo_transformers.ViT, lambda: (torch.zeros(1, 3, 16, 16),)),
    "lstm": (zoo_transformers.LSTMClassifier, _tokens),
}
ENTRIES = {**CNNS, **TRANSFORMERS}
