"""A name in a grid -> a data set, a network or an optimizer: built in, or "package.module:Class".

Each kind is an entry in the table of kinds, which says where its built-in ones are, and how one
is looked up, checked before the first training, and built.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fmgrid.components.datasets import DATASET
from fmgrid.components.kinds import Kind, signature
from fmgrid.components.networks import NETWORK
from fmgrid.components.optimizers import OPTIMIZER
from fmgrid.components.plugins import ComponentError, is_plugged_in, on_one_line
from fmgrid.components.signatures import Signature, as_float
from fmgrid.errors import explain_refusal
from fmgrid.experiment import Experiment, typed
from fmgrid.words import printable

KINDS: Mapping[str, Kind] = {kind.setting: kind for kind in (DATASET, NETWORK, OPTIMIZER)}
# Those with a setting in a grid, and those with a table of arguments besides.
NAMED = [kind for setting, kind in KINDS.items() if setting in Experiment.model_fields]
WITH_ARGUMENTS = [kind for kind in NAMED if f"{kind.setting}_args" in Experiment.model_fields]

RESERVED_ARGUMENTS = OPTIMIZER.reserved


def optimizer_signature(name: str) -> Signature:
    """Return what an optimizer takes. Raises `ComponentError` if the name means none."""
    return signature(OPTIMIZER, name)


def objection_to_value(name: str, argument: str, value: Any) -> str | None:
    """Return why an optimizer cannot take *value* and what to write, None if it can."""
    return optimizer_signature(name).objection_to(argument, value)


def objection_to_name(setting: str, name: Any) -> str | None:
    """Return why no experiment has this value of a setting that names a built-in component."""
    try:
        _ = setting not in KINDS or is_plugged_in(name) or signature(KINDS[setting], name)
    except ComponentError as error:
        return str(error)
    return None


def as_taken(experiment: Experiment) -> Experiment:
    """Return the experiment with arguments as its components take them.

    Where torch takes a float, 0 becomes 0.0: both train to the same bits.
    """
    changed = {}
    for kind in WITH_ARGUMENTS:
        args = getattr(experiment, f"{kind.setting}_args")
        taken = _arguments_as_taken(kind, getattr(experiment, kind.setting), args)
        if typed(taken) != typed(args):
            changed[f"{kind.setting}_args"] = taken
    return experiment.model_copy(update=changed) if changed else experiment


def setting_as_taken(optimizer: str, keys: Sequence[str], value: Any) -> Any:
    """Return *value* as an experiment with this optimizer holds it under *keys*."""
    match keys:
        case ["learning_rate"]:
            return as_float(value, frozenset({"float"}))
        case ["optimizer_args", argument]:
            return _arguments_as_taken(OPTIMIZER, optimizer, {argument: value})[argument]
        case ["optimizer_args"] if isinstance(value, dict):
            return _arguments_as_taken(OPTIMIZER, optimizer, value)
        case ["optimizer_args", *_]:
            return value
    return _as_whole(value)


def _as_whole(value: Any) -> Any:
    """Return 3 for 3.0: all numbers of fmgrid's own settings but the learning rate are whole."""
    if isinstance(value, list | tuple):
        return tuple(map(_as_whole, value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _arguments_as_taken(kind: Kind, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as a built-in component takes them; others know better."""
    if not kind.is_built_in(name) or objection_to_name(kind.setting, name):
        return dict(args)
    takes = signature(kind, name)
    return {argument: takes.as_taken(argument, value) for argument, value in args.items()}


def needs_own_process(experiment: Experiment) -> bool:
    """Return whether anything of an experiment is somebody else's code."""
    return any(is_plugged_in(kind.of(experiment).name) for kind in KINDS.values())


def find_distinct(experiments: Iterable[Experiment]) -> Iterator[tuple[str, Experiment]]:
    """Yield each kind's setting with an experiment for every distinct component to check."""
    everything = list(experiments)
    for setting, kind in KINDS.items():
        if kind.check is not None:
            components = [(kind.of(experiment), experiment) for experiment in everything]
            distinct = {repr((c.name, sorted(c.args.items()))): e for c, e in components}
            yield from ((setting, experiment) for experiment in distinct.values())


def check_component(setting: str, experiment: Experiment) -> str | None:
    """Return what a component objects to its arguments, None if it takes them.

    It is built as for a training, in a worker, since only its class knows what it takes.
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
