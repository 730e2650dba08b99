"""The layers of built-in networks: first weights from streams of their own, and what follows them.

Initial weights are torch's own distribution unless an initialization is chosen. They are drawn for
each layer from a stream of its own: networks of one seed start equal in every layer whose shape
they share, whatever the others look like, so that a comparison paired by seed compares the setting
alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import nn

from fmgrid.experiment import subseed

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)
Normalizations = Mapping[str, Callable[[int], nn.Module]]  # for so many outputs, by name

FOR_LINEAR: Normalizations = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
FOR_CONVOLUTION: Normalizations = {
    "batch": nn.BatchNorm2d,
    "layer": partial(nn.GroupNorm, 1),
    "instance": partial(nn.InstanceNorm2d, affine=True),
}


def start(make: Callable[[], Layer], seed: int, purpose: str, initialization: str) -> Layer:
    """Return a layer with the initial weights of a seed; a chosen initialization has no bias."""
    torch.manual_seed(subseed(seed, purpose))
    layer = make()
    if initialization != "default":
        getattr(nn.init, f"{initialization}_")(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layer


def following(
    normalization: Callable[[int], nn.Module] | None, outputs: int, activation: str, dropout: float
) -> Iterator[nn.Module]:
    """Yield the normalization, the activation and the dropout behind a layer."""
    if normalization is not None:
        yield normalization(outputs)
    yield nn.ReLU(inplace=True) if activation == "ReLU" else getattr(nn, activation)()
    if dropout:
        yield nn.Dropout(dropout)


def linear_layers(
    args: Mapping[str, Any],
    widths: Sequence[int],
    outputs: int,
    dropouts: Sequence[float],
    seed: int,
) -> Iterator[nn.Module]:
    """Yield hidden layers and the output layer; *widths* begin with the number of inputs.

    A layer that is normalized has no bias: its normalization has one.
    """
    initialization, activation = args["initialization"], args["activation"]
    normalization = FOR_LINEAR.get(args["normalization"])
    for index, (sizes, dropout) in enumerate(zip(pairwise(widths), dropouts, strict=True)):
        make = partial(nn.Linear, *sizes, bias=normalization is None)
        yield start(make, seed, f"hidden layer {index}", initialization)
        yield from following(normalization, sizes[1], activation, dropout)
    yield start(partial(nn.Linear, widths[-1], outputs), seed, "output layer", initialization)
