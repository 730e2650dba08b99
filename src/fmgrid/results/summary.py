"""A folder -> its runs -> tables as CSV: the same bytes for the same runs."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fmgrid import metrics
from fmgrid.errors import DamagedFileError, NewerFormatError
from fmgrid.experiment import EpochRecord, Run, typed
from fmgrid.results.mltrainer_logs import (
    NETWORK,
    TRAINER,
    LoggedEpoch,
    LoggedRun,
    read_mltrainer_folder,
)
from fmgrid.results.repeats import to_experiments
from fmgrid.results.results_file import read_results
from fmgrid.results.store import find_folders, find_set_aside
from fmgrid.settings import SETTINGS, flatten, show, value_at
from fmgrid.words import counted, printable

if TYPE_CHECKING:
    import pandas as pd

# Numbers that follow from a setting stand after it.
_FOLLOWING = {"hidden_units": ("units1", "units2", "depth")}
SETTING_COLUMNS = tuple(
    column
    for name, about in SETTINGS.items()
    if not about.is_new
    for column in (name, *_FOLLOWING.get(name, ()))
)
NEW_SETTING_COLUMNS = tuple(name for name, about in SETTINGS.items() if about.is_new)
_OF_RUN = ("seconds", "status", "seed", "name", "run", "trained_as", "error")
COLUMNS_SINCE_0_2 = ("group", "fingerprint", *NEW_SETTING_COLUMNS)
COLUMNS = (*SETTING_COLUMNS, *metrics.COLUMNS, *_OF_RUN, *COLUMNS_SINCE_0_2)
HISTORY_COLUMNS = (
    *("run", "name", "seed", "epoch", "train_loss", "valid_loss", "accuracy"),
    *("learning_rate", "images_seen", "seconds"),
)
_TABLES = tuple(name for name, about in SETTINGS.items() if about.is_table)
# What the columns of single arguments begin with, and of what only plain mltrainer logs
_PREFIXES = (NETWORK, *(f"{name}." for name in _TABLES), TRAINER, metrics.FURTHER)
_MOST_ARGUMENTS = 100  # that have columns, of each of these
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+(?![a-zA-Z0-9]))?)")
_PLACE_IN_FILE = re.compile(r"\S*tfevents\S*|[0-9]+")  # in a warning, which no other one shares
# Begins a formula of a spreadsheet; the last four are of East Asian keyboards.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True)
class StoredRun:
    """A run read from a folder; of plain mltrainer many fields are not known."""

    name: str  # of its experiment
    run: str  # its own name, which has the seed
    settings: Mapping[str, Any]  # by name; a setting that is not known is absent
    metrics: Mapping[str, metrics.Value]  # by name
    seed: int | None = None
    status: str | None = "complete"  # None where it is not known
    history: Sequence[EpochRecord | LoggedEpoch] = ()
    seconds: float | None = None
    started: datetime | None = None
    trained_as: str | None = None
    error: str | None = None  # in one line
    fingerprint: str | None = None  # of all settings and the seed
    software: Mapping[str, str | int] = field(default_factory=dict)
    folder: str = ""  # its path in the folder that was read

    @property
    def is_complete(self) -> bool:
        """Whether its figures count."""
        return self.status in ("complete", None)

    @property
    def place(self) -> str:
        """Its name where names may occur twice."""
        return self.folder or self.run


@dataclass
class Contents:
    """The runs of a folder, and its other contents."""

    runs: list[StoredRun] = field(default_factory=list)  # in natural order of their names
    warnings: list[str] = field(default_factory=list)  # each names a file or a folder
    unfinished: list[str] = field(default_factory=list)  # runs without results
    damaged: list[str] = field(default_factory=list)  # runs that fmgrid run trains again
    begun: dict[str, datetime] = field(default_factory=dict)  # first run, by experiment
    grids: list[Path] = field(default_factory=list)  # log folders with records of grids


def read_runs(root: Path, *, with_history: bool = False) -> Contents:
    """Read every run below *root*.

    A damaged file costs its run and a warning. Only *with_history* keeps epochs, and looks for
    replaced runs. Raises `InputError` if there is no such folder.
    """
    listing = find_folders(root)
    contents = Contents(
        warnings=[*listing.unread],
        unfinished=[_name_of(folder, root) for folder in listing.unfinished],
        grids=listing.grids,
    )
    dropped: dict[str, Any] = {} if with_history else {"history": ()}
    for path in listing.results:
        name = _name_of(path.parent, root)
        try:
            run = read_results(path)
        except DamagedFileError as error:
            contents.warnings.append(str(error))
            if not isinstance(error, NewerFormatError):
                contents.damaged.append(name)
        else:
            _note_beginning(run, contents.begun)
            contents.runs.append(replace(to_stored(run, name), **dropped))
    for stored in _read_foreign(listing.foreign, root, contents):
        contents.runs.append(replace(stored, **dropped))
    if with_history:
        replaced, unread = find_set_aside(listing.replaced)
        contents.warnings += unread
        for path in replaced:
            with suppress(DamagedFileError):  # the reason why it was set aside
                _note_beginning(read_results(path), contents.begun)
    contents.runs[:] = sorted(_with_one_name(contents.runs), key=lambda run: _row_order(run.run))
    return contents


def _with_one_name(runs: Iterable[StoredRun]) -> Iterator[StoredRun]:
    """Yield the runs, those on one content of own data with one name for it, and no other with it.

    Files are moved: the last name counts. Files are changed: the name with the older content
    behind it stands for that.
    """
    in_order = sorted(runs, key=lambda run: run.started.timestamp() if run.started else 0.0)
    names: dict[str, dict[str, Any]] = {}
    for run in in_order:
        if content := run.settings.get("content"):
            names.pop(content, None)
            names[content] = {name: run.settings[name] for name in ("dataset", "dataset_args")}
    last = {typed(own): content for content, own in names.items()}
    for content, own in names.items():
        if last[typed(own)] != content:
            own["dataset"] = f"{show(own['dataset'])} ({show(content)})"
    for run in in_order:
        own = names.get(run.settings.get("content") or "", {})
        yield replace(run, settings={**run.settings, **own}) if own else run


def to_stored(run: Run, folder: str = "") -> StoredRun:
    """Return a run as if it were read from a folder."""
    experiment = run.experiment
    return StoredRun(
        name=_in_one_line(experiment.name),
        run=_in_one_line(experiment.run_name),
        settings={name: _in_one_line(getattr(experiment, name)) for name in SETTINGS},
        metrics=_measure(run),
        seed=experiment.seed,
        status=run.status,
        history=run.history,
        seconds=run.seconds,
        started=run.started,
        trained_as=run.trained_as,
        error=_in_one_line(run.failure.message) if run.failure else None,
        fingerprint=experiment.fingerprint,
        software=run.software,
        folder=folder,
    )


def further_metrics(runs: Iterable[StoredRun]) -> list[str]:
    """Return the metrics of runs that are in no table of fmgrid's, in order of their names."""
    return sorted({name for run in runs for name in run.metrics} - metrics.METRICS.keys())


