"""What a report says at its end: commands that can be pasted, and what is not in its figures."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fmgrid.analysis.loading import load_study
from fmgrid.analysis.study import Study
from fmgrid.cli import app
from fmgrid.experiment import Failure
from fmgrid.grid import load_plan
from fmgrid.hypotheses.commands import Command, current_folder, to_command
from fmgrid.hypotheses.registry import GridRecord, write_records
from fmgrid.pages.document import Code, Section
from fmgrid.reporting import weigh
from fmgrid.reporting.closing import left_out_section, next_section, reproduce_section
from fmgrid.results.results_file import seal
from fmgrid.results.store import Store
from fmgrid.words import command_line
from made_up_runs import make_record, make_run
from made_up_studies import Row, row, rows, study_of

SAMPLE = '[base]\ndataset = "fashion-mnist-sample"\ntrain_steps = 3\n'
SIZES = f'name = "b{{batch_size}}"\n{SAMPLE}[grid]\nbatch_size = [8, 124]\n'
WIDTHS = f'name = "w{{hidden_units}}"\n{SAMPLE}[grid]\nhidden_units = [[4], [8]]\n'
LOGS = Path("logs")

Fill = Callable[..., None]


def store_runs(grid: Path, logdir: Path, text: str, *without: str, **options: Any) -> None:
    """Store runs of a grid, and that a command ran it, as that would have."""
    plan = load_plan([grid], **options)
    for experiment in (definition.experiment for definition in plan.definitions):
        if experiment.run_name in without:
            continue
        history = tuple(
            make_record(epoch, images_seen=3 * experiment.batch_size * epoch)
            for epoch in range(1, experiment.epochs + 1)
        )
        Store(logdir).begin(experiment.run_name)
        Store(logdir).save(make_run(experiment, history=history))
    seeds = options.get("seeds", ()) if "--seeds" in text else ()
    given = {"--set": options.get("overrides")}
    command = to_command(text, [str(grid)], logdir, given, seeds)
    write_records(logdir, [record.with_command(text, command) for record in plan.records])


@pytest.fixture
def fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Do as if a command had run in an empty folder, but for the runs that are named."""
    monkeypatch.chdir(tmp_path)

    def fill(command: str, *without: str, logdir: Path = LOGS) -> None:
        grid, *words = shlex.split(command)[2:]
        given = dict(zip(words[::2], words[1::2], strict=True))
        options = {"seeds": [int(seed) for seed in given.get("--seeds", "0").split(",")]}
        overrides = [given["--set"]] if "--set" in given else []
        store_runs(Path(grid), logdir, command, *without, **options, overrides=overrides)

    return fill


def text_of(section: Section) -> str:
    """Return what a section says, without its marks of code."""
    lines: list[str] = []
    for block in section.blocks:
        if isinstance(block, list):
            lines += block
        elif isinstance(block, str):
            lines.append(block)
        elif isinstance(block, Code):
            lines.append(block.text)
    return "\n".join(lines)


def advice(logdir: Path = LOGS) -> str:
    return text_of(next_section(weigh(load_study(logdir)), logdir))


def commands(logdir: Path = LOGS) -> list[str]:
    return re.findall(r"`(fmgrid run [^`]*)`", advice(logdir))


