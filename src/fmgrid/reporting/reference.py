"""Published figures: a CSV with a row for each experiment, which has one run."""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fmgrid.analysis.comparisons import PUBLISHED, Reference
from fmgrid.errors import InputError, Place, Problem
from fmgrid.metrics import METRICS
from fmgrid.system.disk import read_regular
from fmgrid.words import printable

_MAX_BYTES = 10_000_000
_MAX_PROBLEMS = 20
_LARGEST = 1e38  # about the largest number in single precision


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
