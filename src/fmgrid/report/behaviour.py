"""How training went: overfitting, and what more of a setting still brings."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import log2

from fmgrid.analysis.effects import StepEffect
from fmgrid.analysis.experiments import ExperimentRuns, images_of, scored_alike
from fmgrid.analysis.statistics import ALPHA, estimate, mean_by_seed, told_from_zero
from fmgrid.pages.document import Cell, Column, Picture, Section, Table, Text, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    difference_with_interval,
    figure,
    listed,
    number,
    show_difference,
    show_p,
    show_value,
    unit_of,
    with_interval,
)
from fmgrid.settings import show

SHOWN = 5
_GAP = "overfitting_gap"


def overfitting_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section:
    """Show how far the validation loss is from the train loss."""
    study = evidence.study
    experiments = study.configurations
    gaps = [(found, one) for one in experiments if (found := one.estimate(_GAP))]
    if not gaps:
        nothing = "No run has both a train loss and a validation loss, so that nothing can be said."
        return Section("Overfitting", (Text(nothing),))
    gaps.sort(key=lambda pair: -pair[0].mean)
    alike = scored_alike(one for _, one in gaps)
    told = [
        (
            "The gap is the validation loss minus the train loss at the end. The train loss is "
            "the mean over the last epoch's batches, each before its step: while a network still "
            "learns fast, it lags behind, and the gap comes out too small."
        ),
        " ".join(_largest_and_smallest(same, of_several=len(alike) > 1) for same in alike),
    ]
    told[1] += _told_from_zero([one.series(_GAP) for _, one in gaps])
    told += _past_their_best(experiments)
    blocks: list[Text | Picture | Table] = [Text(text) for text in told]
    if picture := pictures.get("overfitting_gap"):
        blocks.append(picture)
    if picture := pictures.get("learning_curves"):
        blocks.append(picture)
    else:
        blocks.append(Text("No run has a history of its epochs, so that no curves can be drawn."))
    rows = tuple(
        (
            Cell(code(one.name), one.name),
            figure(with_interval(found, _GAP), found.mean),
            figure(show_value(one.mean("train_loss"), "train_loss"), one.mean("train_loss")),
            figure(show_value(one.mean("valid_loss"), "valid_loss"), one.mean("valid_loss")),
        )
        for found, one in gaps
    )
    columns = (Column("experiment"), number("gap"), number("train loss"), number("valid loss"))
    if len(rows) > 2 * SHOWN:
        blocks.append(Table(columns, rows[:SHOWN], f"The {SHOWN} largest gaps"))
        blocks.append(Table(columns, rows, f"All {len(rows)} gaps, largest first", folded=True))
    else:
        blocks.append(Table(columns, rows, "Gaps, largest first"))
    return Section("Overfitting", tuple(blocks))


def returns_section(evidence: Evidence) -> Section:
    """Show what each step along an ordered axis still brings."""
    if not evidence.gains:
        axes = [axis for group in evidence.study.groups for axis in group.axes]
        nothing = (
            "No two neighbouring levels of a setting with numbers share a seed."
            if any(axis.is_numeric for axis in axes)
            else "No setting with numbers varies."
        )
        return Section("Diminishing returns", (Text(nothing),))
    unit = unit_of(evidence.metric)
    told = [
        text
        for _, steps in groupby(evidence.gains, key=lambda gain: (gain.group, gain.setting))
        if (text := _course(list(steps), evidence.metric))
    ]
    columns = (
        *(Column("setting"), Column("group"), number("from"), number("to")),
        *(number(f"gain ({unit})"), number(f"per doubling ({unit})"), number("p")),
    )
    rows = tuple(_gain_row(gain, evidence.metric) for gain in evidence.gains)
    return Section(
        "Diminishing returns",
        (
            Text(
                "What each step along an axis brings, with the 95% interval that it would have "
                "alone; p is Holm's over all steps, and what it tells from nothing is bold."
            ),
            *map(Text, told),
            Table(columns, rows, "Gain from each level to the next", folded=len(rows) > 15),  # noqa: PLR2004
        ),
    )


def _largest_and_smallest(ranked: Sequence[ExperimentRuns], *, of_several: bool) -> str:
    """Name the ends of gaps, the largest first, of experiments that the same images judge."""
    of, least = ranked[0], ranked[-1]
    largest, smallest = (with_interval(one.estimate(_GAP), _GAP) for one in (of, least))
    lead = f"Scored on {images_of(of)}, the" if of_several else "The"
    if len(ranked) == 1:
        return f"{lead} gap of {code(of.name)} is {largest}."
    if of.mean(_GAP) == least.mean(_GAP):
        return f"{lead} gap of all is {show_value(of.mean(_GAP), _GAP)} in the mean."
    return (
        f"{lead} largest gap is {largest}, of {code(of.name)}; the smallest {smallest}, of "
        f"{code(least.name)}."
    )


def _told_from_zero(gaps: Sequence[Mapping[int, float]]) -> str:
    """Say how many gaps are told from none, on either side, by Holm's method."""
    repeated = [gap.values() for gap in gaps if len(gap) > 1]
    signs = told_from_zero(repeated)
    if len(signs) < 2:  # noqa: PLR2004
        return f" It is {'' if any(signs) else 'not '}told from none." if signs else ""
    above, below = (signs.count(sign) or "none" for sign in (1, -1))
    together = mean_by_seed([gap for gap in gaps if len(gap) > 1])
    mean = with_interval(estimate(together.values()), _GAP) if together else ""
    lie = "lies" if above == 1 else "lie"
    return (
        f" Each alone, {above} of {len(signs)} configurations {lie} above zero by more than noise, "
        f"and {below} below it (Holm){'; the mean of all is ' if mean else ''}{mean}."
    )


