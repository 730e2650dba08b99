"""What a report says at its end: commands that can be pasted, and what is not in its figures."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import Verdict
from fmgrid.cli import app
from fmgrid.cli.options import asked_by
from fmgrid.cli.reporting import load_study
from fmgrid.experiment import Failure
from fmgrid.grid import load_plan, to_asked
from fmgrid.hypotheses.records import Asked
from fmgrid.hypotheses.registry import note
from fmgrid.pages.document import Code, Items, Section, Text
from fmgrid.report import weigh
from fmgrid.report.closing import left_out_section, reproduce_section
from fmgrid.report.suggestions import next_section
from fmgrid.results.results_file import seal
from fmgrid.results.store import Store
from fmgrid.words import command_line
from made_up_runs import make_record, make_run
from made_up_studies import Row, row, rows, study_of
from test_questions import stated

SAMPLE = '[base]\ndataset = "fashion-mnist-sample"\ntrain_steps = 3\n'
SIZES = f'name = "b{{batch_size}}"\n{SAMPLE}[grid]\nbatch_size = [8, 124]\n'
WIDTHS = f'name = "w{{hidden_units}}"\n{SAMPLE}[grid]\nhidden_units = [[4], [8]]\n'
LOGS = Path("logs")

Fill = Callable[..., None]


def store_runs(grid: Path, logdir: Path, command: str, *without: str, **options: Any) -> None:
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
    note(logdir, to_asked(plan, datetime.now(UTC), command))


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
        if isinstance(block, Items):
            lines += block.items
        elif isinstance(block, Text):
            lines.append(block.markdown)
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

    assert retry == "fmgrid run sizes.toml --seeds 0,1,2,3,4 --retry-failed --logdir logs"
    assert plan(retry, capsys)["b124_s2"] == "failed"
    assert plan(rest, capsys)["b124_s4"] == "pending"
    assert other == "fmgrid run widths.toml --set learning_rate=0.01 --logdir logs"
    assert plan(other, capsys) == {"w4": "complete", "w8": "pending"}
    for line in (seeds, more):
        states = list(plan(line, capsys).values())
        assert len(states) == 20
        assert set(states) <= {"complete", "pending", "failed"}
    assert "sizes.toml --seeds 0,1,2,3,4 --set train_images=380 --logdir logs-images" in images
    for line in (images, held_out, also):
        assert set(plan(line, capsys).values()) == {"pending"}


@pytest.mark.parametrize(
    ("logdir", "beside"),
    [("logs", "logs-held-out"), ("a b/logs/", "'a b/logs-held-out'"), ("modellogs", None)],
)
def test_other_settings_go_into_a_folder_of_their_own(
    fill: Fill, logdir: str, beside: str | None
) -> None:
    Path("widths.toml").write_text(WIDTHS)
    fill("fmgrid run widths.toml", logdir=Path(logdir))
    seeds, held_out = commands(Path(logdir))
    assert held_out.endswith(f"--set validation=340 --logdir {beside or 'modellogs-held-out'}")
    assert ("--logdir" in seeds) == bool(beside)


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
    assert r"run $'g\xff.toml' --seeds 0,1,2,3,4,5,6,7,8,9 --logdir $'log\xff'" in advice(logdir)


def next_of(study: Study) -> str:
    return text_of(next_section(weigh(study), LOGS))


@pytest.mark.parametrize(
    ("path", "command", "expected"),
    [
        pytest.param("-g.toml", "", "fmgrid run ./-g.toml --seeds", id="a path like an option"),
        pytest.param("a b.toml", "", "fmgrid run 'a b.toml' --seeds", id="a space"),
        pytest.param(
            "g.toml",
            "fmgrid run 'g h.toml' -j 2 '--only=a*' --only 'b c' --replace --logdir=x --seeds=7 -q",
            "fmgrid run 'g h.toml' -j 2 --seeds 0,1,2,3,4,5,6,7,8,9 --logdir logs",
            id="what says which, where and how",
        ),
        pytest.param("g\\udcff.toml", "", "fmgrid run GRID --seeds", id="what cannot be typed"),
        pytest.param("g.toml", "fmgrid run 'g", "fmgrid run g --seeds", id="an open quote"),
    ],
)
def test_a_command_is_the_one_that_ran_the_grid(path: str, command: str, expected: str) -> None:
    asked = Asked(path=path, names=("a",), commands=(command,) if command else ())
    assert expected in next_of(study_of([row("a")], [asked]))


def test_of_grids_that_ran_together_those_concerned_are_named() -> None:
    line = "fmgrid run all --set epochs=5 --seeds 0,1"
    grids = [
        Asked(path=f"all/{name}.toml", names=(f"{name}1", f"{name}2"), commands=(line,))
        for name in "abc"
    ]
    there = [row(name, seed) for name in ("a1", "b1", "b2", "c1", "c2") for seed in (0, 1)]
    told = next_of(study_of([*there[:-1], row("c2", 1, FAILED)], grids))
    assert "`fmgrid run all/a.toml --set epochs=5 --seeds 0,1 --logdir logs`" in told
    assert "`fmgrid run all/c.toml --set epochs=5 --seeds 0,1 --retry-failed --logdir" in told
    assert "`fmgrid run all --set epochs=5 --seeds 0,1,2,3,4,5,6,7,8,9 --logdir logs`" in told
    again = next_of(study_of([one for one in there if one["name"] not in ("a1", "c2")], grids))
    assert "`fmgrid run all/a.toml all/c.toml --set epochs=5" in again


def test_what_would_settle_hypotheses_comes_in_order_and_what_is_not_worth_it_at_once() -> None:
    evidence = weigh(settled(0.8))
    needs = {"*stars*": 40, "never": None, "far": 1000, "near": 1, "further": 2000}
    verdicts = tuple(
        Verdict(stated(claim), "INCONCLUSIVE", 0.5, more_seeds=seeds)
        for claim, seeds in needs.items()
    )
    verdicts += (Verdict(stated("settled"), "CONFIRMED", 0.01),)
    told = text_of(next_section(replace(evidence, verdicts=verdicts), LOGS))
    assert told.splitlines() == [
        "About 1 more seed would settle *near*.",
        r"About 40 more seeds would settle *\*stars\**.",
        (
            "It takes more seeds than it is worth, unless so small a difference matters, to settle "
            "*far* (about 1,000 more) and *further* (about 2,000 more)."
        ),
    ]


def test_seeds_are_added_to_those_that_are_there() -> None:
    assert "--seeds 0,1,2,3,4,5,6,7,8,40 " in next_of(study_of([row("a", 40)]))


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
    assert "train_images=130" in told


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
    assert ("validation=340" in next_of(study)) == expected


INTERRUPTED = {"status": "interrupted", "seed": None}
FAILED = {"status": "failed", "error": "boom", "accuracy": None}
MLTRAINER = {"seed": None, "trained_as": None, "status": None}


def test_an_unfinished_run_of_plain_mltrainer_is_no_failure_of_fmgrids() -> None:
    assert "failed" not in next_of(study_of([row("a"), row("b", 0, INTERRUPTED)]))


def test_one_failure_is_told_as_one() -> None:
    once = study_of([*rows("a", [0.8, 0.7]), row("b", 1, FAILED)])
    assert "A run of `b` failed. Once" in next_of(once)
    assert "2 runs of `b` failed. Once" in next_of(
        study_of([row("a"), row("b", 0, FAILED), row("b", 1, FAILED)])
    )


SEEDS = {
    "one run": ([row("a")], "There is one complete run only."),
    "runs of one": (rows("a", [0.8, 0.7]), "There are 2 complete runs only."),
    "once each": ([row("a"), row("b", epochs=9)], "Every experiment has one seed only."),
    "three each": (
        [*rows("a", [0.8] * 3), *rows("b", [0.7] * 3, epochs=9)],
        "Every experiment has 3 seeds only.",
    ),
    "one in common": (
        [*rows("a", [0.8] * 3), row("b", epochs=9)],
        "All experiments share one seed only.",
    ),
    "none in common": (
        [*rows("a", {0: 0.8}), *rows("b", {1: 0.7}, epochs=9)],
        "No seed is shared by all experiments.",
    ),
    "unknown": ([row("a", 0, MLTRAINER)], "No seed is known."),
}


@pytest.mark.parametrize(("runs", "expected"), SEEDS.values(), ids=SEEDS)
def test_what_seeds_there_are_is_said_truthfully(runs: list[Row], expected: str) -> None:
    assert f"{expected} Ten of each say much more" in next_of(study_of(runs))


def settled(*values: float, **told: Any) -> Study:
    measured = {"validation": 1000, "train_steps": 100, **told}
    series = [[value * (1 + seed**2 / 1000) for seed in range(5)] for value in values]
    return study_of(
        one
        for epochs, accuracies in zip((9, 5, 7), series, strict=False)
        for one in rows(f"e{epochs}", accuracies, epochs=epochs, **measured)
    )


def test_where_nothing_suggests_itself_no_more_is_said_than_is_so() -> None:
    assert next_of(settled(0.8)) == "Nothing suggests itself."
    told = next_of(settled(0.5, 0.52, 0.8))
    assert told == "Nothing suggests itself: no axis that could go on is best at its end."


def test_what_is_damaged_is_trained_again_unless_it_is_newer(fill: Fill) -> None:
    Path("widths.toml").write_text(WIDTHS)
    fill("fmgrid run widths.toml --seeds 0,1")
    Store(LOGS).results_file("w4_s1").write_bytes(seal({"format": 99}))
    Store(LOGS).results_file("w8_s1").write_text("cut")
    assert "Not finished, or damaged: `w8_s1`. To train that: `fmgrid run widths" in advice()
    assert load_study(LOGS).unfinished == ("w8_s1",)


def test_a_grid_that_is_named_keeps_the_times_and_commands_that_are_noted(fill: Fill) -> None:
    hypothesis = "[[hypothesis]]\nclaim = 'a'\nexpect = 'w4 < w8'\n"
    Path("widths.toml").write_text(WIDTHS + hypothesis)
    fill("fmgrid run widths.toml")
    noted = load_study(LOGS).asked
    Path("widths.toml").write_text(WIDTHS + hypothesis + hypothesis.replace("'a'", "'b'"))
    (asked,) = load_study(LOGS, asked_by([Path("widths.toml")])).asked
    old, new = asked.hypotheses
    assert (old,) == noted[0].hypotheses
    assert new.since > old.since
    assert asked.commands == ("fmgrid run widths.toml",)


def left_out(study: Study) -> str:
    return text_of(left_out_section(weigh(study), LOGS)).replace("`", "")


def test_experiments_of_which_all_runs_failed_are_named_as_such() -> None:
    asked = [Asked(path="g.toml", names=("a", "b", "c"))]
    told = left_out(study_of([row("a"), row("b", 0, FAILED)], asked))
    assert told.splitlines() == [
        "no complete run, since all failed: b",
        "g: no complete run of c",
        "b: failed: boom",
    ]


def test_runs_of_unknown_seed_lack_no_seeds() -> None:
    told = left_out(study_of([*rows("a", [0.8, 0.7]), row("m", 0, MLTRAINER, epochs=9)]))
    assert told == "of seeds that are not known, so that no run is paired with theirs: m"


def test_what_lacks_seeds_is_compared_over_those_that_it_shares() -> None:
    some = study_of([*rows("a", [0.8, 0.7, 0.8]), *rows("b", [0.8, 0.7], epochs=9)])
    assert left_out(some) == (
        "without all of the 3 seeds: b; two experiments are compared over the seeds that both have"
    )
    none = study_of([*rows("a", {0: 0.8, 1: 0.7}), *rows("b", {2: 0.8, 3: 0.7}, epochs=9)])
    assert left_out(none).endswith("that both have, and not at all if there are none")


def test_a_baseline_is_spoken_of_where_there_is_one() -> None:
    several = [row("a", epochs=3, batch_size=8), row("b", epochs=5, batch_size=32)]
    assert left_out(study_of(several)).endswith("no swing is given to any of them")
    base = [row("base", epochs=3, batch_size=32), row("c", epochs=3, batch_size=8, seed=0)]
    told = left_out(study_of([*base, several[1]]))
    assert told.endswith("but where experiments differ from the baseline in one only")


def test_of_much_that_is_left_out_the_rest_is_shown_by_a_command() -> None:
    study = replace(settled(0.8), left_out=tuple(f"r{number}: failed" for number in range(25)))
    told = left_out_section(weigh(study), Path("my logs"))
    assert text_of(told).endswith("and 5 more; `fmgrid status 'my logs'` names them")


def reproduced(study: Study) -> str:
    return text_of(reproduce_section(weigh(study), "fmgrid report logs")).splitlines()[1]


def test_what_the_runs_took_is_said_as_people_say_it() -> None:
    assert reproduced(study_of([row("a")])).startswith("The run took 3 seconds of one core. The ")
    quick = reproduced(study_of([row("a", 0, {"seconds": 0.2})]))
    assert quick.startswith("The run took less than a second of one core. ")
    shared = reproduced(study_of([row("a"), row("b", 0, {"trained_as": "a"}, epochs=3)]))
    assert shared.startswith("The 2 runs come from 1 training, and took 3 seconds of one core. ")


def test_no_bits_are_promised_of_runs_whose_seed_is_not_known() -> None:
    assert reproduced(study_of([row("a", 0, MLTRAINER)])) == "The run took 3 seconds of one core."
