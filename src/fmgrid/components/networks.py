"""The kind "network": the built-in networks, and classes or functions of others that make one."""

import inspect
import time
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmgrid.components.arguments import (
    CNN_ARGUMENTS,
    MLP_ARGUMENTS,
    Argument,
    with_defaults,
)
from fmgrid.components.blocks import blocks_of, features_of
from fmgrid.components.datasets import info_of, workload_of
from fmgrid.components.kinds import Component, ComponentError, Kind, Work, is_plugged_in
from fmgrid.components.signatures import Signature
from fmgrid.data.formats import IMAGE_DIMENSIONS
from fmgrid.errors import is_lack_of_memory
from fmgrid.experiment import Experiment, subseed
from fmgrid.system.memory import memory_ceiling
from fmgrid.words import counted

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

_CHECKED_IMAGES = 64  # at most, in the batch that a network is tried on
# A number that a convolution gives takes as long as so many operations, for its pooling, its
# normalization and its activation: measured with 4 to 64 channels and kernels of 3 and 5.
_NUMBER_COST = 215


@dataclass(frozen=True)
class Network:
    """A built-in network."""

    arguments: Mapping[str, Argument]
    work: Callable[[Mapping[str, Any], Experiment], Work]  # of all its arguments
    build: Callable[[Experiment], "Module"]  # imports torch
    # Raises ValueError, with the argument to blame as its first word, where arguments don't fit
    # each other or the data.
    check: Callable[[Mapping[str, Any], Experiment], None]


def build(experiment: Experiment) -> "Module":
    """Return the experiment's network with its initial weights, in its layout and precision."""
    import torch

    name = experiment.network
    network = _plugged_in(experiment) if is_plugged_in(name) else NETWORKS[name].build(experiment)
    is_last = _layout(experiment) == "channels_last"
    if is_last:
        network = network.to(memory_format=torch.channels_last)
    if not is_last and experiment.precision == "float32":
        return network
    from fmgrid.components.adapted import Adapted

    return Adapted(network, channels_last=is_last, bf16=experiment.precision == "bf16")


def work_of(experiment: Experiment) -> Work | None:
    """Return the work that the experiment's network makes, None where only a step can tell."""
    network = NETWORKS.get(experiment.network)
    if network is None:
        return None
    return network.work(with_defaults(network.arguments, experiment.network_args), experiment)


def objection_to_network(experiment: Experiment) -> str | None:
    """Return why a network's arguments don't fit each other or the data, None if they do.

    The text begins with the setting to blame.
    """
    info = info_of(experiment)
    if experiment.layout == "channels_last" and len(info.shape) != IMAGE_DIMENSIONS:
        return f'layout = "channels_last" needs images, and the data have the shape {info.shape}'
    network = NETWORKS.get(experiment.network)
    if network is None:
        units = experiment.hidden_units
        remedy = f"leave it out: {experiment.network} gets network_args, and nothing else"
        return None if units is None else f"hidden_units belongs to MLP and CNN; {remedy}"
    if info.are_tokens:
        holds = f"{experiment.dataset} holds int64, as for the tokens of an embedding"
        return f'network = "{experiment.network}" takes float32, and {holds}; make x float32'
    try:
        network.check(with_defaults(network.arguments, experiment.network_args), experiment)
    except ValueError as error:
        return str(error)
    return None


def _layout(experiment: Experiment) -> str:
    if experiment.layout != "auto":
        return experiment.layout
    return "channels_last" if experiment.network == "CNN" else "contiguous"


def _plugged_in(experiment: Experiment) -> "Module":
    """Return what somebody else's class or function makes of exactly its arguments.

    Raises `ComponentError` if that is no network.
    """
    import random

    import numpy as np
    import torch

    def begin_stream(seed: int, purpose: str) -> None:
        number = subseed(seed, purpose)
        torch.manual_seed(number)
        random.seed(number)
        np.random.seed(number % 2**32)

    begin_stream(0, "import")  # which happens once in a process, whatever is trained there
    make = NETWORK.load(experiment.network)
    begin_stream(experiment.seed, "network")
    network = make(**_with_configs(make, experiment.network_args))
    if not isinstance(network, torch.nn.Module):
        raise ComponentError(f"gives a {type(network).__name__}, and no torch.nn.Module")
    return network


