"""The input of a report: a study with its analysis, and published figures.

Published figures come as a CSV with a row for each experiment, which has one run.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmgrid.analysis.effects import Effect, StepEffect, find_effects, find_gains
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import Verdict, judge
from fmgrid.errors import InputError, Place, Problem
from fmgrid.metrics import METRICS
from fmgrid.system.disk import read_regular
from fmgrid.words import printable

PUBLISHED = ("accuracy", "valid_loss", "train_loss")  # metrics that a reference may have
_MAX_BYTES = 10_000_000
_MAX_PROBLEMS = 20
_LARGEST = 1e38  # about the largest number in single precision


@dataclass(frozen=True)
class Reference:
    """Published figures, of one run per experiment."""

    path: str
    figures: Mapping[str, Mapping[str, float]]  # by experiment and metric


@dataclass(frozen=True)
class Evidence:
    """A study with its analysis."""

    study: Study
    metric: str  # that experiments are ranked by
    effects: Sequence[Effect]  # largest first
    gains: Sequence[StepEffect]
    verdicts: Sequence[Verdict]  # each corrected within its grid
    reference: Reference | None = None


def weigh(study: Study, reference: Reference | None = None) -> Evidence:
    """Return the analysis of a study with at least one complete run."""
    has_accuracy = any(experiment.series("accuracy") for experiment in study.scored.values())
    metric = "accuracy" if has_accuracy else "valid_loss"
    return Evidence(
        study=study,
        metric=metric,
        effects=find_effects(study, metric),
        gains=find_gains(study, metric),
        verdicts=[verdict for grid in study.grids for verdict in judge(grid.hypotheses, study)],
        reference=reference,
    )


def read_reference(path: Path) -> Reference:
    """Read a CSV with the column `name` and any of accuracy, valid_loss and train_loss.

    An empty cell is a figure that was not printed. Raises `InputError` with every problem.
    """
    reader = csv.DictReader(_read_lines(path), strict=True, skipinitialspace=True)
    problems: list[Problem] = []
    figures: dict[str, dict[str, float]] = {}
    try:
        _check_columns(path, reader.fieldnames or [])
        for row in reader:
            place = Place(str(path), reader.line_num)
            name = (row["name"] or "").strip()
            if not name or name in figures:
                message = f'"{printable(name)}" stands there twice' if name else "is empty"
                problems.append(Problem(place, "name", f"{message}; write each experiment once"))
            elif any(row.get(None) or ()):  # where DictReader keeps the cells without a column
                message = "has more values than the table has columns; write decimals as in 0.21"
                problems.append(Problem(place, "", message))
            else:
                figures[name] = dict(_figures(row, place, problems))
    except csv.Error as error:
        problems.append(Problem(Place(str(path), reader.line_num), "", f"is not CSV: {error}"))
    if not figures and not problems:
        problems.append(Problem(Place(str(path)), "", "has no rows; write one per experiment"))
    if problems:
        raise InputError(problems[:_MAX_PROBLEMS])
    return Reference(str(path), figures)


def _read_lines(path: Path) -> list[str]:
    try:
        return read_regular(path, _MAX_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = "is not UTF-8 text; save it as UTF-8"
        if isinstance(error, OSError):
            message = f"cannot be read: {error.strerror}"
        raise InputError([Problem(Place(str(path)), "", message)]) from error


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    message = ""
    if twice := [name for name, count in Counter(filter(None, columns)).items() if count > 1]:
        message = f"has the column {printable(twice[0], 40)} twice; leave one of them out"
    elif "name" not in columns or not {*columns} & {*PUBLISHED}:
        message = f"needs the column name, and any of {', '.join(PUBLISHED)}"
    if message:
        raise InputError([Problem(Place(str(path), 1), "", message)])


def _figures(
    row: Mapping[str, str | None], place: Place, problems: list[Problem]
) -> Iterator[tuple[str, float]]:
    """Yield the figures of a row, and add what is wrong with the others to *problems*."""
    for metric in PUBLISHED:
        text = (row.get(metric) or "").strip()
        if not text:
            continue
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if 0 <= value <= (1 if METRICS[metric].is_fraction else _LARGEST):  # nan does not
            yield metric, value
        else:
            kind = "a fraction, as in 0.836" if METRICS[metric].is_fraction else "a number from 0"
            message = f'"{printable(text, 40)}" is no such figure; write {kind}'
            problems.append(Problem(place, metric, message))
