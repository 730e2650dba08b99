"""[[hypothesis]] tables -> hypotheses about the experiments that a file spells out.

A table is checked against the experiments when all of them are known, and before --only chooses
some of them. An expectation that no results of these experiments can answer is refused.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import translate
from itertools import pairwise
from typing import Any

from fmgrid.components import names_of_components, setting_as_taken
from fmgrid.errors import Problem
from fmgrid.experiment import Experiment, typed
from fmgrid.grid.blocks import Written
from fmgrid.hypotheses.conditions import holds
from fmgrid.hypotheses.language import (
    MAX_HYPOTHESES,
    Condition,
    Constant,
    Contrast,
    Equivalence,
    Expectation,
    ExpectationError,
    Selection,
    Side,
    Term,
    TooManyError,
    check_size,
    count_comparisons,
    names_of,
    number_text,
    parse_expectation,
    selection_text,
    shortened,
    to_text,
)
from fmgrid.hypotheses.registry import Hypothesis
from fmgrid.metrics import ALIASES, METRICS, RANKABLE
from fmgrid.settings import keys_of, level_at, show_toml
from fmgrid.words import near_match, or_near_match, printable, there_are

MAX_CLAIM = 200  # characters

_SHOWN_VALUES = 8
_SHOWN_NAMES = 3


def read_hypotheses(
    tables: Sequence[Written],
    experiments: Sequence[Experiment] | None,
    now: datetime,
    problems: list[Problem],
    unanswerable: list[Problem],
) -> tuple[Hypothesis, ...]:
    """Return the hypotheses about *experiments*, none if the experiments are not known.

    Mistakes in a table go to *problems*, and claims that they cannot answer to *unanswerable*.
    """
    hypotheses = []
    by_name = {experiment.name: experiment for experiment in experiments or ()}
    named = Experiments(by_name)
    measured = [
        metric
        for metric in RANKABLE
        if not experiments or any(is_measured(metric, experiment) for experiment in experiments)
    ]
    comparisons = 0
    for number, table in enumerate(tables[: MAX_HYPOTHESES + 1], start=1):
        metric = Written("accuracy", table.place, f"{table.setting}.metric")
        written: dict[str, Written] = {"metric": metric, **table.value}
        values = _read(table, written, measured, problems)
        if values is None or experiments is None:
            continue
        key = "expect"
        try:
            expectation = resolve(values["expect"], named)
            comparisons += count_comparisons(expectation)
            check_size(number, comparisons)
            key = "metric"
            check_measured(values[key], [by_name[name] for name in names_of(expectation)])
        except ExpectationError as error:
            unanswerable.append(written[key].problem(str(error)))
            if isinstance(error, TooManyError):
                break  # so does each that follows
            continue
        place = printable(str(table.place))
        texts = {**values, "expect": written["expect"].value}
        hypotheses.append(Hypothesis(**texts, resolved=expectation, place=place, since=now))
    return tuple(hypotheses)


def _read(
    table: Written,
    written: Mapping[str, Written],
    measured: Sequence[str],
    problems: list[Problem],
) -> dict[str, Any] | None:
    """Return the value of each key of a table, None where one of them is wrong."""
    before = len(problems)
    problems += [
        at.problem(f"no such key{or_near_match(key, _KEYS, 'there are')}")
        for key, at in written.items()
        if key not in _KEYS
    ]
    values: dict[str, Any] = {}
    for key, (read, wanted) in _KEYS.items():
        if key not in written:
            problems.append(table.problem(f"has no {key}; write {wanted}"))
            continue
        try:
            text = _line(written[key].value)
            values[key] = check_metric(text, measured) if key == "metric" else read(text)
            if key == "expect" and "metric" in values:
                check_numbers(values["metric"], values[key])
        except ExpectationError as error:
            problems.append(written[key].problem(str(error)))
    return values if len(problems) == before else None


def _line(text: Any) -> str:
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise ExpectationError(
            f"{show_toml(text)} is not one line of text that can be seen; "
            'write it in quotes, and in """ end each line with \\'
        )
    return text


