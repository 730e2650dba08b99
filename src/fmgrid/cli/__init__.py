"""The command line: parse, call, print, exit codes. The only package that prints.

Data goes to stdout, talk to stderr. Heavy libraries are imported by what needs them, since
`fmgrid --help` and `fmgrid plan` should be there at once.
"""

import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from fmgrid import __version__
from fmgrid.cli.options import (
    DATA_DIR,
    FOLDER,
    JSON,
    LOGDIR,
    GridOptions,
    ListOptions,
    RemoveOptions,
    RunOptions,
    argument,
    option,
    takes,
)
from fmgrid.cli.output import (
    catch_signals,
    ignore_signals,
    open_closed_streams,
    print_json,
    report_errors,
    say,
    warn,
)
from fmgrid.errors import InputError
from fmgrid.words import first_few, printable


class _Commands(TyperGroup):
    """The commands, with exit codes, and help that names an argument GRID..., not {GRID} <Path>."""

    def invoke(self, ctx: Any) -> Any:
        with report_errors():
            return super().invoke(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command: Any = super().get_command(ctx, cmd_name)
        for parameter in command.params if command else ():
            if parameter.param_type_name == "argument":
                name = parameter.metavar + "..." * (parameter.nargs != 1)
                name = name if parameter.required else f"[{name}]"
                parameter.display_type_rich = lambda ctx: None  # noqa: ARG005
                parameter._usage_display_name = lambda name=name: name
        return command


app = typer.Typer(
    name="fmgrid",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; never returns."""
    try:
        with report_errors():
            catch_signals()
            open_closed_streams()
            app()
    finally:
        ignore_signals()  # the exit code is chosen, and a late Ctrl-C changes it no more


@app.callback(invoke_without_command=True)
def _root(
    version: bool = option("--version", "Print the version."),
) -> None:
    """Grid search over neural networks on the CPU: which settings matter, and which are noise."""
    if version:
        print(f"fmgrid {__version__}")
        raise typer.Exit


@app.command()
@takes(RunOptions)
def run(options: RunOptions) -> None:
    """Train the experiments of grids that have no results yet.

    A finished run is never trained again: after an interruption, the same command goes on.
    """
    from fmgrid.cli.planning import show_plan
    from fmgrid.search import Policy

    policy = Policy(options.replace, options.retry_failed)
    if options.dry_run:
        show_plan(options, policy)
        return
    from fmgrid.cli.running import run_and_show

    raise typer.Exit(run_and_show(options, policy, sys.argv[1:]).exit_code)


@app.command()
@takes(GridOptions)
def plan(options: GridOptions) -> None:
    """Show what run would train, and how long it would take."""
    from fmgrid.cli.planning import show_plan

    show_plan(options)


@app.command()
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
    from fmgrid.analysis import study
    from fmgrid.analysis.loading import read_grids
    from fmgrid.cli import showing
    from fmgrid.results import summary as tables

    showing.check_outputs({"-o": output, "--history": history, "--by-experiment": by_experiment})
    contents = tables.read_runs(logdir, with_history=history is not None)
    grids = read_grids(logdir, contents)
    warn(*contents.warnings)
    if contents.unfinished:
        say(f"left out, because unfinished: {first_few(contents.unfinished)}")
    rows = tables.to_rows(contents.runs, study.titles_by_name(grids))
    showing.write_csv(output, rows, tables.COLUMNS, "run")
    if str(output) != "-":
        showing.say_unseeded(contents.runs)
        showing.show_best(contents)
    if history is not None:
        epochs = tables.to_history_rows(contents.runs)
        showing.write_csv(history, epochs, tables.HISTORY_COLUMNS, "epoch")
    if by_experiment is not None:
        experiments = study.to_study(contents, grids)
        warn(*experiments.uncounted)
        rows = study.by_experiment(experiments)
        showing.write_csv(by_experiment, rows, study.COLUMNS, "experiment")


@app.command()
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
    metric: str | None = option(
        "--metric METRIC",
        "Rank by this metric: any of fmgrid's, or one that plain mltrainer logged, such as F1; "
        "F1:min ranks the least first. Default: accuracy, or valid_loss where no run has one.",
    ),
    open_it: bool = option("--open", "Open the report in the browser."),
    json: bool = JSON,
) -> None:
    """Write a report on which settings matter, and which don't."""
    from fmgrid.analysis.evidence import weigh
    from fmgrid.analysis.loading import find_ranking, load_study
    from fmgrid.cli.reporting import show_report
    from fmgrid.grid import load_plan
    from fmgrid.hypotheses.commands import report_command
    from fmgrid.reporting import read_reference
    from fmgrid.reporting.writing import write_report

    published = read_reference(reference) if reference else None
    records = load_plan(grids).records if grids else None
    study = load_study(logdir, records, warn)
    ranked = find_ranking(metric, study) if metric else None
    command = report_command(logdir, output, reference, grids, metric)
    written = write_report(weigh(study, published, ranked), logdir, output, command)
    show_report(written, json=json)
    if open_it:
        import webbrowser

        webbrowser.open(written.page.resolve().as_uri())


@app.command("list")
@takes(ListOptions)
def list_experiments(options: ListOptions) -> None:
    """List the experiments, best first, by their mean over seeds.

    ± is half of the 95 % interval. A configuration with several names is listed once.
    """
    from fmgrid.cli import listing

    if options.json and options.csv:
        raise InputError.at("--csv", "--json is given, too; write one of them")
    listing.list_experiments(options)


@app.command("diff", short_help="The same as compare.")
@app.command()
def compare(
    first: str = argument("FIRST", "An experiment or a run, by name or folder."),
    second: str = argument("SECOND", "The experiment or run to compare it with."),
    logdir: Path = LOGDIR,
    json: bool = JSON,
) -> None:
    """Compare two experiments, seed by seed.

    Single runs can be compared, too: NAME_s0 is the run of seed 0.
    """
    from fmgrid.analysis.loading import find_pair
    from fmgrid.cli.comparing import show_comparison

    show_comparison(*find_pair([first, second], logdir, warn), json=json)


@app.command()
def status(
    logdir: Path = FOLDER,
    json: bool = JSON,
) -> None:
    """Count runs by state, and name those not complete."""
    from fmgrid.cli.showing import find_unfinished
    from fmgrid.results.summary import read_runs

    contents = read_runs(logdir)
    states: dict[str, list[str]] = {}
    for run in contents.runs:
        states.setdefault(run.status or "unknown", []).append(run.folder)
    for name, state in find_unfinished(contents, logdir).items():
        states.setdefault(state, []).append(name)
    if json:
        print_json({"states": states, "warnings": contents.warnings})
        return
    warn(*contents.warnings)
    for state, names in sorted(states.items()):
        listed = "" if state == "complete" else first_few(names)
        print(printable(f"{state:12} {len(names):5}  {listed}".rstrip()))
    if not states:
        print("no runs")


@app.command()
def show(
    name: str = argument("RUN", "A run, by name or folder."),
    logdir: Path = LOGDIR,
    json: bool = JSON,
) -> None:
    """Show the settings, epochs and software of one run.

    The name of an experiment means its run of seed 0, and NAME_s1 that of seed 1.
    """
    from fmgrid.cli import finding, showing

    showing.show_run(finding.find_run(name, logdir), json=json)


@app.command()
@takes(RemoveOptions)
def remove(options: RemoveOptions) -> None:
    """Move runs out of the log folder, into .replaced/ in it.

    The name of an experiment means all of its runs, NAME_s0 the run of seed 0. Results that other
    runs share stay theirs. To undo it, move the folders back.
    """
    from fmgrid.cli.removing import remove_runs

    raise typer.Exit(remove_runs(options))


@app.command()
def data(
    dataset: str | None = argument(
        "DATASET",
        "The data set to prepare: a name such as digits, or your own images.npz, images/ or "
        "package.module:function.",
        None,
    ),
    data_dir: Path | None = DATA_DIR,
    arguments: list[str] | None = option(
        "--set ARGUMENT=VALUE",
        "Give your own data an argument, such as dataset_args.size=[32,32] (repeatable).",
    ),
    dry_run: bool = option("--dry-run", "Describe the data set, without preparing it."),
    json: bool = JSON,
) -> None:
    """List the data sets, or prepare one and describe it.

    It is found or downloaded, and verified. fmgrid run prepares by itself what its grids need.
    """
    from fmgrid.cli import preparing
    from fmgrid.data.own import form_of

    if dataset and form_of(dataset):
        if data_dir or dry_run:
            problem = "your own data are read to be described; leave it out"
            raise InputError.at("--data-dir" if data_dir else "--dry-run", problem)
        preparing.describe_own_data(dataset, arguments or (), json=json)
        return
    if arguments:
        problem = 'only a folder, as in "images/", and a function take arguments; leave it out'
        raise InputError.at(f"--set {printable(arguments[0], 80)}", problem)
    if data_dir and (dry_run or dataset is None):
        problem = "nothing is prepared without a data set, or with --dry-run; leave it out"
        raise InputError.at(f"--data-dir {data_dir}", problem)
    if dataset is None:
        preparing.list_data(json=json)
    elif dry_run:
        preparing.describe_data(dataset, json=json)
    else:
        preparing.prepare_data(dataset, data_dir, json=json)
