"""What a user is promised of networks: the built-in ones, somebody's class, somebody's function."""

import re
import subprocess
import sys
from contextlib import nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from command import bits, figures, fmgrid, next_results, start, write
from fmgrid.components import check_component, networks
from fmgrid.components.arguments import CNN_ARGUMENTS, INITIALIZATIONS, MLP_ARGUMENTS, with_defaults
from fmgrid.components.blocks import blocks_of, features_of
from fmgrid.components.cnn import CNN
from fmgrid.components.datasets import info_of
from fmgrid.data.batches import load_images, shuffled_batches
from fmgrid.experiment import Experiment, subseed
from fmgrid.results.results_file import read_results
from fmgrid.settings import show_toml
from fmgrid.training.loop import score, train
from fmgrid.training.steps import ByAutograd, ByHand, steps_for

SETTINGS = {
    "cnn": {"network": "CNN"},
    "cnn with dropout and hidden units": {
        "network": "CNN",
        "network_args": {"channels": [4, 8], "dropout": 0.2},
        "hidden_units": [16],
    },
    "cnn in bf16": {"network": "CNN", "precision": "bf16"},
    "cnn in rows": {"network": "CNN", "layout": "contiguous"},
    "dropout": {"network_args": {"dropout": 0.3}},
    "batch normalization": {"network_args": {"normalization": "batch"}},
    "layer normalization, other activation": {
        "network_args": {"normalization": "layer", "activation": "GELU"}
    },
    "mltrainer": {
        "network": "mltrainer.imagemodels:CNN",
        "network_args": {
            "features": 1,
            "num_classes": 10,
            "kernel_size": 3,
            "filter1": 4,
            "filter2": 4,
        },
    },
}
NETWORKS = """
import random
import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    def __init__(self, units, dropout=0.0):
        super().__init__()
        self.dropout = dropout
        self.hidden, self.output = nn.Linear(784, units), nn.Linear(units, 10)

    def forward(self, images):
        hidden = functional.dropout(self.hidden(images.flatten(1)), self.dropout, self.training)
        return self.output(hidden.relu())


def make(units):
    network = Net(units)
    scale = random.random() + np.random.random()  # whose seeds are the experiment's too
    with torch.no_grad():
        network.output.weight.mul_(scale)
    return network


class Fragile(Net):
    def forward(self, images):
        self.steps = getattr(self, "steps", 0) + self.training
        if self.steps > 4:
            raise ValueError("the filament is broken")
        return super().forward(images)


class Leaky(Net):
    def forward(self, images):
        return super().forward(images)[:, :9]


class Talkative(Net):
    def forward(self, images):
        return super().forward(images), "and a word"


class Weightless(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :10]


def make_number():
    return 3


START = torch.rand(10)  # of the module, drawn when it is imported


class Shifting(Net):
    def __init__(self, units):
        super().__init__(units)
        with torch.no_grad():
            self.output.bias.copy_(START)

    def forward(self, images):
        return super().forward(images.sub_(0.5))


class Vast(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, units), nn.Linear(units, 10))
        self.more = nn.Linear(units, units)

    def forward(self, images):
        return self.layers(images)
"""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def with_networks(elsewhere: None) -> None:  # noqa: ARG001 - in its folder
    write(NETWORKS, "mine.py")


def tiny(**values: object) -> Experiment:
    defaults = {
        "name": "tiny",
        "dataset": "fashion-mnist-sample",
        "epochs": 2,
        "train_steps": 5,
        "batch_size": 30,
    }
    return Experiment(**{**defaults, **values})


def weights_of(network: nn.Module) -> list[torch.Tensor]:
    return [each.detach() for each in network.parameters() if each.dim() > 1]


def test_a_cnn_is_what_a_plain_pytorch_loop_computes(folder: Path) -> None:
    experiment = tiny(network="CNN", layout="contiguous", hidden_units=[16])
    parts = load_images(folder, "test")
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 16, bias=False),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, 10),
    )
    first = networks.build(experiment).state_dict().values()
    network.load_state_dict(dict(zip(network.state_dict(), first, strict=True)))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    batches = shuffled_batches(parts.train, 30, experiment.seed)
    expected = []
    for _ in range(2):
        losses = []
        network.train()
        for inputs, labels in islice(batches, 5):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        expected.append((sum(losses) / 5, *score(network, parts.valid)))

    run = train(experiment, folder)

    history = [(each.train_loss, each.valid_loss, each.accuracy) for each in run.history]
    assert history == expected


