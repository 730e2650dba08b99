"""A name in a grid -> a data set, a network or an optimizer: built in, or "package.module:Class".

The table of kinds says how each is looked up, checked before the first training, and built.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fmgrid.components.datasets import DATASET, objection_to_workload
from fmgrid.components.kinds import ComponentError, Kind, is_plugged_in
from fmgrid.components.networks import NETWORK, objection_to_network
from fmgrid.components.optimizers import OPTIMIZER
from fmgrid.components.signatures import inspected
from fmgrid.data.own import form_of
from fmgrid.errors import explain_refusal, on_one_line
from fmgrid.experiment import Experiment, typed
from fmgrid.settings import DEFAULTS, value_at
from fmgrid.words import printable

KINDS: Mapping[str, Kind] = {kind.setting: kind for kind in (DATASET, NETWORK, OPTIMIZER)}


def objection_to_name(setting: str, name: Any) -> str | None:
    """Return the objection to a built-in component's name, None if there is none."""
    try:
        kind = KINDS.get(setting)
        _ = kind and kind.is_built_in(name) and kind.signature(name)
    except ComponentError as error:
        return str(error)
    return None


def objection_to_experiment(experiment: Experiment) -> str | None:
    """Return why the settings don't fit each other or the data, None if they do.

    The text begins with the setting to blame. None, too, for own data whose content is not known.
    """
    if form_of(experiment.dataset) and not experiment.content:
        return None
    return objection_to_workload(experiment) or objection_to_network(experiment)


def as_taken(experiment: Experiment) -> Experiment:
    """Return the experiment with arguments as its components take them.

    Where torch takes a float, 0 becomes 0.0: both train to the same bits.
    """
    changed = {}
    for kind in KINDS.values():
        args = getattr(experiment, kind.table)
        taken = kind.as_taken(getattr(experiment, kind.setting), args) if args else args
        if typed(taken) != typed(args):
            changed[kind.table] = taken
    return experiment.model_copy(update=changed) if changed else experiment


def names_of_components(settings: Experiment | Mapping[str, Any]) -> tuple[str, ...]:
    """Return the name of each component, in the order of `KINDS`."""
    return tuple(str(value_at(settings, (setting,))) for setting in KINDS)


def kind_of_arguments(setting: str) -> Kind | None:
    """Return the kind of the components whose arguments a setting has, None if it has none."""
    return next((kind for kind in KINDS.values() if kind.table == setting), None)


def setting_as_taken(names: Sequence[str], keys: Sequence[str], value: Any) -> Any:
    """Return *value* as an experiment with components of these names holds it under *keys*."""
    setting, *part = keys
    if kind := kind_of_arguments(setting):
        name = names[[*KINDS].index(kind.setting)]
        if not part:
            return kind.as_taken(name, value) if isinstance(value, dict) else value
        return kind.as_taken(name, {part[0]: value})[part[0]] if len(part) == 1 else value
    if not part and type(DEFAULTS.get(setting)) is float:
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


def key_of(setting: str, experiment: Experiment) -> str:
    """Return a key of all that a component's check depends on."""
    kind = KINDS[setting]
    return repr((setting, kind.of(experiment), kind.facts_of(experiment)))


def find_distinct(experiments: Iterable[Experiment]) -> Iterable[tuple[str, Experiment]]:
    """Return an experiment for every distinct component to check, with its setting."""
    components = {
        key_of(kind.setting, experiment): (kind.setting, experiment)
        for experiment in experiments
        for kind in KINDS.values()
        if kind.check is not None and kind.is_checked(experiment)
    }
    return components.values()


def check_component(
    setting: str, experiment: Experiment, folder: Path, memory: int | None = None
) -> str | float | None:
    """Return a component's objection to its arguments, or the seconds of an image if it measures.

    It is built as for a training, in a worker, since only its class knows its arguments. *folder*
    has the prepared data; a training may allocate *memory* bytes.
    """
    import torch

    kind = KINDS[setting]
    component = kind.of(experiment)
    with torch.random.fork_rng(devices=[]):
        try:
            return kind.check(experiment, folder, memory) if kind.check else None
        except BaseException as error:
            if not is_plugged_in(component.name) and explain_refusal(error):
                raise  # the machine is to blame, and not the arguments
            # A plugged-in class may call sys.exit.
            text = str(error) if isinstance(error, ComponentError) else on_one_line(error)
            notes = (f" {note}" for note in getattr(error, "__notes__", ()))
            return printable(text + "".join(notes), 400)


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
