"""Networks of the studies' authors: what they wrote themselves, as small as it goes."""

import torch
from torch import nn


class _Block(nn.Module):
    """Two convolutions around which the images may pass."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(images + self.layers(images))


class Residual(nn.Module):
    """A residual network: [n, images, rows, columns] -> [n, classes]."""

    def __init__(self, images: int = 1, channels: int = 16, blocks: int = 2, classes: int = 10):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(images, channels, 3, padding=1),
            nn.MaxPool2d(2),
            *(_Block(channels) for _ in range(blocks)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)
