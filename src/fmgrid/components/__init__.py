"""A name in a grid -> a data set, a network or an optimizer: built in, or "package.module:Class".

The table of kinds says how each is looked up, checked before the first training, and built.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fmgrid.components.datasets import DATASET
from fmgrid.components.kinds import ComponentError, Kind, is_plugged_in, on_one_line
from fmgrid.components.networks import NETWORK
from fmgrid.components.optimizers import OPTIMIZER
from fmgrid.components.signatures import inspected
from fmgrid.errors import explain_refusal
from fmgrid.experiment import Experiment, typed
from fmgrid.settings import DEFAULTS
from fmgrid.words import printable

KINDS: Mapping[str, Kind] = {kind.setting: kind for kind in (DATASET, NETWORK, OPTIMIZER)}
NAMED = [kind for kind in KINDS.values() if kind.setting in Experiment.model_fields]  # in grids
optimizer_signature = OPTIMIZER.signature


def objection_to_name(setting: str, name: Any) -> str | None:
    """Return the objection to a built-in component's name, None if there is none."""
    try:
        kind = KINDS.get(setting)
        _ = kind and kind.is_built_in(name) and kind.signature(name)
    except ComponentError as error:
        return str(error)
    return None


def as_taken(experiment: Experiment) -> Experiment:
    """Return the experiment with arguments as its components take them.

    Where torch takes a float, 0 becomes 0.0: both train to the same bits.
    """
    changed = {}
    for kind in NAMED:
        args = vars(experiment).get(f"{kind.setting}_args", {})
        taken = kind.as_taken(getattr(experiment, kind.setting), args) if args else args
        if typed(taken) != typed(args):
            changed[f"{kind.setting}_args"] = taken
    return experiment.model_copy(update=changed) if changed else experiment


def setting_as_taken(optimizer: str, keys: Sequence[str], value: Any) -> Any:
    """Return *value* as an experiment with this optimizer holds it under *keys*."""
    match keys:
        case ["optimizer_args", argument]:
            return OPTIMIZER.as_taken(optimizer, {argument: value})[argument]
        case ["optimizer_args"] if isinstance(value, dict):
            return OPTIMIZER.as_taken(optimizer, value)
        case ["optimizer_args", *_]:
            return value
        case [setting] if type(DEFAULTS.get(setting)) is float:
            return float(value) if type(value) is int else value
    return _as_whole(value)


def _as_whole(value: Any) -> Any:
    """Return 3 for 3.0, for a setting that is a whole number or a list of some."""
    if isinstance(value, list | tuple):
        return tuple(map(_as_whole, value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def needs_own_process(experiment: Experiment) -> bool:
    """Return whether any component of an experiment's training is somebody else's code."""
    kinds = (kind for kind in KINDS.values() if kind is not DATASET)
    return any(is_plugged_in(kind.of(experiment).name) for kind in kinds)


def find_distinct(experiments: Iterable[Experiment]) -> Iterable[tuple[str, Experiment]]:
    """Return an experiment for every distinct component to check, with its setting."""
    components = {
        repr((kind.setting, kind.of(experiment))): (kind.setting, experiment)
        for experiment in experiments
        for kind in KINDS.values()
        if kind.check is not None
    }
    return components.values()


def check_component(setting: str, experiment: Experiment) -> str | None:
    """Return a component's objection to its arguments, None if it takes them.

    It is built as for a training, in a worker, since only its class knows its arguments.
    """
    import torch

    kind = KINDS[setting]
    component = kind.of(experiment)
    with torch.random.fork_rng(devices=[]):
        try:
            if kind.check is not None:
                kind.check(component)
        except BaseException as error:
            if not is_plugged_in(component.name) and explain_refusal(error):
                raise  # the machine is to blame, and not the arguments
            return printable(on_one_line(error), 300)  # a plugged-in class may call sys.exit
    return None


def inspect_class(request: Iterable[str]) -> tuple[str, str]:
    """Return an objection to a class, "" if there is none, and its signature as JSON.

    *request* is a setting and its value, a plug-in. Call this in a process of its own.
    """
    setting, name = request
    try:
        return "", inspected(KINDS[setting].load(name)).model_dump_json()
    except ComponentError as error:
        return str(error), ""
    except BaseException as error:  # noqa: BLE001 - modules and metaclasses may do anything
        return f"{printable(name, 80)} cannot be inspected ({on_one_line(error)})", ""
