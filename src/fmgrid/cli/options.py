"""The options that several commands share, with their meaning."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.models import OptionInfo

from fmgrid.cli.output import say
from fmgrid.errors import InputError
from fmgrid.system.disk import HomeError, expand_home
from fmgrid.system.memory import available_cores
from fmgrid.words import command_line, counted, parse_bytes, parse_seconds, printable

if TYPE_CHECKING:
    from fmgrid.execution.grids import Request
    from fmgrid.grid import Plan
    from fmgrid.hypotheses.commands import Command
    from fmgrid.search import Policy

T = TypeVar("T")
Q = TypeVar("Q", int, float)


def _read_path(text: str) -> Path:
    if not str(text):  # more often a variable that isn't set than the current folder
        raise typer.BadParameter("it is empty; name a file or a folder")
    try:
        return expand_home(str(text))
    except HomeError as error:
        raise typer.BadParameter(str(error)) from error


def _read_name(text: str) -> str:
    """Return a run's name as it is, and with ~ expanded the folder of a run."""
    return text if text and text[0] != "~" else str(_read_path(text))


# The parser of a value, by its form in the help
_PARSERS = {
    **dict.fromkeys(("FOLDER", "LOGDIR", "CSV", "GRID"), _read_path),
    **dict.fromkeys(("RUN", "FIRST", "SECOND"), _read_name),
}


def argument(form: str, text: str, default: object = ...) -> Any:
    """Return an argument of this form, such as "GRID", and its help."""
    return typer.Argument(default, metavar=form, help=text, parser=_PARSERS.get(form))


def option(form: str, text: str, default: object = None, **more: Any) -> Any:
    """Return an option as its help shows it: the form, such as "-j, --jobs N", and the text."""
    names = form.replace(", ", " ").split()
    if names[-1].startswith("-"):
        return typer.Option(False, *names, help=text)
    value = names.pop()
    parser = _PARSERS.get(value)
    return typer.Option(default, *names, metavar=value, help=text, parser=parser, **more)


_RUNS = "The folder that holds the runs."
_MODELLOGS = Path("modellogs")
FOLDER = argument("LOGDIR", _RUNS, _MODELLOGS)
LOGDIR = option("--logdir LOGDIR", _RUNS, _MODELLOGS)
DATA_DIR = option("--data-dir FOLDER", "Read the published files of data sets from this folder.")
JSON = option("--json", "Print JSON for scripts.")


@dataclass(frozen=True)
class GridOptions:
    """The options of plan and run."""

    grids: list[Path] = argument("GRID", "Grid files, or folders with *.toml files in them.")
    jobs: int | None = option(
        "-j, --jobs N",
        "Train in N worker processes of one thread each; default: one per core. "
        "0 trains in fmgrid's own process, where breakpoint() works.",
        min=0,
    )
    logdir: Path = LOGDIR
    overrides: list[str] | None = option(
        "--set SETTING=VALUE",
        "Set this setting in all experiments, whatever the grids say (repeatable).",
    )
    only: list[str] | None = option(
        "--only PATTERN",
        "Take only experiments whose name matches, such as 'units_512_*' (repeatable).",
    )
    seeds: str | None = option(
        "--seeds 0,1,2",
        "Run every experiment with these seeds, or such as 0-9, instead of those in the grids.",
    )
    max_runs: int | None = option(
        "--max-runs N", "Refuse grids of more than N runs; default: 10000.", min=1
    )
    json: bool = JSON

    def inform(self, text: str) -> None:
        """Say something."""
        say(text)

    def load(self) -> "Plan":
        """Return the experiments and hypotheses that these ask for. Raises `InputError`."""
        from fmgrid.components.own_data import Contents
        from fmgrid.grid import MAX_RUNS, load_plan
        from fmgrid.grid.reading import read_seeds

        return load_plan(
            self.grids,
            overrides=self.overrides or (),
            only=self.only or (),
            seeds=None if self.seeds is None else read_seeds(self.seeds),
            max_runs=self.max_runs or MAX_RUNS,
            contents=Contents(self.inform),
        )

    def count_workers(self) -> int:
        """Return the number of workers to start: one for each core, or fewer on request."""
        cores = available_cores()
        if self.jobs is not None and self.jobs > cores:
            # Each worker keeps a core busy: more of them would only take turns.
            say(f"-j {self.jobs}: running {counted(cores, 'worker')}, one for each core")
        return cores if self.jobs is None else min(self.jobs, cores)


