"""Blocks -> experiments: every point laid over the base, checked, named and given its seeds."""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from fmgrid.components import KINDS, as_taken, objection_to_experiment
from fmgrid.components.kinds import ComponentError, Kind
from fmgrid.components.own_data import Contents
from fmgrid.data.own_arrays import OwnDataError
from fmgrid.errors import InputError, Problem
from fmgrid.experiment import Experiment, default_units
from fmgrid.grid.blocks import NAME, Block, Definition, Grid, Written, overlay
from fmgrid.grid.names import default_template, make_name
from fmgrid.grid.rules import Rules
from fmgrid.grid.values import is_value, objection_to_argument
from fmgrid.grid.widths import with_width
from fmgrid.settings import SETTINGS, Keys, is_same, is_width, show_toml
from fmgrid.words import counted

_MOST_TRIED = 20_000  # points of a block, in search of its sample; they take some 3 seconds
_DRAFT = Experiment(name="draft")  # has the defaults, and stands in for what cannot be built


def expand(grid: Grid, problems: list[Problem]) -> Iterator[Definition]:
    """Yield the grid's experiments; the mistakes in the others go to *problems*."""
    before = len(problems)
    rules = Rules(grid)
    remaining = False
    too_few: list[Problem] = []
    for block in grid.blocks:
        definitions = _definitions(grid, block, rules, problems, too_few)
        remaining = remaining or bool(definitions)
        for definition in definitions:
            for seed in block.seeds if block.sound else ():
                yield replace(definition, experiment=with_seed(definition.experiment, seed))
    problems += rules.in_vain()
    if len(problems) == before and grid.sound:
        if grid.excludes and not remaining and not too_few:
            place = next(iter(grid.excludes[0].values())).place
            too_few.append(Problem(place, "exclude", "leaves no experiment; drop less"))
        problems += too_few


def _definitions(
    grid: Grid, block: Block, rules: Rules, problems: list[Problem], too_few: list[Problem]
) -> list[Definition]:
    """Return a block's experiments that no rule drops, each for one seed, in the order of its axes.

    The points of a block with a sample come in a random order, and the first that stay are its
    sample. Where too few stay, that goes to *too_few*.
    """
    most = block.sample.value if block.sample else math.inf
    kept: dict[int, Definition] = {}
    distinct: set[Experiment] = set()  # of a sample
    failed = tried = 0
    for number, point in block.points():
        if len(kept) + failed == most or (block.sample and tried == _MOST_TRIED):
            break
        tried += 1
        written = overlay(grid.base, point, grid.overrides)
        try:
            experiment = _experiment(grid, block, point, written, rules)
        except InputError as error:
            problems += error.problems
            failed += 1
            continue
        if experiment is None or experiment in distinct:
            continue
        if block.sample:
            distinct.add(experiment)
        kept[number] = Definition(experiment, block.place, written, block.timeout)
    if block.sample and tried == _MOST_TRIED and len(kept) < most:
        message = f"only {len(kept):,} of {tried:,} random points stay by only_if and [[exclude]]"
        too_few.append(block.sample.problem(f"{message}; write fewer, or values that stay"))
    elif block.only_if and not kept:
        too_few.append(block.only_if.problem("leaves no experiment of the block; allow more"))
    return [kept[number] for number in sorted(kept)]


def with_seed(experiment: Experiment, seed: int) -> Experiment:
    """Return the same experiment for another seed. Raises `ValidationError` if that is no seed."""
    if is_same(seed, experiment.seed):
        return experiment
    # A copy is not validated, and results with an invalid seed could never be read again.
    seed = Experiment(name="draft", seed=seed).seed
    return experiment.model_copy(update={"seed": seed})


