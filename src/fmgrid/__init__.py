"""Grid search over neural networks on the CPU: which settings matter, and which are noise.

The commands of `fmgrid` as functions, for notebooks and scripts:

>>> import fmgrid
>>> runs = fmgrid.run("grid.toml", seeds=[0, 1, 2], quiet=True)
>>> runs[["name", "seed", "status", "accuracy"]].head(3)  # doctest: +SKIP
>>> fmgrid.compare("w16", "w64").seeds
(0, 1, 2)

They raise `InputError` where the command says what to mend, and another `FmgridError` where the
machine refuses. docs/notebook.md shows a study in a notebook.
"""

# Each function imports what it needs: `import fmgrid` alone imports nothing, so that
# `fmgrid.__main__` can protect the command before any other import. Not even typing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike
    from pathlib import Path
    from typing import Any, TypeAlias

    import pandas as pd

    from fmgrid.analysis.comparisons import Comparison
    from fmgrid.errors import FmgridError, InputError
    from fmgrid.experiment import Experiment, Run
    from fmgrid.reporting.writing import Report

    AnyPath: TypeAlias = str | PathLike[str]
else:

    def __getattr__(name: str) -> "Any":
        """Import a class when it is first asked for."""
        if name not in _CLASSES:
            raise AttributeError(f"module 'fmgrid' has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(_CLASSES[name]), name)


_CLASSES = {
    **dict.fromkeys(("Experiment", "Run"), "fmgrid.experiment"),
    **dict.fromkeys(("FmgridError", "InputError"), "fmgrid.errors"),
}

__version__ = "0.1.0"
__all__ = [
    "Experiment",
    "FmgridError",
    "InputError",
    "Run",
    "__version__",
    "compare",
    "expand",
    "history",
    "load",
    "report",
    "run",
    "show",
]


def __dir__() -> list[str]:
    return __all__


def load(logdir: "AnyPath" = "modellogs") -> "pd.DataFrame":
    """Return a row for every run in a folder, those that failed included.

    The columns are those of `fmgrid summarize`: settings, metrics, status. Each argument of an
    optimizer or a network has one, `group` has the grids that name the experiment. `started` and
    `folder` come in addition.

    >>> runs = fmgrid.load("modellogs")
    >>> runs.groupby("units1")["accuracy"].count().tolist()
    [3, 3]
    >>> runs["optimizer_args.momentum"].unique().tolist()
    [0.9]
    """
    from fmgrid.analysis.tables import load_runs

    with _Warnings() as warn:
        return load_runs(_path(logdir), warn)


def history(logdir: "AnyPath" = "modellogs") -> "pd.DataFrame":
    """Return a row for every epoch of every run in a folder, with the settings of its run.

    `learning_rate` is that of the epoch's last step, and `initial_learning_rate` the setting.

    >>> epochs = fmgrid.history("modellogs")
    >>> epochs[epochs["run"] == "w64_s1"][["epoch", "images_seen", "units1"]]
       epoch  images_seen  units1
    8      1          192      64
    9      2          384      64
    """
    from fmgrid.analysis.tables import load_epochs

    with _Warnings() as warn:
        return load_epochs(_path(logdir), warn)


def expand(
    grid: "AnyPath | Iterable[AnyPath]",
    *,
    overrides: "Mapping[str, Any] | None" = None,
    only: "str | Iterable[str]" = (),
    seeds: "Iterable[int] | None" = None,
) -> "list[Experiment]":
    """Return the experiments of one or several grids, in their order.

    *overrides* are settings for all experiments, *only* patterns of names, *seeds* replace those
    of the grids. Raises `InputError` with all mistakes in the files.

    >>> [experiment.run_name for experiment in fmgrid.expand("grid.toml", seeds=[0, 1])]
    ['w16', 'w16_s1', 'w64', 'w64_s1']
    >>> fmgrid.expand("grid.toml", only="w16", overrides={"epochs": 5})[0].epochs
    5
    """
    from fmgrid.components.own_data import Contents
    from fmgrid.grid import load_plan
    from fmgrid.grid.reading import read_seeds

    plan = load_plan(
        _paths(grid),
        overrides=_to_words(overrides),
        only=_texts(only),
        seeds=None if seeds is None else read_seeds(_join(seeds)),
        contents=Contents(lambda _: None),
    )
    return [definition.experiment for definition in plan.definitions]


def run(
    grid: "AnyPath | Iterable[AnyPath]",
    *,
    logdir: "AnyPath" = "modellogs",
    jobs: int | None = None,
    seeds: "Iterable[int] | None" = None,
    overrides: "Mapping[str, Any] | None" = None,
    only: "str | Iterable[str]" = (),
    replace: bool = False,
    retry_failed: bool = False,
    max_failures: int | None = None,
    timeout: "float | str | None" = None,
    memory: "int | str | None" = None,
    data_dir: "AnyPath | None" = None,
    max_runs: int | None = None,
    quiet: bool = False,
) -> "pd.DataFrame":
    """Train the experiments of grids that have no results yet; return the runs of all of them.

    The rows are those of `load`, in the order of the grids. The arguments are the options of
    `fmgrid run`. *seeds* and *overrides* replace what the grids say, and *only* takes experiments
    by patterns of their names. *replace* trains runs anew whose settings have changed,
    *retry_failed* those alone that failed, and the first *max_failures* end the run. A training
    may take the seconds of *timeout*, or such as "5min", and the bytes of *memory*, or such as
    "2GB". *jobs* is the number of worker processes, by default one per core; with 0 the training
    happens in this process, where `breakpoint()` works. The progress goes to stderr; *quiet*
    leaves warnings and errors.

    Nothing is lost at Ctrl-C, which raises `KeyboardInterrupt`: the same call goes on. A script
    needs no `if __name__ == "__main__"`. Failed runs raise nothing: see `status` and `error`.

    >>> runs = fmgrid.run("grid.toml", seeds=[0, 1, 2], quiet=True)
    >>> runs[["run", "status", "epochs"]].tail(2)
          run    status  epochs
    4  w64_s1  complete       2
    5  w64_s2  complete       2
    >>> fmgrid.run("grid.toml", overrides={"epochs": "many"})
    Traceback (most recent call last):
    fmgrid.errors.InputError: --set epochs="many": "many" is not a whole number from 1
    """
    from fmgrid.analysis.tables import table_of
    from fmgrid.cli.options import RunOptions
    from fmgrid.cli.running import run_and_show
    from fmgrid.search import Policy

    _check_least(("jobs", jobs, 0), ("max_failures", max_failures, 1), ("max_runs", max_runs, 1))
    options = RunOptions(
        grids=_paths(grid),
        logdir=_path(logdir),
        jobs=jobs,
        seeds=None if seeds is None else _join(seeds),
        overrides=_to_words(overrides),
        only=_texts(only),
        replace=replace,
        retry_failed=retry_failed,
        fail_fast=False,
        max_failures=max_failures,
        timeout=None if timeout is None else str(timeout),
        memory=None if memory is None else str(memory),
        data_dir=None if data_dir is None else _path(data_dir),
        max_runs=max_runs,
        dry_run=False,
        json=False,
        quiet=quiet,
    )
    outcome = run_and_show(options, Policy(replace, retry_failed))
    return table_of(outcome.runs, options.logdir)


def show(name: str, *, logdir: "AnyPath" = "modellogs") -> "Run":
    """Return one run with its settings, epochs, software, and the reason why it failed.

    It is given by its name or folder. The name of an experiment means the run of seed 0.

    >>> run = fmgrid.show("w16_s1")
    >>> run.experiment.seed, run.status, len(run.history), run.failure
    (1, 'complete', 2, None)
    """
    from fmgrid.cli.finding import find_run

    return find_run(name, _path(logdir))


def compare(first: str, second: str, *, logdir: "AnyPath" = "modellogs") -> "Comparison":
    """Compare two experiments seed by seed, or two runs such as "w16_s0".

    Raises `InputError` where one has no complete run.

    >>> comparison = fmgrid.compare("w16", "w64")
    >>> comparison.settings
    {'hidden_units': ((16,), (64,))}
    >>> sorted(comparison.to_json()["metrics"]["accuracy"])
    ['difference', 'first', 'second']
    """
    from fmgrid.analysis.comparisons import compare_experiments
    from fmgrid.analysis.loading import find_pair

    with _Warnings() as warn:
        return compare_experiments(*find_pair([str(first), str(second)], _path(logdir), warn))


def report(
    logdir: "AnyPath" = "modellogs",
    output: "AnyPath" = "report",
    *,
    reference: "AnyPath | None" = None,
    grids: "AnyPath | Iterable[AnyPath] | None" = None,
    metric: str | None = None,
) -> "Report":
    """Write a report on which settings matter, as HTML and Markdown with pictures.

    *reference* is a table of published figures. *grids* have groups and hypotheses, in the place
    of those that the log folder has. An older report in the folder *output* is replaced. *metric*
    ranks the experiments, such as "valid_loss", or "F1" that plain mltrainer logged.

    >>> report = fmgrid.report("modellogs", "report")
    >>> report.page.as_posix()
    'report/report.html'
    >>> report.to_json()["metric"]
    'accuracy'
    """
    from fmgrid.analysis.evidence import weigh
    from fmgrid.analysis.loading import find_ranking, load_study
    from fmgrid.grid import load_plan
    from fmgrid.hypotheses.commands import report_command
    from fmgrid.reporting import read_reference
    from fmgrid.reporting.writing import write_report

    folder, target = _path(logdir), _path(output)
    table = None if reference is None else _path(reference)
    files = None if grids is None else _paths(grids)
    published = read_reference(table) if table else None
    records = load_plan(files).records if files else None
    with _Warnings() as warn:
        study = load_study(folder, records, warn)
        for text in study.left_out:
            warn(text)
    ranked = find_ranking(metric, study) if metric else None
    command = report_command(folder, target, table, files, metric)
    return write_report(weigh(study, published, ranked), folder, target, command)


class _Warnings:
    """Collects the warnings of a function, for the line that calls the function."""

    def __enter__(self) -> "Callable[[str], None]":
        self._texts: list[str] = []
        return self._texts.append

    def __exit__(self, *_: object) -> None:
        import warnings

        for text in self._texts:
            warnings.warn(text, stacklevel=3)


def _path(path: "AnyPath") -> "Path":
    from fmgrid.system.disk import expand_home

    return expand_home(str(path))


def _paths(paths: "AnyPath | Iterable[AnyPath]") -> "list[Path]":
    from os import PathLike

    from fmgrid.errors import InputError

    listed = list(map(_path, [paths] if isinstance(paths, str | PathLike) else paths))
    if not listed:
        raise InputError.at("grid=[]", "names no grid; name a file or a folder of them")
    return listed


def _texts(texts: "str | Iterable[str]") -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _join(seeds: "Iterable[int] | str") -> str:
    """Return seeds as the word after --seeds."""
    from fmgrid.errors import InputError

    if isinstance(seeds, int):
        raise InputError.at(f"seeds={seeds}", "is not a list; write seeds=[0, 1, 2]")
    return seeds if isinstance(seeds, str) else ",".join(map(str, seeds))


def _to_words(overrides: "Mapping[str, Any] | None") -> list[str]:
    """Return settings as the words after --set."""
    from collections.abc import Mapping

    from fmgrid.errors import InputError
    from fmgrid.settings import to_toml

    if not isinstance(overrides, Mapping | None):
        problem = 'is no dictionary; write overrides={"epochs": 3}'
        raise InputError.at(f"overrides={overrides!r}", problem)
    return [f"{name}={to_toml(value)}" for name, value in (overrides or {}).items()]


def _check_least(*arguments: "tuple[str, int | None, int]") -> None:
    from fmgrid.errors import InputError, Place, Problem

    problems = [
        Problem(Place(f"{name}={value}"), "", f"must be a whole number from {least}")
        for name, value, least in arguments
        if value is not None and (type(value) is not int or value < least)
    ]
    if problems:
        raise InputError(problems)
