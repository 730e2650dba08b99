"""What the other commands print: plans, runs, tables."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fmgrid.cli.output import console, put, put_json, say, warn
from fmgrid.cli.refusals import find_refusals
from fmgrid.cli.tables import put_rows, to_lines
from fmgrid.errors import DamagedFileError, InputError, Place, Problem, StoreError
from fmgrid.experiment import Experiment, Run
from fmgrid.grid import Plan
from fmgrid.hypotheses.commands import as_argument
from fmgrid.quantities import format_seconds
from fmgrid.results.results_file import read_results
from fmgrid.results.store import FOLDER_OF_GRIDS, NOT_THERE, Store, is_own_file
from fmgrid.search import AS_EVER, Agenda, Policy, decide, make_agenda
from fmgrid.settings import SETTINGS, show
from fmgrid.system.disk import write_whole
from fmgrid.training.costs import estimate_seconds, estimate_wall_seconds
from fmgrid.words import command_line, counted, printable

if TYPE_CHECKING:
    from fmgrid.analysis.experiments import ExperimentRuns
    from fmgrid.data.cache import Prepared
    from fmgrid.results.summary import Contents

BEST_SHOWN = 5
_LONGEST_HEADER = 100_000  # bytes
_FINISHED = "a finished run"  # in place of the name of a training


def show_plan(
    plan: Plan, store: Store, workers: int, policy: Policy = AS_EVER, *, json: bool
) -> None:
    """Print each run with the settings that tell it from the others, its state and cost.

    Raises `InputError` at the end, with everything that run would refuse.
    """
    warn_of_unanswerable(plan)
    experiments = [definition.experiment for definition in plan.definitions]
    agenda = make_agenda(experiments, store, policy)
    refusals = find_refusals(plan.definitions, agenda, store)
    costs = [estimate_seconds(experiment) for experiment in agenda.trainings]
    wall = estimate_wall_seconds(costs, max(1, min(workers, len(costs))))
    if json:
        totals = {"count": len(experiments), "to_train": len(costs), "estimated_seconds": wall}
        refused = {"refused": list(map(str, refusals))}
        put_json({**totals, "workers": workers, **_plan_to_json(plan, agenda), **refused})
    else:
        _put_plan(agenda)
        shared = len(agenda.wanted) - len(costs)
        hypotheses = counted(len(plan.hypotheses), "hypothesis", "hypotheses")
        where = f"on {counted(workers, 'worker')}" if workers else "in one process"
        parts = [f"{counted(len(experiments), 'run')}, {len(costs)} to train"]
        parts += [f"{shared} part of another's training"] if shared else []
        parts += [f"about {format_seconds(wall)} {where}"] if costs else []
        say(", ".join([*parts, *([hypotheses] if plan.hypotheses else [])]))
        if refusals:
            say(f"fmgrid run would refuse this, and train nothing{_instead(agenda, store)}:")
    if refusals:
        raise InputError(refusals)


def _plan_to_json(plan: Plan, agenda: Agenda) -> dict[str, Any]:
    trained = set(map(id, agenda.trainings))
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
        for definition, item in zip(plan.definitions, agenda.items, strict=True)
    ]
    hypotheses = [
        {name: getattr(stated, name) for name in ("claim", "expect", "metric", "place")}
        for stated in plan.hypotheses
    ]
    return {"runs": runs, "hypotheses": hypotheses}


def _put_plan(agenda: Agenda) -> None:
    leaders = {experiment.prefix_key: experiment.run_name for experiment in agenda.trainings}
    costs = {id(one): f"with {leaders.get(one.prefix_key, _FINISHED)}" for one in agenda.wanted}
    costs |= {id(one): f"{estimate_seconds(one):.1f}" for one in agenda.trainings}
    settings = [_flat_settings(item.experiment) for item in agenda.items]
    every = dict.fromkeys(name for flat in settings for name in flat)
    differing = [name for name in every if len({flat.get(name, "") for flat in settings}) > 1]
    rows = [
        [
            item.experiment.run_name,
            *(flat.get(name, "") for name in differing),
            *(item.state, costs.get(id(item.experiment), "")),
        ]
        for item, flat in zip(agenda.items, settings, strict=True)
    ]
    put_rows(("run", *differing, "state", "seconds"), rows, [row[0] for row in rows])


def _instead(agenda: Agenda, store: Store) -> str:
    """Return what run --replace would do, "" where it would not go on either."""
    states = {item.state for item in agenda.items}
    if agenda.policy != AS_EVER or "blocked" in states or not states & {"changed", "newer"}:
        return ""
    replacing = decide(agenda.items, store, Policy(set_aside=True))
    aside = counted(len(replacing.set_aside), "run")
    return f"; with --replace it would set {aside} aside and train {len(replacing.trainings)}"


def warn_of_unanswerable(plan: Plan) -> None:
    """Say which hypotheses --set has taken the ground from."""
    if plan.unanswerable:
        first = plan.unanswerable[0]
        number = len(plan.unanswerable)
        told = f"{number} hypotheses are" if number > 1 else "a hypothesis is"
        warn(f"{told} left out, because --set takes away what they are about: {first}")


def show_best(contents: "Contents") -> None:
    """Print the experiments of highest mean accuracy, on a terminal only: it isn't the data."""
    from fmgrid.analysis.experiments import best_by_images, images_of
    from fmgrid.analysis.study import to_study

    target = console(stderr=True)
    if not target.is_terminal:
        return
    sets = best_by_images(to_study(contents, []).configurations, "accuracy")
    for ranked in sets:
        if len(sets) > 1:
            target.print(f"scored on {images_of(ranked[0])}")
        target.print(_best_table(ranked[:BEST_SHOWN], target.width), soft_wrap=True)