def _experiment(
    grid: Grid,
    block: Block,
    point: Mapping[Keys, Written],
    written: Mapping[Keys, Written],
    rules: Rules,
) -> Experiment | None:
    """Build one experiment, None if a rule drops it.

    Raises `InputError` with everything that is wrong with it; what is dropped may be wrong.
    """
    draft = Definition(_DRAFT, block.place, written)
    problems: list[Problem] = []
    settings = _settings(written, problems)
    for kind in KINDS.values():
        problems += _component_problems(kind, settings, block, draft)
    try:
        if not problems and _are_widths(settings["hidden_units"]) and rules.drop(block, settings):
            return None
    except InputError as error:
        problems += error.problems
    experiment = _with_content(_validated(settings, block, draft, problems), grid.contents, draft)
    if objection := objection_to_experiment(experiment):
        raise InputError([_rule_problem(objection, draft)])
    if not block.sound:
        return experiment
    # The name says what is written, the experiment what is trained: 0 may become 0.0 there.
    name = _name(grid, block, point, experiment)
    if rules.drop(block, settings, name):
        return None
    return as_taken(experiment.model_copy(update={"name": name}))


def _are_widths(units: Any) -> bool:
    """Return whether hidden_units can be looked at by layer."""
    return units is None or (
        isinstance(units, list | tuple) and all(type(width) is int for width in units)
    )


def _settings(written: Mapping[Keys, Written], problems: list[Problem]) -> dict[str, Any]:
    """Return the settings by field, values that cannot be put going to *problems*."""
    network = written.get(("network",))
    settings: dict[str, Any] = {"hidden_units": default_units(network.value if network else "MLP")}
    for keys, value in written.items():
        try:
            if keys != NAME:
                _assign(settings, keys, value.value, written)
        except ValueError as error:
            problems.append(value.problem(str(error)))
    if isinstance(units := settings["hidden_units"], list):
        settings["hidden_units"] = [width for width in units if width is not None]
    return settings


def _validated(
    settings: Mapping[str, Any], block: Block, draft: Definition, problems: list[Problem]
) -> Experiment:
    """Return the experiment with these settings. Raises `InputError`, also for *problems*."""
    try:
        experiment = Experiment(name="draft", **settings)
    except ValidationError as error:
        problems += [_translate(details, block, draft) for details in error.errors()]
    if problems:
        raise InputError(problems)
    return experiment


def _name(grid: Grid, block: Block, point: Mapping[Keys, Written], experiment: Experiment) -> str:
    template = grid.overrides.get(NAME) or block.template
    hint = ""
    if template is None:
        varying = [keys for keys in point if block.varies(keys)]
        template = Written(default_template(grid.path.stem, varying), block.place, "name")
        hint = '; write a name for it, as in name = "epochs_{epochs}"'
    try:
        return make_name(template.value, experiment)
    except ValueError as error:
        raise InputError([template.problem(f"{error}{hint}")]) from error


def _assign(settings: dict[str, Any], keys: Keys, value: Any, others: Container[Keys]) -> None:
    """Put a value into nested *settings*: tables are merged, everything else is replaced.

    *others* are all settings of the experiment. Raises `ValueError` for a value that cannot be put.
    """
    setting, *rest = keys
    layers = settings["hidden_units"]
    if layers is None and (is_width(setting) or (setting == "hidden_units" and rest)):
        raise ValueError("the network has no hidden_units; write network_args, its own arguments")
    if not is_width(setting):
        _put(settings, setting, rest, value)
    elif isinstance(layers, list | tuple):
        settings["hidden_units"] = with_width(layers, setting, value, others)


def _put(settings: dict[str, Any], setting: str, rest: Sequence[str], value: Any) -> None:
    """Put a value into a table. Raises `ValueError` for a value that cannot be put."""
    old = settings.get(setting)
    if setting == "hidden_units" and rest:
        index = int(rest[0])
        if not isinstance(old, list | tuple):
            raise ValueError(f"there is no layer {index} in hidden_units = {show_toml(old)}")
        if index >= len(old):
            message = f"there is no layer {index} among {counted(len(old), 'layer')}"
            raise ValueError(f"{message}, counted from 0; units1, units2 and so on may add some")
        value = [*old[:index], value, *old[index + 1 :]]
    elif rest:
        settings[setting] = dict(old) if isinstance(old, dict) else {}
        _put(settings[setting], rest[0], rest[1:], value)
        return
    elif isinstance(old, dict) and isinstance(value, dict):
        value = {**old, **value}
    settings[setting] = value


