"""What a report says of studies of every size: true of the figures, and as people write."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fmgrid.analysis.comparisons import find_winners
from fmgrid.analysis.study import Study
from fmgrid.hypotheses.registry import GridRecord, Hypothesis
from fmgrid.pages.rendering import to_markdown
from fmgrid.reporting import Reference, to_document, weigh
from fmgrid.reporting.overview import lead_of
from fmgrid.reporting.results import published_sections
from made_up_studies import row, rows, study_of

HIGH, LOW = [0.80, 0.81, 0.79], [0.70, 0.712, 0.69]
NEAR = [0.80, 0.812, 0.78]  # cannot be told from HIGH
BEFORE, AT, AFTER = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
FAILED = {"status": "failed", "error": "boom", "accuracy": None}


def asked(names: str, *expectations: str) -> list[GridRecord]:
    hypotheses = tuple(
        Hypothesis(
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


APART = study_of([*rows("a", {0: 0.8, 1: 0.81}), *rows("b", {2: 0.7, 3: 0.72}, epochs=9)])
SUMMARIES = {
    "one run": (
        study_of([row("a")]),
        ["1 experiment, 1 complete run, 1 seed.", "Best mean**: a, 80.00%.\n"],
    ),
    "one experiment": (study_of(rows("a", HIGH)), ["1 experiment, 3 complete runs, 3 seeds."]),
    "once each": (
        pair(HIGH[:1], LOW[:1]),
        [
            "2 experiments, 2 complete runs, 1 seed.",
            "- **Best run**: a, 80.00%.\n",
            "- **Ranges**: epochs (10.0 points).\n",
            "- **One run each**: another seed gives other figures",
        ],
    ),
    "significant": (
        pair(HIGH, LOW),
        [
            "not significantly worse: 0 of 1.\n",
            "- **Settings that matter**: epochs (9.9 points).\n",
            "- **Not sure**: none.\n",
        ],
    ),
    "not significant": (
        pair(HIGH, NEAR),
        [
            "not significantly worse: 1 of 1 (b).\n",
            "- **Settings that matter**: none.\n",
            "- **Not sure**: epochs (0.3 points, 1.6 points needed).\n",
        ],
    ),
    "one hypothesis": (pair(HIGH, LOW, "a > b"), ["Hypotheses**: 1 confirmed: “a \\> b”."]),
    "several": (
        pair(HIGH, LOW, "a > b", "b > a", "b > 0.7"),
        ["Hypotheses**: 1 confirmed: “a \\> b”; 1 rejected: “b \\> a”; 1 inconclusive."],
    ),
    "failures": (
        study_of([*rows("a", HIGH), row("b", 0, FAILED, epochs=9)]),
        ["2 experiments, 3 complete runs, 3 seeds, 1 failed."],
    ),
    "no seed in common": (
        APART,
        ["**Ranges**: none, as no two levels share a seed and images."],
    ),
}


@pytest.mark.parametrize(("study", "expected"), SUMMARIES.values(), ids=SUMMARIES)
def test_the_summary_says_what_was_run_and_found(study: Study, expected: list[str]) -> None:
    summary = lead_of(weigh(study)) + told(study, "Summary")
    assert [text for text in expected if text not in summary] == []


CLUMSY = [
    *(r"\b1 (runs|seeds|experiments|groups|hypotheses|complete runs)\b", r"\b(\d+) of the \1\b"),
    *(r"\bThe 1\b", r"\b0 of the\b", r"None of 1\b", r"\bAll 1\b"),
]


@pytest.mark.parametrize("study", [study for study, _ in SUMMARIES.values()], ids=SUMMARIES)
def test_one_of_anything_is_said_as_people_say_it(study: Study) -> None:
    kept = ("Summary", "Design", "Results", "Hypotheses", "Which settings matter", "Overfitting")
    text = told(study, *kept)
    assert [found[0] for clumsy in CLUMSY if (found := re.search(clumsy, text))] == []


def test_the_first_of_equals_is_not_called_best() -> None:
    text = told(pair(HIGH, HIGH, "no difference greater than 0.01 among a, b"))
    assert re.search(r"\| epochs +\| none +\| none", text)
    assert "a and b: the same in every run" in text
    assert len(re.findall(r"^\| +\d \| a, b +\|$", text, re.MULTILINE)) == 3


@pytest.mark.parametrize(
    ("begun", "is_late"),
    [
        ({"a": AT, "b": AFTER}, False),
        ({"a": BEFORE, "b": AFTER}, True),
        ({"other": BEFORE, "a": AFTER, "b": AFTER}, False),
        ({"b": AFTER}, True),
    ],
)
def test_what_was_stated_beforehand_depends_on_the_runs_that_could_tell(
    begun: dict[str, datetime], is_late: bool
) -> None:
    assert is_said_to_be_late(replace(pair(HIGH, LOW, "a > b"), begun=begun)) == is_late


def is_said_to_be_late(study: Study) -> bool:
    """Return whether a report says that the only hypothesis came after a run."""
    (line,) = re.findall(r"^\| \*\*CONFIRMED.*$", told(study, "Hypotheses"), re.MULTILINE)
    return "**stated after the first run**" in line


def test_a_run_by_another_name_tells_as_much_beforehand() -> None:
    study = pair(HIGH, LOW, "a > b")
    twin = study_of(
        [*rows("twin", HIGH), *(row for one in study.scored.values() for row in one.runs.values())],
        study.grids,
    )
    began = {"a": AFTER, "b": AFTER}
    assert is_said_to_be_late(replace(twin, begun=began | {"twin": BEFORE}))
    assert not is_said_to_be_late(replace(twin, begun=began | {"twin": AFTER}))


def test_what_is_no_longer_stated_is_named() -> None:
    (one,) = asked("a b", "a > b")
    gone = one.model_copy(update={"withdrawn": one.hypotheses, "hypotheses": ()})
    text = told(study_of([*rows("a", HIGH), *rows("b", LOW, epochs=9)], [gone]), "Hypotheses")
    assert "None is stated." in text
    assert re.search(r"^\| withdrawn +\| a \\> b; a > b", text, re.MULTILINE)


def test_a_number_comes_last_in_a_comparison() -> None:
    assert "b minus 0.2: +50.07" in told(pair(HIGH, LOW, "b < 0.2"), "Hypotheses")


def test_what_would_settle_a_claim_depends_on_the_seeds_that_are_shared() -> None:
    apart = study_of(
        [*rows("a", {0: 0.8, 1: 0.81}), *rows("b", {2: 0.7, 3: 0.72}, epochs=9)],
        asked("a b", "a > b"),
    )
    assert "seeds that both sides have are needed" in told(apart, "Hypotheses")
    assert "1.000" not in told(apart, "Hypotheses")
    once = pair(HIGH[:1], LOW[:1], "a > b")
    assert "a second seed is needed" in told(once, "Hypotheses")


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
    remark = r"perhaps for the images seen: 800 to 6,400"
    assert re.search(rf"batch_size \([\d.]+ points, {remark}\)", summary)
    assert re.search(r"epochs \([\d.]+ points\)", summary)
    assert told(study, "Which settings matter").count(remark) == 1
    (stated,) = asked("e1_b8 e1_b64 e2_b8 e2_b64", "e2_b64 > e2_b8")
    runs = study.runs
    assert "confounded: 12,800 and 1,600 images seen" in told(
        study_of(runs, [stated]), "Hypotheses"
    )
    (stated,) = asked("e1_b8 e1_b64 e2_b8 e2_b64", "e2_b64 > e1_b64")
    assert "confounded" not in told(study_of(runs, [stated]), "Hypotheses")


def published(figures: dict[str, float]) -> str:
    study = pair(HIGH, LOW)
    reference = Reference("p.csv", {name: {"accuracy": value} for name, value in figures.items()})
    _, section = published_sections(weigh(study, reference))
    return str(section.blocks[0]).replace("`", "")


def test_published_figures_outside_of_the_prediction_interval_are_named() -> None:
    assert "Outside the prediction interval: none (0 of 1; expected by chance: 0.1)" in published(
        {"a": 0.8}
    )
    assert "Outside the prediction interval: a (1 of 2; expected by chance: 0.1)" in published(
        {"a": 0.2, "b": 0.7}
    )


def test_a_gap_is_told_from_none_by_one_rule() -> None:
    gaps = [0.10, 0.11, 0.12, 0.10]
    study = study_of(
        row(name, seed, {"train_loss": 0.5, "valid_loss": 0.5 + gap + seed / 1000}, epochs=epochs)
        for name, epochs, shift in (("a", 3, 0.0), ("b", 5, -0.115))
        for seed, gap in enumerate(value + shift for value in gaps)
    )
    text = told(study, "Overfitting")
    assert "above zero (Holm): 1, below it: 0, of 2." in text
    assert re.search(r"^\| a +\| \*\*\+0\.1090 \[", text, re.MULTILINE)
    assert re.search(r"^\| b +\| +\N{MINUS SIGN}0\.0060 \[", text, re.MULTILINE)


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
    assert "Best mean, scored on the test images**: longer, 95.00%" in summary
    assert "Best mean, scored on 10,000 images held out**: held, 90.00%" in summary
    design = told(study, "Design")
    assert "experiments scored on the test images: 3 of 4." in design
    assert "Experiments that are scored on different images are not compared" in design
    winners = find_winners(study)
    assert winners
    assert winners.by_seed == {seed: ["longer"] for seed in range(3)}


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
    assert r"Inconclusive if corrected over all 3 together: a \> b." in told(study)


def test_shorter_trainings_are_said_to_be_the_beginning_of_longer_ones() -> None:
    assert "are snapshots of one training: (a, b)." in told(pair(HIGH, LOW), "Design")


def test_a_group_that_other_images_judge_in_part_is_told_in_parts() -> None:
    study = study_of(
        [
            *rows("a", HIGH),
            *rows("b", LOW, epochs=9),
            *rows("held", [0.90, 0.93, 0.92], validation=10_000),
        ]
    )
    results = told(study, "Results")
    assert re.search(r"^\| a +\| 80\.00%", results, re.MULTILINE)
    assert re.search(r"^\| b .*\N{MINUS SIGN}9\.93 \[", results, re.MULTILINE)
    (line,) = [line for line in results.splitlines() if line.startswith("| held")]
    assert not re.search(r"\+\d|\N{MINUS SIGN}", line)
