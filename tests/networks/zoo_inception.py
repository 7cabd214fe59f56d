"""Inception-V3 (2015) without its auxiliary head: branches side by side, concatenated."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["InceptionV3"]


class Conv(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, n_in: int, n_out: int, **options: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, bias=False, **options)
        self.bn = nn.BatchNorm2d(n_out, eps=0.001)

    def forward(self, x: Any) -> Any:
        """Layer."""
        return functional.relu(self.bn(self.conv(x)), inplace=True)


def _row(n_in: int, n_out: int, size: int) -> Conv:
    return Conv(n_in, n_out, kernel_size=(1, size), padding=(0, size // 2))


def _column(n_in: int, n_out: int, size: int) -> Conv:
    return Conv(n_in, n_out, kernel_size=(size, 1), padding=(size // 2, 0))


def _one(n_in: int, n_out: int) -> Conv:
    return Conv(n_in, n_out, kernel_size=1)


class InceptionA(nn.Module):
    """1x1, 5x5, double 3x3, pooling."""

    def __init__(self, n_in: int, n_pool: int) -> None:
        super().__init__()
        self.branch1x1 = _one(n_in, 64)
        self.branch5x5 = nn.Sequential(_one(n_in, 48), Conv(48, 64, kernel_size=5, padding=2))
        three = Conv(64, 96, kernel_size=3, padding=1), Conv(96, 96, kernel_size=3, padding=1)
        self.branch3x3dbl = nn.Sequential(_one(n_in, 64), *three)
        self.branch_pool = _one(n_in, n_pool)

    def forward(self, x: Any) -> Any:
        """Block."""
        pooled = self.branch_pool(functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), self.branch5x5(x), self.branch3x3dbl(x), pooled], 1)


class InceptionB(nn.Module):
    """Halving by strided 3x3 and pooling."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(n_in, 384, kernel_size=3, stride=2)
        double = Conv(64, 96, kernel_size=3, padding=1), Conv(96, 96, kernel_size=3, stride=2)
        self.branch3x3dbl = nn.Sequential(_one(n_in, 64), *double)

    def forward(self, x: Any) -> Any:
        """Block."""
        return torch.cat([self.branch3x3(x), self.branch3x3dbl(x), functional.max_pool2d(x, 3, 2)], 1)


class InceptionC(nn.Module):
    """1x1, factorised 7x7, double factorised 7x7, pooling."""

    def __init__(self, n_in: int, n_mid: int) -> None:
        super().__init__()
        n = n_mid
        self.branch1x1 = _one(n_in, 192)
        self.branch7x7 = nn.Sequential(_one(n_in, n), _row(n, n, 7), _column(n, 192, 7))
        double = _column(n, n, 7), _row(n, n, 7), _column(n, n, 7), _row(n, 192, 7)
        self.branch7x7dbl = nn.Sequential(_one(n_in, n), *double)
        self.branch_pool = _one(n_in, 192)

    def forward(self, x: Any) -> Any:
        """Block."""
        pooled = self.branch_pool(functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), self.branch7x7(x), self.branch7x7dbl(x), pooled], 1)


class InceptionD(nn.Module):
    """Halving by 3x3, factorised 7x7 and pooling."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.branch3x3 = nn.Sequential(_one(n_in, 192), Conv(192, 320, kernel_size=3, stride=2))
        seven = _row(192, 192, 7), _column(192, 192, 7), Conv(192, 192, kernel_size=3, stride=2)
        self.branch7x7x3 = nn.Sequential(_one(n_in, 192), *seven)

    def forward(self, x: Any) -> Any:
        """Block."""
        return torch.cat([self.branch3x3(x), self.branch7x7x3(x), functional.max_pool2d(x, 3, 2)], 1)


class InceptionE(nn.Module):
    """1x1, 3x3 split in two, double 3x3 split in two, pooling."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.branch1x1 = _one(n_in, 320)
        self.branch3x3_1 = _one(n_in, 384)
        self.branch3x3_2a, self.branch3x3_2b = _row(384, 384, 3), _column(384, 384, 3)
        self.branch3x3dbl = nn.Sequential(_one(n_in, 448), Conv(448, 384, kernel_size=3, padding=1))
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = _row(384, 384, 3), _column(384, 384, 3)
        self.branch_pool = _one(n_in, 192)

    def forward(self, x: Any) -> Any:
        """Block."""
        three, double = self.branch3x3_1(x), self.branch3x3dbl(x)
        three = torch.cat([self.branch3x3_2a(three), self.branch3x3_2b(three)], 1)
        double = torch.cat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)], 1)
        pooled = self.branch_pool(functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return torch.cat([self.branch1x1(x), three, double, pooled], 1)


class InceptionV3(nn.Module):
    """Stem, eleven blocks, mean over positions, one dense layer."""

    def __init__(self, n_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Conv(3, 32, kernel_size=3, stride=2),
            Conv(32, 32, kernel_size=3),
            Conv(32, 64, kernel_size=3, padding=1),
            nn.MaxPool2d(3, 2),
            Conv(64, 80, kernel_size=1),
            Conv(80, 192, kernel_size=3),
            nn.MaxPool2d(3, 2),
        )
        small = [InceptionA(192, 32), InceptionA(256, 64), InceptionA(288, 64), InceptionB(288)]
        middle = [InceptionC(768, n_mid) for n_mid in (128, 160, 160, 192)]
        self.mixed = nn.Sequential(*small, *middle, InceptionD(768), InceptionE(1280), InceptionE(2048))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(2048, n_classes)

    def forward(self, images: Any) -> Any:
        """Logits."""
        return self.fc(torch.flatten(self.dropout(self.avgpool(self.mixed(self.stem(images)))), 1))
