"""Training for clusterability in PyTorch: control, penalty and clusterable initialisation, side by side.

Run it from the root of the repository with::

    python -m benchmarks.training.torch_example
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from benchmarks.training.data import Images
from benchmarks.training.experiment import Arm, Settings, Trained, batches, glorot_weights, run_example
from netspectra.bindings.pytorch import ClusterabilityPenalty, clusterable_init_, rescale_relu_

__all__ = ["make_network", "train"]


def make_network(widths: tuple[int, ...], seed: int) -> nn.Sequential:
    """Linear layers with ReLU between them; Glorot-uniform weights, biases zero."""
    modules: list[nn.Module] = []
    for size, weight in zip(pairwise(widths), glorot_weights(widths, seed), strict=True):
        layer = nn.Linear(*size)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight.T))
            layer.bias.zero_()
        modules += [layer, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def train(arm: Arm, images: Images, settings: Settings, seed: int) -> Trained:
    """Train one network."""
    network = make_network(images.widths, seed)
    if arm.clusterable:
        clusterable_init_(network, n_modules=10, seed=seed)
    penalty = ClusterabilityPenalty(settings.n_eigenvalues, settings.strength) if arm.penalised else None
    pixels, digits = torch.from_numpy(images.train_images), torch.from_numpy(images.train_digits).long()
    lit = torch.from_numpy(images.lit)
    first, *others = [layer for layer in network if isinstance(layer, nn.Linear)]
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    for epoch in batches(len(digits), settings, seed):
        for batch in torch.from_numpy(epoch):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(pixels[batch]), digits[batch])
            if penalty is not None:
                seen = first.weight[:, lit] if arm.penalised == "lit" else first.weight
                loss = loss + penalty([seen, *(layer.weight for layer in others)])
            loss.backward()
            optimizer.step()
            if arm.rescaled:
                rescale_relu_(network)
    weights = [layer.weight.detach().numpy().T.copy() for layer in (first, *others)]
    return Trained(weights, _accuracy(network, images))


@torch.no_grad()
def _accuracy(network: nn.Sequential, images: Images) -> float:
    guesses = network(torch.from_numpy(images.test_images)).argmax(dim=1)
    return float((guesses == torch.from_numpy(images.test_digits)).double().mean())


if __name__ == "__main__":
    torch.set_num_threads(1)  # products this small gain nothing from a second thread
    run_example("PyTorch", train)
