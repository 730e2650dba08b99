"""The course of training: overfitting, and the gain of each step along a setting."""

from collections.abc import Mapping

from fmgrid.analysis.effects import StepEffect, past_best, per_doubling
from fmgrid.analysis.experiments import are_scored_alike, images_of
from fmgrid.analysis.means import GAP, find_gaps
from fmgrid.pages.document import Picture, Section, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    bold_if,
    difference_cells,
    section,
    show_difference,
    show_value,
    table,
    unit_of,
    with_interval,
)
from fmgrid.settings import show


def overfitting_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section:
    """Show how far the validation loss is above the train loss."""
    gaps = find_gaps(evidence.study)
    if not gaps:
        return section("Overfitting", "No run has both a train loss and a validation loss.")
    are_alike = are_scored_alike(gap.experiment for gap in gaps)
    rows = [
        {
            "experiment": code(gap.experiment.name),
            "gap": bold_if(gap.sign != 0, with_interval(gap.estimate, GAP)),
            "train loss": show_value(gap.train_loss, "train_loss"),
            "valid loss": show_value(gap.experiment.mean("valid_loss"), "valid_loss"),
            "scored on": "" if are_alike else images_of(gap.experiment),
        }
        for gap in gaps
    ]
    signs = [gap.sign for gap in gaps]
    past = past_best(evidence.study)
    rise = f"; the largest rise since is {past[0][1]:.4f}, of {code(past[0][0])}" if past else ""
    return section(
        "Overfitting",
        "The gap is the validation loss minus the train loss at the end. The train loss is the "
        "mean over the last epoch's batches, each before its step: while a network still learns "
        "fast, the gap comes out too small. Bold gaps differ significantly from zero (Holm): "
        f"{signs.count(1)} above it and {signs.count(-1)} below it, of {len(gaps)}. "
        f"Runs with a lower validation loss before their last epoch: {len(past)}{rise}.",
        pictures.get("overfitting_gap"),
        pictures.get("learning_curves") or "No run has a history of its epochs, so no curves.",
        table("Gaps, largest first", rows),
    )


def returns_section(evidence: Evidence) -> Section:
    """Show the gain of each step along an ordered axis."""
    rows = [_gain_row(gain, evidence.metric) for gain in evidence.gains]
    explanation = (
        "Each gain has the 95 % confidence interval that it would have alone. p is corrected over "
        "all steps (Holm); bold means p ≤ 0.05."
        if rows
        else "No two neighbouring levels of a setting with numbers share a seed."
    )
    return section(
        "Diminishing returns", explanation, table("The gain from each level to the next", rows)
    )


def _gain_row(gain: StepEffect, metric: str) -> dict[str, str]:
    return {
        "setting": code(gain.setting),
        "from": show(gain.before),
        "to": show(gain.after),
        **difference_cells("gain", gain.difference, gain.p, metric),
        f"per doubling ({unit_of(metric)})": show_difference(per_doubling(gain), metric),
        "group": plain(gain.group),
    }
