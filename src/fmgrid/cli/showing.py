"""The output of the other commands: single runs, data sets, tables."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fmgrid.cli.output import say
from fmgrid.cli.tables import print_rows
from fmgrid.errors import InputError, Place, Problem
from fmgrid.experiment import Experiment, Run
from fmgrid.results.store import FOLDER_OF_GRIDS, Store, is_own_file, translate_os_errors
from fmgrid.settings import SETTINGS, flatten, show
from fmgrid.system.disk import resolve, write_whole
from fmgrid.words import counted, format_seconds, printable

if TYPE_CHECKING:
    from fmgrid.analysis.experiments import ExperimentRuns
    from fmgrid.results.summary import Contents, StoredRun

_SETS_SHOWN = 2  # of images that judge experiments
_LONGEST_HEADER = 100_000  # bytes


def show_best(contents: "Contents") -> None:
    """Name the experiments of highest mean accuracy, on a terminal only: they aren't the data."""
    from fmgrid.analysis.ranking import best_by_images
    from fmgrid.analysis.study import to_study

    if not sys.stderr.isatty():
        return
    sets = best_by_images(to_study(contents, []).configurations, "accuracy")
    for line in describe_winners(sets):
        say(line)


def say_unseeded(runs: "Iterable[StoredRun]") -> None:
    """Say that the runs of plain mltrainer are repeats without seeds, if there are any."""
    if number := sum(run.seed is None for run in runs):
        whose = f"{counted(number, 'run')} of plain mltrainer, which logs no seed"
        say(f"{whose}: runs of the same settings are repeats, and comparisons are not paired")


def describe_run(run: Run) -> str:
    """Return a run's outcome in one line."""
    if run.status != "complete" or run.final is None:
        return f"{run.status}: {run.failure.message if run.failure else 'no reason is known'}"
    figures = f"{run.final.accuracy:.2%} right, loss {run.final.valid_loss:.4f}"
    if run.trained_as:
        return f"{figures}, from the training of {run.trained_as}"
    again = f", attempt {run.attempts}" if run.attempts > 1 else ""
    return f"{figures}, {format_seconds(run.seconds)}{again}"


