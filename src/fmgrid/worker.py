"""What worker processes are asked to do, by names that the command can send without torch.

A function travels to a worker as the name of its module: this one costs nothing to import on
either side, and finds the heavy modules loaded already in a worker.
"""

from collections.abc import Mapping
from pathlib import Path

from fmgrid.memory import memory_ceiling
from fmgrid.records import Experiment, Run

PRELOAD = "fmgrid.preload"  # what a worker's server imports before there is work


def train_one(
    data_folders: Mapping[str, Path],
    software: Mapping[str, str],
    memory: int,
    experiment: Experiment,
) -> Run:
    """Return the run of one experiment, which may allocate *memory* bytes; see `training.train`."""
    from fmgrid.data import load_images
    from fmgrid.training import train

    for folder in data_folders.values():
        load_images(folder, "test")  # mapped here, so that the images are not its to pay for
    with memory_ceiling(memory):
        return train(experiment, data_folders, software)


def check_optimizer(experiment: Experiment) -> str | None:
    """Return what the optimizer objects to its arguments; see `training.check_optimizer`."""
    from fmgrid import training

    return training.check_optimizer(experiment)
