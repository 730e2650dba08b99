"""CPU time of the training work, beside that of the matrix products in it: the bound.

One thread. Every experiment is taken three ways back to back: its matrix products alone,
fmgrid's training as it is, and the same with autograd's steps instead of those by hand. Reads
experiments as JSON from stdin; prints seconds and a profile as JSON.

    python scripts/benchmarks/training.py REPEATS < experiments.json
"""

import json
import sys
import time
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from fmgrid.components.datasets import workload_of
from fmgrid.components.mlp import MLP
from fmgrid.data.batches import load_images, shuffled_batches
from fmgrid.data.cache import prepare
from fmgrid.experiment import Experiment, Run
from fmgrid.training import loop as training
from fmgrid.training.steps import ByAutograd, ByHand, steps_for

PROFILED_STEPS = 300
# What the operators of a step are for; what isn't listed is the loss and the activations.
PARTS = {
    "matrix products": {"aten::mm", "aten::addmm"},
    "optimizer": {"aten::_fused_adam_", "aten::_fused_adamw_", "aten::_foreach_add_"},
    "batch": {"aten::index_select", "aten::randperm", "aten::split", "aten::random_"},
}


def main() -> None:
    """Measure what stdin names."""
    torch.set_num_threads(1)
    experiments = [Experiment.model_validate_json(line) for line in sys.stdin]
    folders = {name: prepare(name).folder for name in {e.dataset for e in experiments}}
    run_training(experiments[0], folders)  # whatever is done once in a process
    measured = [measure(experiment, folders, int(sys.argv[1])) for experiment in experiments]
    shapes = {(e.hidden_units, e.batch_size): e for e in experiments if e.optimizer == "Adam"}
    wanted = [((16, 16), 64), ((256, 256), 64), ((512, 512), 64)]
    profiles = [profiled(shapes[shape], folders) for shape in wanted if shape in shapes]
    json.dump({"experiments": measured, "profiles": profiles}, sys.stdout)


def measure(experiment: Experiment, folders: dict[str, Path], repeats: int) -> dict[str, Any]:
    """Return the CPU seconds of the ways, each the median of its repeats."""
    products = matrix_products(experiment, folders)
    ways: dict[str, Callable[[], object]] = {
        "bound": products,
        "by_hand": lambda: run_training(experiment, folders),
        "by_autograd": lambda: run_training(experiment, folders, ByAutograd),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        results = {}
        for way, work in ways.items():
            start = time.process_time()
            results[way] = work()
            seconds[way].append(time.process_time() - start)
        if results["by_hand"] != results["by_autograd"]:
            raise SystemExit(f"{experiment.name}: steps by hand gave other bits than autograd")
    return {
        "name": experiment.name,
        "hidden_units": experiment.hidden_units,
        "batch_size": experiment.batch_size,
        "optimizer": experiment.optimizer,
        **{way: median(values) for way, values in seconds.items()},
    }


def run_training(
    experiment: Experiment, folders: dict[str, Path], steps: Callable[..., Any] = steps_for
) -> list[dict[str, float]]:
    """Train it with the given kind of steps and return the figures of its epochs."""
    training.steps_for = steps  # type: ignore[assignment]
    run: Run = training.train(experiment, folders[experiment.dataset])
    if run.status != "complete":
        raise SystemExit(f"{experiment.name}: {run.failure}")
    return [record.model_dump(exclude={"seconds"}) for record in run.history]


def matrix_products(experiment: Experiment, folders: dict[str, Path]) -> Callable[[], None]:
    """Return what does the matrix products of a training and its scores, and nothing else."""
    images = load_images(folders[experiment.dataset], experiment.validation).valid
    chunks = torch.split(images.inputs, training.VALID_BATCH)
    widths = [784, *experiment.hidden_units, 10]
    weights = [torch.rand(outputs, inputs) for inputs, outputs in pairwise(widths)]
    weight_grads = [torch.empty_like(weight) for weight in weights]
    batch = [torch.rand(experiment.batch_size, width) for width in widths]
    scores = [torch.empty(training.VALID_BATCH, width) for width in widths[1:]]
    layers = list(zip(weights, weight_grads, *zip(*pairwise(batch), strict=True), strict=True))

    def work() -> None:
        for _ in range(experiment.epochs):
            for _ in range(workload_of(experiment).steps_per_epoch):
                for weight, _, inputs, outputs in layers:
                    torch.mm(inputs, weight.t(), out=outputs)
                for weight, weight_grad, inputs, outputs in reversed(layers):
                    torch.mm(outputs.t(), inputs, out=weight_grad)
                    if inputs is not batch[0]:
                        torch.mm(outputs, weight, out=inputs)
            for pixels in chunks:
                signal = pixels.flatten(1)
                for weight, outputs in zip(weights, scores, strict=True):
                    signal = torch.mm(signal, weight.t(), out=outputs)

    return work


def profiled(experiment: Experiment, folders: dict[str, Path]) -> dict[str, Any]:
    """Return microseconds of a step by what they are spent on."""
    images = load_images(folders[experiment.dataset], experiment.validation).train
    network = MLP(experiment.hidden_units, experiment.seed)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    steps = ByHand(network, optimizer)
    batches = shuffled_batches(images, experiment.batch_size, experiment.seed)

    def take(count: int) -> None:
        for pixels, labels in islice(batches, count):
            steps.loss(pixels, labels)
            steps.update()

    take(PROFILED_STEPS)
    start = time.perf_counter()
    take(PROFILED_STEPS)
    total = (time.perf_counter() - start) / PROFILED_STEPS * 1e6
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        take(PROFILED_STEPS)
    parts = dict.fromkeys((*PARTS, "loss and activations"), 0.0)
    for event in profiler.key_averages():
        if event.key.startswith("aten::"):
            found = [part for part, keys in PARTS.items() if event.key in keys]
            part = found[0] if found else "loss and activations"
            parts[part] += event.self_cpu_time_total / PROFILED_STEPS
    parts["Python between them"] = max(0.0, total - sum(parts.values()))
    shape = {"hidden_units": experiment.hidden_units, "batch_size": experiment.batch_size}
    return {**shape, "total": total, "parts": parts}


if __name__ == "__main__":
    main()
