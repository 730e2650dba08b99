"""Who wins, and among whom: one answer for text and pictures, and none across different images."""

import json
import re
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command import QUICK, Call, write
from fmgrid.analysis.comparisons import compare_with, find_winners
from fmgrid.analysis.effects import find_effects, find_shares
from fmgrid.analysis.evidence import Evidence
from fmgrid.analysis.ranking import best_first, rank_runs
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import judge
from fmgrid.cli.comparing import show_comparison
from fmgrid.cli.running import Progress
from fmgrid.cli.showing import describe_best, describe_winners, show_best
from fmgrid.experiment import Experiment
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.pages.document import Document, Section
from fmgrid.pages.rendering import to_markdown
from fmgrid.plots import Plot, draw_all
from fmgrid.plots.groups import plot_heatmap
from fmgrid.plots.studies import plot_experiments, plot_winners
from fmgrid.reporting import weigh
from fmgrid.reporting.overview import luck_sections, summary_section
from fmgrid.reporting.results import design_section, results_sections
from fmgrid.results.summary import Contents, natural_order
from made_up_runs import make_record, make_run
from made_up_studies import Row, evidence_of, row, rows, run_of, study_of
from test_questions import stated


def said(*sections: Section | None) -> str:
    """Return sections as text, without their marks of code."""
    document = Document("", "", tuple(filter(None, sections)))
    return to_markdown(document).replace("`", "")


def winners_in(evidence: Evidence) -> list[tuple[str, str]]:
    """Return the seeds in a report's table, each with the experiments that are best with it."""
    (section,) = luck_sections(evidence, {})
    return re.findall(r"^\| +(\d) \| (.*?) *\|$", said(section), re.MULTILINE)


def rows_of(plot: Plot | None) -> list[str]:
    """Return what stands left of the rows of a picture, from the top."""
    labels = plot.figure.axes[0].get_yticklabels() if plot else []
    return [label.get_text().partition(" (+")[0] for label in labels]


EQUAL_ONCE = {"a": [0.6, 0.6], "bb": [0.6, 0.5], "ccc": [0.4, 0.4]}

# Text and pictures

figures = st.sampled_from([0.5, 0.6, 0.7, 0.8])
runs_of_one = st.dictionaries(st.integers(0, 3), figures, min_size=1, max_size=4)


@settings(max_examples=8)
@given(made=st.lists(st.tuples(runs_of_one, st.booleans(), st.booleans()), min_size=3, max_size=5))
def test_no_sentence_names_another_winner_than_the_pictures_do(
    made: list[tuple[dict[int, float], bool, bool]],
) -> None:
    study = study_of(
        one
        for number, (values, is_held_out, is_twin) in enumerate(made)
        for one in rows(
            f"e{number}",
            values,
            epochs=1 if is_twin else 2 + number,
            validation=400 if is_held_out else "test",
        )
    )
    evidence = weigh(study)
    shown = rows_of(plot_winners(evidence_of(study)))
    winners = find_winners(study)
    if shown:
        assert winners
        won = {name for best in winners.by_seed.values() for name in best}
        assert won <= set(shown)
        if len(winners.seeds) > 1:
            by_seed = [(str(seed), ", ".join(won)) for seed, won in winners.by_seed.items()]
            assert winners_in(evidence) == by_seed
    ranking = rows_of(plot_experiments(evidence_of(study)))
    best = [ranking[at + 1] for at, row in enumerate(ranking) if row.startswith("on ")]
    named = re.findall(r"Best (?:mean|run).*?\*\*: (\w+),", said(summary_section(evidence, {})))
    assert named == (best or ranking[:1])


def test_seeds_that_only_some_have_are_left_out_and_counted() -> None:
    study = study_of(
        [
            *rows("w4", [0.1] * 6),
            *rows("w16", [0.5] * 6, epochs=4),
            *rows("w32", [0.9] * 3, epochs=2),
        ]
    )
    assert winners_in(weigh(study)) == [(seed, "w32") for seed in "012"]
    plot = plot_winners(evidence_of(study))
    assert plot
    assert rows_of(plot)[0] == "w32"
    assert "best mean over 3 seeds. 3 more seeds left out." in plot.caption


def test_the_baseline_is_the_experiment_with_most_neighbours() -> None:
    few = [("a", {}), ("b", {"epochs": 1}), ("c", {"batch_size": 8})]
    far = [(f"x{n}", {"epochs": 20 + n, "batch_size": 100 + n}) for n in range(4)]
    made = [one for name, settings in [*few, *far] for one in rows(name, [0.5], **settings)]
    told = said(design_section(weigh(study_of(made))))
    assert "Baseline: a, with" in told


# Experiments that different images judge


def mixed(**more: Any) -> list[Row]:
    return [
        *rows("a", [0.5, 0.51, 0.52], **more),
        *rows("b", [0.6, 0.61, 0.62], validation=400, **more),
    ]


