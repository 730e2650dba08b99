"""The multilayer perceptron."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from fmgrid.components.arguments import MLP_ARGUMENTS, for_each, with_defaults
from fmgrid.components.layers import linear_layers


class MLP(nn.Module):
    """A multilayer perceptron: [n, *shape] inputs -> [n, outputs] logits.

    A hidden layer is linear, then come its normalization, its activation and its dropout. *args*
    are those of `MLP_ARGUMENTS`; without them it has ReLU and nothing else.
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        seed: int,
        inputs: int = 784,
        outputs: int = 10,
        args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        full = with_defaults(MLP_ARGUMENTS, args or {})
        dropouts = for_each(full["dropout"], len(hidden_units))
        widths = (inputs, *hidden_units)
        self.layers = nn.Sequential(*linear_layers(full, widths, outputs, dropouts, seed))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch."""
        logits: torch.Tensor = self.layers(inputs.flatten(1))
        return logits
