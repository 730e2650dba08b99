"""CPU time of networks that go through autograd, beside a plain script and beside the bare steps.

One thread. Each network is taken four ways back to back, for one epoch: in a process of its own a
plain script with torchvision, DataLoader and mltrainer's Trainer on the same network; fmgrid's
training; the bare steps of autograd on a batch that is always the same; and fmgrid's steps, with
their batches. The first two score the test images at the end. Prints seconds as JSON.

    python scripts/benchmarks/networks.py REPEATS IMAGES FOLDER_OF_TORCHVISIONS_DATA [NAME ...]
    python scripts/benchmarks/networks.py plain FOLDER_OF_TORCHVISIONS_DATA < experiment.json
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from stock import train_network
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

from fmgrid.components import networks
from fmgrid.components.optimizers import OPTIMIZER
from fmgrid.components.optimizers import build as build_optimizer
from fmgrid.data.batches import load_images, shuffled_batches
from fmgrid.data.cache import prepare
from fmgrid.experiment import Experiment
from fmgrid.system.memory import keep_freed_memory
from fmgrid.training.loop import train
from fmgrid.training.steps import steps_for

NETWORKS: dict[str, dict[str, Any]] = {
    "CNN 8-16": {"network": "CNN", "network_args": {"channels": [8, 16]}},
    "CNN 8-16, stride 2 for pooling": {
        "network": "CNN",
        "network_args": {"channels": [8, 16], "stride": 2, "pooling": 1},
    },
    "CNN 16-32": {"network": "CNN"},
    "CNN 16-32, bf16": {"network": "CNN", "precision": "bf16"},
    "CNN 32-64": {"network": "CNN", "network_args": {"channels": [32, 64]}},
    "MLP 256-256, dropout": {"network_args": {"dropout": 0.2}},
    "MLP 256-256, batch normalization": {"network_args": {"normalization": "batch"}},
}


def main() -> None:
    """Measure all networks, or the plain script alone."""
    torch.set_num_threads(1)
    if sys.argv[1] == "plain":
        experiment = Experiment.model_validate_json(sys.stdin.read())
        json.dump(train_plainly(experiment, Path(sys.argv[2])), sys.stdout)
        return
    repeats, images, root = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    names = sys.argv[4:] or NETWORKS
    torch.set_flush_denormal(True)
    keep_freed_memory()  # as in a worker
    common = {"name": "epoch", "epochs": 1, "train_steps": None, "train_images": images}
    experiments = {name: Experiment(**common, **NETWORKS[name]) for name in names}
    json.dump(
        {name: measure(each, repeats, root) for name, each in experiments.items()}, sys.stdout
    )


def measure(experiment: Experiment, repeats: int, root: Path) -> dict[str, float]:
    """Return the CPU seconds of an epoch for each of the ways, medians of the repeats."""
    folder = prepare(experiment.dataset).folder
    take_steps(experiment.model_copy(update={"train_images": 640}), folder)  # what is done once
    ways: dict[str, Callable[[], object]] = {
        "fmgrid": partial(check_complete, experiment, folder),
        "bare": partial(take_bare_steps, experiment, folder),
        "steps": partial(take_steps, experiment, folder),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ("plain", *ways)}
    for _ in range(repeats):
        seconds["plain"].append(seconds_of_plain_script(experiment, root))
        for way, work in ways.items():
            seconds[way].append(cpu_seconds(work))
    return {way: median(values) for way, values in seconds.items()}


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds that something takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def seconds_of_plain_script(experiment: Experiment, root: Path) -> float:
    """Return the CPU seconds of the plain script, whose process has torch's own settings."""
    return float(
        subprocess.run(
            [sys.executable, __file__, "plain", root],
            input=experiment.model_dump_json(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        ).stdout
    )


def train_plainly(experiment: Experiment, root: Path) -> float:
    """Return the CPU seconds of torchvision, DataLoader and mltrainer, images as they come."""
    data = [
        FashionMNIST(root, train=part == "train", download=True, transform=ToTensor())
        for part in ("train", "test")
    ]
    plain = {"layout": "contiguous", "precision": "float32"}
    network = networks.build(experiment.model_copy(update=plain))
    valid_steps = len(data[1]) // experiment.batch_size
    settings = experiment.model_dump() | {
        "train_steps": count_steps(experiment),
        "valid_steps": valid_steps,
    }
    with tempfile.TemporaryDirectory() as logdir:
        return cpu_seconds(lambda: train_network(network, settings, *data, Path(logdir)))


def check_complete(experiment: Experiment, folder: Path) -> None:
    """Train with fmgrid."""
    run = train(experiment, folder)
    if run.status != "complete":
        raise SystemExit(f"{experiment.name}: {run.failure}")


def take_bare_steps(experiment: Experiment, folder: Path) -> None:
    """Take an epoch's steps on one batch, with nothing around them."""
    network, optimizer = start(experiment)
    images = load_images(folder, "test").train
    inputs, labels = next(iter(shuffled_batches(images, experiment.batch_size, 0)))
    loss_fn = torch.nn.CrossEntropyLoss()
    for _ in range(count_steps(experiment)):
        optimizer.zero_grad()
        loss = loss_fn(network(inputs), labels)
        loss.backward()
        optimizer.step()


def take_steps(experiment: Experiment, folder: Path) -> None:
    """Take an epoch's steps as fmgrid takes them."""
    network, optimizer = start(experiment)
    steps = steps_for(network, torch.nn.CrossEntropyLoss(), optimizer)
    images = load_images(folder, "test").train
    batches = shuffled_batches(images, experiment.batch_size, 0, experiment.train_images)
    for inputs, labels in islice(batches, count_steps(experiment)):
        steps.loss(inputs, labels)
        steps.update()


def start(experiment: Experiment) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Return the network and its optimizer before the first step."""
    network = networks.build(experiment)
    return network, build_optimizer(OPTIMIZER.of(experiment), network.parameters())


def count_steps(experiment: Experiment) -> int:
    """Return the steps of an epoch."""
    return -(-(experiment.train_images or 0) // experiment.batch_size)


if __name__ == "__main__":
    main()
