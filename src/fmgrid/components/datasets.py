"""The kind "dataset", and the rules between settings that need a data set's facts."""

from collections.abc import Mapping
from typing import NamedTuple

from fmgrid.components.kinds import FUNCTION, Component, Kind
from fmgrid.components.signatures import Accepted, Signature
from fmgrid.data.catalogue import DATASETS, DatasetInfo
from fmgrid.data.own import form_of, own_info
from fmgrid.experiment import Experiment
from fmgrid.words import counted

_OF_A_FOLDER: Mapping[str, Accepted] = {
    "test": frozenset({"float"}),
    "size": (frozenset({"int"}), frozenset({"int"})),
    "color": frozenset({"str"}),
}


def _read_other(name: str) -> Signature | None:
    """Return the signature of a file or a folder."""
    form = form_of(name)
    if form == "folder":
        return Signature(arguments=frozenset(_OF_A_FOLDER), types=_OF_A_FOLDER)
    return Signature() if form == "file" else None


DATASET = Kind(
    setting="dataset",
    noun="data set",
    base=FUNCTION,
    of=lambda experiment: Component(experiment.dataset, experiment.dataset_args),
    library="fmgrid",
    built_in=lambda: DATASETS,
    read=lambda _: Signature(),
    read_other=_read_other,
    own='your own is "images.npz", "images/" or "package.module:function"; ',
    reserved={},
)


def info_of(experiment: Experiment) -> DatasetInfo:
    """Return the facts of the experiment's data.

    Those of its own data stand in the cache. Raises `DataError` if they do not.
    """
    return own_info(experiment.content) if experiment.content else DATASETS[experiment.dataset]


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
    """Return why the data set has too few images for the settings, None if it has enough.

    None, too, for own data whose content is not known.
    """
    if form_of(experiment.dataset) and not experiment.content:
        return None
    size = workload_of(experiment).train_set_size
    if size < 1:
        total = info_of(experiment).train_images
        return f"validation = {experiment.validation} leaves none of the {total} images"
    if experiment.batch_size > size:
        return f"batch_size = {experiment.batch_size} exceeds the {counted(size, 'training image')}"
    return None
