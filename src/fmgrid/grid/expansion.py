"""Blocks -> experiments: every point laid over the base, checked, named and given its seeds."""

import math
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from fnmatch import translate
from functools import partial
from typing import Any

from pydantic import ValidationError

from fmgrid.components import NAMED, as_taken, optimizer_signature, setting_as_taken
from fmgrid.components.datasets import objection_to_workload
from fmgrid.components.kinds import ComponentError, Kind
from fmgrid.errors import InputError, Problem
from fmgrid.experiment import Experiment, typed
from fmgrid.grid.blocks import (
    Block,
    Definition,
    Grid,
    Written,
    overlay,
    takes,
)
from fmgrid.grid.names import check_folder_name, check_template, default_template, make_name
from fmgrid.settings import SETTINGS, Keys, show_key, show_toml, value_at
from fmgrid.words import or_near_match

_DRAFT = Experiment(name="draft")  # has the defaults, and stands in for what cannot be built
_NAME: Keys = ("name",)
_OPTIMIZER: Keys = ("optimizer",)
_NO_ARGUMENT = "is no argument; write a finite number, true, false or text"


def expand(grid: Grid, problems: list[Problem]) -> Iterator[Definition]:
    """Yield the grid's experiments; what is wrong with one goes to *problems* instead."""
    exclusions: dict[str, _Exclusions] = {}  # by optimizer, which decides what equals a value
    dropped = remaining = False
    for block in grid.blocks:
        for point in block.points():
            written = overlay(grid.base, point, grid.overrides)
            try:
                experiment = _experiment(grid, block, point, written)
            except InputError as error:
                problems += error.problems
                remaining = True
                continue
            optimizer = experiment.optimizer
            if optimizer not in exclusions:
                exclusions[optimizer] = _Exclusions(grid.excludes, optimizer)
            if exclusions[optimizer].match(experiment):
                dropped = True
                continue
            remaining = True
            for seed in block.seeds if block.sound else ():
                yield Definition(with_seed(experiment, seed), block.place, written, block.timeout)
    if _OPTIMIZER not in grid.overrides:  # the rules were written for those of the file
        problems += _excluded_in_vain(grid.excludes, exclusions)
    if dropped and not remaining:
        place = next(iter(grid.excludes[0].values())).place
        problems.append(Problem(place, "exclude", "leaves no experiment; drop less"))


def with_seed(experiment: Experiment, seed: int) -> Experiment:
    """Return the same experiment for another seed. Raises `ValidationError` if that is no seed."""
    if seed == experiment.seed:
        return experiment
    # A copy is not validated, and results with an invalid seed could never be read again.
    seed = Experiment(name="draft", seed=seed).seed
    return experiment.model_copy(update={"seed": seed})


def _experiment(
    grid: Grid, block: Block, point: Mapping[Keys, Written], written: Mapping[Keys, Written]
) -> Experiment:
    """Build one experiment. Raises `InputError` with everything that is wrong with it."""
    problems: list[Problem] = []
    settings: dict[str, Any] = {}
    draft = Definition(_DRAFT, block.place, written)
    for keys, value in written.items():
        if keys != _NAME and (objection := _assign(settings, keys, value.value)):
            problems.append(value.problem(objection))
    for kind in NAMED:
        problems += _component_problems(kind, settings, block, draft)
    try:
        experiment = Experiment(name="draft", **settings)
    except ValidationError as error:
        problems += [_translate(details, block, draft) for details in error.errors()]
    if not problems and (objection := objection_to_workload(experiment)):
        problems.append(_rule_problem(objection, draft))
    if problems:
        raise InputError(problems)
    if not block.sound:
        return experiment
    # The name says what is written, the experiment what is trained: 0 may become 0.0 there.
    named = experiment.model_copy(update={"name": _name(grid, block, point, experiment)})
    return as_taken(named)


def _name(grid: Grid, block: Block, point: Mapping[Keys, Written], experiment: Experiment) -> str:
    template = grid.overrides.get(_NAME) or block.template or grid.template
    hint = ""
    if template is None:
        varying = [keys for keys in point if block.varies(keys)]
        template = Written(default_template(grid.path.stem, varying), block.place, "name")
        hint = '; write a name for it, as in name = "epochs_{epochs}"'
    elif objection := check_template(template.value):
        raise InputError([template.problem(objection)])
    try:
        name = make_name(template.value, experiment)
    except ValueError as error:
        raise InputError([template.problem(f"{error}{hint}")]) from error
    if objection := check_folder_name(name):
        raise InputError([template.problem(f"{objection}{hint}")])
    return name


