"""[[exclude]] and only_if -> which experiments of a file stay."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from typing import Any

from fmgrid.components import (
    KINDS,
    kind_of_arguments,
    names_of_components,
    objection_to_name,
    setting_as_taken,
)
from fmgrid.errors import InputError, Problem
from fmgrid.experiment import typed
from fmgrid.grid.blocks import NAME, WHERE, Block, Grid, Written, is_whole, takes
from fmgrid.grid.values import is_value, objection_to_argument
from fmgrid.hypotheses.conditions import holds
from fmgrid.hypotheses.language import ExpectationError
from fmgrid.settings import DEFAULTS, RIVALS, SETTINGS, Keys, is_width, keys_of, level_at, show_toml


@dataclass(frozen=True)
class Rule:
    """An [[exclude]], for experiments with the same components."""

    allowed: Mapping[Keys, frozenset[Hashable]]  # the values that it asks for, by setting
    names: re.Pattern[str] | None  # that it asks for
    conditions: Written | None

    def matches(
        self, components: Sequence[str], settings: Mapping[str, Any], values: dict[Keys, Hashable]
    ) -> bool:
        """Return whether settings, of which *values* are known already, are as it asks."""
        for keys, choices in self.allowed.items():
            if keys not in values:
                value = setting_as_taken(components, keys, level_at(settings, keys))
                values[keys] = typed(value)
            if values[keys] not in choices:
                return False
        return self.conditions is None or _hold(self.conditions, settings)

    def concerns(self, name: str | None) -> bool:
        """Return whether it asks for the name; without one, whether it asks for none."""
        if name is None:
            return self.names is None
        return self.names is not None and self.names.fullmatch(name) is not None


class Rules:
    """The exclusions of a grid, and the conditions of its blocks."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        # By the names of the components, which decide what equals a value.
        self._exclusions: dict[tuple[str, ...], list[Rule]] = {}

    def drop(self, block: Block, settings: Mapping[str, Any], name: str | None = None) -> bool:
        """Return whether a point of a block is dropped, whose settings need not be valid.

        Exclusions by name apply only with its *name*. Raises `InputError` for a condition that
        cannot be applied to it.
        """
        if not (self._grid.excludes or block.only_if):
            return False
        defaults = {key: DEFAULTS[key] for key in SETTINGS if RIVALS.get(key) not in settings}
        settings = {**defaults, **settings}
        components = names_of_components(settings)
        if components not in self._exclusions:
            rules = [_to_rule(rule, components) for rule in self._grid.excludes]
            self._exclusions[components] = rules
        if name is None and block.only_if and not _hold(block.only_if, settings):
            return True
        values: dict[Keys, Hashable] = {}  # each is looked up once for all rules
        return any(
            rule.concerns(name) and rule.matches(components, settings, values)
            for rule in self._exclusions[components]
        )

    def in_vain(self) -> Iterator[Problem]:
        """Yield the values in rules that no experiment can have: they match nothing.

        Call it when all experiments of the file were built.
        """
        conditions = [block.only_if for block in self._grid.blocks if block.only_if]
        for rule in [*self._grid.excludes, *({WHERE: each} for each in conditions)]:
            fixed = {keys: written for keys, written in rule.items() if keys != WHERE}
            choices = [*fixed.items()]
            if WHERE in rule:
                compared = [*_choices_in(rule[WHERE])]
                choices += compared
                fixed |= {keys: written for keys, written in compared if written.value}
            for keys, written in choices:
                if objection := self._objection(keys, written, fixed):
                    yield written.problem(objection)

    def _objection(self, keys: Keys, written: Written, fixed: Mapping[Keys, Written]) -> str | None:
        """Return why a setting can have none of the values of a rule."""
        kind = kind_of_arguments(keys[0])
        if not kind:
            return _objection_to_choices(keys, "", written.value)
        if len(keys) != 2 or (kind.setting,) in self._grid.overrides:  # noqa: PLR2004 - nested
            return None
        names = {names[[*KINDS].index(kind.setting)]: None for names in self._exclusions}
        if (kind.setting,) in fixed:
            named = _choices(fixed[kind.setting,].value)
            names = {name: None for name in names if name in named}
        takers = [name for name in names if takes(kind, name, keys[1])]
        objections = [
            _objection_to_choices(keys, name, written.value)
            if takers
            else objection_to_argument(kind, name, keys[1], 0)
            for name in takers or names
        ]
        return min(map(str, objections), key=len) if objections and all(objections) else None


def _choices_in(conditions: Written) -> Iterator[tuple[Keys, Written]]:
    """Yield the settings in conditions, with the values that they are equal to or not."""
    for condition in conditions.value:
        is_order = condition.sign not in ("=", "!=")
        yield (
            keys_of(condition.setting),
            replace(conditions, value=[] if is_order else [*condition.values]),
        )
        if condition.other:
            yield keys_of(condition.other), replace(conditions, value=[])


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
        return objection_to_argument(kind, component, part[0], value)
    if setting == "name":
        wrong = not isinstance(value, str) and 'no name; write a pattern as in "units_*"'
    elif is_width(setting) or part:
        wrong = not is_whole(value, 0) and "not a whole number"
    else:
        wrong = not is_value(setting, value) and f"not {SETTINGS[setting].expects}"
    return f"{show_toml(value)} is {wrong}" if wrong else objection_to_name(setting, value)


def _to_rule(written: Mapping[Keys, Written], names: Sequence[str]) -> Rule:
    """Return the values that a rule allows, as experiments of these components hold them."""
    allowed = {
        keys: frozenset(
            typed(setting_as_taken(names, keys, choice)) for choice in _choices(at.value)
        )
        for keys, at in written.items()
        if keys not in (NAME, WHERE)
    }
    patterns = _choices(written[NAME].value) if NAME in written else []
    texts = [translate(pattern) for pattern in patterns if isinstance(pattern, str)]
    pattern = re.compile("|".join(texts)) if NAME in written else None
    return Rule(allowed, pattern, written.get(WHERE))


def _choices(allowed: Any) -> list[Any]:
    """Return the values that a rule allows: the one that it names, or each of a list."""
    return [*allowed, allowed] if isinstance(allowed, list) else [allowed]


def _hold(conditions: Written, settings: Mapping[str, Any]) -> bool:
    """Return whether all conditions hold. Raises `InputError` where they cannot be applied."""
    try:
        return all(holds(condition, settings) for condition in conditions.value)
    except ExpectationError as error:
        raise InputError([conditions.problem(str(error))]) from error
