"""What is compared, and everything of it that is no framework's: arms, starts, the order of images, the command line.

Both examples begin a seed with the same weights (Glorot uniform, biases zero) and see the images in the same order, so
that their tables differ by rounding and by what rounding grows into.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.training.data import EPOCHS, WIDTHS, Images, default_problem, load_images
from benchmarks.training.table import Measured, as_markdown, measure, print_table

__all__ = ["ARMS", "Arm", "Settings", "Trained", "batches", "glorot_weights", "run_example"]

Weights = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes
    ----------
    name : str
    penalised : {None, "all", "lit"}
        The graph whose penalty is added to the loss: none, that of all pixels, or that of the lit ones.
    rescaled : bool
        Every hidden unit's incoming norm brought back to sqrt(2) after each step, as the published code does.
    clusterable : bool
        Clusterable initialisation.
    """

    name: str
    penalised: Literal["all", "lit"] | None = None
    rescaled: bool = False
    clusterable: bool = False


ARMS = {
    arm.name: arm
    for arm in (
        Arm("control"),
        Arm("control, rescaled", rescaled=True),
        Arm("penalty", "all"),
        Arm("penalty, rescaled", "all", rescaled=True),
        Arm("penalty (lit)", "lit"),
        Arm("penalty (lit), rescaled", "lit", rescaled=True),
        Arm("clusterable init", clusterable=True),
        Arm("clusterable init, penalty (lit)", "lit", clusterable=True),
    )
}


@dataclass(frozen=True)
class Settings:
    """What all arms share; hashable. `strength` 0.05 is what the published code calls 0.1."""

    epochs: int
    learning_rate: float = 1e-3
    batch_size: int = 128
    n_eigenvalues: int = 3
    strength: float = 0.05


@dataclass(frozen=True)
class Trained:
    """A trained network: weights (n_in, n_out) of each layer, and the share of test images it gets right."""

    weights: Weights
    accuracy: float


Train = Callable[[Arm, Images, Settings, int], Trained]


def glorot_weights(widths: tuple[int, ...], seed: int) -> Weights:
    """Draw the weights that a seed begins with, (n_in, n_out) per layer."""
    rng = np.random.default_rng((seed, 0))
    bounds = [np.sqrt(6 / sum(pair)) for pair in pairwise(widths)]
    shapes = pairwise(widths)
    return [rng.uniform(-b, b, shape).astype(np.float32) for b, shape in zip(bounds, shapes, strict=True)]


def batches(n_images: int, settings: Settings, seed: int) -> Iterator[NDArray[np.int32]]:
    """Yield, per epoch, the numbers of the images in each batch, (n_batches, batch_size).

    Of an epoch's order the last images that fill no batch are left out, others each time.
    """
    rng = np.random.default_rng((seed, 1))
    size = min(settings.batch_size, n_images)
    for _ in range(settings.epochs):
        yield rng.permutation(n_images)[: n_images // size * size].reshape(-1, size).astype(np.int32)


def run_example(framework: str, train: Train, arguments: list[str] | None = None) -> list[Measured]:
    """Train all arms from all seeds, test each network, print the table and write it where `--output` says.

    Parameters
    ----------
    framework : str
        Named in the table's title.
    train : callable
        Of an arm, images, settings and a seed; returns the trained network.
    arguments : list of str, optional
        In place of the command line's.
    """
    options = _parser(framework).parse_args(arguments)
    images = load_images(options.problem)
    settings = Settings(epochs=options.epochs or EPOCHS[options.problem])
    rows = []
    for arm in options.arms or ARMS:
        for seed in range(options.seeds):
            trained = train(ARMS[arm], images, settings, seed)
            rows.append(measure(arm, seed, trained.accuracy, trained.weights, images.lit, options.nulls))
            print(rows[-1].line(), flush=True)
    title = (
        f"{framework}, {images.problem} {'-'.join(map(str, images.widths))}: {settings.epochs} epochs of "
        f"{len(images.train_digits)} images, {options.seeds} seeds, {options.nulls} nulls"
    )
    print_table(title, rows)
    if options.output is not None:
        options.output.write_text(as_markdown(title, rows), encoding="utf-8")
    return rows


def _parser(framework: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"Training for clusterability with {framework}.")
    parser.add_argument("--problem", choices=WIDTHS, default=default_problem(), help="default: %(default)s")
    parser.add_argument("--arms", nargs="+", choices=ARMS, metavar="ARM", help=f"of: {'; '.join(ARMS)} (default: all)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 (default: 3)")
    parser.add_argument("--epochs", type=int, help="default: " + ", ".join(f"{n} for {p}" for p, n in EPOCHS.items()))
    parser.add_argument("--nulls", type=int, default=100, help="null networks per test (default: 100)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the tables there, as Markdown")
    return parser