def _best_table(ranked: "Sequence[ExperimentRuns]", width: int) -> Table | str:
    from fmgrid.cli.progress import name_of

    is_repeated = any(len(one.runs) > 1 for one in ranked)
    rows = []
    for one in ranked:
        losses = (one.mean(metric) for metric in ("valid_loss", "train_loss"))
        name = [one.name, str(len(one.runs))] if is_repeated else [name_of(one)]
        figures = ["" if loss is None else f"{loss:.4f}" for loss in losses]
        rows.append([*name, f"{one.mean('accuracy'):.2%}", *figures])
    first = ("experiment", "seeds") if is_repeated else ("run",)
    head = (*first, "accuracy", "valid loss", "train loss")
    return to_lines(head, rows, [row[0] for row in rows], width)


def show_run(run: Run, *, json: bool) -> None:
    """Print everything that is known of a run."""
    from fmgrid.cli.progress import describe_run

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
        rows = [
            [
                *(f"{record.epoch}", f"{record.train_loss:.4f}", f"{record.valid_loss:.4f}"),
                *(f"{record.accuracy:.2%}", f"{record.images_seen:,}", f"{record.seconds:.2f}"),
            ]
            for record in run.history
        ]
        print()
        put_rows(columns, rows)
    if run.test_accuracy is not None:
        print(f"\ntest images: {run.test_accuracy:.2%} right, loss {run.test_loss:.4f}")
    if run.failure:
        told = run.failure.traceback or run.failure.message
        print("", *map(printable, told.splitlines()), sep="\n")


def find_run(name: str, store: Store) -> Run:
    """Return the run of this name, or in this folder. Raises `InputError` if there is none."""
    folder = _folder_of(name, store)
    path = Store(folder.parent).results_file(folder.name)
    missing = "is not finished"
    try:
        if path.name in os.listdir(folder):  # noqa: PTH208
            return read_results(path)
    except DamagedFileError as error:
        raise StoreError(str(error)) from error
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise StoreError(f"{folder}: cannot be listed: {error.strerror}") from error
        missing = f"no such run in {folder.parent}"
    status = command_line(["fmgrid", "status", as_argument(folder.parent)])
    raise InputError([Problem(Place(f"fmgrid show {name}"), "", f"{missing}; {status} names them")])


