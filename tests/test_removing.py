"""`fmgrid remove`: what goes, what stays, who is asked, and what an interruption leaves."""

import json
import os
import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from command import QUICK, Call, fmgrid, start_in_terminal, write
from fmgrid.cli.options import RemoveOptions
from fmgrid.cli.removing import remove_runs
from fmgrid.experiment import Experiment
from fmgrid.hypotheses.registry import GridRecord, write_records
from fmgrid.results.results_file import read_results
from fmgrid.results.store import Store
from fmgrid.results.summary import read_runs
from made_up_runs import make_run
from test_crash_points import survives

pytestmark = pytest.mark.usefixtures("elsewhere")

LOGS = Path("modellogs")


def save(name: str, *seeds: int, root: Path = LOGS, **outcome: Any) -> None:
    for seed in seeds or (0,):
        experiment = Experiment(name=name, seed=seed)
        Store(root).begin(experiment.run_name)
        Store(root).save(make_run(experiment, **outcome))


@pytest.fixture
def logs(elsewhere: None) -> Path:  # noqa: ARG001 - the folder in which it stands
    """Three experiments, and runs of others that never ended or were damaged."""
    save("few", 0, 1, 2)
    save("fewer", 0)
    save("late", 3, 4)
    Store(LOGS).begin("begun_s1")
    save("broken", 0)
    results = Store(LOGS).results_file("broken")
    results.write_bytes(results.read_bytes().replace(b"accuracy", b"Accuracy"))
    return LOGS


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder but the lock, by its path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".fmgrid.lock"
    }


def remaining() -> set[str]:
    return {path.name for path in LOGS.iterdir() if not path.name.startswith(".")}


def aside() -> set[str]:
    folder = LOGS / ".replaced"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


ALL = {"few", "few_s1", "few_s2", "fewer", "late_s3", "late_s4", "begun_s1", "broken"}


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(
    ("patterns", "leaving"),
    [
        (["few"], {"few", "few_s1", "few_s2"}),
        (["few_s0"], {"few"}),
        (["few_s1", "late_s4"], {"few_s1", "late_s4"}),
        (["*_s0"], {"few", "fewer", "begun_s0", "broken"} & ALL),
        (["few*"], {"few", "few_s1", "few_s2", "fewer"}),
        (["lat?"], {"late_s3", "late_s4"}),
        (["begun", "broken"], {"begun_s1", "broken"}),
        (["*"], ALL),
    ],
)
def test_names_and_patterns_mean_experiments_and_runs(
    patterns: list[str], leaving: set[str], call: Call
) -> None:
    assert call("remove", *patterns, "--yes")[0] == 0
    assert remaining() == ALL - leaving
    assert aside() == {f"{name}.1" for name in leaving}


def test_a_run_goes_whole_and_nothing_else_is_touched(logs: Path, call: Call) -> None:
    save("few", root=logs / "below")
    (logs / "few_mine").mkdir()
    (logs / "few_mine" / "notes.txt").write_text("mine")
    (logs / "few.txt").write_text("mine")
    (logs / "few_link").symlink_to(logs / "few_mine")
    (logs / "few" / "notes.txt").write_text("mine")
    before = contents(logs)
    assert call("remove", "few*", "--yes")[0] == 0
    gone = {
        name: text
        for name, text in before.items()
        if name.split("/")[0] in {"few", "few_s1", "few_s2", "fewer"}
    }
    expected = {name: text for name, text in before.items() if name not in gone}
    for name, text in gone.items():
        folder, file = name.split("/")
        expected[f".replaced/{folder}.1/{file.replace('tfevents', 'aside')}"] = text
    assert contents(logs) == expected
    assert (logs / "few_link").is_symlink()


@pytest.mark.usefixtures("logs")
def test_without_a_terminal_nothing_goes_unless_it_is_wanted(call: Call) -> None:
    code, out, err = call("remove", "few*")
    assert (code, out) == (2, "")
    assert err.splitlines()[1:] == [
        "4 runs would move to modellogs/.replaced: few, few_s1, few_s2, fewer",
        "fmgrid remove: there is no terminal to ask on; write --yes to move 4 runs",
        "1 mistake; nothing was done",
    ]
    assert remaining() == ALL


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(
    ("answer", "moves"), [("y", True), ("YES", True), ("n", False), ("", False), ("yep", False)]
)
def test_on_a_terminal_it_asks_and_does_nothing_by_default(answer: str, moves: bool) -> None:
    child, terminal = start_in_terminal("remove", "few")
    told = b""
    while b"move? [y/N] " not in told:
        told += os.read(terminal, 10_000)
    assert remaining() == ALL
    os.write(terminal, f"{answer}\n".encode())
    while chunk := read(terminal):
        told += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (b"3 runs moved to" in told, b"nothing was moved" in told) == (moves, not moves)
    assert (remaining() == ALL) is not moves


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 10_000)
    except OSError:  # it was closed
        return b""


@pytest.mark.usefixtures("logs")
def test_ctrl_c_at_the_question_moves_nothing() -> None:
    child, terminal = start_in_terminal("remove", "few")
    told = b""
    while b"move? [y/N] " not in told:
        told += os.read(terminal, 10_000)
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    os.close(terminal)
    assert remaining() == ALL


