"""Published figures to compare with: a CSV with a row per experiment, and the noise in it."""

import csv
import errno
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fmgrid.analysis.statistics import Noise, pooled_noise
from fmgrid.errors import InputError, Place, Problem
from fmgrid.results.summary import NETWORK_COLUMN
from fmgrid.system.disk import read_regular
from fmgrid.words import near_match, printable

METRICS = ("accuracy", "valid_loss", "train_loss")
# What a configuration is told by; a column that is absent tells nothing.
_SETTINGS = (
    *("dataset", "validation", "epochs", "train_steps", "train_images", "batch_size"),
    *("hidden_units", "units1", "units2", "units3", "depth"),
    *("learning_rate", "optimizer", "optimizer_args"),
)
_MAX_BYTES = 10_000_000
_MAX_ROWS = 10_000  # as many as a grid may spell out
_MAX_PROBLEMS = 20
_LARGEST = 1e38  # about where single precision ends


@dataclass(frozen=True)
class Reference:
    """What somebody else printed, a run per experiment."""

    path: str
    figures: Mapping[str, Mapping[str, float]]  # by experiment and metric
    twins: tuple[tuple[str, ...], ...] = ()  # names of one configuration, where there are several

    def noise(self, metric: str) -> Noise | None:
        """Return how much the figures for one configuration differ, None if none came twice."""
        groups = (
            [self.figures[name][metric] for name in names if metric in self.figures[name]]
            for names in self.twins
        )
        return pooled_noise(groups)


def read_reference(path: Path) -> Reference:
    """Read a CSV with the column `name` and any of accuracy, valid_loss and train_loss.

    Empty cells are figures that were not printed. Raises `InputError` with every problem.
    """
    lines = _read_lines(path)
    reader = csv.DictReader(lines, strict=True, skipinitialspace=True)
    problems: list[Problem] = []
    figures: dict[str, dict[str, float]] = {}
    alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
    try:
        _check_columns(path, reader.fieldnames or [])
        for row in reader:
            if len(figures) >= _MAX_ROWS:
                told = f"has over {_MAX_ROWS:,} rows; leave out what is not to be compared"
                problems.append(Problem(Place(str(path)), "", told))
            if len(problems) >= _MAX_PROBLEMS or len(figures) >= _MAX_ROWS:
                break
            place = Place(str(path), reader.line_num)
            name = (row["name"] or "").strip()
            if not name or name in figures:
                told = f'"{printable(name)}" stands there twice' if name else "is empty"
                problems.append(Problem(place, "name", f"{told}; write each experiment once"))
                continue
            if any(row.get(None) or ()):  # where DictReader keeps the cells that have no column
                told = "has more values than the table has columns; write decimals as in 0.21"
                problems.append(Problem(place, "", told))
                continue
            figures[name] = _figures(row, place, problems)
            of_network = [name for name in row if name and name.startswith(NETWORK_COLUMN)]
            settings = tuple((row[name] or "").strip() for name in of_network) + tuple(
                (row.get(setting) or "").strip() for setting in _SETTINGS
            )
            if any(settings):
                alike[settings].append(name)
    except csv.Error as error:
        problems.append(Problem(Place(str(path), reader.line_num), "", f"is not CSV: {error}"))
    if not figures and not problems:
        problems.append(Problem(Place(str(path)), "", "has no rows; write one per experiment"))
    if problems:
        raise InputError(problems[:_MAX_PROBLEMS])
    twins = tuple(tuple(names) for names in alike.values() if len(names) > 1)
    return Reference(str(path), figures, twins)


def _read_lines(path: Path) -> list[str]:
    try:
        return read_regular(path, _MAX_BYTES).decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        message = "no such file; name a CSV with published figures"
        raise InputError([Problem(Place(str(path)), "", message)]) from error
    except UnicodeDecodeError as error:
        message = "is not UTF-8 text; save it as UTF-8"
        raise InputError([Problem(Place(str(path)), "", message)]) from error
    except OSError as error:
        is_large = error.errno == errno.EFBIG
        message = (
            "is larger than any such table" if is_large else f"cannot be read: {error.strerror}"
        )
        raise InputError([Problem(Place(str(path)), "", message)]) from error


def _check_columns(path: Path, columns: object) -> None:
    found = list(columns) if isinstance(columns, list) else []
    wanted = "a reference has name, and any of accuracy, valid_loss, train_loss"
    message = ""
    if twice := [name for name, count in Counter(filter(None, found)).items() if count > 1]:
        message = f"has the column {printable(twice[0], 40)} twice; leave one of them out"
    elif "name" not in found:
        near = near_match("name", filter(None, found))
        message = f"has no column name; {f'write name for {printable(near)}' if near else wanted}"
    elif not set(found) & set(METRICS):
        message = f"has no figures; {wanted}"
    if message:
        raise InputError([Problem(Place(str(path), 1), "", message)])


def _figures(
    row: Mapping[str, str | None], place: Place, problems: list[Problem]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric in METRICS:
        text = (row.get(metric) or "").strip()
        if not text:
            continue
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= _LARGEST:  # which nan is not, either
            problems.append(Problem(place, metric, f'"{printable(text, 40)}" is no such figure'))
        elif metric == "accuracy" and value > 1:
            message = f"{text} is more than 1; write accuracies as fractions, {value / 100:.4g}"
            problems.append(Problem(place, metric, message))
        else:
            found[metric] = value
    return found