def _short(claim: str) -> str:
    if len(claim) <= MAX_CLAIM:
        return claim
    message = f"has {len(claim):,} characters, and {MAX_CLAIM} are the limit"
    raise ExpectationError(f"{message}; say it in one short sentence")


def check_metric(metric: str, measured: Collection[str] = RANKABLE) -> str:
    """Return *metric*. Raises `ExpectationError` if no hypothesis may be about it.

    Only metrics that are *measured* are proposed in its place.
    """
    if metric in RANKABLE:
        return metric
    meant = ALIASES.get(metric.casefold()) or near_match(metric, RANKABLE)
    hint = f"; did you mean {meant}?" if meant else f"; there are {', '.join(sorted(measured))}"
    if meant and meant not in measured:
        hint = f"; {_instead_of(meant)}"
    raise ExpectationError(f"{show_toml(metric)} is no metric{hint}")


def check_numbers(metric: str, expectation: Expectation) -> None:
    """Raise `ExpectationError` for a percentage where *metric* is a fraction."""
    if isinstance(expectation, Equivalence):
        numbers, difference = [], expectation.limit
    else:
        numbers = [side.value for side in expectation.sides if isinstance(side, Constant)]
        difference = expectation.margin
    numbers = [number for number in numbers if abs(number) > 1]
    numbers += [difference] if difference >= 1 else []
    if numbers and METRICS[metric].is_fraction:
        number = numbers[0]
        raise ExpectationError(
            f"{number_text(number)} is out of range: {metric} is a fraction; "
            f"write {number / 100:.12g} for {number:g} %"
        )


# How each key is read, and what to write where it is missing.
_KEYS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "metric": (check_metric, 'a metric, as in metric = "valid_loss"'),
    "claim": (_short, 'what you claim, as in claim = "More epochs help"'),
    "expect": (parse_expectation, 'what would show it, as in expect = "epochs_10 > epochs_5"'),
}


# Expectations -> the same with the exact names of experiments


class Experiments:
    """Experiments, or their settings, by name; every selection is looked up once."""

    def __init__(self, by_name: Mapping[str, Experiment | Mapping[str, Any]]) -> None:
        self._by_name = by_name
        self._components = set(map(names_of_components, by_name.values()))
        self._named: dict[str, set[str]] = {}
        # By setting: the experiments that have it, by their components and its value.
        self._by_value: dict[str, dict[tuple[Hashable, Hashable], list[str]]] = {}

    def select(self, selection: Selection) -> tuple[str, ...]:
        """Return the names of the selected experiments, in the order of the grid.

        Raises `ExpectationError` for a selection of nothing.
        """
        are_conditions = isinstance(selection[0], Condition)
        names = {*self._by_name} if are_conditions else set()
        for item in selection:
            if isinstance(item, str):
                names |= self._called(item)
            elif item.sign == "=" and item.values:
                names &= self._having(item)
            else:
                names = {name for name in names if holds(item, self._by_name[name])}
        if not names and len(selection) == 1:
            raise ExpectationError(f"no experiment has {shortened(selection_text(selection))}")
        if not names:
            text = shortened(selection_text(selection))
            raise ExpectationError(f"no experiment has {text} at once; write fewer conditions")
        return tuple(name for name in self._by_name if name in names)

    def _called(self, name: str) -> set[str]:
        """Return the names that a name with * and ? stands for."""
        if name not in self._named:
            pattern = re.compile(translate(name.replace("[", "[[]")))
            matching = {name} & self._by_name.keys() or set(filter(pattern.match, self._by_name))
            if not matching:
                near = near_match(name, self._by_name)
                hint = there_are(list(self._by_name), _SHOWN_NAMES)
                if metric := ALIASES.get(name, name if name in RANKABLE else ""):
                    hint = f'write metric = "{metric}" beside expect, and here each of *'
                elif near:
                    hint = f"did you mean {near}?"
                text = shortened(selection_text((name,)))
                raise ExpectationError(f"no experiment is called {text}; {hint}")
            self._named[name] = matching
        return self._named[name]

    def _having(self, condition: Condition) -> set[str]:
        """Return the names of the experiments for which a condition holds.

        A value that no experiment has is refused: it is more often a slip than meant.
        """
        keys = keys_of(condition.setting)
        if condition.setting not in self._by_value:
            index = self._by_value[condition.setting] = defaultdict(list)
            for name, experiment in self._by_name.items():
                if (value := level_at(experiment, keys)) is not None:
                    index[names_of_components(experiment), typed(value)].append(name)
        by_value = self._by_value[condition.setting]
        names: set[str] = set()
        for value in condition.values:
            taken = [
                (components, typed(setting_as_taken(components, keys, value)))
                for components in self._components
            ]
            having = {name for key in taken for name in by_value.get(key, ())}
            if not having:
                text = shortened(selection_text((Condition(condition.setting, (value,)),)))
                known = (level_at(self._by_name[holders[0]], keys) for holders in by_value.values())
                texts = list(dict.fromkeys(show_toml(value) for value in known))
                hint = there_are(texts, _SHOWN_VALUES) if texts else "none sets it"
                raise ExpectationError(f"no experiment has {text}; {hint}")
            names |= having
        return names


