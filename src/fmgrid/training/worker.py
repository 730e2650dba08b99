"""The functions that a worker process runs.

A function travels to a worker by the name of its module. The command imports this module without
torch. In a worker the heavy modules are loaded already.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fmgrid.experiment import EpochRecord, Experiment, Run
from fmgrid.system.memory import keep_freed_memory, memory_ceiling

if TYPE_CHECKING:
    from fmgrid.data.cache import Prepared

PRELOAD = "fmgrid.training.preload"  # what a worker's server imports before there is work


def train_one(
    data: Mapping[str, "Prepared"],
    software: Mapping[str, str],
    experiment: Experiment,
    memory: int | None,
    report: Callable[[EpochRecord], bool],
) -> Run:
    """Return the run of one experiment, which may allocate *memory* bytes; see `training.train`.

    *data* are the data sets by `Experiment.data_key`. Raises `DataError` if the images are no
    longer those that were verified, or if they change meanwhile: then the run would mean nothing.
    """
    from fmgrid.data.batches import load_images
    from fmgrid.data.cache import unchanged
    from fmgrid.training.loop import train

    prepared = data[experiment.data_key]
    if experiment.network != "MLP":  # whose arrays are small
        keep_freed_memory()
    with unchanged(prepared):
        for dataset in data.values():
            # Mapped here: the images are not the run's to pay for.
            load_images(dataset.folder, "test")
        load_images(prepared.folder, experiment.validation)
        with memory_ceiling(memory):
            return train(experiment, prepared.folder, software, report)


def lost_installation() -> str:
    """Return which file is gone, where a package was removed that training needs."""
    modules = (sys.modules.get(name) for name in ("fmgrid", "mltrainer", "torch", "numpy"))
    files = [file for module in modules if (file := getattr(module, "__file__", None))]
    return next((f"the installed {file} is gone" for file in files if not Path(file).exists()), "")
