"""What a report says of studies of every size: true of the figures, and as people write."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fmgrid.analysis.study import Study
from fmgrid.hypotheses.records import GridRecord, RegisteredHypothesis
from fmgrid.pages.markdown import to_markdown
from fmgrid.report import Reference, to_document, weigh
from fmgrid.report.findings import winners_by_seed
from fmgrid.report.published import published_section
from made_up_studies import row, rows, study_of

HIGH, LOW = [0.80, 0.81, 0.79], [0.70, 0.712, 0.69]
NEAR = [0.80, 0.812, 0.78]  # cannot be told from HIGH
BEFORE, AT, AFTER = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
FAILED = {"status": "failed", "error": "boom", "accuracy": None}


def asked(names: str, *expectations: str) -> list[GridRecord]:
    hypotheses = tuple(
        RegisteredHypothesis(
            claim=expect,
            expect=expect,
            resolved=expect,
            metric="accuracy",
            place="g.toml:9",
            since=AT,
        )
        for expect in expectations
    )
    return [
        GridRecord(path="g.toml", question="", names=tuple(names.split()), hypotheses=hypotheses)
    ]


def told(study: Study, *sections: str) -> str:
    """Return a report's sections as text, without its marks of code."""
    text = to_markdown(to_document(weigh(study), [], Path("logs"), "fmgrid report logs"))
    kept = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    chosen = [one for one in kept if not sections or one.splitlines()[0] in sections]
    assert chosen
    return "\n".join(chosen).replace("`", "")


def pair(first: Sequence[float], second: Sequence[float], *expectations: str) -> Study:
    runs = [*rows("a", first), *rows("b", second, epochs=9)]
    return study_of(runs, asked("a b", *expectations))


SUMMARIES = {
    "one run": (study_of([row("a")]), "One experiment was trained once. a scores 80.00%. No"),
    "one experiment": (study_of(rows("a", HIGH)), "One experiment was trained with 3 seeds."),
    "once each": (pair(HIGH[:1], LOW[:1]), "2 experiments were trained once each. a scores best"),
    "told apart": (pair(HIGH, LOW), "and b is told from it. What matters is epochs (9.9 points)."),
    "not told apart": (
        pair(HIGH, NEAR),
        "but b cannot be told from it. The effect of epochs (0.3 points) may be noise.",
    ),
    "one step": (
        pair(HIGH, LOW),
        "and the only step between two levels is too large for one run of each to hide.",
    ),
    "two small steps": (
        study_of(
            run
            for epochs, shift in ((3, 0.0), (5, 0.001), (9, 0.002))
            for run in rows(f"e{epochs}", [0.8 + shift, 0.82 - shift, 0.78], epochs=epochs)
        ),
        "and both steps between neighbouring levels are too small for one run of each to show.",
    ),
    "one hypothesis": (pair(HIGH, LOW, "a > b"), "The hypothesis that was stated is confirmed."),
    "several": (
        pair(HIGH, LOW, "a > b", "b > a", "b > 0.7"),
        "Of 3 hypotheses that were stated, 1 is confirmed, 1 is rejected and 1 is inconclusive.",
    ),
    "failures": (
        study_of([*rows("a", HIGH), row("b", 0, FAILED, epochs=9)]),
        "2 experiments were trained with 1 to 3 seeds each, 4 runs in all; 1 run failed.",
    ),
    "no seed in common": (
        study_of([*rows("a", {0: 0.8, 1: 0.81}), *rows("b", {2: 0.7, 3: 0.72}, epochs=9)]),
        "No two experiments that differ in one setting share a seed, so that none can be given",
    ),
}


@pytest.mark.parametrize(("study", "expected"), SUMMARIES.values(), ids=SUMMARIES)
def test_the_summary_says_what_was_run_and_found(study: Study, expected: str) -> None:
    assert expected in told(study, "Summary")


CLUMSY = [
    *(r"\b1 (runs|seeds|experiments|groups|hypotheses|of 1|run in all)\b", r"\b(\d+) of the \1\b"),
    *(r"\bThe 1\b", r"\b0 of the\b", r"\bwith 1 seed each\b", r"None of 1\b", r"\bAll 1\b"),
]


@pytest.mark.parametrize("study", [study for study, _ in SUMMARIES.values()], ids=SUMMARIES)
def test_one_of_anything_is_said_as_people_say_it(study: Study) -> None:
    kept = ("Summary", "Design", "Results", "Hypotheses", "Which settings matter", "Overfitting")
    text = told(study, *kept)
    assert [found[0] for clumsy in CLUMSY if (found := re.search(clumsy, text))] == []


