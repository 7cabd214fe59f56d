"""Images to train on: MNIST where its file is at hand, scikit-learn's digits otherwise.

==============  ======================  =================================================================
problem         network                 images
==============  ======================  =================================================================
``mnist``       784-256-256-256-256-10  10,000 of MNIST for training, 10,000 for testing (`mnist10k.npz`)
``mnist-7x7``   49-64-64-64-10          the same, each image the means of its 4 x 4 squares
``digits``      64-64-64-64-10          1,437 and 360 of scikit-learn's 8 x 8 digits; nothing to download
==============  ======================  =================================================================

The first is the network of most of arXiv:2103.03386; the second that on which its authors published the penalty.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EPOCHS", "WIDTHS", "Images", "default_problem", "load_images", "mnist_file"]

WIDTHS: dict[str, tuple[int, ...]] = {
    "mnist": (784, 256, 256, 256, 256, 10),
    "mnist-7x7": (49, 64, 64, 64, 10),
    "digits": (64, 64, 64, 64, 10),
}
EPOCHS = {"mnist": 20, "mnist-7x7": 60, "digits": 100}
"""Passes over the training images. `mnist-7x7`: as many steps as ten epochs of all 60,000 images, as published."""

LIT = 0.01
"""Share of the training images in which a pixel must be above zero to count as lit."""


@dataclass(frozen=True)
class Images:
    """Images scaled to [0, 1], float32 (n, n_pixels), and their digits, int32 (n,)."""

    problem: str
    train_images: NDArray[np.float32]
    train_digits: NDArray[np.int32]
    test_images: NDArray[np.float32]
    test_digits: NDArray[np.int32]

    @property
    def widths(self) -> tuple[int, ...]:
        """Units per layer of the network for these images."""
        return WIDTHS[self.problem]

    @property
    def lit(self) -> NDArray[np.int32]:
        """Numbers of the pixels that are above zero in at least one of a hundred training images."""
        return np.flatnonzero((self.train_images > 0).mean(axis=0) >= LIT).astype(np.int32)


def mnist_file() -> Path | None:
    """Return `mnist10k.npz` in the folder that NETSPECTRA_DATA names, or None."""
    folder = os.environ.get("NETSPECTRA_DATA", "")
    file = Path(folder) / "mnist10k.npz"
    return file if folder and file.is_file() else None


def default_problem() -> str:
    """Return `mnist` where its file is at hand, else `digits`."""
    return "digits" if mnist_file() is None else "mnist"


def load_images(problem: str) -> Images:
    """Read the images of a problem.

    Raises
    ------
    FileNotFoundError
        If they are MNIST's and the file is not there.
    """
    if problem == "digits":
        return _digits()
    file = mnist_file()
    if file is None:
        msg = f"problem {problem!r} needs mnist10k.npz: set NETSPECTRA_DATA to its folder, or take --problem digits"
        raise FileNotFoundError(msg)
    with np.load(file) as archive:
        train, test = (_scaled(archive[name], 255) for name in ("x_train", "x_test"))
        digits = [archive[name].astype(np.int32) for name in ("y_train", "y_test")]
    if problem == "mnist-7x7":
        train, test = _pooled(train), _pooled(test)
    return Images(problem, train, digits[0], test, digits[1])


def _digits() -> Images:
    try:
        from sklearn.datasets import load_digits
    except ImportError as missing:
        msg = "the digits come from scikit-learn: pip install scikit-learn, or set NETSPECTRA_DATA for MNIST"
        raise ImportError(msg) from missing
    pixels, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    images, labels = _scaled(pixels[order], 16), digits[order].astype(np.int32)
    n_train = len(labels) * 4 // 5
    return Images("digits", images[:n_train], labels[:n_train], images[n_train:], labels[n_train:])


def _scaled(pixels: NDArray[Any], largest: int) -> NDArray[np.float32]:
    return (pixels / largest).astype(np.float32)


def _pooled(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of the 4 x 4 squares of 28 x 28 pixels."""
    return images.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49)