def resolve(expectation: Expectation, experiments: Experiments) -> Expectation:
    """Return *expectation* with the exact names of its selections, in the order of the grid.

    Raises `ExpectationError` for an empty selection, for one of several experiments where one
    number is needed, and for a comparison with itself.
    """
    if isinstance(expectation, Equivalence):
        names = experiments.select(expectation.among)
        if len(names) == 1:
            text = shortened(selection_text(expectation.among))
            raise ExpectationError(f"{text} is one experiment, which has nothing to differ from")
        return replace(expectation, among=names)
    sides = tuple(_resolve_side(side, experiments) for side in expectation.sides)
    _check_not_itself(sides)
    return replace(expectation, sides=sides)


def _resolve_side(side: Side, experiments: Experiments) -> Side:
    if isinstance(side, Constant):
        return side
    if isinstance(side, Contrast):
        return Contrast(*(_resolve_term(term, experiments) for term in (side.upper, side.lower)))
    return _resolve_term(side, experiments)


def _resolve_term(term: Term, experiments: Experiments) -> Term:
    names = experiments.select(term.of)
    if term.quantifier == "one" and len(names) > 1:
        raise ExpectationError(
            f"{shortened(selection_text(term.of))} means {len(names)} experiments; "
            'write "best of", "mean of" or "each of" before it'
        )
    return replace(term, of=names)


def _check_not_itself(sides: Sequence[Side]) -> None:
    """Refuse a claim that no results can confirm: that something exceeds itself."""
    again = [to_text(side) for side, following in pairwise(sides) if side == following]
    seen: set[str | Condition] = set()
    for side in sides:
        if isinstance(side, Contrast) and side.upper == side.lower:
            again.append(to_text(side.upper))
        if isinstance(side, Term) and side.quantifier in ("one", "each"):
            again += [str(name) for name in side.of if name in seen]
            seen.update(side.of)
    if again:
        text = shortened(again[0])
        raise ExpectationError(f"compares {text} with itself; write two that differ")


def is_measured(metric: str, experiment: Experiment) -> bool:
    """Return whether an experiment will have a metric."""
    return not METRICS[metric].is_of_test_images or experiment.validation != "test"


def check_measured(metric: str, experiments: Iterable[Experiment]) -> None:
    """Raise `ExpectationError` unless all *experiments* will have *metric*."""
    for experiment in experiments:
        if not is_measured(metric, experiment):
            raise ExpectationError(
                f"{experiment.name} will have no {metric}, since it is validated on the test "
                f"images; {_instead_of(metric)}"
            )


def _instead_of(metric: str) -> str:
    """Return what to write where no images are held out for a metric of the test images."""
    instead = "accuracy" if metric == "test_accuracy" else "valid_loss"
    return f"write {instead}, or hold images out as in validation = 0.1"
