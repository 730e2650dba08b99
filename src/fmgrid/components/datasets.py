"""The kind "dataset", and the rules between settings that need a data set's facts."""

from typing import NamedTuple

from fmgrid.components.kinds import Component, Kind
from fmgrid.components.signatures import Signature
from fmgrid.data.batches import count_held_out
from fmgrid.data.catalogue import DATASETS, DatasetInfo
from fmgrid.data.own import form_of, own_info
from fmgrid.experiment import Experiment
from fmgrid.words import counted

_OF_A_FOLDER = Signature(arguments=frozenset({"test", "size", "color"}))


def _read_other(name: str) -> Signature | None:
    """Return the signature of a file or a folder."""
    form = form_of(name)
    if form == "folder":
        return _OF_A_FOLDER
    return Signature() if form == "file" else None


DATASET = Kind(
    setting="dataset",
    noun="data set",
    takes_functions=True,
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
    match experiment.validation:
        case "test":
            train, valid = info.train_images, info.test_images
        case "valid":
            train, valid = info.train_images, info.valid_images
        case number_or_share:
            valid = count_held_out(number_or_share, info.train_images)
            train = info.train_images - valid
    if not isinstance(steps, int):
        steps = -(-(experiment.train_images or train) // experiment.batch_size)
    return Workload(train, valid, steps)


def objection_to_workload(experiment: Experiment) -> str | None:
    """Return why the settings do not go with the data set, None if they do.

    The text begins with the setting to blame.
    """
    info = info_of(experiment)
    size, valid_images, _ = workload_of(experiment)
    if size < 1:
        return f"validation = {experiment.validation} leaves none of the {info.train_images} images"
    if not valid_images:
        if experiment.validation == "valid":
            lacking = f'validation = "valid" needs a third set, which {experiment.dataset} lacks'
            return f"{lacking}; write a share of the training images, as in validation = 0.1"
        share = f"validation = {experiment.validation}"
        return f"{share} holds out none of the {info.train_images} images; write a larger share"
    if experiment.standardize and info.are_tokens:
        tokens = f"standardize = true needs numbers, and {experiment.dataset} holds tokens"
        return f"{tokens}; write standardize = false"
    if experiment.batch_size > size:
        return f"batch_size = {experiment.batch_size} exceeds the {counted(size, 'training image')}"
    return None
