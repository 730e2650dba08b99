"""The kind "network": the networks that an experiment can train, and the work of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fmgrid.components.datasets import info_of
from fmgrid.components.kinds import Component, Kind, Work
from fmgrid.components.signatures import Signature
from fmgrid.data.catalogue import DatasetInfo
from fmgrid.experiment import Experiment

if TYPE_CHECKING:
    from torch.nn import Module

    from fmgrid.components.mlp import MLP


@dataclass(frozen=True)
class Network:
    """A built-in network; all its functions get its arguments and the facts of the data."""

    signature: Signature
    work: Callable[[Mapping[str, Any], DatasetInfo], Work]
    build: Callable[[Mapping[str, Any], DatasetInfo, int], "Module"]  # for a seed; imports torch


def build(experiment: Experiment) -> "Module":
    """Return the experiment's network with its initial weights."""
    name, args = NETWORK.of(experiment)
    return NETWORKS[name].build(args, info_of(experiment), experiment.seed)


def work_of(experiment: Experiment) -> Work:
    """Return the work that the experiment's network makes, without building it."""
    name, args = NETWORK.of(experiment)
    return NETWORKS[name].work(args, info_of(experiment))


def _mlp_work(args: Mapping[str, Any], info: DatasetInfo) -> Work:
    widths = (info.inputs, *args["hidden_units"], len(info.classes))
    weights = sum(inputs * outputs for inputs, outputs in pairwise(widths))
    return Work(len(widths) - 1, weights, 2 * weights)


def _build_mlp(args: Mapping[str, Any], info: DatasetInfo, seed: int) -> "MLP":
    from fmgrid.components.mlp import MLP

    return MLP(args["hidden_units"], seed, info.inputs, len(info.classes))


NETWORKS: Mapping[str, Network] = {
    "MLP": Network(Signature(arguments=frozenset({"hidden_units"})), _mlp_work, _build_mlp),
}
NETWORK = Kind(
    setting="network",
    noun="network",
    base="torch.nn:Module",
    of=lambda experiment: Component(
        experiment.network, {**experiment.network_args, "hidden_units": experiment.hidden_units}
    ),
    library="fmgrid",
    built_in=lambda: NETWORKS,
    read=lambda name: NETWORKS[name].signature,
    reserved={"hidden_units": "it is a setting of its own"},
)
