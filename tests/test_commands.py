"""Commands that a report shows, taken to another folder: they mean the same runs there."""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from fmgrid.analysis.loading import load_study
from fmgrid.cli import app
from fmgrid.cli.finding import find_run
from fmgrid.cli.options import RunOptions
from fmgrid.errors import InputError
from fmgrid.grid import load_plan
from fmgrid.hypotheses.commands import as_argument
from fmgrid.hypotheses.registry import read_records, write_records
from fmgrid.pages.document import Code
from fmgrid.reporting import weigh
from fmgrid.reporting.closing import next_section, reproduce_section
from fmgrid.results.store import Store
from fmgrid.words import command_line
from made_up_runs import make_record, make_run

SAMPLE = '[base]\ndataset = "fashion-mnist-sample"\ntrain_steps = 3\n'
SIZES = f'name = "b{{batch_size}}"\n{SAMPLE}[grid]\nbatch_size = [8, 124]\n'
WIDTHS = f'name = "w{{hidden_units}}"\n{SAMPLE}[grid]\nhidden_units = [[4], [8]]\n'

Run = Callable[[str], None]
Plan = Callable[[str], dict[str, str]]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder with grids above, in and below the folder `sub`, whose name holds a space."""
    for path, text in {
        "a b.toml": SIZES,
        "sub dir/gs/one.toml": SIZES,
        "sub dir/gs/two.toml": WIDTHS,
        "sub dir/-w.toml": WIDTHS,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


@pytest.fixture(autouse=True)
def _back_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go back, after each test, to the folder that it began in."""
    monkeypatch.chdir(Path.cwd())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Store what a command would train, and that it was typed in the current folder."""

    def run(line: str) -> None:
        words = shlex.split(line)
        monkeypatch.setattr(sys, "argv", words)
        context = get_command(app).commands["run"].make_context("run", words[2:])
        given = {name: None if value == () else value for name, value in context.params.items()}
        options = RunOptions(**given)
        logdir, plan = options.logdir, options.load()
        for definition in plan.definitions:
            experiment = definition.experiment
            seen = 3 * experiment.batch_size
            Store(logdir).begin(experiment.run_name)
            Store(logdir).save(
                make_run(
                    experiment,
                    history=tuple(
                        make_record(epoch, images_seen=seen * epoch)
                        for epoch in range(1, experiment.epochs + 1)
                    ),
                )
            )
        command = options.to_command(words[1:])
        assert command
        write_records(
            logdir, [record.with_command(command.text, command) for record in plan.records]
        )

    return run


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> Plan:
    def plan(line: str) -> dict[str, str]:
        capsys.readouterr()
        app([*shlex.split(line)[1:], "--dry-run", "--json"], standalone_mode=False)
        answer = json.loads(capsys.readouterr().out)
        return {one["run"]: one["state"] for one in answer["runs"]}

    return plan


def suggested(logdir: Path) -> list[str]:
    section = next_section(weigh(load_study(logdir)), logdir)
    items = [item for block in section.blocks if isinstance(block, list) for item in block]
    return [line for item in items for line in re.findall(r"`(fmgrid run [^`]*)`", item)]


def listed(logdir: Path) -> list[str]:
    section = reproduce_section(weigh(load_study(logdir)), "fmgrid report")
    (listing,) = [block for block in section.blocks if isinstance(block, Code)]
    return [line.removeprefix("$ ") for line in listing.text.splitlines()[:-1]]


TEN = {
    f"{name}{suffix}"
    for name in ("b8", "b124")
    for suffix in ["", *(f"_s{n}" for n in range(1, 10))]
}
CASES = {
    "up and beside": ("fmgrid run '../a b.toml' --logdir '../my logs'", "my logs"),
    "within the folder": ("fmgrid run gs/one.toml --logdir logs", "sub dir/logs"),
    "options before a folder": ("fmgrid run -j 1 gs/one.toml --logdir ../logs", "logs"),
    "an absolute grid": ("fmgrid run --logdir logs {top}/a\\ b.toml", "sub dir/logs"),
}


@pytest.mark.usefixtures("top")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("reported_in", ["", "sub dir", "elsewhere"])
def test_a_suggested_command_means_the_same_runs_wherever_the_report_is_made(
    case: tuple[str, str],
    reported_in: str,
    tmp_path: Path,
    run: Run,
    plan: Plan,
) -> None:
    (line, logdir), top = case, tmp_path
    os.chdir(top / "sub dir")
    run(line.format(top=shlex.quote(str(top))))
    (top / "elsewhere").mkdir()
    os.chdir(top / reported_in)
    shown = Path(os.path.relpath(top / logdir))
    seeds, images, held_out = suggested(shown)
    if reported_in == "elsewhere":  # where no path is left that is not absolute
        os.chdir("/")
    states = plan(seeds)
    assert states.keys() == TEN
    assert {name for name, state in states.items() if state == "complete"} == {"b8", "b124"}
    for other in (images, held_out):
        assert plan(other) == {"b8": "pending", "b124": "pending"}
    (before,) = listed(top / logdir)
    assert plan(before) == {"b8": "complete", "b124": "complete"}


def test_a_suggestion_for_one_grid_of_several_runs_no_other(
    top: Path, run: Run, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(top / "sub dir")
    run("fmgrid run -j 2 --set learning_rate=0.01 gs/ --logdir logs")
    run("fmgrid run gs/two.toml --set learning_rate=0.5 --set epochs=1 --logdir logs2")
    seeds, images, held_out = suggested(Path("logs"))
    assert seeds.startswith("fmgrid run gs/ -j 2 --set learning_rate=0.01 --seeds 0,1,2")
    assert plan(images).keys() == {"b8", "b124"}
    assert plan(held_out).keys() == {"b8", "b124", "w4", "w8"}


def test_grids_of_one_command_that_last_ran_otherwise_are_suggested_each_with_its_own(
    top: Path, run: Run, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(top / "sub dir")
    run("fmgrid run gs --logdir logs")
    run("fmgrid run gs/two.toml --timeout 60s --logdir logs")
    lines = [line for line in suggested(Path("logs")) if "--seeds" in line]
    assert [line.split(" --")[0] for line in lines] == [
        "fmgrid run gs/one.toml",
        "fmgrid run gs/two.toml",
    ]
    assert [len(plan(line)) for line in lines] == [20, 20]


def test_a_grid_whose_name_begins_as_an_option_does_can_be_run(
    top: Path, run: Run, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(top / "sub dir")
    run("fmgrid run --logdir logs -- -w.toml")
    for line in suggested(Path("logs")):
        assert plan(line)


def test_commands_follow_a_project_that_moves(
    top: Path, run: Run, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(top / "sub dir")
    run("fmgrid run gs/one.toml --logdir ../sub\\ dir/logs")
    monkeypatch.chdir(top)
    (top / "sub dir").rename(top / "moved")
    for line in suggested(top / "moved" / "logs"):
        assert str(top / "moved" / "gs" / "one.toml") in line
        assert plan(line)


@pytest.mark.parametrize("is_called_from_elsewhere", [True, False])
def test_commands_with_absolute_paths_follow_a_project_that_moves(
    top: Path,
    run: Run,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_called_from_elsewhere: bool,
) -> None:
    project = top / "sub dir"
    monkeypatch.chdir(project)
    if is_called_from_elsewhere:  # which makes the path of the first command absolute
        run("fmgrid run gs/one.toml --logdir logs")
        monkeypatch.chdir(project / "gs")
        write_records(
            Path("../logs"),
            load_plan([Path("one.toml")]).records,
        )
    else:
        run(
            command_line(["fmgrid", "run", f"{project}/gs/one.toml", "--logdir", f"{project}/logs"])
        )
    monkeypatch.chdir(top)
    project.rename(top / "moved")
    for line in suggested(top / "moved" / "logs"):
        assert "sub dir" not in line
        assert plan(line)


def test_commands_follow_a_grid_that_was_run_from_two_folders_and_then_renamed(
    top: Path, run: Run, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(top / "sub dir")
    run("fmgrid run gs/one.toml --logdir logs")
    logs = Path.cwd() / "logs"
    monkeypatch.chdir("gs")
    write_records(logs, load_plan([Path("one.toml")]).records)
    Path("one.toml").rename("new.toml")
    write_records(logs, load_plan([Path("new.toml")]).records)
    monkeypatch.chdir("..")
    for line in suggested(Path("logs")):
        assert plan(line)


def test_a_record_keeps_the_values_of_a_command_and_its_text(
    top: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(top)
    line = "fmgrid run 'a b.toml' --set epochs=2 --seeds 3,1 --logdir logs"
    run(line)
    ((asked,), _) = read_records(Path("logs"))
    (command,) = asked.runs
    assert (command.text,) == asked.commands == (line,)
    assert (command.grids, command.seeds) == (("a b.toml",), (3, 1))
    assert command.options == (("--set", "epochs=2"),)


def test_a_log_folder_whose_name_begins_as_an_option_does_is_no_option_of_a_named_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert as_argument(Path("-logs")) == "./-logs"
    assert as_argument(Path("logs/-a")) == "logs/-a"
    monkeypatch.chdir(tmp_path)
    Store(Path("-logs")).begin("a")
    with pytest.raises(InputError, match=r"is not finished; fmgrid status \./-logs names it"):
        find_run("a", Path("-logs"))
