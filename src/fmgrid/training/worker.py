"""What worker processes are asked to do, by names that the command can send without torch.

A function travels to a worker as the name of its module: this one costs nothing to import on
either side, and finds the heavy modules loaded already in a worker.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fmgrid.experiment import Experiment, Run
from fmgrid.system.memory import memory_ceiling

if TYPE_CHECKING:
    from fmgrid.data import Prepared

PRELOAD = "fmgrid.training.preload"  # what a worker's server imports before there is work


def train_one(
    data: Mapping[str, "Prepared"],
    software: Mapping[str, str],
    memory: int,
    experiment: Experiment,
) -> Run:
    """Return the run of one experiment, which may allocate *memory* bytes; see `training.train`.

    *data* are the data sets by name. Raises `DataError` if the images are no longer those that
    were verified, or if they change meanwhile: then no outcome means anything.
    """
    from fmgrid.data.batches import load_images
    from fmgrid.data.cache import check_unchanged, check_undisturbed
    from fmgrid.training.loop import train

    prepared = data[experiment.dataset]
    facts = check_unchanged(prepared)
    for each in data.values():
        load_images(each.folder, "test")  # mapped here: the images are not the run's to pay for
    with memory_ceiling(memory):
        run = train(experiment, {prepared.dataset: prepared.folder}, software)
    check_undisturbed(prepared, facts)
    return run