def _assign(settings: dict[str, Any], keys: Keys, value: Any) -> str | None:
    """Put a value into nested *settings*: tables are merged, everything else is replaced.

    Returns what is wrong with it, None if nothing is.
    """
    setting, *rest = keys
    old = settings.get(setting)
    if setting == "hidden_units" and rest:
        units = settings.get("hidden_units", _DRAFT.hidden_units)
        index = int(rest[0])
        if not isinstance(units, list | tuple) or index >= len(units):
            return f"there is no layer {index} in hidden_units = {show_toml(units)}, counted from 0"
        value = [*units[:index], value, *units[index + 1 :]]
    elif rest:
        settings[setting] = dict(old) if isinstance(old, dict) else {}
        return _assign(settings[setting], tuple(rest), value)
    elif isinstance(old, dict) and isinstance(value, dict):
        value = {**old, **value}
    settings[setting] = value
    return None


def _translate(details: Any, block: Block, draft: Definition) -> Problem:
    """Turn one of pydantic's errors into a problem with its place."""
    if not details["loc"]:
        return _rule_problem(str(details["ctx"]["error"]), draft)
    setting, *rest = map(str, details["loc"])
    layer = (setting, *rest[:1])
    origin = draft.origin(*layer)
    if details["type"] == "too_long":
        limit, length = details["ctx"]["max_length"], details["ctx"]["actual_length"]
        return origin.problem(f"has {length:,} layers; write at most {limit:,}")
    if setting == "hidden_units" and rest and layer in draft.written:
        return origin.problem(f"{show_toml(origin.value)} is not a whole number from 1")
    hint = _axis_hint(origin, setting, block)
    return origin.problem(
        f"{show_toml(origin.value)} is not {SETTINGS[setting].about.expects}{hint}"
    )


def _rule_problem(message: str, draft: Definition) -> Problem:
    """Return the problem of a rule between settings, whose message begins with the one to blame."""
    return draft.origin(message.partition(" ")[0]).problem(message)


def _axis_hint(origin: Written, setting: str, block: Block) -> str:
    value = origin.value
    if setting == "hidden_units" and type(value) is int:
        if block.kind != "point" and origin.setting == f"{block.kind}.hidden_units":
            return f"; in [{block.kind}] a list is an axis: write [[256, 256]] for one network"
        return f"; write [{show_toml(value)}] for one layer"
    is_list_of_lists = isinstance(value, list) and any(isinstance(item, list) for item in value)
    if is_list_of_lists if setting == "hidden_units" else isinstance(value, list):
        return "; an axis stands in [grid]"
    return ""


