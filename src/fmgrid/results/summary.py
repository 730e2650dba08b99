"""A folder of runs -> one table: a row per run, the same bytes for the same runs."""

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmgrid.errors import (
    DamagedFileError,
    InputError,
    NewerFormatError,
    Place,
    Problem,
    StoreError,
)
from fmgrid.experiment import Run
from fmgrid.results.events import FoundEpoch, FoundRun, read_mltrainer_folder
from fmgrid.results.store import NOT_THERE, find_folders, find_set_aside, metrics, read_results
from fmgrid.words import printable

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = (
    *("dataset", "validation", "epochs", "train_steps", "train_images", "batch_size"),
    *("hidden_units", "units1", "units2", "depth"),
    *("learning_rate", "optimizer", "optimizer_args"),
)
METRICS = (
    *("accuracy", "valid_loss", "train_loss", "best_accuracy", "best_epoch", "best_valid_loss"),
    *("test_accuracy", "test_loss", "weights", "images_seen"),
)
COLUMNS = (*SETTINGS, *METRICS, "seconds", "status", "seed", "name", "run", "trained_as", "error")
_MOST_NETWORK_COLUMNS = 100
NETWORK = "network."  # begins the columns of a network's own attributes
HISTORY_COLUMNS = (
    *("run", "name", "seed", "epoch", "train_loss", "valid_loss", "accuracy"),
    *("learning_rate", "images_seen", "seconds"),
)
# Whole numbers even where some are missing, which would make pandas write 5.0.
_WHOLE = {"epochs", "batch_size", "units1", "units2", "depth", "best_epoch", "weights", "seed"}
_WHOLE |= {"train_images", "images_seen", "epoch", "n", "failed"}
# Begins what a spreadsheet takes for a formula; the last four are of East Asian keyboards.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_WHOLE_OR_WORD = {"validation", "train_steps"}  # the same, but for a word in some rows


@dataclass
class Summary:
    """The rows of a folder, and what is not among them.

    Besides their columns, rows have `folder`: the run's path in the folder that is summarized.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)  # by COLUMNS, in order of run
    history: list[dict[str, Any]] = field(default_factory=list)  # by HISTORY_COLUMNS
    warnings: list[str] = field(default_factory=list)  # each names a file or a folder
    unfinished: list[str] = field(default_factory=list)  # runs without results
    damaged: list[str] = field(default_factory=list)  # runs that fmgrid run trains again
    begun: dict[str, datetime] = field(default_factory=dict)  # first run of each experiment
    grids: list[Path] = field(default_factory=list)  # log folders with records of grids


def summarize(root: Path, *, with_history: bool = False) -> Summary:
    """Summarize every run below *root*.

    A damaged file costs its row and a warning. Without *with_history*, no more than a row is
    kept of each run; with it, rows also have `started` and `software`, and it is known when the
    first run of each experiment began, be it that runs have replaced it. Raises `InputError` if
    there is no such folder.
    """
    _check_folder(root)
    listing = find_folders(root)
    summary = Summary(warnings=[*listing.unread], grids=listing.grids)
    for folder, results, is_unfinished in listing.runs:
        name = folder.relative_to(root).as_posix() if folder != root else _real_name(root)
        name = printable(name)  # what isn't Unicode could not be written to a file
        if is_unfinished:
            summary.unfinished.append(name)
            continue
        try:
            run = read_results(results) if results else _read_found(folder)
        except DamagedFileError as error:
            _leave_out(name, error, summary, is_ours=results is not None)
            continue
        if isinstance(run, FoundRun):
            summary.warnings += [f"{folder}/{warning}" for warning in run.warnings]
        row = _on_one_line(_row(run) if isinstance(run, Run) else _row_of_found(run, name))
        row["folder"] = name
        summary.rows.append(row)
        if with_history:
            summary.history += _history_rows(run, row)
            if isinstance(run, Run):
                row |= {"started": run.started, "software": run.software}
                _note_beginning(run, summary.begun)
    if with_history:
        for folder in listing.replaced:
            replaced, unread = find_set_aside(folder)
            summary.warnings += unread
            for path in replaced:
                with suppress(DamagedFileError):  # which is why it was set aside
                    _note_beginning(read_results(path), summary.begun)
    summary.rows.sort(key=lambda row: natural_order(row["run"]))
    summary.history.sort(key=lambda row: natural_order(row["run"]))
    return summary


def to_table(rows: list[dict[str, Any]], columns: tuple[str, ...] = COLUMNS) -> "pd.DataFrame":
    """Return rows as a table whose columns are in documented order, whatever is missing."""
    import pandas as pd

    rows = [_with_texts(row) for row in rows]
    of_networks = network_columns(rows)
    columns = (*columns, *of_networks)
    table = pd.DataFrame(rows, columns=list(columns))
    whole = [column for column in columns if column in _WHOLE]
    as_written = {
        column: pd.Series([row.get(column) for row in rows], dtype=object)
        for column in columns
        if column in _WHOLE_OR_WORD or column in of_networks
    }
    return table.astype(dict.fromkeys(whole, "Int64")).assign(**as_written)


def network_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the columns of networks' own attributes, the most frequent if they are many."""
    found = Counter(column for row in rows for column in row if column.startswith(NETWORK))
    kept = sorted(found, key=lambda column: (-found[column], column))[:_MOST_NETWORK_COLUMNS]
    return sorted(kept, key=natural_order)


