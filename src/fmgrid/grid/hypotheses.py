"""[[hypothesis]] tables -> hypotheses about the experiments that a file spells out.

A table is read with its file; what it says of experiments is held against them once all of
them are known, and before any is chosen with --only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fmgrid.errors import InputError, Problem
from fmgrid.experiment import Experiment
from fmgrid.grid.blocks import Statement, Written
from fmgrid.hypotheses.language import (
    ExpectationError,
    TooManyError,
    check_size,
    count_comparisons,
    names_of,
    parse_expectation,
)
from fmgrid.hypotheses.registry import Hypothesis
from fmgrid.hypotheses.resolution import (
    Experiments,
    check_measured,
    check_metric,
    check_numbers,
    resolve,
)
from fmgrid.settings import show_toml
from fmgrid.words import or_near_match, printable

MAX_CLAIM = 200  # characters


def read_statement(at: Written, table: Mapping[str, Written]) -> Statement:
    """Return what one table says; *at* is the table. Raises `InputError` with all problems."""
    table = {"metric": Written("accuracy", at.place, f"{at.setting}.metric"), **table}
    problems = [
        written.problem(f"no such key{or_near_match(key, _KEYS, 'there are')}")
        for key, written in table.items()
        if key not in _KEYS
    ]
    values: dict[str, Any] = {}
    for key, (read, wanted) in _KEYS.items():
        if key not in table:
            problems.append(at.problem(f"has no {key}; write {wanted}"))
            continue
        try:
            values[key] = read(_line(table[key].value))
            if key == "expect" and "metric" in values:
                check_numbers(values["metric"], values[key])
        except ExpectationError as error:
            problems.append(table[key].problem(str(error)))
    if problems:
        raise InputError(problems)
    return Statement(values["claim"], table["expect"], table["metric"], values["expect"], at.place)


def state(
    statements: Sequence[Statement], experiments: Sequence[Experiment], problems: list[Problem]
) -> tuple[Hypothesis, ...]:
    """Return the hypotheses about *experiments*; what is wrong with one goes to *problems*."""
    hypotheses = []
    named = Experiments(experiments)
    comparisons = 0
    for number, statement in enumerate(statements, start=1):
        written = statement.expect
        try:
            expectation = resolve(statement.expectation, named)
            comparisons += count_comparisons(expectation)
            check_size(number, comparisons)
            written = statement.metric
            check_measured(written.value, [named.by_name[name] for name in names_of(expectation)])
        except ExpectationError as error:
            problems.append(written.problem(str(error)))
            if isinstance(error, TooManyError):
                break  # so does each that follows
            continue
        texts = {"claim": statement.claim, "expect": statement.expect.value}
        place = printable(str(statement.place))
        metric = statement.metric.value
        hypotheses.append(Hypothesis(**texts, resolved=expectation, metric=metric, place=place))
    return tuple(hypotheses)


def _line(text: Any) -> str:
    """Return one line of text. Raises `ExpectationError` for anything else."""
    if not isinstance(text, str):
        objection = "is not text in quotes; write one in each [[hypothesis]]"
    elif not text.strip():
        raise ExpectationError("is empty")
    elif not text.isprintable():
        objection = 'is not one line of text that can be seen; in """, end each line with \\'
    else:
        return text
    raise ExpectationError(f"{show_toml(text)} {objection}")


def _short(claim: str) -> str:
    if len(claim) <= MAX_CLAIM:
        return claim
    message = f"has {len(claim):,} characters, and {MAX_CLAIM} are the limit"
    raise ExpectationError(f"{message}; say it in one short sentence")


# How each key is read, and what to write where it is missing.
_KEYS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "metric": (check_metric, 'a metric, as in metric = "valid_loss"'),
    "claim": (_short, 'what you claim, as in claim = "More epochs help"'),
    "expect": (parse_expectation, 'what would show it, as in expect = "epochs_10 > epochs_5"'),
}