def test_the_default_cnn_has_16_and_32_channels_and_20538_weights(folder: Path) -> None:
    assert train(tiny(network="CNN", epochs=1), folder).weights == 20_538


@pytest.mark.parametrize("values", SETTINGS.values(), ids=SETTINGS)
def test_the_same_experiment_gives_the_same_bits_whatever_was_trained_before(
    values: dict[str, object], folder: Path
) -> None:
    first = train(tiny(**values), folder)
    train(tiny(network_args={"dropout": 0.5}, seed=7), folder)
    assert figures(train(tiny(**values), folder)) == figures(first)


@pytest.mark.parametrize("values", SETTINGS.values(), ids=SETTINGS)
def test_a_longer_training_begins_as_the_shorter_one(
    values: dict[str, object], folder: Path
) -> None:
    short, long = (figures(train(tiny(**values, epochs=epochs), folder)) for epochs in (1, 2))
    assert long[:1] == short


def test_layout_and_precision_are_the_same_network_in_other_bits(folder: Path) -> None:
    variants = ({}, {"layout": "contiguous"}, {"precision": "bf16"})
    runs = [train(tiny(network="CNN", **each), folder) for each in variants]

    losses = [run.history[-1].valid_loss for run in runs]
    assert len(set(losses)) == 3
    assert losses == pytest.approx([losses[0]] * 3, rel=0.05)


def test_networks_of_one_seed_start_equal_in_every_layer_whose_shape_they_share() -> None:
    """So that a comparison that is paired by seed compares the setting alone."""

    def start(**args: object) -> list[torch.Tensor]:
        units = (32, 16)
        cnn = networks.build(tiny(network="CNN", hidden_units=units, network_args=args))
        return weights_of(cnn)

    plain = start()
    for args in ({"dropout": 0.5}, {"activation": "GELU"}, {"normalization": "none"}):
        assert all(map(torch.equal, start(**args), plain)), args
    deeper = start(channels=[16, 32, 8], pooling=[2, 2, 1])
    assert all(map(torch.equal, deeper[:2], plain[:2]))
    assert torch.equal(deeper[-1], plain[-1])


def test_dropout_changes_neither_first_weights_nor_the_order_of_the_images(folder: Path) -> None:
    mlps = [networks.build(tiny(network_args=args)) for args in ({}, {"dropout": 0.5})]
    assert all(map(torch.equal, *map(weights_of, mlps)))
    # With nothing dropped it is the same training, though dropout draws random numbers.
    nearly = train(tiny(network_args={"dropout": 1e-12}), folder)
    assert [each.images_seen for each in nearly.history] == [150, 300]
    plain = train(tiny(), folder)
    assert nearly.history[-1].valid_loss == pytest.approx(plain.history[-1].valid_loss, rel=1e-5)


def test_a_plugged_in_network_draws_its_first_weights_from_a_stream_of_its_own() -> None:
    args = {"features": 784, "num_classes": 10, "units1": 8, "units2": 8}
    name = "mltrainer.imagemodels:NeuralNetwork"
    torch.manual_seed(subseed(3, "network"))
    expected = weights_of(networks.NETWORK.load(name)(**args))

    built = networks.build(tiny(network=name, network_args=args, seed=3))

    assert all(map(torch.equal, weights_of(built), expected))


@pytest.mark.parametrize("name", INITIALIZATIONS)
@pytest.mark.parametrize("network", ["MLP", "CNN"])
def test_an_initialization_is_torchs_own(name: str, network: str) -> None:
    built = networks.build(
        tiny(network=network, hidden_units=[40], network_args={"initialization": name})
    )
    if name == "orthogonal":
        for weight in weights_of(built):
            flat = weight.flatten(1)
            rows, columns = flat.shape
            square = flat @ flat.T if rows <= columns else flat.T @ flat
            assert torch.allclose(square, torch.eye(min(rows, columns)), atol=1e-4)
        return
    for weight in weights_of(built):
        alike = torch.empty_like(weight)
        if name == "default":
            nn.init.kaiming_uniform_(alike, a=5**0.5)
        else:
            getattr(nn.init, f"{name}_")(alike)
        assert weight.std().item() == pytest.approx(alike.std().item(), rel=0.2)


