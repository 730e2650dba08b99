"""[[hypothesis]] tables -> hypotheses about the experiments that a file spells out.

A table is read with its file; what it says of experiments is held against them once all of
them are known, and before any is chosen with --only.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fmgrid.errors import InputError, Problem
from fmgrid.experiment import Experiment
from fmgrid.grid.blocks import Statement, Written
from fmgrid.hypotheses.claims import (
    MAX_COMPARISONS,
    MAX_HYPOTHESES,
    ClaimError,
    Experiments,
    Hypothesis,
    check_metric,
    check_numbers,
    check_size,
    count_comparisons,
    parse_expectation,
    resolve,
    selections,
)
from fmgrid.settings import show_toml
from fmgrid.words import or_near_match

MAX_CLAIM = 200  # characters

_REQUIRED = {
    "claim": 'what you claim, as in claim = "More epochs help"',
    "expect": 'what would show it, as in expect = "epochs_10 > epochs_5"',
}


def read_statement(at: Written, table: Mapping[str, Written]) -> Statement:
    """Return what one table says; *at* is the table. Raises `InputError` with all problems."""
    metric = table.get("metric", Written("accuracy", at.place, f"{at.setting}.metric"))
    problems = [
        written.problem(f"no such key{or_near_match(key, _CHECKS, 'there are')}")
        for key, written in table.items()
        if key not in _CHECKS
    ]
    problems += [
        at.problem(f"has no {key}; write {wanted}")
        for key, wanted in _REQUIRED.items()
        if key not in table
    ]
    found: dict[str, Any] = {} if "metric" in table else {"metric": metric.value}
    for key, check in _CHECKS.items():
        if key not in table:
            continue
        try:
            found[key] = check(_line(table[key]))
        except ClaimError as error:
            problems.append(table[key].problem(str(error)))
    if found.keys() >= {"expect", "metric"}:
        try:
            check_numbers(found["metric"], found["expect"])
        except ClaimError as error:
            problems.append(table["expect"].problem(str(error)))
    if problems:
        raise InputError(problems)
    return Statement(found["claim"], table["expect"], metric, found["expect"], at.place)


def state(
    statements: Iterable[Statement],
    experiments: Sequence[Experiment],
    problems: list[Problem],
) -> tuple[Hypothesis, ...]:
    """Return the hypotheses about *experiments*; what is wrong with one goes to *problems*."""
    statements = list(statements)
    if len(statements) > MAX_HYPOTHESES:
        told = f"there are {len(statements):,} of them, and the limit of a grid is {MAX_HYPOTHESES}"
        first_too_many = statements[MAX_HYPOTHESES]
        problems.append(Problem(first_too_many.place, "hypothesis", f"{told}; write fewer"))
        return ()
    found = []
    named = Experiments(experiments)
    comparisons = 0
    for statement in statements:
        try:
            expectation = resolve(statement.expectation, named)
            comparisons += count_comparisons(expectation)
            check_size(comparisons)
        except ClaimError as error:
            problems.append(statement.expect.problem(str(error)))
            if comparisons > MAX_COMPARISONS:
                break  # so does each that follows
            continue
        asked = {name for selection in selections(expectation) for name in selection.names}
        try:
            metric = statement.metric.value
            check_metric(metric, [one for name, one in named.by_name.items() if name in asked])
        except ClaimError as error:
            problems.append(statement.metric.problem(str(error)))
            continue
        expect, place = statement.expect.value, str(statement.place)
        found.append(Hypothesis(statement.claim, expect, metric, expectation, place))
    return tuple(found)


def _line(written: Written) -> str:
    """Return one line of text. Raises `ClaimError` for anything else."""
    text = written.value
    if isinstance(text, list):
        raise ClaimError(
            f"{show_toml(text)} is not text in quotes; write a [[hypothesis]] for each"
        )
    if not isinstance(text, str):
        raise ClaimError(f"{show_toml(text)} is not text in quotes")
    if not text.strip():
        raise ClaimError("is empty")
    if any(letter in text for letter in "\r\n"):
        raise ClaimError(
            f'{show_toml(text)} is not one line of text; in """, end each line with \\'
        )
    if hidden := [letter for letter in text if not letter.isprintable()]:
        told = f"holds a character that cannot be seen, U+{ord(hidden[0]):04X}"
        raise ClaimError(f"{show_toml(text)} {told}; leave it out, or write a space")
    return text


def _short(claim: str) -> str:
    if len(claim) > MAX_CLAIM:
        told = f"has {len(claim):,} characters, and {MAX_CLAIM} are the limit"
        raise ClaimError(f"{told}; say it in one short sentence")
    return claim


def _known(metric: str) -> str:
    check_metric(metric, ())
    return metric


_CHECKS: Mapping[str, Callable[[str], Any]] = {
    "claim": _short,
    "expect": parse_expectation,
    "metric": _known,
}