def _with_configs(make: Callable[..., Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments, tables of them as the dataclass that *make* asks for."""
    try:
        types = typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)
    except Exception:  # noqa: BLE001 - hints are text, and may mean anything
        types = {}
    return {
        name: types[name](**value)
        if isinstance(value, dict) and is_dataclass(types.get(name))
        else value
        for name, value in args.items()
    }


def _check(experiment: Experiment, folder: Path, memory: int | None) -> float | None:
    """Let a network take two steps on a small batch of the data; return the seconds of an image.

    Raises what the network raises, or `ComponentError` where it gives no logits. The time is None
    for a network that is too large for *memory*, whose runs will fail, and no others.
    """
    from fmgrid.data.batches import load_split

    images = load_split(folder, "train")
    inputs, labels = images.inputs[:_CHECKED_IMAGES], images.labels[:_CHECKED_IMAGES]
    try:
        with memory_ceiling(memory):
            return _time_steps(experiment, inputs, labels)
    except Exception as error:
        if is_lack_of_memory(error):
            return None
        raise


def _time_steps(experiment: Experiment, inputs: "Tensor", labels: "Tensor") -> float:
    """Return the seconds of an image, and raise as `_check` does."""
    import torch

    network = build(experiment)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ComponentError("has no weights to train")
    seconds = 0.0
    try:
        for _ in range(2):
            started = time.monotonic()
            logits = network(inputs.clone())  # which it may change
            _check_logits(logits, len(inputs), len(info_of(experiment).classes))
            torch.nn.functional.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
            seconds = time.monotonic() - started
        network.eval()
        with torch.no_grad():
            _check_logits(network(inputs.clone()), len(inputs), len(info_of(experiment).classes))
    except Exception as error:
        error.add_note(f"(for a batch of shape {list(inputs.shape)}, {inputs.dtype})")
        raise
    return seconds / len(inputs)


def _check_logits(logits: "Tensor", images: int, classes: int) -> None:
    import torch

    if not isinstance(logits, torch.Tensor):
        raise ComponentError(f"returns a {type(logits).__name__}, and no tensor of logits")
    if logits.shape != (images, classes):
        raise ComponentError(
            f"returns the shape {list(logits.shape)} for {images} inputs, and the data have "
            f"{classes} classes: the shape must be {[images, classes]}"
        )


def _mlp_work(args: Mapping[str, Any], experiment: Experiment) -> Work:
    info = info_of(experiment)
    widths = (info.inputs, *(experiment.hidden_units or ()), len(info.classes))
    weights = _count_weights(widths)
    extras = args["normalization"] != "none", bool(args["dropout"])
    return Work((len(widths) - 1) * (1 + sum(extras)), weights, 2 * weights)


def _build_mlp(experiment: Experiment) -> "Module":
    from fmgrid.components.mlp import MLP

    info, units = info_of(experiment), experiment.hidden_units or ()
    args = experiment.network_args
    return MLP(units, experiment.seed, info.inputs, len(info.classes), args)


def _check_mlp(args: Mapping[str, Any], experiment: Experiment) -> None:
    units = experiment.hidden_units or ()
    _check_length("dropout", args, len(units), "hidden layer")
    if args["normalization"] == "batch" and units:
        _check_batches(experiment)


def _cnn_work(args: Mapping[str, Any], experiment: Experiment) -> Work:
    info = info_of(experiment)
    blocks = list(blocks_of(args, info.shape))
    features = features_of(args, blocks[-1])
    widths = (features, *(experiment.hidden_units or ()), len(info.classes))
    weights = _count_weights(widths)
    convolutions = sum(block.flops + _NUMBER_COST * block.numbers for block in blocks)
    return Work(
        layers=4 * len(blocks) + len(widths) - 1,
        weights=sum(block.weights for block in blocks) + weights,
        flops=convolutions + 2 * weights,
    )


def _build_cnn(experiment: Experiment) -> "Module":
    from fmgrid.components.cnn import CNN

    info, units = info_of(experiment), experiment.hidden_units or ()
    network = CNN(units, experiment.seed, info.shape, len(info.classes), experiment.network_args)
    network.channels_last = _layout(experiment) == "channels_last"
    return network


def _check_cnn(args: Mapping[str, Any], experiment: Experiment) -> None:
    channels, units = args["channels"], experiment.hidden_units or ()
    for name in ("kernel_size", "stride", "padding", "pooling"):
        _check_length(name, args, len(channels), "entry of channels")
    layers = len(channels) + len(units)
    _check_length("dropout", args, layers, "convolution and hidden layer")
    blocks = blocks_of(args, info_of(experiment).shape)
    has_single_pixels = (1, 1) in [block.size for block in blocks]
    if args["normalization"] == "instance" and has_single_pixels:
        raise ValueError(
            'network_args.normalization = "instance" needs more than the one pixel that is left of '
            'an image; write less pooling, or "batch"'
        )
    if args["normalization"] == "batch" and (units or has_single_pixels):
        _check_batches(experiment)


def _check_batches(experiment: Experiment) -> None:
    """Refuse a batch of one image, of which no mean and variance can be taken."""
    size, _, steps = workload_of(experiment)
    batch_size, portion = experiment.batch_size, experiment.train_images or size
    whole, rest = divmod(portion, batch_size)
    is_reached = experiment.epochs * steps > whole
    if batch_size == 1 or (rest == 1 and is_reached):
        raise ValueError(
            f"batch_size = {batch_size} makes a batch of one of the {portion:,} images, and batch "
            "normalization needs two; write another batch_size"
        )


def _check_length(name: str, args: Mapping[str, Any], count: int, noun: str) -> None:
    values = args[name]
    if isinstance(values, list | tuple) and len(values) != count:
        raise ValueError(
            f"network_args.{name} has {counted(len(values), 'value')}; "
            f"write one for each {noun}, {count} in all"
        )


def _count_weights(widths: tuple[int, ...]) -> int:
    return sum(inputs * outputs for inputs, outputs in pairwise(widths))


def _component_of(experiment: Experiment) -> Component:
    if is_plugged_in(experiment.network):
        return Component(experiment.network, experiment.network_args)
    args = {**experiment.network_args, "hidden_units": experiment.hidden_units}
    return Component(experiment.network, args)


def _facts_of(experiment: Experiment) -> tuple[object, ...]:
    info = info_of(experiment)
    inputs = info.shape, info.are_tokens
    return inputs, len(info.classes), _layout(experiment), experiment.precision


def _objection_to_value(name: str, argument: str, value: Any) -> str | None:
    return NETWORKS[name].arguments[argument].objection_to(value)


NETWORKS: Mapping[str, Network] = {
    "MLP": Network(MLP_ARGUMENTS, _mlp_work, _build_mlp, _check_mlp),
    "CNN": Network(CNN_ARGUMENTS, _cnn_work, _build_cnn, _check_cnn),
}
NETWORK = Kind(
    setting="network",
    noun="network",
    base="torch.nn:Module",
    takes_functions=True,
    of=_component_of,
    facts_of=_facts_of,
    library="fmgrid",
    built_in=lambda: NETWORKS,
    own='your own is "package.module:Class"; ',
    read=lambda name: Signature(arguments=frozenset(NETWORKS[name].arguments)),
    reserved={},
    objection_to_value=_objection_to_value,
    check=_check,
    is_checked=lambda experiment: is_plugged_in(experiment.network),
)