def describe_best(
    best: "Sequence[ExperimentRuns]", short_names: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return the best experiments with their mean accuracies, of each set of images that judges.

    *short_names* has shorter names.
    """
    from fmgrid.analysis.experiments import images_of

    texts = []
    for experiment in best[:_SETS_SHOWN]:
        name, number = name_of(experiment), len(experiment.runs)
        text = f"{short_names.get(name, name)} {experiment.mean('accuracy') or 0.0:.2%}"
        repeats = "seeds" if experiment.has_seeds else "runs"
        text += f", the mean of {number} {repeats}" if number > 1 else ""
        texts.append(f"{text} on {images_of(experiment)}" if len(best) > 1 else text)
    return ", ".join(texts)


def describe_winners(sets: "Sequence[Sequence[ExperimentRuns]]") -> list[str]:
    """Return a line on the best experiment of each set, which the same images judge."""
    from fmgrid.analysis.experiments import images_of

    lines = []
    for ranked in sets[:_SETS_SHOWN]:
        where = f" on {images_of(ranked[0])}" if len(sets) > 1 else ""
        title, result = _describe_winner(ranked)
        lines.append(f"{title}{where}: {name_of(ranked[0])} {result}")
    single = [ranked[0] for ranked in sets[:_SETS_SHOWN] if len(ranked[0].runs) == 1]
    if single:
        repeat = "repeat with --seeds 0,1,2" if single[0].has_seeds else "repeat it"
        lines[-1] += f"; {repeat} before you believe it"
    if (others := len(sets) - _SETS_SHOWN) > 0:
        lines.append(f"and on {counted(others, 'other set')} of images: fmgrid list")
    return lines


def _describe_winner(ranked: "Sequence[ExperimentRuns]") -> tuple[str, str]:
    """Return what the first of some experiments is the best of, and its mean beside the others'."""
    from fmgrid.analysis.comparisons import best_and_ties
    from fmgrid.analysis.statistics import Estimate

    others = len(ranked) - 1
    mean = ranked[0].estimate("accuracy") or Estimate(0, 0.0)
    if all(len(experiment.runs) == 1 for experiment in ranked):
        return "best of one run each" if others else "one run", f"{mean.mean:.2%}"
    low, high = mean.span
    interval = f"95% interval {low:.2%} to {high:.2%} over {mean.n} "
    interval += "seeds" if ranked[0].has_seeds else "runs"
    result = f"{mean.mean:.2%}, {interval if mean.n > 1 else 'one run'}"
    if others:
        ties = len(best_and_ties(ranked)) - 1
        result += f"; not significantly worse: {ties:,} of {counted(others, 'other')}"
    return "best mean", result


def name_of(experiment: "ExperimentRuns") -> str:
    """Return the name of a single run, or of an experiment of several."""
    runs = list(experiment.runs.values())
    return runs[0].run if len(runs) == 1 else experiment.name


def show_run(run: Run, *, json: bool) -> None:
    """Print everything that is known of a run."""
    if json:
        print(run.model_dump_json(indent=2))
        return
    print(printable(f"{run.experiment.run_name}: {describe_run(run)}"))
    for title, values in (("settings", flat_settings(run.experiment)), ("software", run.software)):
        print(f"\n{title}")
        for name, value in values.items():
            print(printable(f"  {name:15} {value}"))
    if run.history:
        columns = ("epoch", "train loss", "valid loss", "accuracy", "images seen", "seconds")
        rows = [
            [
                *(f"{record.epoch}", f"{record.train_loss:.4f}", f"{record.valid_loss:.4f}"),
                *(f"{record.accuracy:.2%}", f"{record.images_seen:,}", f"{record.seconds:.2f}"),
            ]
            for record in run.history
        ]
        print()
        print_rows(columns, rows)
    if run.test_accuracy is not None:
        print(f"\ntest images: {run.test_accuracy:.2%} right, loss {run.test_loss:.4f}")
    if run.failure:
        text = run.failure.traceback or run.failure.message
        print("", *map(printable, text.splitlines()), sep="\n")


def find_unfinished(contents: "Contents", logdir: Path) -> dict[str, str]:
    """Return the folders of runs without results, each "running" or "interrupted"."""
    # Each log folder below this one has a lock of its own.
    folders = {logdir, *((logdir / name).parent for name in contents.unfinished)}
    locked = {folder for folder in folders if contents.unfinished and Store(folder).is_locked()}
    return {
        name: "interrupted" if locked.isdisjoint([logdir, (logdir / name).parent]) else "running"
        for name in contents.unfinished
    }


def check_outputs(outputs: Mapping[str, Path | None]) -> None:
    """Refuse options that would write over each other, or over what is not fmgrid's own table.

    Raises `InputError`; `StoreError` where that cannot be told.
    """
    writers: dict[Path, str] = {}
    problems = []
    for option, path in outputs.items():
        if path is None:
            continue
        is_stdout = str(path) == "-"
        target = path if is_stdout else resolve(path)
        first_option = writers.setdefault(target, option)
        if first_option != option:
            place = "stdout" if is_stdout else path
            objection = f"{first_option} writes to {place}, too; name another file"
        else:
            objection = "" if is_stdout else _objection_to_target(target)
        if objection:
            problems.append(Problem(Place(f"{option} {path}"), "", objection))
    if problems:
        raise InputError(problems)


def _objection_to_target(target: Path) -> str:
    """Return why a table must not be written to this path, which is no link; "" if it may be."""
    with translate_os_errors(target):
        if target.is_dir():
            return "is a folder; name a file"
        if is_own_file(target) or target.parent.name == FOLDER_OF_GRIDS:
            return "is the name of a file in a log folder; name another file"
        if target.is_file():  # a device or a pipe loses nothing
            from fmgrid.analysis.study import is_header_of_table

            with target.open("rb") as stream:
                header = stream.readline(_LONGEST_HEADER)
            if header and not is_header_of_table(header.decode(errors="replace")):
                return "was not written by fmgrid summarize, and would be lost; name another file"
    return ""


def write_csv(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], noun: str
) -> None:
    """Write a table whole or not at all, and say how many rows it has; print it for "-".

    Raises `StoreError` if it cannot be written.
    """
    from fmgrid.results.summary import to_csv

    csv = to_csv(rows, columns)
    if str(path) == "-":
        print(csv, end="")
        return
    target = resolve(path)  # where a link leads, which stays one
    with translate_os_errors(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        # A device or a pipe is not to be replaced. Only /dev/stdout itself leads to a pipe: its
        # target is no path.
        if path.exists() and not path.is_file():
            path.write_bytes(csv.encode())
        else:
            write_whole(target, csv.encode())
    say(f"{printable(str(path))}: {counted(len(rows), noun)}")


def flat_settings(experiment: Experiment) -> dict[str, str]:
    """Return the settings that are given, and the seed, as text; arguments one by one."""
    settings = flatten({name: getattr(experiment, name) for name in SETTINGS})
    flat = {
        name: show(value) if isinstance(value, tuple) or name == "content" else str(value)
        for name, value in settings.items()
        if value is not None
    }
    return {**flat, "seed": str(experiment.seed)}