def test_only_an_mlp_with_relu_takes_its_steps_by_hand() -> None:
    def steps(**values: object) -> type:
        network = networks.build(tiny(**values))
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        return type(steps_for(network, nn.CrossEntropyLoss(), optimizer))

    by_hand = {"dropout", "batch normalization"}
    assert steps() is ByHand
    for name, values in SETTINGS.items():
        assert steps(**values) is (ByHand if name in by_hand else ByAutograd), name


each = st.integers(1, 4)
channels = st.lists(st.integers(1, 6), min_size=1, max_size=3)


@given(data=st.data(), channels=channels, size=st.tuples(st.integers(1, 3), each, each))
@settings(max_examples=100)
def test_the_sizes_that_are_known_before_a_training_are_torchs(
    data: st.DataObject, channels: list[int], size: tuple[int, int, int]
) -> None:
    def one_or_list(values: st.SearchStrategy[int]) -> object:
        count = len(channels)
        return data.draw(values | st.lists(values, min_size=count, max_size=count))

    args = {
        "channels": channels,
        "kernel_size": one_or_list(st.integers(1, 5)),
        "stride": one_or_list(st.integers(1, 3)),
        "padding": data.draw(st.just("same") | st.integers(0, 3)),
        "pooling": one_or_list(st.integers(1, 2)),
        "pooling_method": data.draw(st.sampled_from(["max", "average"])),
        "global_pooling": data.draw(st.sampled_from(["none", "max", "average"])),
        "normalization": data.draw(st.sampled_from(["none", "batch", "layer"])),
    }
    shape = (size[0], 5 * size[1], 7 * size[2])
    blocks = []
    with suppress(ValueError):
        blocks = list(blocks_of(with_defaults(CNN_ARGUMENTS, args), shape))
    if not blocks:
        with pytest.raises((RuntimeError, ValueError)):
            CNN((), 0, shape, 3, {**args, "normalization": "none"})(torch.zeros(2, *shape))
        return

    network = CNN((), 0, shape, 3, args)

    assert network(torch.zeros(2, *shape)).shape == (2, 3)
    *convolutions, output = weights_of(network)
    assert [each.numel() for each in convolutions] == [block.weights for block in blocks]
    assert output.shape == (3, features_of(with_defaults(CNN_ARGUMENTS, args), blocks[-1]))


values = (
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats(-1, 2)
    | st.sampled_from(["", "same", "relu", "ReLU", "Softmax", "batch", "max", "orthogonal"])
)


@given(network=st.sampled_from(["MLP", "CNN"]), data=st.data())
@settings(max_examples=200)
def test_what_an_argument_takes_can_be_built_and_what_it_refuses_says_what_to_write(
    network: str, data: st.DataObject
) -> None:
    table = {"MLP": MLP_ARGUMENTS, "CNN": CNN_ARGUMENTS}[network]
    name = data.draw(st.sampled_from(sorted(table)))
    value = data.draw(values | st.lists(values, max_size=3))
    units = (4, 3)
    objection = table[name].objection_to(value)
    if objection:
        assert f" is not {table[name].expects}" in objection
        return
    experiment = tiny(network=network, network_args={name: value}, hidden_units=units)
    if networks.objection_to_network(experiment) is None:
        assert networks.build(experiment)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("name", sorted(MLP_ARGUMENTS["activation"].choices()))
def test_every_activation_of_torch_trains(name: str, folder: Path) -> None:
    for network in ("MLP", "CNN"):
        args = {"activation": name}
        run = train(tiny(network=network, epochs=1, train_steps=2, network_args=args), folder)
        assert run.failure is None