def test_the_first_of_equals_is_not_called_best() -> None:
    text = told(pair(HIGH, HIGH, "no difference greater than 0.01 among a, b"))
    assert "All have 80.00% in the mean." in text
    assert re.search(r"\| epochs +\| none +\| none", text)
    assert "a and b: the same in every run" in text
    assert "2 experiments would have been called the best, depending on the seed: a and b" in text


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ({"a": AT, "b": AFTER}, "It stood in the grid before the first run of its experiments"),
        ({"a": BEFORE, "b": AFTER}, "It was first seen when runs of these experiments had begun"),
        (
            {"other": BEFORE, "a": AFTER, "b": AFTER},
            "It stood in the grid before the first run",
        ),
        ({"b": AFTER}, "It was first seen when runs of these experiments had begun"),
    ],
)
def test_what_was_stated_beforehand_depends_on_the_runs_that_could_tell(
    begun: dict[str, datetime], expected: str
) -> None:
    study = replace(pair(HIGH, LOW, "a > b"), begun=begun)
    assert expected in told(study, "Hypotheses")


def test_a_run_by_another_name_tells_as_much_beforehand() -> None:
    study = pair(HIGH, LOW, "a > b")
    twin = study_of(
        [*rows("twin", HIGH), *(row for one in study.scored.values() for row in one.runs.values())],
        study.asked,
    )
    began = {"a": AFTER, "b": AFTER}
    late = "It was first seen when runs of these experiments had begun"
    assert late in told(replace(twin, begun=began | {"twin": BEFORE}), "Hypotheses")
    assert late not in told(replace(twin, begun=began | {"twin": AFTER}), "Hypotheses")


def test_what_is_no_longer_stated_is_named() -> None:
    (one,) = asked("a b", "a > b")
    gone = one.model_copy(update={"withdrawn": one.hypotheses, "hypotheses": ()})
    text = told(study_of([*rows("a", HIGH), *rows("b", LOW, epochs=9)], [gone]), "Hypotheses")
    assert "None is stated." in text
    assert r"Stated before, and no longer when the grid was last run: a \> b (a > b)." in text


def test_a_number_comes_last_in_a_comparison() -> None:
    assert "b over 0.2: +50.07" in told(pair(HIGH, LOW, "b < 0.2"), "Hypotheses")


def test_what_would_settle_a_claim_depends_on_the_seeds_that_are_shared() -> None:
    apart = study_of(
        [*rows("a", {0: 0.8, 1: 0.81}), *rows("b", {2: 0.7, 3: 0.72}, epochs=9)],
        asked("a b", "a > b"),
    )
    assert "seeds that both sides have" in told(apart, "Hypotheses")
    assert "1.000" not in told(apart, "Hypotheses")
    once = pair(HIGH[:1], LOW[:1], "a > b")
    assert "a second seed, at least" in told(once, "Hypotheses")


def test_confounding_is_said_of_the_axis_that_causes_it_wherever_it_matters() -> None:
    study = study_of(
        one | {"images_seen": 100 * size * epochs}
        for epochs in (1, 2)
        for size in (8, 64)
        for one in rows(
            f"e{epochs}_b{size}",
            [0.5 + 0.1 * epochs + size / 1000 + noise / size for noise in (0.0, 0.003, 0.007)],
            epochs=epochs,
            batch_size=size,
        )
    )
    summary = told(study, "Summary")
    assert re.search(r"batch_size \([\d.]+ points, confounded with the images seen\)", summary)
    assert re.search(r"epochs \([\d.]+ points\)", summary)
    assert "none of the 2 steps between neighbouring levels are too small for one run" in summary
    (stated,) = asked("e1_b8 e1_b64 e2_b8 e2_b64", "e2_b64 > e2_b8")
    runs = study.runs
    assert "confounded: 12,800 and 1,600 images seen" in told(
        study_of(runs, [stated]), "Hypotheses"
    )
    (stated,) = asked("e1_b8 e1_b64 e2_b8 e2_b64", "e2_b64 > e1_b64")
    assert "confounded" not in told(study_of(runs, [stated]), "Hypotheses")
    results = told(study, "Results")
    unequal = "experiments that differ in batch_size alone saw unequal numbers of images, such as"
    assert f"{unequal} 800 and 6,400" in results
    assert "experiments that differ in epochs alone" not in results