def to_csv(table: "pd.DataFrame") -> str:
    """Return the table as CSV; numbers are written so that reading gives the same bits."""
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text


def as_text(value: str) -> str:
    """Return a text as tables have it: on one line, and never a formula for a spreadsheet.

    Names and errors may be a stranger's. A text that begins like a formula gets an apostrophe.
    """
    line = " ".join(value.splitlines())
    is_like_a_formula = line.lstrip().startswith(_FORMULA) or line[:1] == "\t"
    return f"'{line}" if is_like_a_formula else line


def natural_order(name: str) -> list[str | int]:
    """Return a key that sorts epochs_3, epochs_5, epochs_10 as people do."""
    # Text and numbers alternate, so that a key never compares one with the other.
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _check_folder(root: Path) -> None:
    """Raise `InputError` if there is no such folder, `StoreError` if that cannot be told."""
    try:
        if stat.S_ISDIR(root.stat().st_mode):
            return
    except ValueError:  # a name that no file system has
        pass
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise StoreError(f"{root}: cannot be read: {error.strerror}") from error
    message = "no such folder; name the folder that fmgrid run wrote to"
    raise InputError([Problem(Place(str(root)), "", message)])


def _real_name(folder: Path) -> str:
    return Path(os.path.realpath(folder)).name


def _read_found(folder: Path) -> FoundRun:
    """Return the run that plain mltrainer left. Raises `DamagedFileError` if it is none."""
    run = read_mltrainer_folder(folder)
    if run.objection:
        raise DamagedFileError(f"{folder}: left out: {run.objection}")
    return run


def _leave_out(name: str, error: DamagedFileError, summary: Summary, *, is_ours: bool) -> None:
    summary.warnings.append(str(error))
    if is_ours and not isinstance(error, NewerFormatError):
        summary.damaged.append(name)


def _note_beginning(run: Run, begun: dict[str, datetime]) -> None:
    name = run.experiment.name
    begun[name] = min(begun.get(name, run.started), run.started)


def _row(run: Run) -> dict[str, Any]:
    experiment = run.experiment
    return {
        **experiment.model_dump(),
        **_units(experiment.hidden_units),
        # TOML's dates have no JSON.
        "optimizer_args": json.dumps(experiment.optimizer_args, sort_keys=True, default=str),
        **metrics(run),
        "seconds": run.seconds,
        "status": run.status,
        "run": experiment.run_name,
        "trained_as": run.trained_as,
        "error": run.failure and run.failure.message,
    }


def _row_of_found(found: FoundRun, name: str) -> dict[str, Any]:
    """Return what can be known of a run that plain mltrainer left; the rest stays empty."""
    settings = dict(found.settings)
    if "hidden_units" in settings:
        settings |= _units(settings["hidden_units"])
    if "optimizer_args" in settings:
        settings["optimizer_args"] = json.dumps(settings["optimizer_args"], sort_keys=True)
    row = {column: settings[column] for column in SETTINGS if column in settings}
    row |= {f"{NETWORK}{name}": value for name, value in found.network}
    scored = [epoch for epoch in found.history if epoch.accuracy is not None]
    losses = [epoch.valid_loss for epoch in found.history if epoch.valid_loss is not None]
    if found.history:
        last = found.history[-1]
        for column in ("accuracy", "valid_loss", "train_loss"):
            row[column] = _shortest(getattr(last, column))
        row["seconds"] = last.seconds
    if scored:
        best = max(scored, key=lambda epoch: epoch.accuracy or 0.0)
        row |= {"best_accuracy": _shortest(best.accuracy), "best_epoch": best.epoch}
    status = {True: "complete", False: "interrupted", None: None}[found.complete]
    best_loss = _shortest(min(losses, default=None))
    return {**row, "best_valid_loss": best_loss, "status": status, "name": name, "run": name}


def _with_texts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        column: as_text(value) if isinstance(value, str) else value for column, value in row.items()
    }


def _on_one_line(row: dict[str, Any]) -> dict[str, Any]:
    """Let no text span lines: a run is a line of the CSV, and few readers agree on returns."""
    return {
        column: " ".join(value.splitlines()) if isinstance(value, str) else value
        for column, value in row.items()
    }


def _units(hidden_units: tuple[int, ...]) -> dict[str, Any]:
    first, second, *_ = (*hidden_units, None, None)
    return {
        "hidden_units": " ".join(map(str, hidden_units)),
        "units1": first,
        "units2": second,
        "depth": len(hidden_units),
    }


def _history_rows(run: Run | FoundRun, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    known = {key: row.get(key) for key in ("run", "name", "seed", "folder")}
    for epoch in run.history:
        values = {name: getattr(epoch, name, None) for name in HISTORY_COLUMNS[3:]}
        if isinstance(epoch, FoundEpoch):
            measured = ("train_loss", "valid_loss", "accuracy", "learning_rate")
            values |= {name: _shortest(values[name]) for name in measured}
        yield {**known, **values}


def _shortest(value: float | None) -> float | None:
    """Return the number that an event file rounded to single precision, as it was written.

    Seven digits are what it keeps of any number: 0.001 comes back as 0.0010000000474974513.
    """
    return None if value is None else float(f"{value:.7g}")
