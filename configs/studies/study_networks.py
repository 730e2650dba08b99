"""Networks of the studies in this folder that fmgrid doesn't have."""

import torch
from torch import nn


class Recurrent(nn.Module):
    """A recurrent network: [n, steps, features] -> [n, classes] logits."""

    def __init__(  # noqa: PLR0913, PLR0917 - a grid names them
        self,
        features: int,
        classes: int,
        hidden_size: int,
        cell: str = "GRU",
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        make = {"GRU": nn.GRU, "LSTM": nn.LSTM, "RNN": nn.RNN}[cell]
        self.layers = make(features, hidden_size, batch_first=True, bidirectional=bidirectional)
        directions = 2 if bidirectional else 1
        self.output = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(directions * hidden_size, classes)
        )

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """Return the logits that follow from the mean over all steps."""
        steps, _ = self.layers(sequences)
        logits: torch.Tensor = self.output(steps.mean(1))
        return logits


class Block(nn.Module):
    """Two convolutions, which may have a connection that skips them."""

    def __init__(self, channels: int, *, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return images of the same shape."""
        changed: torch.Tensor = self.layers(images)
        return torch.relu(changed + images if self.skip else changed)


def residual(blocks: int, skip: bool = True, channels: int = 16, classes: int = 10) -> nn.Module:
    """Return a residual network: [n, 1, rows, columns] -> [n, classes] logits.

    After He et al. (2016), Deep residual learning for image recognition, CVPR, 770-778.
    """
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        *(Block(channels, skip=skip) for _ in range(blocks)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
    )