@dataclass(frozen=True)
class RunOptions(GridOptions):
    """All options of run. Raises `InputError` for limits that are none, or cannot be kept."""

    json: bool = option("--json", "Print a line of JSON for each run that ends.")
    data_dir: Path | None = DATA_DIR
    replace: bool = option(
        "--replace", "Retrain runs whose settings changed; their old results move to .replaced/."
    )
    retry_failed: bool = option("--retry-failed", "Train only the runs that failed, again.")
    fail_fast: bool = option("--fail-fast", "Stop at the first failed run.")
    max_failures: int | None = option("--max-failures N", "Stop after N failed runs.", min=1)
    timeout: str | None = option(
        "--timeout 60s",
        "Kill a training that takes longer, and record it as timeout (60s, 5min, 2h).",
    )
    memory: str | None = option(
        "--memory 2GB",
        "Fail a training that allocates more; default: what the machine or container has.",
    )
    dry_run: bool = option("--dry-run", "Show the plan, and train nothing.")
    quiet: bool = option("--quiet, -q", "Print warnings and errors only.")

    def __post_init__(self) -> None:
        _ = self.limits()

    def inform(self, text: str) -> None:
        """Say something, but not with --quiet."""
        if not self.quiet:
            say(text)

    def limits(self) -> tuple[float | None, int | None]:
        """Return the seconds and the bytes that each training may take."""
        seconds = _parse_quantity("--timeout", self.timeout, parse_seconds, "60s, 5min or 2h")
        if seconds and self.jobs == 0:
            problem = "cannot be kept with -j 0, where nobody could end the training; use -j 1"
            raise InputError.at(f"--timeout {self.timeout}", problem)
        return seconds, _parse_quantity("--memory", self.memory, parse_bytes, "500MB or 2GB")

    def to_request(self, policy: "Policy", words: Sequence[str] = ()) -> "Request":
        """Return the work that these ask for; *words* are the command as it was typed."""
        from fmgrid.execution.grids import Request
        from fmgrid.results.store import Store

        seconds, memory = self.limits()
        command = self.to_command(words)
        return Request(
            plan=self.load(),
            store=Store(self.logdir),
            policy=policy,
            workers=self.count_workers(),
            seconds=seconds,
            memory=memory,
            max_failures=1 if self.fail_fast else self.max_failures,
            data_dir=self.data_dir,
            quiet=self.quiet,
            text=command.text if command else command_line(["fmgrid", *words]),
            command=command,
        )

    def to_command(self, words: Sequence[str] = ()) -> "Command | None":
        """Return the command as the values that its grids are noted with."""
        from fmgrid.grid.reading import read_seeds
        from fmgrid.hypotheses.commands import to_command

        typed = {Path(word): word for word in words if word}  # which may end in "/"
        text = command_line(["fmgrid", *words]) if words else ""
        grids = [typed.get(grid, str(grid)) for grid in self.grids]
        values = {
            option.param_decls[0]: getattr(self, entry.name)
            for entry in fields(self)
            if isinstance(option := entry.default, OptionInfo) and option.param_decls
            if entry.name not in _NOTED_APART
        }
        seeds = read_seeds(self.seeds) if self.seeds else ()
        return to_command(text, grids, self.logdir, values, seeds)


_NOTED_APART = {"logdir", "seeds", "dry_run"}


@dataclass(frozen=True)
class ListOptions:
    """The options of list."""

    logdir: Path = FOLDER
    sort: str | None = option(
        "--sort, --metric COLUMN",
        "Sort by this metric, setting or other column, metrics best first, F1:min the least first; "
        "default: accuracy, or valid_loss where no run has one.",
    )
    reverse: bool = option("--reverse", "Sort the other way round.")
    where: list[str] | None = option(
        "--where CONDITION",
        "List only experiments for which this holds, such as 'learning_rate = 0.001' or "
        "'epochs in [5, 10] and optimizer = \"SGD\"', or whose name matches, such as "
        "'units_512_*' (repeatable).",
    )
    columns: str | None = option(
        "--columns A,B",
        "Show these columns: any metric or setting, a part of one such as "
        "optimizer_args.momentum, n, seconds, incomplete, images, other_names.",
    )
    limit: int | None = option("--limit N", "Show the first N only; default: all.", min=1)
    json: bool = option("--json", "Print JSON for scripts, with all settings and metrics.")
    csv: bool = option("--csv", "Print CSV, with figures that are not rounded.")


@dataclass(frozen=True)
class RemoveOptions:
    """The options of remove."""

    patterns: list[str] | None = argument(
        "PATTERN", "Names of runs or experiments; * is any text, ? any letter.", None
    )
    logdir: Path = LOGDIR
    gone: bool = option(
        "--gone", "Take runs that no grid asks for any more, by the records of the log folder."
    )
    yes: bool = option("-y, --yes", "Move them without asking.")
    json: bool = JSON


def takes(options: Callable[..., T]) -> Callable[[Callable[[T], None]], Callable[..., None]]:
    """Let a command take the fields of a dataclass as its parameters."""

    def decorate(command: Callable[[T], None]) -> Callable[..., None]:
        @wraps(command)
        def wrapped(**values: Any) -> None:
            command(options(**values))

        wrapped.__signature__ = signature(options)  # type: ignore[attr-defined]
        return wrapped

    return decorate


def _parse_quantity(
    name: str, text: str | None, parse: Callable[[str], Q | None], examples: str
) -> Q | None:
    if text is None:
        return None
    if (quantity := parse(text)) is None:
        raise InputError.at(f"{name} {printable(text, 40)}", f"is not understood; write {examples}")
    return quantity