def to_rows(
    runs: Iterable[StoredRun], groups: Mapping[str, str] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Return the table of runs, by `COLUMNS`; *groups* has the grids of each experiment."""
    return [
        {
            **to_cells(run.settings),
            **run.metrics,
            **{name: getattr(run, name) for name in _OF_RUN},
            "group": groups.get(run.name),
            "fingerprint": run.fingerprint,
        }
        for run in runs
    ]


def to_history_rows(runs: Iterable[StoredRun]) -> list[dict[str, Any]]:
    """Return the table of epochs, by `HISTORY_COLUMNS`."""
    of_run, of_epoch = HISTORY_COLUMNS[:3], HISTORY_COLUMNS[3:]
    return [
        {column: getattr(run, column) for column in of_run}
        | {column: getattr(epoch, column) for column in of_epoch}
        | getattr(epoch, "further", {})
        for run in runs
        for epoch in run.history
    ]


def to_cells(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of settings, and of single arguments and attributes of a network."""
    cells = {
        column: value_at(settings, (column,)) for column in (*SETTING_COLUMNS, *NEW_SETTING_COLUMNS)
    }
    arguments = flatten({name: settings[name] for name in _TABLES if settings.get(name)})
    cells |= {_in_one_line(name): value for name, value in arguments.items()}
    return cells | {name: value for name, value in settings.items() if name not in SETTINGS}


def to_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> "pd.DataFrame":
    """Return rows as a table, in the documented order of the columns.

    A number keeps its type, even among missing values; `as_text` writes texts. The columns of
    single arguments come last.
    """
    import pandas as pd

    columns = [*dict.fromkeys([*columns, *argument_columns(rows)])]
    cells = [[_to_cell(row.get(column)) for column in columns] for row in rows]
    return pd.DataFrame(cells, columns=columns, dtype=object)


def argument_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the columns of single arguments in rows, the most frequent if they are many."""
    counts = Counter(column for row in rows for column in row if is_argument_column(column))
    by_frequency = sorted(counts, key=lambda column: (-counts[column], column))
    return [
        column
        for prefix in _PREFIXES
        for column in sorted(
            [column for column in by_frequency if column.startswith(prefix)][:_MOST_ARGUMENTS],
            key=natural_order if prefix != metrics.FURTHER else [*counts].index,
        )
    ]


def is_argument_column(column: str) -> bool:
    """Tell whether a column is of a single argument."""
    return column.startswith(_PREFIXES)


def to_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """Return the table of rows as CSV; a missing value and nan are empty cells.

    Numbers are written so that reading gives the same bits.
    """
    return to_table(rows, columns).to_csv(index=False, lineterminator="\n")


def as_text(value: str) -> str:
    """Return a text as tables have it: on one line, and never a formula for a spreadsheet.

    Names and errors may be a stranger's. A text that begins like a formula gets an apostrophe.
    """
    line = " ".join(value.splitlines())
    is_like_a_formula = line.lstrip().startswith(_FORMULA) or line[:1] == "\t"
    return f"'{line}" if is_like_a_formula else line


def natural_order(name: str) -> tuple[list[str | float], str]:
    """Return a key that sorts epochs_5, epochs_10 as people do, and lr_1e-05, lr_0.005, lr_0.01."""
    # Text and numbers alternate, so that a key never compares one with the other.
    parts = _NUMBER.split(name)
    return [float(part) if index % 2 else part for index, part in enumerate(parts)], name


def _row_order(run: str) -> list[str | int]:
    """Return a key for the rows of the table of runs, which stay in the order of version 0.1."""
    parts = re.split(r"([0-9]+)", run)
    # Python reads no number of more than 4,300 digits, and a text may have them.
    return [int(part[:4_000]) if index % 2 else part for index, part in enumerate(parts)]


def as_plain(value: Any) -> Any:
    """Return a value as a number or a text."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, Mapping | list):  # TOML's dates have no JSON
        return json.dumps(value, sort_keys=True, default=str)
    return value


def _to_cell(value: Any) -> Any:
    plain = as_plain(value)
    return as_text(plain) if isinstance(plain, str) else plain


def _name_of(folder: Path, root: Path) -> str:
    name = folder.relative_to(root).as_posix()
    # A name that isn't Unicode could not be written to a file.
    return printable(Path(os.path.realpath(root)).name if name == "." else name)


def _read_foreign(folders: Iterable[Path], root: Path, contents: Contents) -> Iterator[StoredRun]:
    """Yield the runs that plain mltrainer left, as far as they are known."""
    logged: dict[str, LoggedRun] = {}
    problems: list[tuple[Path, str]] = []
    for folder in folders:
        try:
            run = read_mltrainer_folder(folder)
        except DamagedFileError as error:
            problems.append((folder, str(error).removeprefix(str(folder))))
        else:
            logged[_name_of(folder, root)] = run
            problems += [(folder, f"/{warning}") for warning in run.warnings]
    contents.warnings += _by_kind(problems)
    experiments = to_experiments(logged, {run.name for run in contents.runs})
    for place, run in logged.items():
        name, settings = experiments[place]
        yield StoredRun(
            name=name,
            run=place,
            settings=settings,
            metrics=_measure(run),
            status={True: "complete", False: "interrupted", None: None}[run.complete],
            history=run.history,
            seconds=run.history[-1].seconds if run.history else None,
            started=run.started,
            folder=place,
        )


def _by_kind(problems: Sequence[tuple[Path, str]]) -> Iterator[str]:
    """Yield a warning for each kind of problem: its first place, and how many more have it."""
    kinds: dict[str, list[str]] = {}
    for folder, problem in problems:
        kind = _PLACE_IN_FILE.sub("", problem)
        kinds.setdefault(kind, []).append(f"{folder}{problem}")
    for first, *others in kinds.values():
        yield f"{first} (and so in {counted(len(others), 'more folder')})" if others else first


def _note_beginning(run: Run, begun: dict[str, datetime]) -> None:
    name = run.experiment.name
    begun[name] = min(begun.get(name, run.started), run.started)


def _measure(run: Run | LoggedRun) -> dict[str, metrics.Value]:
    further = dict.fromkeys(name for epoch in run.history for name in getattr(epoch, "further", ()))
    return {name: metrics.metric_of(name).of(run) for name in (*metrics.METRICS, *further)}


def _in_one_line(value: Any) -> Any:
    """Let no text span lines: a run is a line of the CSV, and few readers agree on returns."""
    return " ".join(value.splitlines()) if isinstance(value, str) else value
