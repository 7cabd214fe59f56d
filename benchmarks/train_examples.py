"""Train the two example networks that ship in ``bindings/data``.

The first is a multi-layer perceptron 784-256-256-256-256-10 (ReLU, biases,
Glorot-uniform start, cross-entropy, Adam) trained on 10,000 images of MNIST.
The second is a copy of it, fine-tuned while its smallest weights are pruned
along a cubic schedule (Zhu & Gupta, arXiv:1710.01878)::

    s(t) = s_final + (s_initial - s_final) (1 - t)^3,    t from 0 to 1,

the recipe of arXiv:2103.03386 on a sixth of its training images. Everything
runs on one CPU thread from one seed, so that a repeated run gives the same
numbers on the same machine and PyTorch version.

Run it with::

    NETSPECTRA_DATA=<folder of mnist10k.npz> python benchmarks/train_examples.py
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

__all__ = [
    "MagnitudePruner",
    "Mnist",
    "MultilayerPerceptron",
    "classification_accuracy",
    "load_mnist",
    "main",
    "pruned_sparsity",
    "train",
]

WIDTHS = (784, 256, 256, 256, 256, 10)
LEARNING_RATE = 1e-3
BATCH_SIZE = 128
INITIAL_SPARSITY = 0.5
FINAL_SPARSITY = 0.9
DEFAULT_OUTPUT = Path(__file__).resolve().parents[1] / "bindings" / "data"


@dataclass(frozen=True)
class Mnist:
    """Images scaled to [0, 1], float32 (n, 784), and their digits, int64 (n,)."""

    train_images: torch.Tensor
    train_digits: torch.Tensor
    test_images: torch.Tensor
    test_digits: torch.Tensor


class MultilayerPerceptron(nn.Module):
    """Fully connected layers with ReLU between them.

    Parameters
    ----------
    widths : tuple of int
        Number of units per layer, inputs and outputs included.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(widths))
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits, float32 (n, widths[-1]), of images (n, widths[0])."""
        activations = images
        for layer in self.layers[:-1]:
            activations = torch.relu(layer(activations))
        return self.layers[-1](activations)


class MagnitudePruner:
    """Keeps the smallest weights of every weight matrix at zero; never a bias.

    Parameters
    ----------
    model : MultilayerPerceptron
        Network whose weights are set to zero in place.
    """

    def __init__(self, model: MultilayerPerceptron) -> None:
        self._weights = [layer.weight for layer in model.layers]
        self._kept = [torch.ones_like(weight) for weight in self._weights]

    @torch.no_grad()
    def prune_to(self, sparsity: float) -> None:
        """Set the share `sparsity` of each matrix to zero, rounded to whole weights."""
        for weight, kept in zip(self._weights, self._kept, strict=True):
            # Adam's momentum moves pruned weights too. Back at zero they are
            # the smallest again, so that what was pruned once stays pruned.
            weight.mul_(kept)
            n_zeros = round(sparsity * weight.numel())
            by_magnitude = weight.abs().flatten().argsort(stable=True)
            kept.view(-1)[by_magnitude[:n_zeros]] = 0
            weight.mul_(kept)


def load_mnist(folder: Path) -> Mnist:
    """Read ``mnist10k.npz``.

    Parameters
    ----------
    folder : Path
        Folder that holds ``mnist10k.npz`` with ``x_train``, ``x_test``
        (10000, 784) uint8 and ``y_train``, ``y_test`` (10000,) integers.

    Returns
    -------
    Mnist
        Training and test images with their digits.
    """
    with np.load(folder / "mnist10k.npz") as archive:
        return Mnist(
            train_images=torch.from_numpy(archive["x_train"].astype(np.float32) / 255),
            train_digits=torch.from_numpy(archive["y_train"].astype(np.int64)),
            test_images=torch.from_numpy(archive["x_test"].astype(np.float32) / 255),
            test_digits=torch.from_numpy(archive["y_test"].astype(np.int64)),
        )


def pruned_sparsity(progress: float) -> float:
    """Return the sparsity that the cubic schedule asks for.

    Parameters
    ----------
    progress : float
        Part of the fine-tuning that is done, from 0 to 1.
    """
    return FINAL_SPARSITY + (INITIAL_SPARSITY - FINAL_SPARSITY) * (1 - progress) ** 3


def train(
    model: MultilayerPerceptron,
    mnist: Mnist,
    epochs: int,
    shuffler: torch.Generator,
    *,
    prune: bool = False,
) -> None:
    """Train `model` in place with a fresh Adam.

    Parameters
    ----------
    model : MultilayerPerceptron
        Network to train.
    mnist : Mnist
        Data; only its training half is used.
    epochs : int
        Passes over the training images.
    shuffler : torch.Generator
        Source of the order of the images.
    prune : bool
        Raise the sparsity of every weight matrix along `pruned_sparsity`,
        by magnitude, after each step. Biases are never pruned.
    """
    n_images = len(mnist.train_digits)
    n_steps = epochs * -(-n_images // BATCH_SIZE)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    pruner = MagnitudePruner(model) if prune else None
    if pruner:
        pruner.prune_to(pruned_sparsity(0.0))
    step = 0
    for _ in range(epochs):
        for batch in torch.randperm(n_images, generator=shuffler).split(BATCH_SIZE):
            optimizer.zero_grad()
            logits = model(mnist.train_images[batch])
            nn.functional.cross_entropy(logits, mnist.train_digits[batch]).backward()
            optimizer.step()
            step += 1
            if pruner:
                pruner.prune_to(pruned_sparsity(step / n_steps))


def classification_accuracy(model: MultilayerPerceptron, mnist: Mnist) -> float:
    """Return the share of the test images that `model` classifies correctly."""
    with torch.no_grad():
        hits = model(mnist.test_images).argmax(dim=1) == mnist.test_digits
    return hits.double().mean().item()


def main() -> None:
    """Train both networks, write them and print their test accuracies."""
    options = _parse_options()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    mnist = load_mnist(options.data)
    shuffler = torch.Generator().manual_seed(options.seed)

    dense = MultilayerPerceptron(WIDTHS)
    train(dense, mnist, options.epochs, shuffler)
    pruned = copy.deepcopy(dense)
    train(pruned, mnist, options.epochs, shuffler, prune=True)

    recipe = (
        f"Glorot-uniform start, cross-entropy, Adam lr {LEARNING_RATE:g}, batch {BATCH_SIZE}, {options.epochs} epochs"
    )
    pruning = (
        f"; then {options.epochs} epochs of fine-tuning with pruning by magnitude per weight matrix, "
        f"sparsity {INITIAL_SPARSITY:.0%} to {FINAL_SPARSITY:.0%} (cubic decay)"
    )
    options.output.mkdir(parents=True, exist_ok=True)
    for name, model, training in (
        ("mnist-mlp", dense, recipe),
        ("mnist-mlp-pruned", pruned, recipe + pruning),
    ):
        accuracy = classification_accuracy(model, mnist)
        _write(model, options.output / f"{name}.safetensors", training, options.seed, accuracy)
        print(f"{name}: test accuracy {accuracy:.4f}, sparsity {_sparsity(model):.4f}")


def _sparsity(model: MultilayerPerceptron) -> float:
    weights = [layer.weight for layer in model.layers]
    n_zeros = sum(int((weight == 0).sum()) for weight in weights)
    return n_zeros / sum(weight.numel() for weight in weights)


def _write(model: MultilayerPerceptron, path: Path, training: str, seed: int, accuracy: float) -> None:
    metadata = {
        "format": "pt",
        "architecture": "-".join(map(str, WIDTHS)) + " multi-layer perceptron, ReLU, biases",
        "training": training,
        "seed": str(seed),
        "test_accuracy": f"{accuracy:.4f}",
        "sparsity": f"{_sparsity(model):.4f}",
        "torch": torch.__version__,
        "data": "10,000 MNIST images (LeCun, Cortes, Burges)",
    }
    path.write_bytes(_with_sorted_metadata(save(model.state_dict(), metadata)))


def _with_sorted_metadata(serialized: bytes) -> bytes:
    # safetensors writes the metadata in an order that differs from run to run;
    # sorted, the same training gives the same bytes and the same checksum.
    start = 8 + int.from_bytes(serialized[:8], "little")
    header = json.loads(serialized[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"))
    return serialized[:8] + text.ljust(start - 8).encode("ascii") + serialized[start:]


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("NETSPECTRA_DATA"),
        metavar="DIR",
        help="folder of mnist10k.npz (default: the environment variable NETSPECTRA_DATA)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=DEFAULT_OUTPUT,
        metavar="DIR",
        help="folder to write to (default: bindings/data)",
    )
    parser.add_argument("--epochs", type=int, default=20, help="epochs of each of the two phases")
    parser.add_argument("--seed", type=int, default=0, help="seed of the start and of the image order")
    options = parser.parse_args()
    if options.data is None:
        parser.error("expected the folder of mnist10k.npz, got none: set NETSPECTRA_DATA or pass --data DIR")
    if not (options.data / "mnist10k.npz").is_file():
        parser.error(f"expected mnist10k.npz in {options.data}, found none: check NETSPECTRA_DATA or --data")
    return options


if __name__ == "__main__":
    main()
