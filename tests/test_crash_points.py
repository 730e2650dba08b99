"""A kill, a power failure, a full disk at every step of storing a grid; and the same once more.

A forked process runs the real runner and store, only the figures are made up, and is struck at
its n-th change of the disk, for n = 1, 2, ... until it survives. What counts is what is found
then, and what the table says after one undisturbed run.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fmgrid.errors import StoreError
from fmgrid.execution import grids
from fmgrid.experiment import Experiment, Run
from fmgrid.results.results_file import read_results
from fmgrid.results.store import Store, find_folders
from fmgrid.results.summary import read_runs, to_csv, to_rows
from fmgrid.search import Policy, make_agenda
from made_up_grids import run_agenda, run_made_up
from made_up_runs import make_run

GRID = [
    Experiment(name="long", epochs=5),
    Experiment(name="short", epochs=2),  # the beginning of the long one
    Experiment(name="other", epochs=5, seed=1),
    Experiment(name="damaged", epochs=1, batch_size=32),
    Experiment(name="changed", epochs=1, batch_size=16),
]
BEFORE = [GRID[3], Experiment(name="changed", epochs=3, batch_size=16)]
REFUSED = 3
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.truncate", "shutil.copyfile"}


def begin(root: Path) -> None:
    """Make a folder in which one run is damaged, and one has other settings than the grid."""
    store = Store(root)
    run_made_up(BEFORE, store)
    results = store.results_file("damaged")
    results.write_bytes(results.read_bytes().replace(b"accuracy", b"Accuracy"))


def run_grid(root: Path) -> None:
    """Do what `fmgrid run --replace` does."""
    store = Store(root)
    with store.locked():
        store.check_room(len(GRID), 14)
        agenda = make_agenda(GRID, store, Policy(set_aside=True))
        grids.set_aside(agenda.set_aside, store, print)
        list(run_agenda(agenda, store))


def table(root: Path) -> str:
    return to_csv(to_rows(read_runs(root).runs))


class Disk:
    """Watches what this process does to the disk below a folder, and lets a fault strike it.

    That is just before its *step*-th change. Where the power fails, what was written and not yet
    flushed is lost by half. A disk that is full takes nothing any more from then on.
    """

    def __init__(self, step: int, root: Path, fault: str) -> None:
        self.step, self.root, self.fault = step, str(root), fault
        self.steps = count(1)
        self.unsaved: set[Path] = set()
        self.fsync = os.fsync
        self.is_over = False
        os.fsync = self.flush
        sys.addaudithook(self.watch)

    def watch(self, event: str, args: tuple[Any, ...]) -> None:
        if self.is_over or not args or not str(args[0]).startswith(self.root):
            return
        writes = event == "open" and args[2] & os.O_ACCMODE
        makes_room = event == "os.remove" and self.fault == "a full disk"
        if writes or (event in CHANGES and not makes_room):
            self.change()
        if writes:
            self.unsaved.add(Path(args[0]))

    def flush(self, descriptor: int) -> None:
        self.change()
        self.fsync(descriptor)
        self.unsaved.discard(Path(f"/proc/self/fd/{descriptor}").readlink())

    def change(self) -> None:
        if next(self.steps) < self.step:
            return
        if self.fault == "a full disk":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.is_over = True
        for path in self.unsaved if self.fault == "a power failure" else ():
            if path.is_file():
                os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


def survives(work: Callable[[Path], None], root: Path, step: int, fault: str) -> bool:
    """Do the work in a process that is struck at that step; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
            Disk(step, root, fault)
            work(root)
            code = 0
        except StoreError:
            code = REFUSED
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, REFUSED if fault == "a full disk" else -signal.SIGKILL)
    return code == 0


FAULTS = ["a kill", "a power failure", "a full disk"]


def test_a_folder_that_cannot_be_renamed_is_set_aside_whatever_happens_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in a lower layer of overlayfs cannot be renamed, and neither can other mounts'."""
    original = os.rename

    def rename(source: Path, target: Path) -> None:
        if Path(source).is_dir():
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source))
        original(source, target)

    monkeypatch.setattr(os, "rename", rename)
    changed = Experiment(name="changed", epochs=1)

    def set_aside(root: Path) -> None:
        store = Store(root)
        with store.locked():
            items = make_agenda([changed], store, Policy(set_aside=True)).set_aside
            grids.set_aside(items, store, print)

    for fault in FAULTS:
        for step in count(1):
            root = tmp_path / fault / str(step)
            store = Store(root)
            run_made_up(BEFORE[1:], store)
            (root / "changed" / "notes").mkdir()
            (root / "changed" / "notes" / "mine.txt").write_text("mine")
            events = next((root / "changed").glob("events.*")).name.replace("tfevents", "aside")
            ended = survives(set_aside, root, step, fault)
            set_aside(root)
            assert store.read("changed") is None
            places = list((root / ".replaced").iterdir())
            assert [place.name for place in places] == ["changed.1"]
            names = {path.name.replace("tfevents", "aside") for path in places[0].iterdir()}
            assert names == {"changed_results.toml", "run.log", "notes", events}
            assert read_results(places[0] / "changed_results.toml").experiment == BEFORE[1]
            assert (places[0] / "notes" / "mine.txt").read_text() == "mine"
            if ended:
                break
        assert step > 8  # or the steps were not seen


@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_command_after_a_fault_at_any_step_ends_complete(
    fault: str, tmp_path: Path
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
        ended = survives(run_grid, root, step, fault)
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
        assert len(find_folders(root).results) == len(GRID)
        if ended:
            break
    assert step > 60  # or the steps were not seen


@pytest.mark.parametrize("year", [1969, 2200])
def test_runs_from_any_time_make_the_same_table(year: int, tmp_path: Path) -> None:
    def train(experiment: Experiment) -> Run:
        return make_run(experiment, started=datetime(year, 1, 1, tzinfo=UTC))

    for name, made in (("then", train), ("now", make_run)):
        store = Store(tmp_path / name)
        run_made_up(GRID, store, made)
        assert {item.state for item in make_agenda(GRID, store).items} == {"complete"}
    assert table(tmp_path / "then") == table(tmp_path / "now")
