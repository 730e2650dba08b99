"""The kind "dataset", and the rules between settings that need a data set's facts."""

from typing import NamedTuple

from fmgrid.components.kinds import Component, Kind
from fmgrid.components.signatures import Signature
from fmgrid.data.catalogue import DATASETS, DatasetInfo
from fmgrid.experiment import Experiment
from fmgrid.words import counted

DATASET = Kind(
    setting="dataset",
    noun="data set",
    of=lambda experiment: Component(experiment.dataset, {}),
    library="fmgrid",
    built_in=lambda: DATASETS,
    read=lambda _: Signature(),
    reserved={},
)


def info_of(experiment: Experiment) -> DatasetInfo:
    """Return the facts of the experiment's data."""
    return DATASETS[experiment.dataset]


class Workload(NamedTuple):
    """The numbers of images and of steps of a training."""

    train_set_size: int  # images that the network may learn from
    valid_images: int  # scored after every epoch
    steps_per_epoch: int  # the last batch may be short where an epoch is counted in images


def workload_of(experiment: Experiment) -> Workload:
    """Return how many images and steps follow from the settings and the data set."""
    info, steps = info_of(experiment), experiment.train_steps
    held_out = 0 if experiment.validation == "test" else experiment.validation
    train = info.train_images - held_out
    if not isinstance(steps, int):
        steps = -(-(experiment.train_images or train) // experiment.batch_size)
    return Workload(train, held_out or info.test_images, steps)


def objection_to_workload(experiment: Experiment) -> str | None:
    """Return why the data set has too few images for the settings, None if it has enough."""
    size = workload_of(experiment).train_set_size
    if size < 1:
        total = info_of(experiment).train_images
        return f"validation = {experiment.validation} leaves none of the {total} images"
    if experiment.batch_size > size:
        return f"batch_size = {experiment.batch_size} exceeds the {counted(size, 'training image')}"
    return None
