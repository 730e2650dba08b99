"""The study without fmgrid: torchvision, DataLoader and mltrainer's Trainer, one run after another.

What a competent user would write: the data sets loaded once, the study's own protocol of 100
training and 100 validation batches an epoch, one thread (with torch's default of one per core
the small networks are slower). Reads experiments as JSON from stdin; prints their last
validation losses by name.

    python scripts/benchmarks/stock.py FOLDER_OF_TORCHVISIONS_DATA < experiments.json
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from mltrainer import ReportTypes, Trainer, TrainerSettings
from mltrainer.metrics import Accuracy
from mltrainer.trainer import Reporter
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor


class LastLoss(Reporter):
    """Keeps the last validation loss."""

    loss = float("nan")

    def report(self, epoch: int, train_loss: float, test_loss: float, metric_dict: Any) -> None:
        """Keep it; what mltrainer calls test is the validation."""
        del epoch, train_loss, metric_dict
        self.loss = test_loss


def main() -> None:
    """Train all experiments that stdin names."""
    torch.set_num_threads(1)
    root = Path(sys.argv[1])
    train = FashionMNIST(root, train=True, download=True, transform=ToTensor())
    valid = FashionMNIST(root, train=False, download=True, transform=ToTensor())
    losses = {}
    for experiment in json.load(sys.stdin):
        with tempfile.TemporaryDirectory() as logdir:
            losses[experiment["name"]] = train_one(experiment, train, valid, Path(logdir))
    json.dump(losses, sys.stdout)


def train_one(
    experiment: dict[str, Any], train: Dataset[Any], valid: Dataset[Any], logdir: Path
) -> float:
    """Train one MLP and return its last validation loss."""
    torch.manual_seed(experiment["seed"])
    network = make_network(experiment["hidden_units"])
    return train_network(network, {**experiment, "valid_steps": 100}, train, valid, logdir)


def train_network(
    network: nn.Module,
    experiment: dict[str, Any],
    train: Dataset[Any],
    valid: Dataset[Any],
    logdir: Path,
) -> float:
    """Train a network and return its last validation loss."""
    settings = TrainerSettings(
        epochs=experiment["epochs"],
        metrics=[Accuracy()],
        logdir=logdir,
        train_steps=experiment["train_steps"],
        valid_steps=experiment["valid_steps"],
        reporttypes=[ReportTypes.TENSORBOARD],
        optimizer_kwargs={"lr": experiment["learning_rate"], **experiment["optimizer_args"]},
        earlystop_kwargs=None,
    )
    batch_size = experiment["batch_size"]
    trainer = Trainer(
        model=network,
        settings=settings,
        loss_fn=nn.CrossEntropyLoss(),
        optimizer=getattr(torch.optim, experiment["optimizer"]),
        traindataloader=DataLoader(train, batch_size, shuffle=True),
        validdataloader=DataLoader(valid, batch_size),
        scheduler=None,
    )
    last = LastLoss()
    trainer.reporters.append(last)
    trainer.loop()
    return float(last.loss)


def make_network(hidden_units: list[int]) -> nn.Module:
    """Return an MLP with ReLU."""
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = 28 * 28
    for units in hidden_units:
        layers += [nn.Linear(inputs, units), nn.ReLU()]
        inputs = units
    return nn.Sequential(*layers, nn.Linear(inputs, 10))


if __name__ == "__main__":
    main()