GRID = """
[base]
dataset = "fashion-mnist-sample"
epochs = 2
train_steps = 5

[[grid]]
network = "mine:Net"
network_args.units = 8
network_args.dropout = [0.0, 0.5]

[[grid]]
network = "CNN"
network_args.channels = [[4, 8]]
network_args.dropout = [0.0, 0.2]
precision = ["float32", "bf16"]

[[point]]
name = "function"
network = "mine:make"
network_args.units = 8

[[point]]
name = "mltrainer"
network = "mltrainer.imagemodels:NeuralNetwork"
network_args = { features = 784, num_classes = 10, units1 = 8, units2 = 8 }
"""


@pytest.mark.usefixtures("with_networks")
def test_networks_of_any_origin_train_to_the_same_bits_whatever_the_workers_and_a_kill() -> None:
    write(GRID)
    process = start("run", "grid.toml", "-j", "2", "--logdir", "logs0")
    next_results(Path("logs0"), process)
    process.kill()
    process.communicate()
    for workers in (2, 0):
        answer = fmgrid("run", "grid.toml", "-j", workers, "--logdir", f"logs{workers}")
        assert answer.returncode == 0, answer.stderr
        assert "8 of 8 runs complete" in answer.stderr
    assert bits(Path("logs2")) == bits(Path("logs0"))

    assert fmgrid("summarize", "logs2").returncode == 0
    answer = fmgrid("list", "logs2", "--where", "network_args.units = 8", "--json")
    assert answer.stdout.count('"mine:') == 3


@pytest.mark.usefixtures("with_networks")
def test_what_a_network_does_to_its_inputs_and_when_it_was_imported_is_no_matter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    experiment = tiny(network="mine:Shifting", network_args={"units": 8}, validation=100)
    runs = []
    for number in (5, 6):
        monkeypatch.delitem(sys.modules, "mine", raising=False)
        torch.manual_seed(number)
        assert isinstance(check_component("network", experiment, folder), float)
        runs += [train(experiment.model_copy(update={"seed": 1}), folder) for _ in range(2)]
    for run in runs:
        assert figures(run) == figures(runs[0])
        assert run.test_loss == runs[0].test_loss


@pytest.mark.usefixtures("with_networks")
@pytest.mark.parametrize("settings", ['network = "mine:Vast"', 'dataset = "own.npz"'])
def test_a_network_too_large_for_the_check_fails_and_the_others_finish(settings: str) -> None:
    images = np.random.default_rng(0).random((40, 1, 28, 28), np.float32)
    np.savez("own.npz", x_train=images, y_train=range(40), x_test=images, y_test=range(40))
    units = "network_args.units" if "network" in settings else "hidden_units"
    values = [4, 100_000] if "network" in settings else [[4], [100_000, 100_000]]
    data = "" if "dataset" in settings else 'dataset = "fashion-mnist-sample"\n'
    steps = "batch_size = 10\nepochs = 1\ntrain_steps = 2"
    write(f"[base]\n{data}{settings}\n{steps}\n[[grid]]\n{units} = {values}\n")
    answer = fmgrid("run", "grid.toml", "--memory", "1GB")
    assert answer.returncode == 1, answer.stderr
    assert "1 of 2 runs complete" in answer.stderr
    assert "failed: out of memory: RuntimeError: " in answer.stderr


@pytest.mark.usefixtures("with_networks")
def test_a_network_that_fails_in_training_fails_its_run_and_no_other() -> None:
    write(
        """[base]
dataset = "fashion-mnist-sample"
train_steps = 5
[[point]]
name = "plain"
[[point]]
name = "fragile"
network = "mine:Fragile"
network_args.units = 8
"""
    )

    answer = fmgrid("run", "grid.toml")

    assert answer.returncode == 1
    assert "1 of 2 runs complete" in answer.stderr
    assert "ValueError: the filament is broken" in answer.stderr
    run = read_results(Path("modellogs/fragile/fragile_results.toml"))
    assert run.status == "failed"
    assert "line 32, in forward" in str(run.failure.traceback)