def _component_problems(
    kind: Kind, settings: Mapping[str, Any], block: Block, draft: Definition
) -> list[Problem]:
    """Check a component's name and those of its arguments; values are its own to judge."""
    name = settings.get(kind.setting, getattr(_DRAFT, kind.setting))
    arguments = settings.get(f"{kind.setting}_args", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return []  # pydantic says so
    try:
        takes = kind.signature(name)
    except ComponentError as error:
        return [draft.origin(kind.setting).problem(str(error))]
    problems = []
    for argument, value in arguments.items():
        if argument in kind.reserved:
            objection = f"{argument} does not belong here: {kind.reserved[argument]}"
        elif not takes.takes(argument):
            hint = or_near_match(argument, takes.arguments - set(kind.reserved), "it takes")
            is_axis = block.kind == "grid" and len(block.axes.get((kind.setting,), ())) > 1
            if is_axis and (f"{kind.setting}_args", argument) not in block.axes:
                hint += "; what stands in [grid] goes to those that take it"
            objection = f"{name} takes no {show_key(argument)}{hint}"
        else:
            wrong = None if _is_argument(value) else _NO_ARGUMENT
            wrong = wrong or takes.objection_to(argument, value)
            objection = f"{show_toml(value)} {wrong}" if wrong else ""
        if objection:
            problems.append(draft.origin(f"{kind.setting}_args", argument).problem(objection))
    return problems


def _is_argument(value: Any) -> bool:
    """Return whether a value can be passed on, stored and compared: nan equals nothing."""
    if isinstance(value, list):
        return all(map(_is_argument, value))
    if isinstance(value, dict):
        return all(map(_is_argument, value.values()))
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _excluded_in_vain(
    rules: Iterable[Mapping[Keys, Written]], optimizers: Collection[str]
) -> Iterator[Problem]:
    """Yield the values in rules that no optimizer takes for the argument: they match nothing."""
    for rule in rules:
        names = _choices(rule[_OPTIMIZER].value) if _OPTIMIZER in rule else optimizers
        for keys, written in rule.items():
            if keys[0] != "optimizer_args" or len(keys) != 2:  # noqa: PLR2004
                continue
            objections = [
                _objection_to_choices(name, keys[1], written.value)
                for name in optimizers
                if name in names and takes(name, keys[1])
            ]
            if objections and all(objections):
                yield written.problem(str(objections[0]))


def _objection_to_choices(optimizer: str, argument: str, allowed: Any) -> str | None:
    """Return why one of the values that a rule allows can be no value of an argument."""
    objection_to = partial(optimizer_signature(optimizer).objection_to, argument)
    if isinstance(allowed, list) and not objection_to(allowed):
        return None
    for value in allowed if isinstance(allowed, list) and allowed else [allowed]:
        if objection := objection_to(value):
            return f"{show_toml(value)} {objection}"
    return None


class _Exclusions:
    """All [[exclude]] rules of a grid for one optimizer, indexed by the values that they name.

    A set of rules is a number with a bit for each of them: 10,000 experiments against 1,000 rules
    take 0.1 s, where every rule was tried it was 17 s.
    """

    def __init__(self, rules: Iterable[Mapping[Keys, Written]], optimizer: str) -> None:
        # Rules that differ in nothing but the names that they ask for are one rule.
        names: dict[frozenset[tuple[Keys, frozenset[Hashable]]], list[Any]] = {}
        for rule in rules:
            others = frozenset(
                (keys, _allowed(optimizer, keys, written.value))
                for keys, written in rule.items()
                if keys != _NAME
            )
            asked = _choices(rule[_NAME].value) if _NAME in rule else ["*"]
            names.setdefault(others, []).extend(asked)
        self._names = [_name_test(choices) for choices in names.values()]
        self._all = (1 << len(names)) - 1
        self._by_value: dict[Keys, dict[Hashable, int]] = {}
        self._asking: dict[Keys, int] = {}  # the rules that ask for a setting
        for number, others in enumerate(names):
            for keys, allowed in others:
                self._asking[keys] = self._asking.get(keys, 0) | 1 << number
                by_value = self._by_value.setdefault(keys, {})
                for value in allowed:
                    by_value[value] = by_value.get(value, 0) | 1 << number

    def match(self, experiment: Experiment) -> bool:
        """Return whether any rule drops an experiment."""
        left = self._all
        for keys, by_value in self._by_value.items():
            value = typed(value_at(experiment, keys))
            left &= by_value.get(value, 0) | (self._all & ~self._asking[keys])
            if not left:
                return False
        numbers = (number for number in range(left.bit_length()) if left >> number & 1)
        return any(self._names[number](experiment.name) for number in numbers)


def _choices(allowed: Any) -> list[Any]:
    """Return the values that a rule allows: the one that it names, or each of a list."""
    return [*allowed, allowed] if isinstance(allowed, list) else [allowed]


def _allowed(optimizer: str, keys: Keys, allowed: Any) -> frozenset[Hashable]:
    """Return what equals the values that a rule allows."""
    taken = (setting_as_taken(optimizer, keys, choice) for choice in _choices(allowed))
    return frozenset(map(typed, taken))


def _name_test(choices: Iterable[Any]) -> Callable[[str], bool]:
    """Return a test for names that match any of some patterns."""
    patterns = {choice for choice in choices if isinstance(choice, str)}
    exact = {pattern for pattern in patterns if not any(sign in pattern for sign in "*?[")}
    if "*" in patterns:
        return lambda _: True
    tests = [re.compile(translate(pattern)).match for pattern in patterns - exact]
    return lambda name: name in exact or any(test(name) for test in tests)
