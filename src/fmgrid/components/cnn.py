"""The convolutional network."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from fmgrid.components.arguments import CNN_ARGUMENTS, for_each, with_defaults
from fmgrid.components.blocks import blocks_of, features_of
from fmgrid.components.layers import FOR_CONVOLUTION, following, linear_layers, start

_POOLING = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
_GLOBAL_POOLING = {"max": nn.AdaptiveMaxPool2d, "average": nn.AdaptiveAvgPool2d}


class CNN(nn.Module):
    """Convolutions, then linear layers: [n, channels, rows, columns] -> [n, outputs] logits.

    A block is a convolution, its pooling, its normalization, its activation and its dropout.
    Pooling comes first, because the others then work on a quarter of the numbers; with ReLU and
    max pooling this is the same function. *args* are those of `CNN_ARGUMENTS`.
    """

    # Images lie so in memory; flattened in that order they need no copy, and what comes back
    # through the layers lies as the images do.
    channels_last = False

    def __init__(
        self,
        hidden_units: Sequence[int],
        seed: int,
        shape: tuple[int, ...],
        outputs: int,
        args: Mapping[str, Any],
    ) -> None:
        super().__init__()
        full = with_defaults(CNN_ARGUMENTS, args)
        blocks = list(blocks_of(full, shape))
        dropouts = for_each(full["dropout"], len(blocks) + len(hidden_units))
        for_blocks, for_hidden = dropouts[: len(blocks)], dropouts[len(blocks) :]
        normalization = FOR_CONVOLUTION.get(full["normalization"])
        layers: list[nn.Module] = []
        for index, (block, dropout) in enumerate(zip(blocks, for_blocks, strict=True)):
            sizes = block.inputs, block.outputs, block.kernel, block.stride, block.padding
            make = partial(nn.Conv2d, *sizes, bias=normalization is None)
            layers.append(start(make, seed, f"convolution {index}", full["initialization"]))
            if block.pooling > 1:
                layers.append(_POOLING[full["pooling_method"]](block.pooling))
            layers += following(normalization, block.outputs, full["activation"], dropout)
        if full["global_pooling"] != "none":
            layers.append(_GLOBAL_POOLING[full["global_pooling"]](1))
        self.convolutions = nn.Sequential(*layers)
        widths = (features_of(full, blocks[-1]), *hidden_units)
        self.linear = nn.Sequential(*linear_layers(full, widths, outputs, for_hidden, seed))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch."""
        numbers = self.convolutions(images)
        if self.channels_last:
            numbers = numbers.permute(0, 2, 3, 1)
        logits: torch.Tensor = self.linear(numbers.flatten(1))
        return logits
