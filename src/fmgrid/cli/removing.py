"""`fmgrid remove`: runs leave a log folder, and stay in its folder of replaced ones.

Nothing is deleted, and nothing but folders of fmgrid's own runs is moved.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from fmgrid.analysis.loading import hint_at
from fmgrid.cli.finding import split_name
from fmgrid.cli.options import RemoveOptions
from fmgrid.cli.output import INTERRUPTED, ignore_signals, print_json, say, warn
from fmgrid.errors import InputError, Place, Problem
from fmgrid.hypotheses.registry import read_records
from fmgrid.results.store import ASIDE, Store
from fmgrid.results.summary import Contents, StoredRun, natural_order, read_runs
from fmgrid.words import counted, first_few


@dataclass(frozen=True)
class Choice:
    """The runs that are to go, and those that stay though they share a training with them."""

    leaving: Sequence[StoredRun]
    sharing: Sequence[StoredRun]


def remove_runs(options: RemoveOptions) -> int:
    """Move the runs that the options choose out of the way; return the exit code.

    Raises `InputError` for a pattern that matches nothing, and where nobody can be asked;
    `StoreError` if another fmgrid is writing into the folder.
    """
    choice, store = _choose(options), Store(options.logdir)
    moved: dict[str, str] = {}
    names = [run.folder for run in choice.leaving]
    with store.locked():
        if names and not (options.yes or _is_agreed(choice, store.root / ASIDE)):
            say("nothing was moved")
            return 0
        try:
            for name in names:
                moved[name] = str(store.set_aside(name))
        except KeyboardInterrupt:
            done = f"{len(moved):,} of {counted(len(names), 'run')} moved"
            say(f"interrupted; {done}, the same command moves the rest")
            ignore_signals()
            return INTERRUPTED
    if options.json:
        print_json({"removed": moved, "sharing": [run.folder for run in choice.sharing]})
    moved_to = f"{counted(len(moved), 'run')} moved to {store.root / ASIDE}"
    say(moved_to if moved else "nothing to move")
    return 0


def _choose(options: RemoveOptions) -> Choice:
    """Return the runs of the log folder itself that match, in natural order."""
    if not (options.patterns or options.gone):
        message = "name runs or experiments, as in 'units_512_*', or write --gone"
        raise InputError.at("fmgrid remove", message)
    contents = read_runs(options.logdir)
    warn(*contents.warnings)
    named = _read_named(options.logdir) if options.gone else frozenset()
    runs = _own_runs(contents, options.logdir, named)
    leaving = [run for run in runs if run.name not in named] if options.gone else runs
    if options.patterns:
        aside = Store(options.logdir).names_aside()
        _check_patterns(options.patterns, runs, [_unfinished(name, named) for name in aside])
        leaving = [run for run in leaving if any(_matches(run, text) for text in options.patterns)]
    names = {run.folder for run in leaving}
    sharing = [run for run in runs if run.trained_as in names and run.folder not in names]
    return Choice(leaving, sharing)


def _read_named(logdir: Path) -> frozenset[str]:
    """Return the experiments that the recorded grids ask for. Raises `InputError` if that is open.

    Every run would be one that no grid asks for where no record can be read.
    """
    records, unread = read_records(logdir)
    names = frozenset(name for record in records for name in record.names)
    if unread:
        raise InputError.at("--gone", f"{unread[0]}; until then, name the runs")
    if not names:
        raise InputError.at("--gone", f"{logdir} has no record of a grid; name the runs")
    return names


def _own_runs(contents: Contents, logdir: Path, named: Collection[str]) -> list[StoredRun]:
    """Return fmgrid's runs in the log folder itself, without those in folders below and in links.

    Plain mltrainer knows no seeds.
    """
    runs = [run for run in contents.runs if run.seed is not None]
    known = {*named, *(run.name for run in runs)}
    runs += [_unfinished(name, known) for name in (*contents.unfinished, *contents.damaged)]
    own = [run for run in runs if _is_own_folder(logdir, run.folder)]
    return sorted(own, key=lambda run: natural_order(run.folder))


def _is_own_folder(logdir: Path, name: str) -> bool:
    path = logdir / name
    return path.parent == logdir and path.is_dir() and not path.is_symlink()


def _unfinished(folder: str, experiments: Collection[str]) -> StoredRun:
    """Return a run of which the name of its folder is known."""
    name, seed = split_name(folder, experiments)
    return StoredRun(name, folder, {}, {}, seed, status="interrupted", folder=folder)


def _matches(run: StoredRun, pattern: str) -> bool:
    names = {run.name, run.run, run.folder, f"{run.name}_s{run.seed}"}
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for name in names)


def _check_patterns(
    patterns: Sequence[str], runs: Sequence[StoredRun], aside: Sequence[StoredRun]
) -> None:
    """Refuse patterns that match no run, not even one that was moved before."""
    problems = [
        Problem(
            Place(f"fmgrid remove {pattern}"),
            "",
            f"no run or experiment has this name; {hint_at(pattern, runs)}",
        )
        for pattern in patterns
        if not any(_matches(run, pattern) for run in (*runs, *aside))
    ]
    if problems:
        raise InputError(problems)


def _is_agreed(choice: Choice, aside: Path) -> bool:
    """Say what would go, and ask whether it shall. Raises `InputError` where nobody can answer."""
    number, names = counted(len(choice.leaving), "run"), [run.folder for run in choice.leaving]
    say(f"{number} would move to {aside}: {first_few(names)}")
    if choice.sharing:
        say(f"{counted(len(choice.sharing), 'other run')} with the same training: valid as before")
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        message = f"there is no terminal to ask on; write --yes to move {number}"
        raise InputError.at("fmgrid remove", message)
    print("move? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.buffer.readline().strip().lower() in (b"y", b"yes")
