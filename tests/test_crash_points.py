"""A kill, or a power failure, at every step of storing a grid; and the same command afterwards.

A forked process runs the real runner and store, only the figures are made up, and dies at its
n-th change of the disk, for n = 1, 2, ... until it survives. What counts is what is found
then, and what the table says after one undisturbed run.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fmgrid.cli.running import Wishes, _made_ready
from fmgrid.executors import Task, Train
from fmgrid.records import Experiment, Run
from fmgrid.runner import run_all, survey
from fmgrid.store import Store, find_folders, read_results
from fmgrid.summary import summarize, to_csv, to_table
from made_up_runs import make_run

GRID = [
    Experiment(name="long", epochs=5),
    Experiment(name="short", epochs=2),  # the beginning of the long one
    Experiment(name="other", epochs=5, seed=1),
    Experiment(name="damaged", epochs=1, batch_size=32),
    Experiment(name="changed", epochs=1, batch_size=16),
]
BEFORE = [GRID[3], Experiment(name="changed", epochs=3, batch_size=16)]
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.truncate", "shutil.copyfile"}


class InTurn:
    """An executor that trains one after another, here and now."""

    running = ()

    def run(self, train: Train, tasks: Iterable[Task]) -> Iterator[Run]:
        for task in tasks:
            task.log.write_text("training")
            yield train(task.experiment)


def begin(root: Path) -> None:
    """Make a folder in which one run is damaged, and one has other settings than the grid."""
    store = Store(root)
    list(run_all(survey(BEFORE, store), store, InTurn(), make_run))
    results = store.results_file("damaged")
    results.write_bytes(results.read_bytes().replace(b"accuracy", b"Accuracy"))


def run_grid(root: Path) -> None:
    """Do what `fmgrid run --replace` does."""
    store = Store(root)
    with store.locked():
        store.check_room(len(GRID), 14)
        wishes = Wishes(1, set_aside=True, quiet=True)
        wanted = [_made_ready(item, store, wishes) for item in survey(GRID, store)]
        list(run_all(wanted, store, InTurn(), make_run))


def table(root: Path) -> str:
    return to_csv(to_table(summarize(root).rows))


def die_at(step: int, root: Path, *, power_fails: bool) -> None:
    """Let this process be killed just before the *step*-th thing that it does to the disk.

    Where the power fails, what was written and not yet flushed to the disk is lost by half.
    """
    steps = count(1)
    unsaved: set[str] = set()
    fsync = os.fsync
    dying = False

    def take_step() -> None:
        nonlocal dying
        if dying or next(steps) < step:
            return
        dying = True
        for path in unsaved if power_fails else ():
            if os.path.isfile(path):  # noqa: PTH113
                os.truncate(path, os.path.getsize(path) // 2)  # noqa: PTH202
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event in CHANGES and str(args[0]).startswith(str(root)):
            take_step()
        elif event == "open" and str(args[0]).startswith(str(root)) and args[2] & os.O_ACCMODE:
            take_step()
            unsaved.add(str(args[0]))

    def watched_fsync(descriptor: int) -> None:
        take_step()
        fsync(descriptor)
        unsaved.discard(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    os.fsync = watched_fsync
    sys.addaudithook(watch)


def survives(work: Callable[[Path], None], root: Path, step: int, *, power_fails: bool) -> bool:
    """Do the work in a process that dies at that step; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
            die_at(step, root, power_fails=power_fails)
            work(root)
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code == 0


@pytest.mark.parametrize("power_fails", [False, True], ids=["a kill", "a power failure"])
def test_the_same_command_after_a_death_at_any_step_ends_complete(
    power_fails: bool, tmp_path: Path
) -> None:
    begin(tmp_path / "undisturbed")
    run_grid(tmp_path / "undisturbed")
    expected = table(tmp_path / "undisturbed")
    assert expected.count("complete") == len(GRID)
    whole = {
        path.name: read_results(path)
        for path in (tmp_path / "undisturbed").glob("*/[!.]*_results.toml")
    }
    step = 0
    for step in count(1):
        root = tmp_path / str(step)
        begin(root)
        ended = survives(run_grid, root, step, power_fails=power_fails)
        finished = set()
        for path in root.glob("*/[!.]*_results.toml"):
            if path.parent.name not in ("damaged", "changed"):
                assert read_results(path) == whole[path.name]
                finished.add(path)
        before = {path: path.stat().st_mtime_ns for path in finished}
        run_grid(root)
        assert table(root) == expected
        assert {path: path.stat().st_mtime_ns for path in finished} == before
        assert not list(root.glob("*/.unfinished-*"))
        assert len(list(find_folders(root))) == len(GRID)
        if ended:
            break
    assert step > 60  # or the steps were not seen


@pytest.mark.parametrize("year", [1969, 2200])
def test_runs_from_any_time_make_the_same_table(year: int, tmp_path: Path) -> None:
    def train(experiment: Experiment) -> Run:
        return make_run(experiment, started=datetime(year, 1, 1, tzinfo=UTC))

    for name, made in (("then", train), ("now", make_run)):
        store = Store(tmp_path / name)
        list(run_all(survey(GRID, store), store, InTurn(), made))
        assert {item.state for item in survey(GRID, store)} == {"complete"}
    assert table(tmp_path / "then") == table(tmp_path / "now")
