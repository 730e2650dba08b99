"""The models that an experiment can train."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from fmgrid.data import CLASSES, PIXELS
from fmgrid.experiment import subseed


class MLP(nn.Module):
    """A multilayer perceptron with ReLU: [n, 784] pixels -> [n, 10] logits.

    Initial weights are torch's own distribution, drawn for each layer from a stream of its
    own: networks of one seed start equal in every layer whose shape they share, whatever
    the others look like, so that a comparison paired by seed compares the setting alone.
    """

    def __init__(self, hidden_units: Sequence[int], seed: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise((PIXELS, *hidden_units))):
            torch.manual_seed(subseed(seed, f"hidden layer {index}"))
            layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
        torch.manual_seed(subseed(seed, "output layer"))
        layers.append(nn.Linear((PIXELS, *hidden_units)[-1], len(CLASSES)))
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch."""
        logits: torch.Tensor = self.layers(pixels)
        return logits

    @property
    def weights(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())
