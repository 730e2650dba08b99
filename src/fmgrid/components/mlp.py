"""The multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from fmgrid.experiment import subseed


class MLP(nn.Module):
    """A multilayer perceptron with ReLU: [n, *shape] inputs -> [n, outputs] logits.

    Initial weights are torch's own distribution, drawn for each layer from a stream of its
    own: networks of one seed start equal in every layer whose shape they share, whatever
    the others look like, so that a comparison paired by seed compares the setting alone.
    """

    def __init__(
        self, hidden_units: Sequence[int], seed: int, inputs: int = 784, outputs: int = 10
    ) -> None:
        super().__init__()
        widths = (inputs, *hidden_units)
        layers: list[nn.Module] = []
        for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
            torch.manual_seed(subseed(seed, f"hidden layer {index}"))
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(inplace=True)]
        torch.manual_seed(subseed(seed, "output layer"))
        layers.append(nn.Linear(widths[-1], outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch."""
        logits: torch.Tensor = self.layers(inputs.flatten(1))
        return logits
