"""Blocks -> experiments: every point laid over the base, checked, named and given its seeds."""

import math
import re
from collections.abc import (
    Collection,
    Container,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from fnmatch import translate
from typing import Any, TypeAlias

from pydantic import ValidationError

from fmgrid.components import (
    NAMED,
    as_taken,
    kind_of_arguments,
    names_of_components,
    objection_to_experiment,
    objection_to_name,
    setting_as_taken,
)
from fmgrid.components.kinds import ComponentError, Kind
from fmgrid.components.own_data import Contents
from fmgrid.data.own_arrays import OwnDataError
from fmgrid.errors import InputError, Problem
from fmgrid.experiment import Experiment, default_units, typed
from fmgrid.grid.blocks import Block, Definition, Grid, Written, is_whole, overlay, takes
from fmgrid.grid.names import default_template, make_name
from fmgrid.grid.widths import with_width
from fmgrid.settings import (
    SETTINGS,
    Keys,
    is_same,
    is_width,
    level_at,
    show_key,
    show_toml,
)
from fmgrid.words import or_near_match

# The values that it allows for each of its settings, and a pattern of names
Rule: TypeAlias = tuple[Mapping[Keys, frozenset[Hashable]], re.Pattern[str]]

_DRAFT = Experiment(name="draft")  # has the defaults, and stands in for what cannot be built
_NAME: Keys = ("name",)


def expand(
    grid: Grid, problems: list[Problem], contents: Contents | None = None
) -> Iterator[Definition]:
    """Yield the grid's experiments; the mistakes in the others go to *problems*.

    Without *contents*, experiments have nothing that depends on a user's own data.
    """
    # By the names of the components, which decide what equals a value.
    rules: dict[tuple[str, ...], list[Rule]] = {}
    dropped = remaining = False
    for block in grid.blocks:
        for point in block.points():
            written = overlay(grid.base, point, grid.overrides)
            try:
                experiment = _experiment(grid, block, point, written, contents)
            except InputError as error:
                problems += error.problems
                remaining = True
                continue
            names = names_of_components(experiment)
            if names not in rules:
                rules[names] = [_to_rule(rule, names) for rule in grid.excludes]
            if _is_excluded(experiment, rules[names]):
                dropped = True
                continue
            remaining = True
            for seed in block.seeds if block.sound else ():
                yield Definition(with_seed(experiment, seed), block.place, written, block.timeout)
    in_vain = list(_excluded_in_vain(grid, rules))
    problems += in_vain
    if dropped and not remaining and not in_vain and grid.sound:
        place = next(iter(grid.excludes[0].values())).place
        problems.append(Problem(place, "exclude", "leaves no experiment; drop less"))


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
    contents: Contents | None,
) -> Experiment:
    """Build one experiment. Raises `InputError` with everything that is wrong with it."""
    problems: list[Problem] = []
    network = written.get(("network",))
    settings: dict[str, Any] = {"hidden_units": default_units(network.value if network else "MLP")}
    draft = Definition(_DRAFT, block.place, written)
    for keys, value in written.items():
        try:
            if keys != _NAME:
                _assign(settings, keys, value.value, written)
        except ValueError as error:
            problems.append(value.problem(str(error)))
    if isinstance(units := settings["hidden_units"], list):
        settings["hidden_units"] = [width for width in units if width is not None]
    for kind in NAMED:
        problems += _component_problems(kind, settings, block, draft)
    try:
        experiment = Experiment(name="draft", **settings)
    except ValidationError as error:
        problems += [_translate(details, block, draft) for details in error.errors()]
    if problems:
        raise InputError(problems)
    experiment = _with_content(experiment, contents, draft)
    if objection := objection_to_experiment(experiment):
        raise InputError([_rule_problem(objection, draft)])
    if not block.sound:
        return experiment
    # The name says what is written, the experiment what is trained: 0 may become 0.0 there.
    named = experiment.model_copy(update={"name": _name(grid, block, point, experiment)})
    return as_taken(named)


def _name(grid: Grid, block: Block, point: Mapping[Keys, Written], experiment: Experiment) -> str:
    template = grid.overrides.get(_NAME) or block.template
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
    if not is_width(setting):
        _put(settings, setting, rest, value)
    elif isinstance(layers := settings["hidden_units"], list | tuple):
        settings["hidden_units"] = with_width(layers, setting, value, others)
    elif layers is None:
        raise ValueError("the network has no hidden_units; write network_args, its own arguments")


def _put(settings: dict[str, Any], setting: str, rest: Sequence[str], value: Any) -> None:
    """Put a value into a table. Raises `ValueError` for a value that cannot be put."""
    old = settings.get(setting)
    if setting == "hidden_units" and rest and old is None:
        raise ValueError("the network has no hidden_units; write network_args, its own arguments")
    if setting == "hidden_units" and rest:
        index = int(rest[0])
        if not isinstance(old, list | tuple) or index >= len(old):
            text = f"hidden_units = {show_toml(old)}, counted from 0"
            raise ValueError(f"there is no layer {index} in {text}")
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
    is_axis = isinstance(value, list) and any(_is_value(setting, choice) for choice in value)
    return "; an axis stands in [grid]" if is_axis else ""


def _is_value(setting: str, value: Any) -> bool:
    try:
        Experiment(name="any", **{setting: value})
    except ValidationError as error:  # with a place where the value itself is wrong
        return not any(details["loc"] for details in error.errors())
    return True


