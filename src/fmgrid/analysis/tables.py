"""A folder -> its runs, or their epochs, as tables of pandas with typed columns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmgrid import metrics
from fmgrid.analysis.loading import read_grids
from fmgrid.analysis.study import titles_by_name
from fmgrid.experiment import Run
from fmgrid.hypotheses.registry import read_records
from fmgrid.results import summary
from fmgrid.results.summary import Contents, StoredRun, to_stored

if TYPE_CHECKING:
    import pandas as pd

_RUN_COLUMNS = (*summary.COLUMNS, "started", "folder")
_DTYPES: Mapping[frozenset[type], str] = {
    frozenset({bool}): "boolean",
    frozenset({int}): "Int64",
    frozenset({float}): "float64",
    frozenset({int, float}): "float64",
    frozenset({str}): "string",
}
# The types of columns that have no value; those of all others are numbers.
_TEXTS = {
    *("dataset", "validation", "hidden_units", "optimizer", "optimizer_args", "status", "name"),
    *summary.NEW_SETTING_COLUMNS,
    *("run", "trained_as", "error", "group", "fingerprint", "folder"),
}
_WHOLE_NUMBERS = {
    *("epochs", "train_steps", "train_images", "batch_size", "units1", "units2", "depth"),
    *("best_epoch", "weights", "images_seen", "seed", "epoch"),
}
_LARGEST = 2**63  # whole numbers of a table lie below


def load_runs(logdir: Path, warn: Callable[[str], None]) -> "pd.DataFrame":
    """Return a row for every run below a folder, those that failed included.

    Raises `InputError` if there is no such folder.
    """
    contents = summary.read_runs(logdir)
    return to_table(contents.runs, _read_groups(logdir, contents, warn))


def load_epochs(logdir: Path, warn: Callable[[str], None]) -> "pd.DataFrame":
    """Return a row for every epoch of the runs below a folder, with the settings of its run.

    `learning_rate` is the one that was measured, `initial_learning_rate` that of the settings.
    """
    import pandas as pd

    contents = summary.read_runs(logdir, with_history=True)
    runs = to_table(contents.runs, _read_groups(logdir, contents, warn))
    runs = runs.rename(columns={"learning_rate": "initial_learning_rate"})
    left_out = {*summary.HISTORY_COLUMNS, *metrics.COLUMNS, "trained_as", "error", "started"}
    is_kept = {name: not name.startswith(metrics.FURTHER) for name in runs.columns}
    runs = runs[[name for name in runs.columns if is_kept[name] and name not in left_out]]
    epochs = _to_frame(summary.to_history_rows(contents.runs), summary.HISTORY_COLUMNS)
    run_of_epoch = runs.index.repeat([len(run.history) for run in contents.runs])
    return pd.concat([epochs, runs.loc[run_of_epoch].reset_index(drop=True)], axis=1)


def table_of(runs: Iterable[Run], logdir: Path) -> "pd.DataFrame":
    """Return runs of a log folder as `load_runs` would."""
    groups = titles_by_name(read_records(logdir)[0])
    return to_table([to_stored(run, run.experiment.run_name) for run in runs], groups)


def to_table(runs: Sequence[StoredRun], groups: Mapping[str, str]) -> "pd.DataFrame":
    """Return runs as a table: the columns of the CSV, `started` and `folder`."""
    rows = summary.to_rows(runs, groups)
    for row, run in zip(rows, runs, strict=True):
        row |= {"started": run.started, "folder": run.folder}
    return _to_frame(rows, _RUN_COLUMNS)


def _read_groups(
    logdir: Path, contents: Contents, warn: Callable[[str], None]
) -> Mapping[str, str]:
    """Return the grids of each experiment; warn of everything that cannot be read."""
    grids = read_grids(logdir, contents)
    for text in contents.warnings:
        warn(text)
    return titles_by_name(grids)


def _to_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    names = [*columns, *summary.argument_columns(rows)]
    return pd.DataFrame(
        {
            name: _to_column(name, [summary.as_plain(row.get(name)) for row in rows])
            for name in names
        }
    )


def _to_column(name: str, values: Sequence[Any]) -> "pd.Series[Any]":
    """Return values with their common type, as they are if they have none."""
    import pandas as pd

    if name == "started":
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True)
    types = frozenset(type(value) for value in values if value is not None)
    if not types:
        types = frozenset({str if name in _TEXTS else int if name in _WHOLE_NUMBERS else float})
    is_large = any(type(value) is int and abs(value) >= _LARGEST for value in values)
    return pd.Series(values, dtype="object" if is_large else _DTYPES.get(types, "object"))
