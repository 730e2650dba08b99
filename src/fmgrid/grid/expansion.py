"""Blocks -> experiments: every point laid over the base, checked, named and given its seeds."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from fmgrid.components import RESERVED_ARGUMENTS, ComponentError, optimizer_signature
from fmgrid.errors import InputError, Problem
from fmgrid.grid.blocks import Block, Definition, Grid, Keys, Written, show
from fmgrid.grid.names import check_folder_name, default_template, make_name
from fmgrid.records import Experiment
from fmgrid.words import or_near_match


def expand(grid: Grid, problems: list[Problem]) -> Iterator[Definition]:
    """Yield the grid's experiments; what is wrong with one goes to *problems* instead."""
    remaining = False
    before = len(problems)
    for block in grid.blocks:
        for point in block.points():
            written = {**grid.base, **point, **grid.overrides}
            try:
                experiment = _experiment(_template(grid, block, point), block, written)
            except InputError as error:
                problems += error.problems
                continue
            if any(_matches(experiment, rule) for rule in grid.excludes):
                continue
            remaining = True
            for seed in block.seeds:
                yield Definition(with_seed(experiment, seed), block.place, written)
    if not remaining and len(problems) == before:
        place = next(written.place for rule in grid.excludes for written in rule.values())
        problems.append(Problem(place, "exclude", "leaves no experiment; drop less"))


def with_seed(experiment: Experiment, seed: int) -> Experiment:
    """Return the same experiment for another seed."""
    return experiment if seed == experiment.seed else experiment.model_copy(update={"seed": seed})


def _template(grid: Grid, block: Block, point: Mapping[Keys, Written]) -> Written:
    written = grid.overrides.get(("name",)) or block.template or grid.template
    if written:
        return written
    varying = [keys for keys in point if block.varies(keys)]
    return Written(default_template(grid.path.stem, varying), block.place, "name")


def _experiment(template: Written, block: Block, written: Mapping[Keys, Written]) -> Experiment:
    """Build one experiment. Raises `InputError` with everything that is wrong with it."""
    draft = Definition(Experiment(name="draft"), block.place, written)
    problems: list[Problem] = []
    settings: dict[str, Any] = {}
    for keys, value in written.items():
        if keys != ("name",):
            problems += _assign(settings, keys, value)
    problems += _optimizer_problems(settings, draft)
    try:
        experiment = Experiment(name="draft", **settings)
    except ValidationError as error:
        problems += [_translate(details, draft, block) for details in error.errors()]
    if problems:
        raise InputError(problems)
    try:
        name = make_name(str(template.value), experiment)
    except ValueError as error:
        raise InputError([template.problem(str(error))]) from error
    if objection := check_folder_name(name):
        raise InputError([template.problem(objection)])
    return experiment.model_copy(update={"name": name})


def _assign(settings: dict[str, Any], keys: Keys, written: Written) -> list[Problem]:
    """Put a value into nested *settings*: tables are merged, everything else is replaced."""
    setting, *rest = keys
    old = settings.get(setting)
    if not rest:
        merges = isinstance(old, dict) and isinstance(written.value, dict)
        settings[setting] = {**old, **written.value} if merges else written.value  # type: ignore[dict-item]
        return []
    if setting != "hidden_units":
        settings[setting] = dict(old) if isinstance(old, dict) else {}
        return _assign(settings[setting], tuple(rest), written)
    units = Experiment.model_fields[setting].default if old is None else old
    index = int(rest[0])
    if not isinstance(units, list | tuple) or index >= len(units):
        layers = f"hidden_units = {show(units)}, counted from 0"
        return [written.problem(f"there is no layer {index} in {layers}")]
    settings[setting] = [*units[:index], written.value, *units[index + 1 :]]
    return []


def _translate(details: Any, draft: Definition, block: Block) -> Problem:
    """Turn one of pydantic's errors into a problem with its place."""
    if not details["loc"]:  # a rule between settings, whose message names the one to blame first
        message = str(details["ctx"]["error"])
        return draft.origin(message.partition(" ")[0]).problem(message)
    setting = details["loc"][0]
    origin = draft.origin(*map(str, details["loc"][:2]))
    expects = Experiment.model_fields[setting].json_schema_extra["expects"]  # type: ignore[index]
    hint = _axis_hint(origin, setting, block)
    return origin.problem(f"{show(origin.value)} is not {expects}{hint}")


def _axis_hint(origin: Written, setting: str, block: Block) -> str:
    is_layer = origin.setting.endswith(tuple("0123456789"))
    if setting == "hidden_units" and not is_layer and type(origin.value) is int:
        return f"; in [{block.kind}] a list is an axis: write [[256, 256]] for one network"
    if isinstance(origin.value, list) and setting != "hidden_units":
        return "; an axis stands in [grid]"
    return ""


def _optimizer_problems(settings: Mapping[str, Any], draft: Definition) -> list[Problem]:
    """Check the name of the optimizer and those of its arguments; values are its own to judge."""
    name = settings.get("optimizer", draft.experiment.optimizer)
    arguments = settings.get("optimizer_args", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return []  # pydantic says so
    try:
        signature = optimizer_signature(name)
    except ComponentError as error:
        return [draft.origin("optimizer").problem(str(error))]
    known = signature.arguments - set(RESERVED_ARGUMENTS)
    return [
        draft.origin("optimizer_args", argument).problem(
            f"{name} takes no {argument}{or_near_match(argument, known, 'it takes')}"
        )
        for argument in arguments
        if not signature.takes(argument)
    ]


def _matches(experiment: Experiment, rule: Mapping[Keys, Written]) -> bool:
    return all(_agrees(experiment, keys, written.value) for keys, written in rule.items())


def _agrees(experiment: Experiment, keys: Keys, allowed: Any) -> bool:
    """Return whether a setting has the allowed value, or one of a list of them."""
    value: Any = getattr(experiment, keys[0])
    for key in keys[1:]:
        if isinstance(value, dict):
            value = value.get(key)
        else:
            value = value[int(key)] if int(key) < len(value) else None
    if isinstance(value, tuple):
        value = list(value)
    choices = [*allowed, allowed] if isinstance(allowed, list) else [allowed]
    if keys == ("name",):
        return any(fnmatchcase(value, str(choice)) for choice in choices)
    return any(
        value == choice and isinstance(value, bool) == isinstance(choice, bool)
        for choice in choices
    )