def _component_problems(
    kind: Kind, settings: Mapping[str, Any], block: Block, draft: Definition
) -> Iterator[Problem]:
    """Check a component's name and those of its arguments; values are its own to judge."""
    name = settings.get(kind.setting, getattr(_DRAFT, kind.setting))
    arguments = settings.get(f"{kind.setting}_args", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return  # pydantic says so
    try:
        takes = kind.signature(name)
    except ComponentError as error:
        yield draft.origin(kind.setting).problem(str(error))
        return
    for argument in sorted(takes.required - arguments.keys() - kind.reserved.keys()):
        message = f"{name} needs {argument}; write {kind.setting}_args.{argument}"
        yield draft.origin(kind.setting).problem(message)
    for argument, value in arguments.items():
        objection = _objection_to_argument(kind, name, argument, value)
        if objection and not takes.takes(argument):
            is_axis = block.kind == "grid" and len(block.axes.get((kind.setting,), ())) > 1
            if is_axis and (f"{kind.setting}_args", argument) not in block.axes:
                objection += "; what stands in [grid] goes to those that take it"
        if objection:
            yield draft.origin(f"{kind.setting}_args", argument).problem(objection)


def _objection_to_argument(kind: Kind, name: str, argument: str, value: Any) -> str | None:
    """Return why a component cannot be given an argument, None if it can."""
    if argument in kind.reserved:
        return f"{argument} does not belong here: {kind.reserved[argument]}"
    signature = kind.signature(name)
    if not signature.takes(argument):
        hint = or_near_match(argument, signature.arguments - set(kind.reserved), "it takes")
        if argument in SETTINGS:
            hint = f"; {argument} is a setting of its own"
        return f"{name} takes no {show_key(argument)}{hint}"
    expects = SETTINGS[f"{kind.setting}_args"].part
    wrong = signature.objection_to(argument, value) if _is_argument(value) else f"is not {expects}"
    if wrong or not kind.is_built_in(name):
        return f"{show_toml(value)} {wrong}" if wrong else None
    return kind.objection_to_value(name, argument, value)


def _is_argument(value: Any) -> bool:
    """Return whether a value can be passed on, stored and compared: nan equals nothing."""
    if isinstance(value, list):
        return all(map(_is_argument, value))
    if isinstance(value, dict):
        return all(map(_is_argument, value.values()))
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _excluded_in_vain(grid: Grid, components: Collection[Sequence[str]]) -> Iterator[Problem]:
    """Yield the values in rules that no experiment can have: they match nothing."""
    for rule in grid.excludes:
        for keys, written in rule.items():
            judges = [""]
            if kind := kind_of_arguments(keys[0]):
                judges = [*_judges(kind, keys, grid, rule, components)]
            objections = [_objection_to_choices(keys, name, written.value) for name in judges]
            if objections and all(objections):
                yield written.problem(str(objections[0]))


def _judges(
    kind: Kind,
    keys: Keys,
    grid: Grid,
    rule: Mapping[Keys, Written],
    components: Collection[Sequence[str]],
) -> Iterator[str]:
    """Yield the components of the file that take the argument of a rule."""
    if len(keys) != 2 or (kind.setting,) in grid.overrides:  # noqa: PLR2004 - nested, or of others
        return
    for name in dict.fromkeys(names[NAMED.index(kind)] for names in components):
        named = _choices(rule[kind.setting,].value) if (kind.setting,) in rule else [name]
        if name in named and takes(kind, name, keys[1]):
            yield name


def _objection_to_choices(keys: Keys, component: str, value: Any) -> str | None:
    """Return why a value in a rule, or one of its values, can be no value of a setting."""
    objection = _objection_to_choice(keys, component, value)
    if objection is None or not isinstance(value, list):
        return objection
    objections = (_objection_to_choice(keys, component, choice) for choice in value)
    return next(filter(None, objections), None)


def _objection_to_choice(keys: Keys, component: str, value: Any) -> str | None:
    setting, *part = keys
    if kind := kind_of_arguments(setting):
        return _objection_to_argument(kind, component, part[0], value)
    if setting == "name":
        wrong = not isinstance(value, str) and 'no name; write a pattern as in "units_*"'
    elif is_width(setting) or part:
        wrong = not is_whole(value, 0) and "not a whole number"
    else:
        wrong = not _is_value(setting, value) and f"not {SETTINGS[setting].expects}"
    return f"{show_toml(value)} is {wrong}" if wrong else objection_to_name(setting, value)


def _to_rule(written: Mapping[Keys, Written], names: Sequence[str]) -> Rule:
    """Return the values that a rule allows, as experiments of these components hold them."""
    allowed = {
        keys: frozenset(
            typed(setting_as_taken(names, keys, choice)) for choice in _choices(at.value)
        )
        for keys, at in written.items()
        if keys != _NAME
    }
    patterns = _choices(written[_NAME].value) if _NAME in written else ["*"]
    texts = (translate(pattern) for pattern in patterns if isinstance(pattern, str))
    return allowed, re.compile("|".join(texts))


def _choices(allowed: Any) -> list[Any]:
    """Return the values that a rule allows: the one that it names, or each of a list."""
    return [*allowed, allowed] if isinstance(allowed, list) else [allowed]


def _is_excluded(experiment: Experiment, rules: Iterable[Rule]) -> bool:
    values: dict[Keys, Hashable] = {}  # each is looked up once for all rules
    for allowed, names in rules:
        for keys, choices in allowed.items():
            if keys not in values:
                values[keys] = typed(level_at(experiment, keys))
            if values[keys] not in choices:
                break
        else:
            if names.fullmatch(experiment.name):
                return True
    return False
