"""A training counts once, whatever number of names it has: no figure moves with a second name."""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmgrid.analysis.comparisons import best_and_ties, compare_with, find_winners
from fmgrid.analysis.effects import find_effects, find_gains, find_shares
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import judge
from fmgrid.hypotheses.registry import GridRecord
from made_up_runs import STARTED
from made_up_studies import Row, rows, study_of
from test_questions import stated

NAMES = ("b", "c", "d", "e", "f", "g")
SHAPES: dict[str, Sequence[dict[str, Any]]] = {
    "one axis": [{"epochs": epochs} for epochs in (1, 2, 3, 4, 5, 6)],
    "factorial": [{"epochs": e, "batch_size": b} for e in (1, 2, 3) for b in (8, 16)],
    "through a baseline": [
        *({}, {"epochs": 1}, {"epochs": 2}, {"batch_size": 8}, {"train_steps": 9}),
        {"epochs": 9, "batch_size": 9, "train_steps": 10},
    ],
    "without a baseline": [
        *({"epochs": 1}, {"epochs": 2}, {"epochs": 3, "batch_size": 8}),
        *({"epochs": 3, "batch_size": 9}, {"train_steps": 9}, {"train_steps": 10}),
    ],
    "other images": [
        *({}, {"epochs": 1}, {"validation": 400}, {"epochs": 1, "validation": 400}),
        *({"epochs": 2}, {"epochs": 2, "validation": 400}),
    ],
}


def figures_of(study: Study) -> dict[str, Any]:
    """Return every figure by which experiments are judged, without the names of experiments."""
    ranked = [(one.mean("accuracy"), one.series("accuracy")) for one in study.configurations]
    winners = find_winners(study)
    groups = []
    for group in study.groups:
        against = compare_with(study, group)
        groups.append(
            (
                group.shape,
                len(group.members),
                sorted(against.differences.values(), key=str) if against else None,
                [(one.source, rounded(one.share)) for one in find_shares(group)],
                group.confounded,
            )
        )
    return {
        "effects": [
            (one.setting, one.best, one.worst, one.p, one.difference, one.noise)
            for one in find_effects(study)
        ],
        "gains": [
            (one.setting, one.before, one.after, one.p, one.difference) for one in find_gains(study)
        ],
        "groups": groups,
        "ranking": sorted(ranked, key=str),
        "equals": len(best_and_ties(study.configurations)),
        "winners": winners and (winners.seeds, sorted(winners.ranks.values())),
        "noise": [
            sorted({str(study.noise("accuracy", one)) for one in study.configurations}),
            study.scatter("accuracy"),
        ],
        "baseline": study.baseline and study.baseline.configuration,
    }


def rounded(value: float | None) -> float | None:
    """Return a figure of a least-squares fit, whose last digit depends on the order of its rows."""
    return value if value is None else round(value, 9)


def grid(names: Sequence[str]) -> list[GridRecord]:
    return [GridRecord(path="g.toml", names=tuple(names))]


def runs_of(shape: str, dice: random.Random, seeds: int) -> dict[str, list[Row]]:
    return {
        name: rows(name, [dice.gauss(0.8, 0.01) for _ in range(seeds)], **chosen)
        for name, chosen in zip(NAMES, SHAPES[shape], strict=True)
    }