def _past_their_best(experiments: Iterable[ExperimentRuns]) -> list[str]:
    """Say how many runs had a lower validation loss before their end."""
    runs = [
        (loss, best, run.run)
        for one in experiments
        for run in one.runs.values()
        if (loss := run.metrics.get("valid_loss")) is not None
        if (best := run.metrics.get("best_valid_loss")) is not None
    ]
    if not runs:
        return []
    past = [(loss - best, run) for loss, best, run in runs if best < loss]
    if not past:
        every = "the only run" if len(runs) == 1 else f"all of {len(runs)} runs"
        return [f"In {every} the last epoch has the lowest validation loss."]
    rise, furthest = max(past, key=lambda pair: pair[0])
    some = f"{len(past)} of {len(runs)} runs" if len(runs) > 1 else "the only run"
    most = f" at most ({code(furthest)})" if len(past) > 1 else ""
    return [
        (
            f"In {some} an earlier epoch had a lower validation loss than the last, by "
            f"{rise:.4f}{most}."
        )
    ]


def _course(steps: list[StepEffect], metric: str) -> str:
    """Say of one axis where its gains end."""
    name = f"{code(steps[0].setting)} in {plain(steps[0].group)}"
    apart = [step for step in steps if step.p <= ALPHA]
    if not apart:
        return f"{name}: no step is told from nothing."
    last = apart[-1]
    shown = [
        f"{show(step.before)} to {show(step.after)} {show_difference(step.difference.mean, metric)}"
        for step in steps
    ]
    text = f"{name}: {listed(shown)} {unit_of(metric)}"
    beyond = steps[steps.index(last) + 1 :]
    if beyond:
        text += f"; beyond {show(last.after)} no step is told from nothing"
    doublings = [found for step in steps if (found := _per_doubling(step)) is not None]
    if len(doublings) == len(steps) > 1:
        first, final = (show_difference(doublings[at], metric) for at in (0, -1))
        text += f"; per doubling {first} at first and {final} at last"
    return f"{text}."


def _per_doubling(gain: StepEffect) -> float | None:
    if gain.before <= 0 or gain.after <= 0:
        return None
    return float(gain.difference.mean / log2(gain.after / gain.before))


def _gain_row(gain: StepEffect, metric: str) -> tuple[Cell, ...]:
    text = difference_with_interval(gain.difference, metric)
    doubling = _per_doubling(gain)
    known = gain.difference.sd is not None
    return (
        Cell(code(gain.setting)),
        Cell(plain(gain.group)),
        figure(show(gain.before), gain.before),
        figure(show(gain.after), gain.after),
        figure(f"**{text}**" if gain.p <= ALPHA else text, gain.difference.mean),
        figure(show_difference(doubling, metric), doubling),
        figure(show_p(gain.p) if known else "", gain.p),
    )