def _translate(details: Any, block: Block, draft: Definition) -> Problem:
    """Turn one of pydantic's errors into a problem with its place."""
    if not details["loc"]:
        return _rule_problem(str(details["ctx"]["error"]), draft)
    setting, *rest = map(str, details["loc"])
    part = (setting, *rest[:1])
    origin = draft.origin(*part)
    if details["type"] == "too_long":
        limit, length = details["ctx"]["max_length"], details["ctx"]["actual_length"]
        return origin.problem(f"has {length:,} layers; write at most {limit:,}")
    about = SETTINGS[setting]
    if rest and part in draft.written:
        return origin.problem(f"{show_toml(origin.value)} is not {about.part}")
    hint = _axis_hint(origin, setting, block)
    return origin.problem(f"{show_toml(origin.value)} is not {about.expects}{hint}")


def _rule_problem(message: str, draft: Definition) -> Problem:
    """Return the problem of a rule between settings, whose message begins with the one to blame."""
    return draft.origin(*message.partition(" ")[0].split(".")).problem(message)


def _with_content(
    experiment: Experiment, contents: Contents | None, draft: Definition
) -> Experiment:
    """Return the experiment with the content of its own data. Raises `InputError`."""
    try:
        content = contents and contents.of(experiment, draft.data_folder)
    except OwnDataError as error:
        raise InputError(
            [_data_problem(str(line), experiment, draft) for line in error.args]
        ) from error
    return experiment.model_copy(update={"content": content}) if content else experiment


def _data_problem(message: str, experiment: Experiment, draft: Definition) -> Problem:
    """Return the problem of own data, or of an argument where the message begins with one."""
    place, _, reason = message.partition(": ")
    setting, _, argument = place.partition(".")
    if setting == "dataset_args":
        return draft.origin(setting, argument).problem(reason)
    return draft.origin("dataset").problem(f"{show_toml(experiment.dataset)}: {message}")


def _axis_hint(origin: Written, setting: str, block: Block) -> str:
    value = origin.value
    if setting == "hidden_units" and type(value) is int:
        if block.kind != "point" and origin.setting == f"{block.kind}.hidden_units":
            return f"; in [{block.kind}] a list is an axis: write [[256, 256]] for one network"
        return f"; write [{show_toml(value)}] for one layer"
    is_axis = isinstance(value, list) and any(is_value(setting, choice) for choice in value)
    return "; an axis stands in [grid]" if is_axis else ""


def _component_problems(
    kind: Kind, settings: Mapping[str, Any], block: Block, draft: Definition
) -> Iterator[Problem]:
    """Check a component's name and those of its arguments; values are its own to judge."""
    name = settings.get(kind.setting, getattr(_DRAFT, kind.setting))
    arguments = settings.get(kind.table, {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return  # pydantic says so
    try:
        takes = kind.signature(name)
    except ComponentError as error:
        yield draft.origin(kind.setting).problem(str(error))
        return
    for argument in sorted(takes.required - arguments.keys() - kind.reserved.keys()):
        message = f"{name} needs {argument}; write {kind.table}.{argument}"
        yield draft.origin(kind.setting).problem(message)
    for argument, value in arguments.items():
        keys = (kind.table, argument)
        objection = objection_to_argument(kind, name, argument, value)
        if objection and not takes.takes(argument):
            is_axis = block.kind == "grid" and len(block.axes.get((kind.setting,), ())) > 1
            if is_axis and keys not in block.axes:
                objection += "; what stands in [grid] goes to those that take it"
        elif objection and block.kind != "point" and keys in block.axes:
            is_list = objection_to_argument(kind, name, argument, [value]) is None
            hint = f"; in [{block.kind}] a list is an axis: write a list of lists"
            objection += hint if is_list else ""
        if objection:
            yield draft.origin(*keys).problem(objection)
