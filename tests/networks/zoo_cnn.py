"""Convolutional networks: VGG (2014), ResNet (2015), MobileNet-V2 (2018), with all their channels.

Only what does not matter to channels is free: the number of classes, and the width of VGG's dense layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["VGG", "MobileNetV2", "ResNet"]

_VGG = {
    16: (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0),
    19: (64, 64, 0, 128, 128, 0, *(256,) * 4, 0, *(512,) * 4, 0, *(512,) * 4, 0),
}


class VGG(nn.Module):
    """Three-by-three convolutions and poolings (0), then three dense layers of 7 x 7 positions."""

    def __init__(self, depth: int = 16, n_classes: int = 10, n_hidden: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 3
        for n_out in _VGG[depth]:
            if n_out == 0:
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(inplace=True)]
            n_in = n_out
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        dense = [nn.Linear(512 * 49, n_hidden), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(n_hidden, n_hidden)]
        self.classifier = nn.Sequential(*dense, nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(n_hidden, n_classes))

    def forward(self, images: Any) -> Any:
        """Logits."""
        return self.classifier(torch.flatten(self.avgpool(self.features(images)), 1))


class BasicBlock(nn.Module):
    """Two three-by-three convolutions beside a skip."""

    expansion = 1

    def __init__(self, n_in: int, n_mid: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_mid, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_mid)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_mid, n_mid, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_mid)
        self.downsample = _downsample(n_in, n_mid, stride)

    def forward(self, x: Any) -> Any:
        """Block."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """Reduce, convolve, expand fourfold, beside a skip."""

    expansion = 4

    def __init__(self, n_in: int, n_mid: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_mid, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_mid)
        self.conv2 = nn.Conv2d(n_mid, n_mid, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_mid)
        self.conv3 = nn.Conv2d(n_mid, 4 * n_mid, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * n_mid)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _downsample(n_in, 4 * n_mid, stride)

    def forward(self, x: Any) -> Any:
        """Block."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


def _downsample(n_in: int, n_out: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and n_in == n_out:
        return None
    return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))


class ResNet(nn.Module):
    """Stem, four stages of blocks, mean over positions, one dense layer."""

    def __init__(self, depth: int = 18, n_classes: int = 10) -> None:
        super().__init__()
        block: Any = Bottleneck if depth >= 50 else BasicBlock
        counts = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}[depth]
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        n_in = 64
        for i, count in enumerate(counts):
            n_mid, stage = 64 << i, []
            for j in range(count):
                stage.append(block(n_in, n_mid, 2 if j == 0 and i > 0 else 1))
                n_in = n_mid * block.expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(n_in, n_classes)

    def forward(self, images: Any) -> Any:
        """Logits."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class InvertedResidual(nn.Module):
    """Expand, convolve every channel by itself, project; a skip where sizes allow it."""

    def __init__(self, n_in: int, n_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        n_mid = n_in * expansion
        self.has_skip = stride == 1 and n_in == n_out
        layers: list[nn.Module] = [] if expansion == 1 else [_conv_bn_relu6(n_in, n_mid, 1)]
        layers += [_conv_bn_relu6(n_mid, n_mid, 3, stride, groups=n_mid)]
        self.conv = nn.Sequential(*layers, nn.Conv2d(n_mid, n_out, 1, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Any) -> Any:
        """Block."""
        return x + self.conv(x) if self.has_skip else self.conv(x)


def _conv_bn_relu6(n_in: int, n_out: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(n_in, n_out, size, stride, (size - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out), nn.ReLU6(inplace=True))


class MobileNetV2(nn.Module):
    """Nineteen blocks between 32 and 1,280 channels."""

    settings = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, n_classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_bn_relu6(3, 32, 3, 2)]
        n_in = 32
        for expansion, n_out, count, stride in self.settings:
            for i in range(count):
                layers.append(InvertedResidual(n_in, n_out, stride if i == 0 else 1, expansion))
                n_in = n_out
        layers.append(_conv_bn_relu6(n_in, 1280, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, n_classes))

    def forward(self, images: Any) -> Any:
        """Logits."""
        x = nn.functional.adaptive_avg_pool2d(self.features(images), (1, 1))
        return self.classifier(torch.flatten(x, 1))