HELD = {"test_accuracy": 0.7, "test_loss": 0.9}


@pytest.mark.parametrize(
    "expect",
    [
        "a > b",
        "b > a",
        "each of a, b > c",
        "best of a, c > b",
        "mean of a, b > 0.1",
        "a - b > 0.1",
        "c - a > b - a",
        "no difference greater than 0.5 among a, b, c",
    ],
)
def test_no_hypothesis_compares_figures_of_different_images(expect: str) -> None:
    study = study_of([*mixed(), *rows("c", [0.4, 0.41, 0.43], epochs=9)])
    (verdict,) = judge([stated(expect=expect, resolved=expect)], study)
    assert verdict.word == "INCONCLUSIVE"
    assert "is scored on" in verdict.reason
    assert verdict.reason.endswith("figures of different images are not compared")
    assert verdict.compared == ()


@pytest.mark.parametrize(
    ("expect", "metric"),
    [("each of a, b > 0.1", "accuracy"), ("a > c", "accuracy"), ("h > g", "test_accuracy")],
)
def test_what_the_same_images_judge_is_still_compared(expect: str, metric: str) -> None:
    held = [
        {**one, "test_accuracy": value + one["seed"] ** 2 / 1000}
        for name, value, size in (("h", 0.7, 300), ("g", 0.6, 500))
        for one in rows(name, [0.5, 0.5, 0.5], validation=size)
    ]
    study = study_of([*mixed(), *rows("c", [0.4, 0.41, 0.43], epochs=9), *held])
    (verdict,) = judge([stated(expect=expect, resolved=expect, metric=metric)], study)
    assert not verdict.reason
    assert verdict.is_tested