def test_an_analysis_of_variance_says_what_it_leaves_out() -> None:
    def factorial(layers: Sequence[int]) -> Study:
        return study_of(
            one
            for epochs in (1, 2)
            for size in (8, 64)
            for layer in layers
            for one in rows(
                f"e{epochs}_b{size}_u{layer}",
                [0.5 + 0.1 * epochs + noise * layer for noise in (0.0, 0.001, 0.003)],
                epochs=epochs,
                batch_size=size,
                hidden_units=(layer,),
            )
        )

    higher = "interactions of three settings and more count as noise"
    assert higher in told(factorial([16, 32]), "Results")
    assert higher not in told(factorial([16]), "Results")
    assert "p is Holm's over the rows" in told(factorial([16]), "Results")


def published(figures: dict[str, float]) -> str:
    study = pair(HIGH, LOW)
    reference = Reference("p.csv", {name: {"accuracy": value} for name, value in figures.items()})
    section = published_section(weigh(study, reference))
    assert section
    assert section.sections
    block = section.sections[0].blocks[0]
    return str(block).replace("`", "")


def test_published_figures_are_counted_as_people_count() -> None:
    assert "The published figure is within what one more run" in published({"a": 0.8})
    assert "The published figure is not within" in published({"a": 0.2})
    assert "All 2 published figures are within" in published({"a": 0.8, "b": 0.7})
    found = published({"a": 0.2, "b": 0.7})
    assert "1 of 2 published figures are within what one more run of ours would show; a is not" in (
        found
    )


def test_a_gap_is_told_from_none_by_one_rule() -> None:
    gaps = [0.10, 0.11, 0.12, 0.10]
    study = study_of(
        row(name, seed, {"train_loss": 0.5, "valid_loss": 0.5 + gap + seed / 1000}, epochs=epochs)
        for name, epochs, shift in (("a", 3, 0.0), ("b", 5, -0.115))
        for seed, gap in enumerate(value + shift for value in gaps)
    )
    text = told(study, "Overfitting")
    assert "Each alone, 1 of 2 configurations lies above zero by more than noise, and none" in text
    assert "; the mean of all is 0.0515 [" in text


def test_experiments_that_other_images_judge_are_not_ranked_together() -> None:
    study = study_of(
        [
            *rows("a", HIGH),
            *rows("b", LOW, epochs=9),
            *rows("held", [0.90, 0.91, 0.89], validation=10_000),
            *rows("longer", [0.93, 0.95, 0.97], epochs=7),
        ]
    )
    summary = told(study, "Summary")
    assert "Scored on the test images, longer scores best, with 95.00%" in summary
    assert "Scored on 10,000 images held out, held scores 90.00%" in summary
    design = told(study, "Design")
    assert "In 3 of 4 experiments the validation images are the test images" in design
    assert "Not all experiments are scored on the same images" in design
    assert winners_by_seed(weigh(study)) == {seed: ["longer"] for seed in range(3)}


def test_an_optimizer_at_one_learning_rate_says_so() -> None:
    study = study_of([*rows("a", HIGH), *rows("b", LOW, optimizer="SGD")])
    assert "optimizer (9.9 points, all at learning rate 0.001)" in told(study, "Summary")


def test_verdicts_that_hold_within_their_grid_only_are_named() -> None:
    values = {"a": [0.80, 0.81, 0.82, 0.83], "b": [0.79, 0.808, 0.812, 0.823]}
    study = study_of(
        [
            *rows("a", values["a"]),
            *rows("b", values["b"], epochs=9),
            *rows("c", [0.5, 0.9, 0.4, 0.8], epochs=7),
        ],
        [
            *asked("a b", "a > b"),
            *(asked("c", "c > 0.6", "c > 0.65")[0].model_copy(update={"path": "h.toml"}),),
        ],
    )
    evidence = weigh(study)
    assert [one.word for one in evidence.verdicts] == ["CONFIRMED", *["INCONCLUSIVE"] * 2]
    text = told(study)
    assert "of which 1 would be inconclusive if corrected over all grids together" in text
    assert r"if it were corrected over all 3: a \> b." in text


def test_shorter_trainings_are_said_to_be_the_beginning_of_longer_ones() -> None:
    assert "one training at several moments: a and b." in told(pair(HIGH, LOW), "Design")


def test_a_group_that_other_images_judge_in_part_is_told_in_parts() -> None:
    study = study_of(
        [
            *rows("a", HIGH),
            *rows("b", LOW, epochs=9),
            *rows("held", [0.90, 0.93, 0.92], validation=10_000),
        ]
    )
    results = told(study, "Results")
    assert "Scored on the test images, a is best with 80.00%" in results
    assert "Scored on 10,000 images held out, held has 91.67%" in results
    (line,) = [line for line in results.splitlines() if line.startswith("| held")]
    assert "points" not in line
    assert not re.search(r"\+\d|\N{MINUS SIGN}", line)
