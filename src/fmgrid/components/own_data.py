"""A user's own data, as a grid names them -> their content, which is in the cache then.

They are read in a process of its own: a function may do anything to it, and the memory is free
afterwards.
"""

import inspect
import os
import random
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fmgrid.components.datasets import DATASET
from fmgrid.components.kinds import ComponentError
from fmgrid.data.cache import Prepared
from fmgrid.data.image_folders import find_images, read_images, read_options
from fmgrid.data.manifests import write_arrays
from fmgrid.data.own import Source, find_content, form_of, prepare_own
from fmgrid.data.own_arrays import OwnDataError, convert, read_npz, to_mapping
from fmgrid.errors import DataError, MachineError, explain_refusal, is_the_machines, on_one_line
from fmgrid.experiment import Experiment, subseed
from fmgrid.system.disk import HomeError, expand_home
from fmgrid.system.memory import available_memory, memory_ceiling
from fmgrid.system.processes import NoAnswerError, call_in_process

_READ = "fmgrid.components.own_data:read"
# More threads may sum in another order, and other bits would be other data.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Contents:
    """Finds the content of each source once, or what is wrong with it."""

    def __init__(self, inform: Callable[[str], None]) -> None:
        self._inform = inform
        self._known: dict[str, str | OwnDataError] = {}

    def of(self, experiment: Experiment, folder: Path) -> str | None:
        """Return the content of an experiment's own data, None if it has none.

        A relative path begins in *folder*. Raises `OwnDataError`, `DataError`.
        """
        if form_of(experiment.dataset) is None:
            return None
        source = source_of(experiment, folder)
        if source.key not in self._known:
            try:
                self._known[source.key] = find_content(source, _read_apart, self._inform)
            except OwnDataError as error:
                self._known[source.key] = error
        content = self._known[source.key]
        if isinstance(content, OwnDataError):
            raise content
        return content


def source_of(experiment: Experiment, folder: Path) -> Source:
    """Return where an experiment's own data come from; a relative path begins in *folder*."""
    path = Path.cwd()
    if form_of(experiment.dataset) != "function":
        try:
            path = (folder / expand_home(experiment.dataset)).absolute()
        except HomeError as error:
            raise OwnDataError(str(error)) from error
    return Source(experiment.dataset, path, experiment.dataset_args)


def prepare_again(
    experiment: Experiment,
    folder: Path,
    inform: Callable[[str], None],
    warn: Callable[[str], None],
) -> Prepared:
    """Return the verified arrays of an experiment's own data, whose content is known."""
    source = source_of(experiment, folder)
    return prepare_own(source, experiment.data_key, _read_apart, inform, warn)


def _read_apart(source: Source, workspace: Path) -> str:
    """Let a process of its own fill the workspace, and return the content."""
    request = [source.dataset, str(source.path), dict(source.args), str(workspace)]
    try:
        answer = call_in_process(_READ, request)
    except NoAnswerError as error:
        raise OwnDataError(f"cannot be read: {error}") from error
    match answer:
        case {"content": str(content)}:
            return content
        case {"problems": [*problems]}:
            raise OwnDataError(*map(str, problems))
        case {"fault": str(fault)}:
            raise DataError(f"{source.dataset}: {fault}")
    raise OwnDataError(f"cannot be read: {NoAnswerError.WRONG_ANSWER}")


def read(request: tuple[str, str, Mapping[str, Any], str]) -> dict[str, Any]:
    """Read own data into a folder, and return their content, or what is wrong.

    *request* is the data set, the absolute path, the arguments and the folder. Call this in a
    process of its own.
    """
    dataset, path, args, workspace = request
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        with memory_ceiling(available_memory()):  # or else the kernel kills any process
            own = convert(_read(dataset, Path(path), args))
            return {"content": write_arrays(own.arrays.items(), own.classes, Path(workspace))}
    except OwnDataError as error:
        return {"problems": list(error.args)}
    except (MachineError, MemoryError, OSError) as error:
        return {"fault": explain_refusal(error) or str(error)}


def _read(dataset: str, path: Path, args: Mapping[str, Any]) -> Mapping[str, Any]:
    match form_of(dataset):
        case "function":
            return _call_function(dataset, args)
        case "folder":
            options = read_options(args)
            return read_images(path, find_images(path, options), options)
    return read_npz(path)


def _call_function(dataset: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a user's function returns; it has random numbers that are always the same."""
    import numpy as np

    random.seed(subseed(0, "data"))
    np.random.seed(subseed(0, "data") % 2**32)
    try:
        function = DATASET.load(dataset)
    except ComponentError as error:
        raise OwnDataError(str(error)) from error
    try:
        return to_mapping(function(**args))
    except OwnDataError:
        raise
    except BaseException as error:
        if is_the_machines(error):
            raise
        place = _place_in(function, error)
        raise OwnDataError(f"raised {on_one_line(error)} at {place}") from error


def _place_in(function: Callable[..., Any], error: BaseException) -> str:
    """Return the line that raised, one of the function's own file if there is one."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(inspect.unwrap(function), "__code__", None)
    own = [frame for frame in frames if code and frame.filename == code.co_filename]
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"