def plan(command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Plan a command as `fmgrid run` would; return the state of each of its runs."""
    capsys.readouterr()
    app([*shlex.split(command)[1:], "--dry-run", "--json"], standalone_mode=False)
    answer = json.loads(capsys.readouterr().out)
    return {run["run"]: run["state"] for run in answer["runs"]}


def fail(run_name: str) -> None:
    store = Store(LOGS)
    run = store.read(run_name)
    assert run
    store.save(run.model_copy(update={"status": "failed", "failure": Failure(message="boom")}))


def test_every_command_finds_what_it_is_suggested_for(
    fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("sizes.toml").write_text(SIZES)
    Path("widths.toml").write_text(WIDTHS)
    fill("fmgrid run sizes.toml --seeds 0,1,2", "b8_s1")
    fill("fmgrid run sizes.toml --seeds 3,4", "b124_s4")
    fill("fmgrid run widths.toml --set learning_rate=0.01", "w8")
    fail("b124_s2")
    Store(LOGS).begin("b124_s4")
    retry, rest, other, seeds, more, images, held_out, also = commands()
    assert not any("-j" in line for line in commands())

    assert retry == "fmgrid run sizes.toml --seeds 0,1,2,3,4 --retry-failed --logdir logs"
    assert plan(retry, capsys)["b124_s2"] == "failed"
    assert plan(rest, capsys)["b124_s4"] == "pending"
    assert other == "fmgrid run widths.toml --set learning_rate=0.01 --logdir logs"
    assert plan(other, capsys) == {"w4": "complete", "w8": "pending"}
    for line in (seeds, more):
        states = list(plan(line, capsys).values())
        assert len(states) == 20
        assert set(states) <= {"complete", "pending", "failed"}
    assert "sizes.toml --seeds 0,1,2,3,4 --set train_images=372 --logdir logs-images" in images
    for line in (images, held_out, also):
        assert set(plan(line, capsys).values()) == {"pending"}


@pytest.mark.parametrize(
    ("logdir", "beside"),
    [("logs", "logs-held-out"), ("a b/logs/", "'a b/logs-held-out'")],
)
def test_other_settings_go_into_a_folder_of_their_own(fill: Fill, logdir: str, beside: str) -> None:
    Path("widths.toml").write_text(WIDTHS)
    fill("fmgrid run widths.toml", logdir=Path(logdir))
    seeds, held_out = commands(Path(logdir))
    assert shlex.split(seeds)[-1] == str(Path(logdir))
    assert held_out.endswith(f"--set validation=330 --logdir {beside}")


@pytest.mark.parametrize("named", [".", "..", "../logs/."])
def test_a_folder_may_be_named_by_where_one_stands(
    fill: Fill, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("widths.toml").write_text(WIDTHS)
    fill("fmgrid run widths.toml")
    monkeypatch.chdir("logs/w4" if named == ".." else "logs")
    held_out = shlex.split(commands(Path(named))[-1])[-1]
    assert Path(held_out).resolve() == tmp_path / "logs-held-out"


@pytest.mark.usefixtures("fill")
def test_names_that_are_no_text_can_be_typed() -> None:
    grid, logdir = Path("g\udcff.toml"), Path("log\udcff")
    grid.write_text(WIDTHS)
    store_runs(grid, logdir, command_line(["fmgrid", "run", str(grid), "--only", "w*"]))
    more = r"run $'g\xff.toml' --only 'w*' --seeds 0,1,2,3,4,5,6,7,8,9 --logdir $'log\xff'"
    assert more in advice(logdir)


def next_of(study: Study) -> str:
    return text_of(next_section(weigh(study), LOGS))


def a_command(text: str, grid: str, *options: tuple[str, str], seeds: tuple[int, ...] = ()) -> Any:
    return Command(
        text=text,
        folder=current_folder(),
        grids=(grid,),
        logdir="logs",
        options=options,
        seeds=seeds,
    )


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        pytest.param("-g.toml", "", "fmgrid run ./-g.toml --seeds", id="a path like an option"),
        pytest.param("a b.toml", "", "fmgrid run 'a b.toml' --seeds", id="a space"),
        pytest.param(
            "g.toml",
            "fmgrid run 'g h.toml' -j 2 --seeds 7",
            "`fmgrid run 'g h.toml' -j 2 --seeds 7 --seeds 0,1,2,3,4,5,6,7,8,9 --logdir logs`",
            id="known as text only, of which the last option counts",
        ),
    ],
)
def test_a_command_is_the_one_that_ran_the_grid(path: str, text: str, expected: str) -> None:
    asked = GridRecord(path=path, names=("a",), commands=(text,) if text else ())
    assert expected in next_of(study_of([row("a")], [asked]))


def test_options_that_say_which_runs_and_how_are_not_suggested_again() -> None:
    options = [("-j", "2"), ("--only", "a*"), ("--replace", ""), ("-q", ""), ("--timeout", "9s")]
    command = a_command("typed", "g h.toml", *options, seeds=(7,))
    asked = GridRecord(path="g h.toml", names=("a",), commands=("typed",), runs=(command,))
    assert "`fmgrid run 'g h.toml' -j 2 --timeout 9s --seeds 0," in next_of(
        study_of([row("a")], [asked])
    )


def test_of_grids_that_ran_together_those_concerned_are_named() -> None:
    options = (("-j", "2"), ("--set", "epochs=5"))
    command = a_command("typed", "all", *options, seeds=(0, 1))
    grids = [
        GridRecord(
            path=f"all/{name}.toml",
            names=(f"{name}1", f"{name}2"),
            commands=("typed",),
            runs=(command,),
        )
        for name in "abc"
    ]
    there = [row(name, seed) for name in ("a1", "b1", "b2", "c1", "c2") for seed in (0, 1)]
    told = next_of(study_of([*there[:-1], row("c2", 1, FAILED)], grids))
    assert "`fmgrid run all/a.toml -j 2 --set epochs=5 --seeds 0,1 --logdir logs`" in told
    assert "`fmgrid run all/c.toml -j 2 --set epochs=5 --seeds 0,1 --retry-failed --logdir" in told
    fresh = ",".join(map(str, range(2, 12)))  # what was looked at is no fresh comparison
    assert f"`fmgrid run all -j 2 --set epochs=5 --seeds {fresh} --logdir logs-fresh`" in told
    again = next_of(study_of([one for one in there if one["name"] not in ("a1", "c2")], grids))
    assert "`fmgrid run all/a.toml all/c.toml -j 2 --set epochs=5" in again


def test_seeds_are_added_to_those_that_are_there() -> None:
    assert "--seeds 0,1,2,3,4,5,6,7,8,9,40 " in next_of(study_of([row("a", 40)]))


def test_a_budget_of_images_is_enough_for_the_largest_batch() -> None:
    def seen(size: int, epochs: int) -> Row:
        return row(
            f"b{size}_e{epochs}",
            0,
            {"images_seen": size * epochs},
            batch_size=size,
            epochs=epochs,
            train_steps=1,
        )

    told = next_of(study_of([seen(8, 1), seen(124, 1), seen(8, 10)]))
    assert "train_images=124" in told


def test_no_budget_is_suggested_where_it_is_an_axis() -> None:
    study = study_of(
        row(
            f"b{size}_{steps}", 0, {"images_seen": size * steps}, batch_size=size, train_steps=steps
        )
        for size in (8, 32)
        for steps in (10, 20)
    )
    assert study.groups[0].confounded
    assert "train_images" not in next_of(study)


@pytest.mark.parametrize(("size", "expected"), [(1600, True), (1900, False)])
def test_images_are_held_out_where_a_batch_still_fits(size: int, *, expected: bool) -> None:
    study = study_of(
        row(f"e{epochs}", epochs=epochs, batch_size=size, dataset="fashion-mnist-sample")
        for epochs in (1, 2)
    )
    assert ("validation=330" in next_of(study)) == expected


INTERRUPTED = {"status": "interrupted", "seed": None}
FAILED = {"status": "failed", "error": "boom", "accuracy": None}
MLTRAINER = {"seed": None, "trained_as": None, "status": None}


def test_an_unfinished_run_of_plain_mltrainer_is_no_failure_of_fmgrids() -> None:
    assert "failed" not in next_of(study_of([row("a"), row("b", 0, INTERRUPTED)]))


def test_experiments_with_a_failed_run_are_named() -> None:
    once = study_of([*rows("a", [0.8, 0.7]), row("b", 1, FAILED)])
    assert "With failed runs: `b`; to try again: `fmgrid run GRID --retry-failed" in next_of(once)


SEEDS = {
    "one run": ([row("a")], 1),
    "three each": ([*rows("a", [0.8] * 3), *rows("b", [0.7] * 3, epochs=9)], 3),
    "one in common": ([*rows("a", [0.8] * 3), row("b", epochs=9)], 1),
    "none in common": ([*rows("a", {0: 0.8}), *rows("b", {1: 0.7}, epochs=9)], 0),
}


@pytest.mark.parametrize(("runs", "number"), SEEDS.values(), ids=SEEDS)
def test_seeds_that_all_experiments_share_are_counted(runs: list[Row], number: int) -> None:
    study = study_of(runs)
    advice = "Ten fresh ones, looked at once" if len(study.seeds) > 1 else "Ten say much more"
    assert f"Seeds that all experiments share: {number}. {advice}: " in next_of(study)


def test_where_seeds_are_unknown_more_repeats_are_asked_for() -> None:
    expected = "Repeats of each experiment of plain mltrainer: 1 or more. Train each again"
    asked = next_of(study_of([row("a", 0, MLTRAINER)]))
    assert expected in asked
    assert "Seeds that all experiments share" not in asked


def settled(*values: float, **told: Any) -> Study:
    measured = {"validation": 1000, "train_steps": 100, **told}
    series = [[value * (1 + seed**2 / 1000) for seed in range(5)] for value in values]
    return study_of(
        one
        for epochs, accuracies in zip((9, 5, 7), series, strict=False)
        for one in rows(f"e{epochs}", accuracies, epochs=epochs, **measured)
    )


def test_where_nothing_suggests_itself_no_more_is_said() -> None:
    assert next_of(settled(0.8)) == "Nothing suggests itself."
    assert next_of(settled(0.5, 0.52, 0.8)) == "Nothing suggests itself."


def test_a_setting_that_is_best_at_the_end_of_its_levels_is_named() -> None:
    told = next_of(settled(0.5, 0.8, 0.52))
    assert "`epochs` is best at 5, the end of its levels in all runs" in told


def test_what_is_damaged_is_trained_again_unless_it_is_newer(fill: Fill) -> None:
    Path("widths.toml").write_text(WIDTHS)
    fill("fmgrid run widths.toml --seeds 0,1")
    Store(LOGS).results_file("w4_s1").write_bytes(seal({"format": 99}))
    Store(LOGS).results_file("w8_s1").write_text("cut")
    assert "Not complete: `w8_s1`; to train the rest: `fmgrid run widths" in advice()
    assert load_study(LOGS).unfinished == ("w8_s1",)


def test_a_grid_that_is_named_keeps_the_times_and_commands_that_are_noted(fill: Fill) -> None:
    hypothesis = "[[hypothesis]]\nclaim = 'a'\nexpect = 'w4 < w8'\n"
    Path("widths.toml").write_text(WIDTHS + hypothesis)
    fill("fmgrid run widths.toml")
    noted = load_study(LOGS).grids
    Path("widths.toml").write_text(WIDTHS + hypothesis + hypothesis.replace("'a'", "'b'"))
    (asked,) = load_study(LOGS, load_plan([Path("widths.toml")]).records).grids
    old, new = asked.hypotheses
    assert (old,) == noted[0].hypotheses
    assert new.since > old.since
    assert asked.commands == ("fmgrid run widths.toml",)


def left_out(study: Study) -> str:
    return text_of(left_out_section(weigh(study), LOGS)).replace("`", "")


def test_experiments_without_a_complete_run_are_named_and_failures_with_their_reason() -> None:
    asked = [GridRecord(path="g.toml", names=("a", "b", "c"))]
    told = left_out(study_of([row("a"), row("b", 0, FAILED)], asked))
    assert told.splitlines() == ["g: no complete run of b, c", "b: failed: boom"]


def test_runs_of_unknown_seed_lack_no_seeds() -> None:
    told = left_out(study_of([*rows("a", [0.8, 0.7]), row("m", 0, MLTRAINER, epochs=9)]))
    assert told == "with unknown seeds, so no run is paired with theirs: m"


def test_what_lacks_seeds_is_compared_over_those_that_it_shares() -> None:
    some = study_of([*rows("a", [0.8, 0.7, 0.8]), *rows("b", [0.8, 0.7], epochs=9)])
    assert left_out(some) == "without all 3 seeds, so compared over those they share: b"


def test_a_baseline_is_spoken_of_where_there_is_one() -> None:
    several = [row("a", epochs=3, batch_size=8), row("b", epochs=5, batch_size=32)]
    assert left_out(study_of(several)).endswith("no effect is credited to one setting")
    base = [row("base", epochs=3, batch_size=32), row("c", epochs=3, batch_size=8, seed=0)]
    told = left_out(study_of([*base, several[1]]))
    assert told.endswith("except where only one differs from base")


def test_of_much_that_is_left_out_the_rest_is_shown_by_a_command() -> None:
    study = replace(settled(0.8), left_out=tuple(f"r{number}: failed" for number in range(25)))
    told = left_out_section(weigh(study), Path("my logs"))
    assert text_of(told).endswith("5 more; `fmgrid status 'my logs'` names all")


def reproduced(study: Study) -> str:
    return text_of(reproduce_section(weigh(study), "fmgrid report logs")).splitlines()[1]


def test_the_trainings_and_the_time_of_the_runs_are_added_up() -> None:
    once = reproduced(study_of([row("a")]))
    assert once.startswith("1 run from 1 training: 3.0 seconds of one core. ")
    shared = reproduced(study_of([row("a"), row("b", 0, {"trained_as": "a"}, epochs=3)]))
    assert shared.startswith("2 runs from 1 training: 3.0 seconds of one core. ")