@pytest.mark.usefixtures("with_networks")
def test_networks_that_do_not_fit_are_refused_with_the_line_before_any_training() -> None:
    write(
        """[base]
dataset = "fashion-mnist-sample"
[[point]]
name = "a"
network = "mine:Leaky"
network_args = { units = 8 }
[[point]]
name = "b"
network = "mltrainer.imagemodels:CNN"
network_args = { features = 3, num_classes = 10, kernel_size = 3, filter1 = 4, filter2 = 4 }
[[point]]
name = "c"
network = "torchvision.models:resnet18"
"""
    )

    answer = fmgrid("run", "grid.toml")

    assert answer.returncode == 2
    batch = "(for a batch of shape [64, 1, 28, 28], torch.float32)"
    channels = "input[64, 1, 28, 28] to have 3 channels, but got 1 channels instead"
    assert answer.stderr.splitlines() == [
        "3 runs, 3 to train, all with a plugged-in network, timed before the first training",
        (
            "grid.toml:5: point.network: mine:Leaky refuses this: returns the shape [64, 9] for 64 "
            f"inputs, and the data have 10 classes: the shape must be [64, 10] {batch}"
        ),
        (
            "grid.toml:9: point.network: mltrainer.imagemodels:CNN refuses this: RuntimeError: "
            f"Given groups=1, weight of size [4, 3, 3, 3], expected {channels} {batch}"
        ),
        (
            "grid.toml:13: point.network: torchvision.models:resnet18 refuses this: RuntimeError: "
            f"Given groups=1, weight of size [64, 3, 7, 7], expected {channels} {batch}"
        ),
        "3 mistakes; nothing was done",
    ]
    assert answer.stdout == ""
    assert [path.name for path in Path("modellogs").iterdir()] == [".fmgrid.lock"]


