"""The command line: parse, call, print, exit codes. The only package that prints.

Data goes to stdout, talk to stderr. Heavy libraries are imported by what needs them, since
`fmgrid --help` and `fmgrid plan` should be there at once.
"""

import sys
from pathlib import Path
from typing import Any

import typer

from fmgrid import __version__
from fmgrid.cli.interrupts import deafen, stoppable
from fmgrid.cli.options import (
    DATA_DIR,
    FOLDER,
    FOLDER_OR_DEFAULT,
    JSON,
    LOGDIR,
    PlanOptions,
    RunOptions,
    argument,
    asked_by,
    option,
    report_command,
    takes,
)
from fmgrid.cli.output import (
    INTERRUPTED,
    REFUSALS,
    open_closed_streams,
    put_json,
    refuse,
    reported,
    say,
    warn,
)
from fmgrid.errors import InputError, Place, Problem
from fmgrid.words import counted, first_few, printable

app = typer.Typer(
    name="fmgrid",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; never returns."""
    with stoppable():
        try:
            open_closed_streams()
            _with_plain_arguments(typer.main.get_command(app))()
        except KeyboardInterrupt:  # these two where no command is there to report them
            sys.exit(INTERRUPTED)
        except REFUSALS as error:
            sys.exit(refuse(error))
        finally:
            deafen()  # the exit code is chosen, and a late Ctrl-C changes it no more


def _with_plain_arguments(group: Any) -> Any:
    """Return the commands, whose help shows an argument by its name: GRID..., not {GRID} <Path>."""
    for command in group.commands.values():
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                name = parameter.metavar + "..." * (parameter.nargs != 1)
                name = name if parameter.required else f"[{name}]"
                parameter.display_type_rich = lambda ctx: None  # noqa: ARG005
                parameter._usage_display_name = lambda name=name: name
    return group


@app.callback(invoke_without_command=True)
def _root(
    version: bool = option("--version", "Print the version."),
) -> None:
    """Grid search over an MLP on Fashion-MNIST: which settings matter, and which are noise."""
    if version:
        print(f"fmgrid {__version__}")
        raise typer.Exit


@app.command()
@reported
@takes(RunOptions)
def run(options: RunOptions) -> None:
    """Train the experiments of grids that have no results yet.

    A finished run is never trained again: after an interruption, the same command goes on.
    """
    from fmgrid.cli import running, showing
    from fmgrid.results.store import Store
    from fmgrid.search import Policy

    planned, store = options.load(), Store(options.logdir)
    workers = options.count_workers()
    policy = Policy(options.replace, options.retry_failed)
    if options.dry_run:
        showing.show_plan(planned, store, workers, policy, json=options.json)
        return
    if options.timeout_seconds and not workers:
        problem = "cannot be kept with -j 0, where nobody could end the training; use -j 1"
        raise InputError([Problem(Place(f"--timeout {options.timeout}"), "", problem)])
    raise typer.Exit(running.run_grids(planned, store, workers, policy, options))


@app.command()
@reported
@takes(PlanOptions)
def plan(options: PlanOptions) -> None:
    """Show what run would train, and how long it would take."""
    from fmgrid.cli import showing
    from fmgrid.results.store import Store

    planned, store = options.load(), Store(options.logdir)
    showing.show_plan(planned, store, options.count_workers(), json=options.json)


@app.command()
@reported
def summarize(
    logdir: Path = FOLDER,
    output: Path = option(
        "-o, --output CSV",
        "The file to write the table to; - is stdout.",
        Path("experiment_summary.csv"),
    ),
    history: Path | None = option(
        "--history CSV", "Also write a table with a row for every epoch."
    ),
    by_experiment: Path | None = option(
        "--by-experiment CSV", "Also write a table of means over seeds, with 95 % intervals."
    ),
) -> None:
    """Write a CSV table of all runs with their settings and metrics."""
    from fmgrid.cli import showing
    from fmgrid.results import summary as tables

    showing.check_outputs({"-o": output, "--history": history, "--by-experiment": by_experiment})
    contents = tables.read_runs(logdir, with_history=history is not None)
    for warning in contents.warnings:
        warn(warning)
    if contents.unfinished:
        say(f"left out, because unfinished: {first_few(contents.unfinished)}")
    csv = tables.to_csv(tables.to_rows(contents.runs))
    showing.put_csv(output, csv, counted(len(contents.runs), "run"))
    if str(output) != "-":
        showing.show_best(contents)
    if history is not None:
        rows = tables.to_history_rows(contents.runs)
        csv = tables.to_csv(rows, tables.HISTORY_COLUMNS)
        showing.put_csv(history, csv, counted(len(rows), "epoch"))
    if by_experiment is not None:
        from fmgrid.analysis import study

        experiments = study.to_study(contents, [])
        for text in experiments.uncounted:
            warn(text)
        rows = study.by_experiment(experiments)
        csv = tables.to_csv(rows, study.COLUMNS)
        showing.put_csv(by_experiment, csv, counted(len(rows), "experiment"))


@app.command()
@reported
def report(
    logdir: Path = FOLDER,
    output: Path = option(
        "-o, --output FOLDER",
        "The folder of the report; an older report in it is replaced.",
        Path("report"),
    ),
    reference: Path | None = option(
        "--reference CSV", "Compare the results with the published figures in this table."
    ),
    grids: list[Path] | None = option(
        "--grid GRID",
        "Take groups and hypotheses from these grids, not from the record of the runs.",
    ),
    open_it: bool = option("--open", "Open the report in the browser."),
    json: bool = JSON,
) -> None:
    """Write a report on which settings matter, and which don't."""
    from fmgrid.cli import reporting
    from fmgrid.report import read_reference

    published = read_reference(reference) if reference else None
    asked = asked_by(grids) if grids else None
    study = reporting.load_study(logdir, asked)
    command = report_command(logdir, output, reference, grids)
    evidence, files = reporting.write_report(study, published, logdir, output, command)
    reporting.tell_report(evidence, files, json=json)
    if open_it:
        import webbrowser

        webbrowser.open(files[-1].resolve().as_uri())


@app.command()
@reported
def compare(
    first: str = argument("FIRST", "An experiment or a run, by name or folder."),
    second: str = argument("SECOND", "The experiment or run to compare it with."),
    logdir: Path = LOGDIR,
    json: bool = JSON,
) -> None:
    """Compare two experiments, seed by seed.

    Single runs can be compared, too: NAME_s0 is the run of seed 0.
    """
    from fmgrid.cli import comparing

    one, other = comparing.find_repeated([first, second], logdir)
    comparing.show_comparison(one, other, json=json)


@app.command()
@reported
def status(
    logdir: Path = FOLDER_OR_DEFAULT,
    json: bool = JSON,
) -> None:
    """Count runs by state, and name those not complete."""
    from fmgrid.results.store import Store
    from fmgrid.results.summary import read_runs

    contents = read_runs(logdir)
    states: dict[str, list[str]] = {}
    for run in contents.runs:
        states.setdefault(run.status or "unknown", []).append(run.folder)
    # Each log folder below this one has a lock of its own.
    folders = {logdir, *((logdir / name).parent for name in contents.unfinished)}
    locked = {folder for folder in folders if contents.unfinished and Store(folder).is_locked()}
    for name in contents.unfinished:
        is_running = not locked.isdisjoint([logdir, (logdir / name).parent])
        states.setdefault("running" if is_running else "interrupted", []).append(name)
    if json:
        put_json({"states": states, "warnings": contents.warnings})
        return
    for warning in contents.warnings:
        warn(warning)
    for state, names in sorted(states.items()):
        named = "" if state == "complete" else first_few(names)
        print(printable(f"{state:12} {len(names):5}  {named}".rstrip()))
    if not states:
        print("no runs")


@app.command()
@reported
def show(
    name: str = argument("RUN", "A run, by name or folder."),
    logdir: Path = LOGDIR,
    json: bool = JSON,
) -> None:
    """Show the settings, epochs and software of one run."""
    from fmgrid.cli import showing
    from fmgrid.results.store import Store

    showing.show_run(showing.find_run(name, Store(logdir)), json=json)


@app.command()
@reported
def data(
    dataset: str = argument(
        "DATASET", "The data set: fashion-mnist or fashion-mnist-sample.", "fashion-mnist"
    ),
    data_dir: Path | None = DATA_DIR,
    json: bool = JSON,
) -> None:
    """Find or download a data set, verify it, and describe it."""
    from fmgrid.cli import showing
    from fmgrid.data.cache import prepare
    from fmgrid.data.catalogue import DATASETS

    if dataset not in DATASETS:
        problem = f"no such data set; there are {' and '.join(DATASETS)}"
        raise InputError([Problem(Place(f"fmgrid data {dataset}"), "", problem)])
    showing.show_data(prepare(dataset, data_dir, say), json=json)
