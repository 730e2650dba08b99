"""Steps by hand give the bits of autograd and the optimizer's own step, whatever is asked for."""

from typing import Any

import pytest
import torch
from torch import nn

from fmgrid.components.mlp import MLP
from fmgrid.training.steps import ByAutograd, ByHand, Steps, steps_for

BATCHES = [16, 16, 16, 5, 16, 16]  # the end of a pass over the images is a short batch
OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "Adam": [
        {"fused": True},
        {"fused": True, "amsgrad": True, "weight_decay": 0.1},
        {"fused": True, "maximize": True, "betas": (0.5, 0.9), "eps": 1e-3},
        {"fused": True, "decoupled_weight_decay": True, "weight_decay": 0.1},
        {"foreach": True},
        {},
    ],
    "AdamW": [{"fused": True}, {"fused": True, "amsgrad": True, "weight_decay": 0.1}, {}],
    "SGD": [
        {"fused": True},
        {"fused": True, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1},
        {"fused": True, "momentum": 0.9, "nesterov": True, "maximize": True},
        {"momentum": 0.9},
    ],
    "Adagrad": [{"fused": True}, {"lr_decay": 0.1}],
    "RMSprop": [{}, {"momentum": 0.9, "centered": True, "weight_decay": 0.1}],
    "Adadelta": [{}],
    "Adafactor": [{}],
    "Adamax": [{}],
    "ASGD": [{}],
    "NAdam": [{}],
    "RAdam": [{}],
    "Rprop": [{}],
}
CASES = [(name, arguments) for name, all_of in OPTIMIZERS.items() for arguments in all_of]


pytestmark = pytest.mark.usefixtures("one_thread")


def batch(images: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(images, 784, generator=generator)
    return pixels, torch.randint(10, (images,), generator=generator)


def take(steps: Steps, batches: list[int]) -> list[float]:
    losses = []
    for number, images in enumerate(batches):
        losses.append(steps.loss(*batch(images, number)))
        steps.update()
    return losses


def trained(
    kind: type[ByHand | ByAutograd],
    name: str,
    arguments: dict[str, Any],
    units: list[int],
    args: dict[str, Any] | None = None,
) -> tuple[list[float], MLP]:
    """Return the losses of some steps, and the network after them."""
    network = MLP(units, seed=1, args=args)
    torch.manual_seed(2)  # for dropout
    optimizer = getattr(torch.optim, name)(network.parameters(), lr=0.01, **arguments)
    if kind is ByHand:
        return take(ByHand(network, optimizer), BATCHES), network
    return take(ByAutograd(network, nn.CrossEntropyLoss(), optimizer), BATCHES), network


@pytest.mark.parametrize("units", [[], [17], [64, 33], [16, 16, 7]], ids="units {}".format)
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_steps_by_hand_give_the_bits_of_autograd(
    name: str, arguments: dict[str, Any], units: list[int]
) -> None:
    losses, network = trained(ByHand, name, arguments, units)
    expected_losses, expected = trained(ByAutograd, name, arguments, units)

    assert losses == expected_losses
    assert len(set(losses)) == len(BATCHES)
    for ours, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)


ARGS = [
    {"dropout": 0.3},
    {"dropout": [0.0, 0.5]},
    {"normalization": "batch"},
    {"normalization": "layer"},
    {"normalization": "batch", "dropout": 0.2},
    {"normalization": "layer", "dropout": 0.2},
]


@pytest.mark.parametrize("args", ARGS, ids=str)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("Adam", {"fused": True}), ("SGD", {"fused": True, "momentum": 0.9}), ("RMSprop", {})],
)
def test_dropout_and_normalization_by_hand_give_the_bits_of_autograd(
    name: str, arguments: dict[str, Any], args: dict[str, Any]
) -> None:
    losses, network = trained(ByHand, name, arguments, [64, 33], args)
    expected_losses, expected = trained(ByAutograd, name, arguments, [64, 33], args)

    assert losses == expected_losses
    state, expected_state = network.state_dict(), expected.state_dict()
    assert all(torch.equal(state[key], expected_state[key]) for key in expected_state)
    assert expected_losses != trained(ByHand, name, arguments, [64, 33])[0]


def test_the_cases_are_all_of_torchs_optimizers_that_can_train_an_mlp() -> None:
    all_of_them = {
        name
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    }
    # Of matrices only; by a closure; of sparse gradients.
    assert all_of_them - OPTIMIZERS.keys() <= {"Optimizer", "Muon", "LBFGS", "SparseAdam"}


def test_a_learning_rate_that_is_changed_on_the_way_is_heeded() -> None:
    networks = [MLP([8], seed=1), MLP([8], seed=1)]
    optimizers = [torch.optim.Adam(network.parameters(), fused=True) for network in networks]
    ways = [
        ByHand(networks[0], optimizers[0]),
        ByAutograd(networks[1], nn.CrossEntropyLoss(), optimizers[1]),
    ]
    losses = []
    for steps, optimizer in zip(ways, optimizers, strict=True):
        take(steps, [16, 16])
        optimizer.param_groups[0]["lr"] = 0.5
        losses.append(take(steps, [16, 16, 16]))

    assert losses[0] == losses[1]


def test_a_loss_that_is_no_number_is_the_same_on_both_ways() -> None:
    losses = []
    for kind in (ByHand, ByAutograd):
        values, _ = trained(kind, "SGD", {"fused": True, "weight_decay": 1e38}, [8])
        losses.append([str(value) for value in values])

    assert losses[0] == losses[1]
    assert "nan" in losses[0]


class Doubled(MLP):
    """An MLP that isn't one any more."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(pixels)


class MySGD(torch.optim.SGD):
    """An optimizer that might do anything."""


@pytest.mark.parametrize(
    ("network", "loss_fn", "optimizer", "expected"),
    [
        (MLP, nn.CrossEntropyLoss(), torch.optim.SGD, ByHand),
        (Doubled, nn.CrossEntropyLoss(), torch.optim.SGD, ByAutograd),
        (MLP, nn.CrossEntropyLoss(label_smoothing=0.1), torch.optim.SGD, ByAutograd),
        (MLP, nn.CrossEntropyLoss(weight=torch.ones(10)), torch.optim.SGD, ByAutograd),
        (MLP, nn.CrossEntropyLoss(reduction="sum"), torch.optim.SGD, ByAutograd),
        (MLP, nn.MultiMarginLoss(), torch.optim.SGD, ByAutograd),
        (MLP, nn.CrossEntropyLoss(), MySGD, ByAutograd),
    ],
    ids=[
        "an MLP",
        "a network of its own",
        "smoothed labels",
        "weighted classes",
        "a sum",
        "another loss",
        "a plugged-in optimizer",
    ],
)
def test_what_is_not_known_through_and_through_goes_by_autograd(
    network: type[MLP],
    loss_fn: nn.Module,
    optimizer: type[torch.optim.SGD],
    expected: type[Steps],
) -> None:
    made = network([8], seed=0)
    assert type(steps_for(made, loss_fn, optimizer(made.parameters()))) is expected


def test_differentiable_steps_go_by_autograd() -> None:
    network = MLP([8], seed=0)
    optimizer = torch.optim.SGD(network.parameters(), differentiable=True)
    assert type(steps_for(network, nn.CrossEntropyLoss(), optimizer)) is ByAutograd
