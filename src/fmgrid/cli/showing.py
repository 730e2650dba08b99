"""What the other commands print: plans, runs, tables."""

import json as json_format
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fmgrid.cli.output import console, put, say, warn
from fmgrid.cli.progress import describe_run, format_seconds
from fmgrid.costs import estimate_seconds, estimate_wall_seconds
from fmgrid.errors import DamagedFileError, InputError, Place, Problem, StoreError
from fmgrid.grid import Plan
from fmgrid.records import Experiment, Run
from fmgrid.runner import count_trainings, survey
from fmgrid.store import Store, read_results, write_whole
from fmgrid.study import Repeated, best_by_images, images_of, to_study
from fmgrid.summary import Summary
from fmgrid.words import command_line, counted, printable

if TYPE_CHECKING:
    from fmgrid.data import Prepared

BEST_SHOWN = 5
NAMES_SHOWN = 6


def show_plan(plan: Plan, store: Store, workers: int, *, json: bool) -> None:
    """Print each run with the settings that tell it from the others, its state and cost."""
    definitions = plan.definitions
    warn_of_unanswerable(plan)
    found = survey([definition.experiment for definition in definitions], store)
    trainings = count_trainings(found)
    costs = [estimate_seconds(experiment) for experiment in trainings]
    wall = estimate_wall_seconds(costs, max(1, min(workers, len(trainings))))
    trained = {id(experiment) for experiment in trainings}
    if json:
        runs = [
            {
                "run": item.experiment.run_name,
                "state": item.state,
                "note": item.note,
                "trained": id(item.experiment) in trained,
                "seconds": round(estimate_seconds(item.experiment), 3),
                "defined": str(definition.place),
                "settings": item.experiment.model_dump(),
            }
            for definition, item in zip(definitions, found, strict=True)
        ]
        totals = {"count": len(runs), "to_train": len(trainings), "estimated_seconds": wall}
        hypotheses = [
            {name: getattr(stated, name) for name in ("claim", "expect", "metric", "place")}
            for stated in plan.hypotheses
        ]
        answer = {**totals, "workers": workers, "runs": runs, "hypotheses": hypotheses}
        print(json_format.dumps(answer, indent=2))
        return
    leaders = {experiment.course: experiment.run_name for experiment in trainings}
    settings = [_flat_settings(item.experiment) for item in found]
    names = list(dict.fromkeys(name for flat in settings for name in flat))
    differing = [name for name in names if len({flat.get(name, "") for flat in settings}) > 1]
    table = Table("run", *differing, "state", "seconds", box=None, pad_edge=False)
    for item, flat in zip(found, settings, strict=True):
        if id(item.experiment) in trained:
            seconds = f"{estimate_seconds(item.experiment):.1f}"
        else:
            leader = leaders.get(item.experiment.course, "a finished run")
            seconds = f"with {leader}" if item.state == "pending" else ""
        cells = (flat.get(name, "") for name in differing)
        table.add_row(item.experiment.run_name, *cells, item.state, seconds)
    put(table)
    shared = sum(item.state == "pending" for item in found) - len(trainings)
    told = f", {shared} part of another's training" if shared else ""
    number = len(plan.hypotheses)
    stated = f", {counted(number, 'hypothesis', 'hypotheses')}" if number else ""
    estimate = f", about {format_seconds(wall)} on {counted(workers, 'worker')}"
    say(
        f"{counted(len(found), 'run')}, {len(trainings)} to train{told}"
        f"{estimate if trainings else ''}{stated}"
    )


def warn_of_unanswerable(plan: Plan) -> None:
    """Say which hypotheses --set has taken the ground from."""
    if plan.unanswerable:
        first = plan.unanswerable[0]
        number = len(plan.unanswerable)
        told = f"{number} hypotheses are" if number > 1 else "a hypothesis is"
        warn(f"{told} left out, because --set takes away what they are about: {first}")


def show_best(rows: Sequence[dict[str, Any]]) -> None:
    """Print the experiments of highest mean accuracy, on a terminal only: it isn't the data."""
    target = console(stderr=True)
    if not target.is_terminal:
        return
    experiments = to_study(Summary(list(rows)), []).scored.values()
    sets = best_by_images(experiments, "accuracy")
    for ranked in sets:
        if len(sets) > 1:
            target.print(f"scored on {images_of(ranked[0])}")
        target.print(_best_table(ranked[:BEST_SHOWN]))


def _best_table(ranked: Sequence[Repeated]) -> Table:
    is_repeated = any(len(one.runs) > 1 for one in ranked)
    columns = ("experiment", "seeds") if is_repeated else ("run",)
    table = Table(*columns, "accuracy", "valid loss", "train loss", box=None, pad_edge=False)
    for one in ranked:
        name = one.name if is_repeated else next(iter(one.runs.values()))["run"]
        seeds = [str(len(one.runs))] if is_repeated else []
        losses = (one.mean(metric) for metric in ("valid_loss", "train_loss"))
        cells = ("" if loss is None else f"{loss:.4f}" for loss in losses)
        table.add_row(printable(name), *seeds, f"{one.mean('accuracy'):.2%}", *cells)
    return table


