"""[[hypothesis]] tables -> hypotheses about the experiments that a file spells out.

A table is checked against the experiments when all of them are known, and before --only chooses
some of them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fmgrid.errors import Problem
from fmgrid.experiment import Experiment
from fmgrid.grid.blocks import Written
from fmgrid.hypotheses.language import (
    MAX_HYPOTHESES,
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
    named = Experiments(experiments or ())
    comparisons = 0
    for number, table in enumerate(tables[: MAX_HYPOTHESES + 1], start=1):
        metric = Written("accuracy", table.place, f"{table.setting}.metric")
        written: dict[str, Written] = {"metric": metric, **table.value}
        values = _read(table, written, problems)
        if values is None or experiments is None:
            continue
        key = "expect"
        try:
            expectation = resolve(values["expect"], named)
            comparisons += count_comparisons(expectation)
            check_size(number, comparisons)
            key = "metric"
            check_measured(values[key], [named.by_name[name] for name in names_of(expectation)])
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
    table: Written, written: Mapping[str, Written], problems: list[Problem]
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
            values[key] = read(_line(written[key].value))
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


# How each key is read, and what to write where it is missing.
_KEYS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "metric": (check_metric, 'a metric, as in metric = "valid_loss"'),
    "claim": (_short, 'what you claim, as in claim = "More epochs help"'),
    "expect": (parse_expectation, 'what would show it, as in expect = "epochs_10 > epochs_5"'),
}
