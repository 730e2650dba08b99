"""Networks of the studies' authors: what they wrote themselves, as small as it goes."""

import torch
from torch import nn

_PATCH = 8  # rows and columns


class _Block(nn.Module):
    """Two convolutions, around which the images may pass."""

    def __init__(self, channels: int, *, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return images of the same shape."""
        return nn.functional.relu(self.layers(images) + (images if self.skip else 0))


class Residual(nn.Sequential):
    """A residual network: [n, images, rows, columns] -> [n, classes]."""

    def __init__(
        self,
        images: int = 1,
        channels: int = 16,
        blocks: int = 2,
        classes: int = 10,
        skip: bool = True,
    ) -> None:
        super().__init__(
            nn.Conv2d(images, channels, 3, padding=1),
            nn.MaxPool2d(2),
            *(_Block(channels, skip=skip) for _ in range(blocks)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, classes),
        )


def resnet18(classes: int) -> nn.Module:
    """Return torchvision's ResNet18 that knows ImageNet, with a new last layer."""
    from torchvision import models

    network = models.resnet18(weights="DEFAULT")
    network.fc = nn.Linear(network.fc.in_features, classes)
    return network


class Transformer(nn.Module):
    """A transformer over patches of images: [n, 3, rows, columns] -> [n, classes]."""

    def __init__(  # noqa: PLR0913, PLR0917 - a grid names them
        self, width: int, heads: int, layers: int, dropout: float, activation: str, classes: int
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, _PATCH, stride=_PATCH)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout, activation, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.output = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        return self.output(self.encoder(patches).mean(1))


class Signal(nn.Module):
    """A network over time: [n, steps, 1] -> [n, classes]; *kind* is Conv1d, GRU or LSTM."""

    def __init__(  # noqa: PLR0913, PLR0917 - a grid names them
        self, kind: str, size: int, layers: int, activation: str, dropout: float, classes: int
    ) -> None:
        super().__init__()
        self.is_recurrent = kind != "Conv1d"
        if self.is_recurrent:
            self.layers = getattr(nn, kind)(1, size, layers, batch_first=True)
        else:
            make = getattr(nn, activation)
            sizes = [1, *[size] * layers]
            convolutions = ((nn.Conv1d(a, size, 5), make()) for a in sizes[:-1])
            self.layers = nn.Sequential(*(layer for pair in convolutions for layer in pair))
        self.output = nn.Sequential(nn.Dropout(dropout), nn.Linear(size, classes))

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        if self.is_recurrent:
            return self.output(self.layers(signals)[0][:, -1])
        return self.output(self.layers(signals.transpose(1, 2)).mean(2))