def show_run(run: Run, *, json: bool) -> None:
    """Print everything that is known of a run."""
    if json:
        print(run.model_dump_json(indent=2))
        return
    print(printable(f"{run.experiment.run_name}: {describe_run(run)}"))
    for title, values in (("settings", _flat_settings(run.experiment)), ("software", run.software)):
        print(f"\n{title}")
        for name, value in values.items():
            print(printable(f"  {name:15} {value}"))
    if run.history:
        columns = ("epoch", "train loss", "valid loss", "accuracy", "images seen", "seconds")
        table = Table(*columns, box=None, pad_edge=False)
        for record in run.history:
            losses = (f"{record.train_loss:.4f}", f"{record.valid_loss:.4f}")
            seen = f"{record.images_seen:,}"
            cells = (*losses, f"{record.accuracy:.2%}", seen, f"{record.seconds:.2f}")
            table.add_row(str(record.epoch), *cells)
        print()
        put(table)
    if run.test_accuracy is not None:
        print(f"\ntest images: {run.test_accuracy:.2%} right, loss {run.test_loss:.4f}")
    if run.failure:
        told = run.failure.traceback or run.failure.message
        print("", *map(printable, told.splitlines()), sep="\n")


def find_run(name: str, store: Store) -> Run:
    """Return the run of this name, or in this folder. Raises `InputError` if there is none."""
    folder = Path(name).absolute()
    if folder.is_dir() and (Path(name).name != name or not store.folder(name).is_dir()):
        store, name = Store(folder.parent), folder.name
    path = store.results_file(name)
    if not path.is_file():
        unfinished = store.folder(name).is_dir()
        reason = "is not finished" if unfinished else f"no such run in {store.root}"
        status = command_line(["fmgrid", "status", str(store.root)])
        message = f"{reason}; {status} names them"
        raise InputError([Problem(Place(f"fmgrid show {name}"), "", message)])
    try:
        return read_results(path)
    except DamagedFileError as error:
        raise StoreError(str(error)) from error


def show_data(prepared: "Prepared", *, json: bool) -> None:
    """Print where a data set is, and how many images of each class it holds."""
    from fmgrid.data import DATASETS, class_counts

    counts = class_counts(prepared.folder)
    if json:
        where = {"folder": str(prepared.folder), "source": prepared.source}
        answer = {"dataset": prepared.dataset, **where, "counts": counts}
        print(json_format.dumps(answer, indent=2))
        return
    print(f"{prepared.dataset}: {DATASETS[prepared.dataset].description}")
    print(f"source   {prepared.source}")
    print(f"decoded  {prepared.folder}, checksums verified\n")
    table = Table("class", box=None, pad_edge=False)
    for split in counts:
        table.add_column(split, justify="right")
    for name in next(iter(counts.values())):
        table.add_row(name, *(f"{counts[split][name]:,}" for split in counts))
    table.add_row("all", *(f"{sum(counts[split].values()):,}" for split in counts))
    put(table)


def check_outputs(outputs: Mapping[str, Path | None]) -> None:
    """Refuse options that would write over each other, or over a folder. Raises `InputError`."""
    taken: dict[Path, str] = {}
    problems = []
    for option, path in outputs.items():
        if path is None:
            continue
        place = Place(f"{option} {path}")
        is_stdout = str(path) == "-"
        target = path if is_stdout else resolve(path)
        if target in taken:
            where = "stdout" if is_stdout else path
            message = f"{taken[target]} writes to {where}, too; name another file"
            problems.append(Problem(place, "", message))
        elif not is_stdout and target.is_dir():
            problems.append(Problem(place, "", "is a folder; name a file"))
        taken.setdefault(target, option)
    if problems:
        raise InputError(problems)


def resolve(path: Path) -> Path:
    """Return where a path leads in the end. Raises `StoreError` if that is back to itself."""
    # Not Path.resolve, which some versions of Python let fail and others don't.
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise StoreError(f"{path}: is a link that leads back to itself")
    return target


def put_csv(path: Path, csv: str, told: str) -> None:
    """Write a table to a file, and say what it is of, or to stdout where that is -."""
    if str(path) == "-":
        print(csv, end="")
    else:
        write(path, csv)
        say(f"{printable(str(path))}: {told}")


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all. Raises `StoreError` if that cannot be."""
    encoded = content.encode() if isinstance(content, str) else content
    target = resolve(path)  # where a link leads, which stays one
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():  # a device or a pipe, not to be replaced
            target.write_bytes(encoded)
            return
        write_whole(target, encoded)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _flat_settings(experiment: Experiment) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in experiment.model_dump(exclude={"name", "seed"}).items():
        if name == "optimizer_args":
            flat |= {f"{name}.{key}": str(argument) for key, argument in value.items()}
        elif name == "hidden_units":
            flat[name] = " ".join(map(str, value)) or "none"
        elif value is not None:
            flat[name] = str(value)
    return {**flat, "seed": str(experiment.seed)}