@pytest.mark.usefixtures("with_networks")
@pytest.mark.parametrize(
    ("name", "objection"),
    [
        ("Talkative", "returns a tuple, and no tensor of logits"),
        ("Weightless", "has no weights to train"),
        ("make_number", "gives a int, and no torch.nn.Module"),
        ("Fragile", None),  # later, in a training
    ],
)
def test_what_is_no_network_of_logits_is_refused(
    name: str, objection: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    args = {"units": 8} if name in ("Talkative", "Fragile") else {}
    answer = check_component("network", tiny(network=f"mine:{name}", network_args=args), folder)
    if objection is None:
        assert isinstance(answer, float)
    else:
        assert str(answer).startswith(objection)


@pytest.mark.usefixtures("with_networks")
def test_arguments_that_do_not_fit_are_refused_with_the_line_by_plan() -> None:
    write(
        """[[point]]
name = "a"
network = "mine:Net"
network_args.unit = 3
[[point]]
name = "b"
network = "CNN"
network_args.channels = [8, 8, 8, 8, 8, 8]
[[point]]
name = "c"
network_args.activation = "relu"
[[point]]
name = "d"
network_args.dropout = [0.1]
[[point]]
name = "e"
network = "mine:Net"
network_args.units = 3
hidden_units = [3]
[[point]]
name = "f"
network = "CNN"
network_args.hidden_units = [3]
[[point]]
name = "g"
network = "RNN"
[[point]]
name = "h"
dropout = 0.5
[[point]]
name = "i"
network = "CNN"
network_args.kernel_size = [3, 3, 3]
"""
    )

    answer = fmgrid("plan", "grid.toml")

    assert answer.returncode == 2
    assert answer.stderr.splitlines() == [
        "grid.toml:3: point.network: mine:Net needs units; write network_args.units",
        "grid.toml:4: point.network_args.unit: mine:Net takes no unit; did you mean units?",
        (
            "grid.toml:8: point.network_args.channels: network_args.pooling leaves nothing of "
            "images with 28 x 28 pixels in block 5 of 6; write fewer channels, or a smaller pooling"
        ),
        (
            'grid.toml:11: point.network_args.activation: "relu" is not an activation of torch.nn '
            'such as "ReLU"; did you mean ReLU?'
        ),
        (
            "grid.toml:14: point.network_args.dropout: network_args.dropout has 1 value; write "
            "one for each hidden layer, 2 in all"
        ),
        (
            "grid.toml:19: point.hidden_units: hidden_units belongs to MLP and CNN; leave it out: "
            "mine:Net gets network_args, and nothing else"
        ),
        (
            "grid.toml:23: point.network_args.hidden_units: CNN takes no hidden_units; "
            "hidden_units is a setting of its own"
        ),
        'grid.toml:26: point.network: fmgrid has no network "RNN"; did you mean CNN?',
        "grid.toml:29: point.dropout: no such setting; did you mean network_args.dropout?",
        (
            "grid.toml:33: point.network_args.kernel_size: network_args.kernel_size has 3 values; "
            "write one for each entry of channels, 2 in all"
        ),
        "10 mistakes; nothing was done",
    ]


ONE_PIXEL = {"channels": [4] * 4}  # is left of an image


@pytest.mark.parametrize(
    ("values", "is_refused"),
    [
        ({"batch_size": 1}, True),
        ({"batch_size": 1, "hidden_units": []}, False),
        ({"batch_size": 1, "network": "CNN"}, False),
        ({"batch_size": 1, "network": "CNN", "hidden_units": [8]}, True),
        ({"batch_size": 1, "network": "CNN", "network_args": ONE_PIXEL}, True),
        ({"batch_size": 2, "network": "CNN", "network_args": ONE_PIXEL}, False),
        ({"batch_size": 1999, "train_steps": "full"}, True),  # the last of 2,000 is left
        ({"batch_size": 1999, "train_steps": 1, "epochs": 1}, False),  # they end before
        ({"batch_size": 1999, "train_steps": 1, "epochs": 2}, True),
        ({"batch_size": 64, "train_images": 129, "train_steps": None}, True),
        ({"batch_size": 64, "train_images": 130, "train_steps": None}, False),
    ],
)
def test_a_batch_of_one_image_is_refused_where_it_cannot_be_normalized(
    values: dict[str, Any], is_refused: bool
) -> None:
    args = {"normalization": "batch", **values.get("network_args", {})}
    experiment = tiny(**{"epochs": 1, **values, "network_args": args})
    assert info_of(experiment).train_images == 2000
    objection = networks.objection_to_network(experiment)
    assert (objection is not None) is is_refused
    assert objection is None or objection.startswith("batch_size = ")


@pytest.mark.parametrize("normalization", ["instance", "batch", "layer"])
@pytest.mark.parametrize("blocks", [3, 4])
def test_one_pixel_is_refused_where_torch_cannot_normalize_it(
    blocks: int, normalization: str
) -> None:
    args = {"channels": [4] * blocks, "normalization": normalization}
    experiment = tiny(network="CNN", network_args=args)
    is_refused = networks.objection_to_network(experiment) is not None
    assert is_refused is (blocks == 4 and normalization == "instance")
    with pytest.raises(ValueError, match="spatial element") if is_refused else nullcontext():
        networks.build(experiment)(torch.zeros(2, 1, 28, 28))


@pytest.mark.usefixtures("with_networks")
def test_the_plan_says_whose_time_is_not_known() -> None:
    write(GRID.partition("[[point]]")[0])

    answer = fmgrid("plan", "grid.toml")

    assert answer.returncode == 0
    (last,) = answer.stderr.splitlines()
    assert last.startswith("6 runs, 6 to train, about ")
    assert last.endswith(
        "on 2 workers, 2 with a plugged-in network, timed before the first training"
    )


def test_looking_up_networks_and_planning_them_imports_no_torch(tmp_path: Path) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text(
        '[[grid]]\nnetwork = ["MLP", "CNN"]\nnetwork_args.activation = ["GELU", "ReLU"]\n'
    )
    script = f"""
import sys
from fmgrid.cli import app
try:
    app(["plan", {str(grid)!r}])
except SystemExit as end:
    assert not end.code, end.code
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, stdout=subprocess.PIPE)


PAGE = (Path(__file__).parent.parent / "docs" / "networks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_the_page_lists_every_argument(name: str) -> None:
    table = networks.NETWORKS[name].arguments
    rows = [
        f"| `{key}` | `{show_toml(entry.default)}` | {entry.expects} |"
        for key, entry in table.items()
    ]
    (written,) = re.findall(rf"<!-- arguments of {name} -->\n(.*?)<!-- end -->", PAGE, re.S)
    assert written.splitlines()[2:] == rows


@pytest.mark.usefixtures("elsewhere")
def test_the_pages_examples_train() -> None:
    for name, text in re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, re.S):
        write(text, name)
    grids = sorted(Path().glob("*.toml"))
    answer = fmgrid("run", *grids)
    assert answer.returncode == 0, answer.stderr
    assert "19 of 19 runs complete" in answer.stderr