def copies_of(runs: Sequence[Row], name: str, *, is_shared: bool) -> list[Row]:
    """Return the same runs under another name, shared with it or trained again later."""
    return [
        one
        | {"name": name, "run": f"{name}_s{one['seed']}"}
        | {"trained_as": one["run"] if is_shared else None, "started": STARTED + timedelta(days=1)}
        for one in runs
    ]


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=8)
@given(
    number=st.integers(0, 2**20),
    copied=st.sampled_from(NAMES),
    second=st.tuples(st.sampled_from(["a", "z"]), st.booleans()),
    place=st.sampled_from(["no grid", "beside the grid", "in the grid", "another grid"]),
)
def test_no_figure_moves_when_an_experiment_is_there_under_a_second_name(
    shape: str, number: int, copied: str, second: tuple[str, bool], place: str
) -> None:
    called, is_shared = second
    dice = random.Random(number)
    by_name = runs_of(shape, dice, seeds=dice.choice([1, 2, 4]))
    once = [one | {"started": STARTED} for runs in by_name.values() for one in runs]
    copy = copies_of(by_name[copied], called, is_shared=is_shared)
    asked = [] if place == "no grid" else grid(NAMES)
    twice = {
        "no grid": [],
        "beside the grid": grid(NAMES),
        "in the grid": grid([*NAMES, called] if number % 2 else [called, *NAMES]),
        "another grid": [*grid(NAMES), GridRecord(path="h.toml", names=(called,))],
    }[place]
    expected = figures_of(study_of(once, asked))
    found = figures_of(study_of([*once, *copy], twice))
    if place == "another grid":  # which has a group of its own, of one experiment
        found["groups"] = found["groups"][:-1]
    assert found == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_no_figure_moves_when_a_whole_grid_is_there_under_other_names(shape: str) -> None:
    by_name = runs_of(shape, random.Random(shape), seeds=3)
    once = [one for runs in by_name.values() for one in runs]
    again = [
        one
        for name, runs in by_name.items()
        for one in copies_of(runs, f"again_{name}", is_shared=True)
    ]
    expected = figures_of(study_of(once, grid(NAMES)))
    for asked in (
        grid(NAMES),
        [
            *grid(NAMES),
            GridRecord(path="again.toml", names=tuple(f"again_{name}" for name in NAMES)),
        ],
    ):
        found = figures_of(study_of([*once, *again], asked))
        found["groups"] = found["groups"][:1]
        assert found == expected


@pytest.mark.parametrize(
    "expect",
    [
        "each of {} > 0.79",
        "best of {} > 0.8",
        "mean of {} > 0.795",
        "no difference greater than 0.1 among {}",
        "b > best of {others}",
    ],
)
def test_no_verdict_moves_when_an_experiment_is_there_under_a_second_name(expect: str) -> None:
    by_name = runs_of("one axis", random.Random(3), seeds=4)
    once = [one for runs in by_name.values() for one in runs]
    copy = copies_of(by_name["c"], "z", is_shared=True)
    figures = []
    for names, runs in ((NAMES, once), ((*NAMES, "z"), [*once, *copy])):
        text = expect.format(", ".join(names), others=", ".join(names[1:]))
        (verdict,) = judge([stated(expect=text, resolved=text)], study_of(runs))
        figures.append((verdict.word, verdict.p, verdict.seeds, verdict.reason))
    assert figures[0] == figures[1]


def test_seeds_of_all_names_count_together() -> None:
    study = study_of([*rows("a", {0: 0.8, 1: 0.9}), *rows("same", {1: 0.9, 2: 0.7})])
    assert study.scored["a"].series("accuracy") == {0: 0.8, 1: 0.9, 2: 0.7}
    assert study.scored["same"].series("accuracy") == study.scored["a"].series("accuracy")
    assert [(one.name, one.names) for one in study.configurations] == [("a", ("a", "same"))]
    assert [len(one.runs) for one in study.experiments.values()] == [2, 2]


def test_a_configuration_is_called_by_the_name_that_was_trained() -> None:
    original = rows("depth_2", [0.8, 0.9])
    study = study_of([*original, *copies_of(original, "batch_64", is_shared=True)])
    assert [one.name for one in study.configurations] == ["depth_2"]
    assert [one.name for one in study.groups[0].members] == ["depth_2"]


def test_a_grid_shows_a_configuration_by_its_own_name_for_it() -> None:
    original = rows("depth_2", [0.8, 0.9])
    runs = [*original, *copies_of(original, "batch_64", is_shared=True)]
    study = study_of(runs, grid(["batch_64"]))
    (group,) = study.groups
    assert [(one.name, len(one.runs)) for one in group.members] == [("batch_64", 2)]
    assert group.missing == ()