def test_compare_shows_figures_of_different_images_and_no_difference(
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = study_of(mixed(dataset="fashion-mnist-sample"))
    pair = study.scored["a"], study.scored["b"]
    show_comparison(*pair, study, json=False)
    printed = capsys.readouterr()
    assert "51.00%" in printed.out
    assert "61.00%" in printed.out
    assert "points" not in printed.out
    assert "figures of different images are not compared" in printed.err
    assert "p values" not in printed.err
    show_comparison(*pair, study, json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["not_compared"].startswith("a is scored on the test images of fashion")
    for found in answer["metrics"].values():
        assert found["difference"] is None


def test_test_figures_are_compared_whatever_was_held_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = [
        {**one, **HELD, "test_accuracy": 0.7 + one["seed"] / 100}
        for name, size in (("a", 300), ("b", 400))
        for one in rows(name, [0.5, 0.6], validation=size)
    ]
    study = study_of(made)
    show_comparison(study.scored["a"], study.scored["b"], study, json=True)
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["test_accuracy"]["difference"]
    assert metrics["accuracy"]["difference"] is None


def grid_of_images() -> Study:
    return study_of(
        one
        for epochs in (1, 2)
        for validation in ("test", 400)
        for one in rows(
            f"e{epochs}_{validation}",
            [0.5 + epochs / 50 + seed**2 / 500 for seed in range(3)],
            epochs=epochs,
            validation=validation,
        )
    )


def test_a_group_of_different_images_has_no_picture_and_no_variance_of_them() -> None:
    study = grid_of_images()
    assert {one.group for one in draw_all(evidence_of(study, []))} == {None}
    assert find_shares(study.groups[0]) == []
    against = compare_with(study, study.groups[0])
    assert against
    assert {study.scored[name].evaluation_set for name in against.differences} == {
        against.reference.evaluation_set
    }


def test_a_ranking_keeps_experiments_that_different_images_judge_apart() -> None:
    shown = rows_of(plot_experiments(evidence_of(study_of(mixed()))))
    assert shown == ["on 400 images held out:", "b", "on the test images:", "a"]


def test_a_choice_by_held_out_images_is_told_of_each_set_and_of_no_single_experiment() -> None:
    def held(name: str, accuracy: float, test: float, **settings: Any) -> list[Row]:
        return [{**one, "test_accuracy": test} for one in rows(name, [accuracy], **settings)]

    study = study_of(
        [
            *rows("plain", [0.99]),
            *rows("other", [0.98], epochs=9),
            *held("h1", 0.6, 0.5, validation=300),
            *held("h2", 0.5, 0.6, validation=300, epochs=9),
            *held("k", 0.4, 0.4, validation=400),
        ]
    )
    told = said(*results_sections(weigh(study), {}, []))
    assert "Chosen on 300 images held out: h1. On the test images it has rank 2 of 2." in told
    assert told.count("Chosen on") == 1
    assert re.search(r"^\| k +\|.*\| +40\.00% \|", told, re.MULTILINE)


# The best so far


def one(name: str, seed: int, accuracy: float, **settings: Any) -> Any:
    experiment = Experiment(name=name, seed=seed, epochs=1, **settings)
    return make_run(experiment, history=(make_record(1, accuracy=accuracy),))


BEST = {
    "one seed": ([one("a", 0, 0.7), one("b", 0, 0.8, batch_size=8)], "b 80.00%"),
    "a lucky seed": (
        [
            *(one("lucky", seed, value) for seed, value in enumerate((0.9, 0.1))),
            *(one("good", seed, 0.7, batch_size=8) for seed in range(2)),
        ],
        "good 70.00%, the mean of 2 seeds",
    ),
    "equals": ([one("e10", 0, 0.7, batch_size=8), one("e9", 0, 0.7)], "e9 70.00%"),
    "other images": (
        [one("a", 0, 0.7), one("a2", 0, 0.6, batch_size=8), one("h", 0, 0.9, validation=400)],
        "a 70.00% on the test images, h 90.00% on 400 images held out",
    ),
    "none": ([make_run(Experiment(name="f"), status="failed", history=())], ""),
}


@pytest.mark.parametrize(("runs", "expected"), BEST.values(), ids=BEST)
def test_the_best_is_that_of_the_mean_over_seeds(runs: list[Any], expected: str) -> None:
    for ordered in (runs, reversed(runs)):
        assert describe_best([ranked[0] for ranked in rank_runs(ordered)]) == expected


REPEAT = "; repeat with --seeds 0,1,2 before you believe it"
ENDS = {
    "one run": ([one("a", 0, 0.7)], [f"one run: a 70.00%{REPEAT}"]),
    "one seed": (BEST["one seed"][0], [f"best of one run each: b 80.00%{REPEAT}"]),
    "equals": (BEST["equals"][0], [f"best of one run each: e9 70.00%{REPEAT}"]),
    "one experiment": (
        [one("a", seed, accuracy) for seed, accuracy in enumerate((0.6, 0.7))],
        ["best mean: a 65.00%, 95% interval 1.47% to 100.00% over 2 seeds"],
    ),
    "means": (
        [
            *(one("a", seed, 0.600 + seed / 100) for seed in range(3)),
            *(one("b", seed, 0.601 + seed / 100, batch_size=8) for seed in range(3)),
            *(one("c", seed, 0.300 + seed / 90, batch_size=9) for seed in range(3)),
        ],
        [
            (
                "best mean: b 61.10%, 95% interval 58.62% to 63.58% over 3 seeds; "
                "not significantly worse: 1 of 2 others"
            )
        ],
    ),
    "a single run that leads": (
        [one("a", 0, 0.9), *(one("b", seed, 0.5, batch_size=8) for seed in range(2))],
        [f"best mean: a 90.00%, one run; not significantly worse: 1 of 1 other{REPEAT}"],
    ),
    "other images": (
        BEST["other images"][0],
        [
            "best of one run each on the test images: a 70.00%",
            f"one run on 400 images held out: h 90.00%{REPEAT}",
        ],
    ),
    "many images": (
        [one(f"a{n}", 0, 0.7 - n / 1000, validation=n) for n in (400, 500, 600)],
        [
            "one run on 400 images held out: a400 30.00%",
            f"one run on 500 images held out: a500 20.00%{REPEAT}",
            "and on 1 other set of images: fmgrid list",
        ],
    ),
    "none": (BEST["none"][0], []),
}


@pytest.mark.parametrize(("runs", "lines"), ENDS.values(), ids=ENDS)
def test_run_ends_with_what_is_known_of_the_best(runs: list[Any], lines: list[str]) -> None:
    assert describe_winners(rank_runs(runs)) == lines
    assert describe_winners(rank_runs(reversed(runs))) == lines


@pytest.mark.usefixtures("elsewhere")
def test_after_a_resume_the_end_counts_what_is_on_disk(call: Call) -> None:
    grid = write(f"{QUICK}[grid]\nbatch_size = [8, 64]\nlearning_rate = [0.001, 0.1]\n")
    ends = []
    for lost in ("", "batch_size_8_learning_rate_0.1_s1"):
        if lost:
            Path(f"modellogs/{lost}/{lost}_results.toml").unlink()
        code, _, told = call("run", grid, "--seeds", "0,1", "-j", "0")
        assert code == 0
        ends.append(told.splitlines()[-3:])
    assert ends[0] == ends[1]
    assert ends[0][0] == "8 of 8 runs complete in modellogs"
    assert re.fullmatch(r"best mean: batch_.* over 2 seeds; not .*: \d of 3 others", ends[0][1])


def test_the_best_is_the_one_that_the_report_names() -> None:
    runs = BEST["a lucky seed"][0]
    study = study_of(
        row
        for run in runs
        for row in rows(
            run.experiment.name,
            {run.experiment.seed: run.final.accuracy},
            epochs=1,
            batch_size=run.experiment.batch_size,
        )
    )
    assert "**Best mean**: good, 70.00%" in said(summary_section(weigh(study), {}))
    assert rank_runs(runs)[0][0].name == "good"


def test_equals_to_the_last_bit_but_one_are_equals_for_names_and_for_levels() -> None:
    """The same images right in all, spread otherwise over the seeds: the sums differ in a bit."""
    first, second = (0.8558, 0.7920, 0.7967), (0.8600, 0.7878, 0.7967)
    assert fmean(first) > fmean(second)
    for better, worse in ((first, second), (second, first)):
        names = {"lr_0.01": better, "lr_0.005": worse, "lr_0.1": (0.1, 0.1, 0.1)}
        study = study_of(
            each
            for name, accuracies in names.items()
            for each in rows(name, dict(enumerate(accuracies)), learning_rate=float(name[3:]))
        )
        assert [each.name for each in best_first(study.configurations, "accuracy")] == [
            *("lr_0.005", "lr_0.01", "lr_0.1")
        ]
        (effect,) = find_effects(study)
        assert (effect.best, effect.worst) == (0.005, 0.1)


def test_a_heatmap_frames_all_equals_of_the_best() -> None:
    equals = {(1, 2): (0.8558, 0.7920), (4, 3): (0.8600, 0.7878)}
    cells = {**equals, (1, 3): (0.5, 0.5), (4, 2): (0.4, 0.4)}
    assert fmean(cells[1, 2]) != fmean(cells[4, 3])  # in the last bit
    study = study_of(
        [
            each
            for (epochs, size), values in cells.items()
            for each in rows(f"e{epochs}_b{size}", values, epochs=epochs, batch_size=size)
        ],
        [GridRecord(path="g.toml", names=tuple(f"e{epochs}_b{size}" for epochs, size in cells))],
    )
    plot = plot_heatmap(study.groups[0], "")
    assert plot
    frames = [patch for patch in plot.figure.axes[0].patches if not patch.get_fill()]
    assert len(frames) == 2


@pytest.mark.parametrize("names", [("b", "a", "c"), ("w10", "w9", "w2"), ("z", "y", "x")])
def test_of_equals_the_first_by_name_is_best_wherever_one_is_named(names: tuple[str, ...]) -> None:
    first, *_, last = sorted(names, key=natural_order)
    asked = GridRecord(path="a.toml", names=(*names, "low"))  # in the order of the grid
    equals = (row(name, 0, {"accuracy": 0.7}, epochs=at) for at, name in enumerate(names, 2))
    study = study_of([*equals, row("low", 0, {"accuracy": 0.1}, epochs=9)], [asked])
    evidence = weigh(study)
    ranked = re.findall(
        r"^\| (\w+) +\| +70", said(*results_sections(evidence, {}, [])), re.MULTILINE
    )
    assert ranked[0] == first
    assert f"**Best run**: {first}," in said(summary_section(evidence, {}))
    assert rows_of(plot_experiments(evidence_of(study)))[0] == first
    assert [one.name for one in best_first(study.groups[0].members, "accuracy")][-2:] == [
        last,
        "low",
    ]


# Equal figures


def test_equal_figures_are_told_as_equal() -> None:
    study = study_of(
        one for number in (1, 2, 3) for one in rows(f"e{number}", [0.5, 0.6], epochs=number)
    )
    evidence = weigh(study)
    assert winners_in(evidence) == [(seed, "e1, e2, e3") for seed in "01"]
    assert rows_of(plot_winners(evidence_of(study))) == ["e1", "e2", "e3"]


def test_equals_at_one_seed_alone_depend_on_the_seed() -> None:
    study = study_of(
        one for name, values in EQUAL_ONCE.items() for one in rows(name, values, epochs=len(name))
    )
    assert winners_in(weigh(study)) == [("0", "a, bb"), ("1", "a")]
    assert rows_of(plot_winners(evidence_of(study)))[:2] == ["a", "bb"]


def test_what_was_on_disk_before_is_in_the_best_so_far() -> None:
    progress = Progress(1, [], list, runs=[one("old", 0, 0.9, batch_size=8)])
    assert describe_best(progress.best) == "old 90.00%"
    progress.add(one("new", 0, 0.5))
    assert describe_best(progress.best) == "old 90.00%"


def test_summarize_names_the_best_by_its_mean_for_each_set_of_images(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show_best(Contents(list(map(run_of, mixed()))))
    line = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().err)
    assert line == (
        "best mean on 400 images held out: b 61.00%, 95% interval 58.52% to 63.48% over 3 seeds\n"
        "best mean on the test images: a 51.00%, 95% interval 48.52% to 53.48% over 3 seeds\n"
    )