@pytest.mark.usefixtures("logs")
def test_where_another_command_writes_nothing_goes() -> None:
    with Store(LOGS).locked():
        done = fmgrid("remove", "few", "--yes")
    assert done.returncode == 3
    assert "another fmgrid run is writing here" in done.stderr
    assert remaining() == ALL


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "fmgrid remove: name runs or experiments, as in 'units_512_*', or write --gone"),
        (["fwe"], "fmgrid remove fwe: no run or experiment has this name; did you mean fewer?"),
        (["few", "zzz"], "remove zzz: no run or experiment has this name; there are begun, broken"),
        (["few_s7"], "did you mean few_s2?"),
        (["[f]ew"], "fmgrid remove [f]ew: no run or experiment has this name"),
        (["--gone"], "--gone: modellogs has no record of a grid; name the runs"),
        (["few", "--logdir", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_mistake_moves_nothing(words: Sequence[str], told: str, call: Call) -> None:
    code, out, err = call("remove", *words, "--yes")
    assert (code, out) == (2, "")
    assert told in err
    assert remaining() == ALL
    assert not aside()


@pytest.mark.usefixtures("logs")
def test_gone_takes_what_no_recorded_grid_asks_for(call: Call) -> None:
    for path, names in (("a.toml", ("few", "broken")), ("b.toml", ("late", "begun"))):
        write_records(LOGS, [GridRecord(path=path, names=names)])
    assert call("remove", "--gone", "--yes")[2].endswith("1 run moved to modellogs/.replaced\n")
    assert remaining() == ALL - {"fewer"}
    assert call("remove", "--gone")[2].endswith("nothing to move\n")
    write_records(LOGS, [GridRecord(path="a.toml", names=("broken",))])
    assert call("remove", "--gone", "*_s2", "--yes")[0] == 0
    assert remaining() == ALL - {"fewer", "few_s2"}


@pytest.mark.usefixtures("logs")
def test_gone_takes_nothing_where_a_record_cannot_be_read(call: Call) -> None:
    for path, name in (("a.toml", "few"), ("b.toml", "late")):
        write_records(LOGS, [GridRecord(path=path, names=(name,))])
    damaged = next((LOGS / ".grids").glob("a-*.toml"))
    damaged.write_text(damaged.read_text().replace("few", "fex"))
    code, _, err = call("remove", "--gone", "--yes")
    assert code == 2
    assert "its digest does not match" in err
    assert "until then, name the runs" in err
    assert remaining() == ALL


def test_results_that_others_share_stay_valid_and_it_is_said(call: Call) -> None:
    grid = write(f'{QUICK}[[point]]\nname = "long"\nepochs = 2\n[[point]]\nname = "short"\n')
    assert fmgrid("run", grid, "-j", "0").returncode == 0
    short = read_results(Store(LOGS).results_file("short"))
    assert short.trained_as == "long"
    assert "1 other run with the same training: valid as before" in call("remove", "long")[2]
    told = json.loads(call("remove", "long", "--yes", "--json")[1])
    assert told == {"removed": {"long": "modellogs/.replaced/long.1"}, "sharing": ["short"]}
    assert read_results(Store(LOGS).results_file("short")) == short
    assert read_results(LOGS / ".replaced" / "long.1" / "long_results.toml").status == "complete"
    states = json.loads(call("plan", grid, "--json")[1])["runs"]
    assert {one["run"]: one["state"] for one in states} == {"long": "pending", "short": "complete"}


@pytest.mark.usefixtures("logs")
def test_after_ctrl_c_the_same_command_moves_the_rest(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Store.set_aside

    def set_aside(store: Store, name: str) -> Path:
        if name == "few_s1":
            raise KeyboardInterrupt
        return original(store, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "set_aside", set_aside)
        code, out, err = call("remove", "few_s0", "few_s1", "late", "--yes")
    assert (code, out) == (130, "")
    assert err.splitlines()[1:] == [
        "interrupted; 1 of 4 runs moved, the same command moves the rest"
    ]
    assert aside() == {"few.1"}
    code, _, err = call("remove", "few_s0", "few_s1", "late", "--yes")
    assert code == 0
    assert err.endswith("\n3 runs moved to modellogs/.replaced\n")
    assert aside() == {"few.1", "few_s1.1", "late_s3.1", "late_s4.1"}
    assert call("remove", "few_s0", "--yes")[2].endswith("nothing to move\n")


@pytest.mark.parametrize("fault", ["a kill", "a power failure", "a full disk"])
def test_the_same_command_after_a_fault_at_any_step_has_moved_all(
    fault: str, tmp_path: Path
) -> None:
    def remove(root: Path) -> None:
        options = RemoveOptions(["few", "other_s1"], root, gone=False, yes=True, json=False)
        assert remove_runs(options) == 0

    step = 0
    for step in count(1):
        root = tmp_path / str(step)
        save("few", 0, 1, root=root)
        save("other", 0, 1, root=root)
        before = {run.run: run for run in read_runs(root).runs}
        ended = survives(remove, root, step, fault)
        remove(root)
        places = {path.name: path for path in (root / ".replaced").iterdir()}
        assert places.keys() == {"few.1", "few_s1.1", "other_s1.1"}
        for name, place in places.items():
            run = read_results(place / f"{name[:-2]}_results.toml")
            assert run.experiment.run_name == name[:-2]
            assert not list(place.glob("*tfevents*"))
        assert read_runs(root).runs == [before["other"]]
        shutil.rmtree(root)
        if ended:
            break
    assert step > 4  # or the steps were not seen