def _folder_of(name: str, store: Store) -> Path:
    """Return the folder of a run that is called by its name or its path."""
    # Not Path.is_dir, which raises where it may not look.
    folder = store.folder(name)
    is_path = Path(name).name != name or not os.path.isdir(folder)  # noqa: PTH112
    if is_path and os.path.isdir(name):  # noqa: PTH112
        folder = Path(os.path.abspath(name))  # noqa: PTH100 - without "." and "..", unlike pathlib's
    # Results have the name of the folder itself, whatever a link to it is called.
    return Path(os.path.realpath(folder)) if os.path.islink(folder) else folder  # noqa: PTH114


def show_data(prepared: "Prepared", *, json: bool) -> None:
    """Print where a data set is, and how many images of each class it holds."""
    from fmgrid.data.batches import class_counts
    from fmgrid.data.catalogue import DATASETS

    info = DATASETS[prepared.dataset]
    counts = class_counts(prepared.folder, info.classes)
    if json:
        where = {"folder": str(prepared.folder), "source": prepared.source}
        put_json({"dataset": prepared.dataset, **where, "counts": counts})
        return
    print(f"{prepared.dataset}: {info.description}")
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
    """Refuse options that would write over each other, or over what is not fmgrid's own table.

    Raises `InputError`; `StoreError` where that cannot be told.
    """
    taken: dict[Path, str] = {}
    problems = []
    for option, path in outputs.items():
        if path is None:
            continue
        is_stdout = str(path) == "-"
        target = path if is_stdout else resolve(path)
        if target in taken:
            where = "stdout" if is_stdout else path
            objection = f"{taken[target]} writes to {where}, too; name another file"
        else:
            objection = "" if is_stdout else _objection_to_target(target)
            taken[target] = option
        if objection:
            problems.append(Problem(Place(f"{option} {path}"), "", objection))
    if problems:
        raise InputError(problems)


def _objection_to_target(target: Path) -> str:
    """Return why a table must not be written to this path, which is no link; "" if it may be."""
    try:
        if target.is_dir():
            return "is a folder; name a file"
        if is_own_file(target) or target.parent.name == FOLDER_OF_GRIDS:
            return "is the name of a file in a log folder; name another file"
        if target.is_file() and not _may_be_replaced(target):  # a device or a pipe loses nothing
            return "was not written by fmgrid summarize, and would be lost; name another file"
    except OSError as error:
        raise StoreError(f"{target}: cannot be read: {error.strerror}") from error
    return ""


def _may_be_replaced(file: Path) -> bool:
    """Return whether a file is empty, or a table that summarize wrote."""
    from fmgrid.analysis.study import is_header_of_table

    with file.open("rb") as stream:
        line = stream.readline(_LONGEST_HEADER)
    return not line or is_header_of_table(line.decode(errors="replace"))


def resolve(path: Path) -> Path:
    """Return where a path leads in the end. Raises `StoreError` if that is back to itself."""
    # Not Path.resolve, which some versions of Python let fail and others don't.
    target = Path(os.path.realpath(path))
    if os.path.islink(target):  # noqa: PTH114 - Path.is_symlink raises where it may not look
        raise StoreError(f"{path}: is a link that leads back to itself")
    return target


def put_csv(path: Path, csv: str, told: str) -> None:
    """Write a table to a file, and say what it is of, or to stdout where that is -."""
    if str(path) == "-":
        print(csv, end="")
    else:
        write(path, csv)
        say(f"{printable(str(path))}: {told}")


def write(path: Path, content: str) -> None:
    """Write a file whole or not at all. Raises `StoreError` if that cannot be."""
    target = resolve(path)  # where a link leads, which stays one
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A device or a pipe is not to be replaced. Only /dev/stdout itself leads to a pipe: its
        # target is no path.
        if path.exists() and not path.is_file():
            path.write_bytes(content.encode())
        else:
            write_whole(target, content.encode())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def _flat_settings(experiment: Experiment) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, setting in SETTINGS.items():
        value = getattr(experiment, name)
        if setting.is_table:
            flat |= {f"{name}.{key}": str(argument) for key, argument in value.items()}
        elif isinstance(value, tuple):
            flat[name] = show(value)
        elif value is not None:
            flat[name] = str(value)
    return {**flat, "seed": str(experiment.seed)}
