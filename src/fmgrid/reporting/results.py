"""Questions and measurements: the design, the results of every group, the learning curves.

Published figures stand beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median

from fmgrid.analysis.comparisons import (
    GroupComparison,
    PublishedFigure,
    by_name_in_tables,
)
from fmgrid.analysis.effects import GAP, find_nested
from fmgrid.analysis.evidence import Evidence
from fmgrid.analysis.experiments import (
    ExperimentRuns,
    Group,
    are_scored_alike,
    by_configuration,
    images_of,
    level_of,
)
from fmgrid.analysis.ranking import best_by_images, best_first
from fmgrid.analysis.statistics import ALPHA
from fmgrid.analysis.study import Study
from fmgrid.metrics import FURTHER, metric_of
from fmgrid.pages.document import Picture, Section, Table, code, plain
from fmgrid.reporting.phrases import (
    bold_if,
    difference_cells,
    section,
    show_difference,
    show_p,
    show_size,
    show_value,
    some,
    table,
    unit_of,
    with_interval,
)
from fmgrid.settings import show
from fmgrid.words import counted, first_few

LEVELS_SHOWN = 12
AXES_SHOWN = 3  # in columns of their own
SETS_SHOWN = 5  # of experiments that are alike

_PAIRED = (
    "Differences are paired by seed: runs of one seed see the same images in the same order, and "
    "start from the same weights where their shapes match."
)
_UNPAIRED = (
    "The seeds of plain mltrainer's runs are not known, so their differences are not paired: "
    "Welch's t test compares the means, and needs more runs to be sure."
)


def design_section(evidence: Evidence) -> Section:
    """Say what was trained, and how runs are scored and compared."""
    study = evidence.study
    rows = [
        {
            "group": plain(group.title),
            "question": plain(group.question),
            "varies": "; ".join(
                f"{code(axis.name)} {first_few([*map(_show, axis.levels)], LEVELS_SHOWN)}"
                for axis in group.axes
            ),
            "experiments": str(len(group.members)),
            "runs": f"{sum(len(member.runs) for member in group.members):,}",
        }
        for group in study.groups
    ]
    caption = "The question of each group, and the settings that it varies"
    return section("Design", table(caption, rows), *_conditions(study))


def results_sections(
    evidence: Evidence,
    of_all: Mapping[str, Picture],
    pictures: Sequence[tuple[str | None, Picture]],
) -> list[Section]:
    """Show every group's results; each of the pictures comes with the title of its group."""
    study = evidence.study
    tests = [*([_PAIRED] if study.seeds else []), *([_UNPAIRED] if study.unseeded else [])]
    explanation = (
        f"Means over {'seeds' if study.seeds else 'repeats'} with 95 % confidence intervals. "
        f"{' '.join(tests)} p and the interval beside it are corrected within each table (Holm); "
        "bold means p ≤ 0.05. If the reference is the table's own winner, they are corrected for "
        "all pairs, and its own mean is optimistic. The interval of a mean comes from its own runs "
        "alone: with three, its width is uncertain itself."
    )
    if evidence.is_untested:
        explanation = "Figures of one run each, beside one of them: the baseline, or the best."
    return [
        section(
            "Results", explanation, of_all.get("configuration_summary"), of_all.get("metric_curves")
        ),
        *(_group_section(evidence, group, pictures) for group in study.groups),
    ]


def overfitting_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section:
    """Show how far the validation loss is above the train loss."""
    gaps = evidence.gaps
    if not gaps:
        return section("Overfitting", "No run has both a train loss and a validation loss.")
    alike = are_scored_alike(gap.experiment for gap in gaps)
    rows = [
        {
            "experiment": code(gap.experiment.name),
            "gap": bold_if(gap.sign != 0, with_interval(gap.difference, GAP)),
            "p": bold_if(gap.sign != 0, show_p(gap.p if gap.difference.sd is not None else None)),
            "train loss": show_value(gap.train_loss, "train_loss"),
            "valid loss": show_value(gap.experiment.mean("valid_loss"), "valid_loss"),
            "scored on": "" if alike else images_of(gap.experiment),
        }
        for gap in gaps
    ]
    signs = [gap.sign for gap in gaps]
    past = evidence.loss_rises
    rise = f"; the largest rise since is {past[0][1]:.4f}, of {code(past[0][0])}" if past else ""
    return section(
        "Overfitting",
        "The gap is the validation loss minus the train loss at the end. The train loss is the "
        "mean over the last epoch's batches, each before its step: while a network still learns "
        "fast, the gap comes out too small. "
        f"Significantly above zero (Holm): {signs.count(1)}, below it: {signs.count(-1)}, of "
        f"{len(gaps)}. "
        f"Runs with a lower validation loss before their last epoch: {len(past)}{rise}.",
        pictures.get("overfitting_gap"),
        pictures.get("learning_curves") or "No run has a history of two epochs, so no curves.",
        table("Gaps, largest first", rows),
    )


def returns_section(evidence: Evidence) -> Section:
    """Show the gain of each step along an ordered axis."""
    metric = evidence.metric
    rows = [
        {
            "setting": code(gain.setting),
            "from": show(gain.before),
            "to": show(gain.after),
            **difference_cells("gain", gain.difference, gain.p, metric),
            f"per doubling ({unit_of(metric)})": show_difference(gain.per_doubling, metric),
            "group": plain(gain.group),
        }
        for gain in evidence.gains
    ]
    explanation = (
        "p and the interval beside it are corrected over all steps (Holm); bold means p ≤ 0.05."
        if rows
        else "No two neighbouring levels of a setting with numbers share a seed."
    )
    return section(
        "Diminishing returns", explanation, table("The gain from each level to the next", rows)
    )


def published_sections(evidence: Evidence) -> Iterator[Section]:
    """Compare with published figures, if any were given."""
    reference = evidence.reference
    if reference is None:
        return
    strangers = sorted(reference.figures.keys() - by_name_in_tables(evidence.study))
    yield section(
        "Beside the published figures",
        f"{code(reference.path)} has figures of one run per experiment. A figure is bold if it "
        "lies outside the 95 % prediction interval, into which one more run of ours would fall.",
        f"Not among our runs: {some(strangers)}." if strangers else None,
    )
    for metric, pairs in evidence.published.items():
        if pairs:
            yield _metric_section(metric, pairs)


def _show(level: object) -> str:
    return plain(show(level))


def _conditions(study: Study) -> Iterator[str]:
    """Say what the reader must know of how runs are scored and compared."""
    if base := study.baseline:
        settings = {name: value for name, value in base.settings.items() if value not in (None, {})}
        values = ", ".join(f"{code(name)} {_show(value)}" for name, value in settings.items())
        yield f"Baseline: {code(base.name)}, with {values}."
    experiments = study.scored.values()
    if study.unseeded:
        runs = sum(len(experiment.runs) for experiment in study.unseeded)
        yield (
            f"Of plain mltrainer: {counted(runs, 'run')} of "
            f"{counted(len(study.unseeded), 'experiment')}. Runs of the same settings are repeats, "
            "told apart by their folders. It logs no seed, batch size, optimizer or data: runs "
            "that differ in these alone count as repeats, too."
        )
    if tested := sum(experiment.settings.get("validation") == "test" for experiment in experiments):
        yield (
            f"Caution: experiments scored on the test images: {tested} of {len(experiments)}. A "
            "winner that is picked by them has an optimistic accuracy."
        )
    if not are_scored_alike(experiments):
        yield "Experiments that are scored on different images are not compared."
    if nested := find_nested(experiments):
        yield (
            "Experiments that differ only in `epochs` are snapshots of one training: "
            f"{_named(nested)}."
        )
    twins = [namesakes for namesakes in by_configuration(experiments) if len(namesakes) > 1]
    if twins:
        yield f"One configuration under several names, which counts once: {_named(twins)}."


def _named(sets: Sequence[Sequence[ExperimentRuns]]) -> str:
    names = [[experiment.name for experiment in experiments] for experiments in sets]
    return first_few([f"({some(namesakes)})" for namesakes in names], SETS_SHOWN)


def _group_section(
    evidence: Evidence, group: Group, pictures: Sequence[tuple[str | None, Picture]]
) -> Section:
    against = evidence.comparisons.get(group.title)
    ranked = best_first(group.members, evidence.metric)
    reference = f", compared with {code(against.reference.name)}" if against else ""
    return section(
        group.title,
        *_on_test_images(group.members, evidence.metric),
        *(picture for title, picture in pictures if title == group.title),
        table(
            f"{plain(group.title)}, best first{reference}",
            _rows(ranked, group, against, evidence.metric),
        ),
        _variance(evidence, group),
        level=3,
    )


def _rows(
    members: Sequence[ExperimentRuns], group: Group, against: GroupComparison | None, metric: str
) -> list[dict[str, str]]:
    """Return a row for each member: its results before its settings, which may be many."""
    rows = []
    for member in members:
        difference, p = (against and against.differences.get(member.name)) or (None, 1.0)
        levels = {axis.name: _show(level_of(member, axis)) for axis in group.axes}
        if len(levels) > AXES_SHOWN:
            levels = {
                "settings": ", ".join(f"{code(name)} {level}" for name, level in levels.items())
            }
        seconds = [
            run.seconds for run in member.runs.values() if run.seconds and not run.trained_as
        ]
        rows.append(
            {
                "experiment": code(member.name),
                metric.removeprefix(FURTHER).replace("_", " "): with_interval(
                    member.estimate(metric), metric
                ),
                **difference_cells("difference", difference, p, metric),
                **levels,
                "test accuracy": show_value(member.mean("test_accuracy"), "test_accuracy"),
                "valid loss": show_value(member.mean("valid_loss"), "valid_loss"),
                "weights": _show_count(member.mean("weights")),
                "seeds" if member.has_seeds else "runs": str(len(member.runs)),
                "images seen": _show_count(member.images_seen),
                "seconds": f"{fmean(seconds):.1f}" if seconds else "",
            }
        )
    # These say nothing where all are alike.
    for column in ("seeds", "runs", "images seen", "weights"):
        if len({row.get(column) for row in rows}) == 1:
            rows[0].pop(column, None)
    return rows


def _show_count(number: float | None) -> str:
    return f"{number:,.0f}" if number else ""


def _on_test_images(members: Sequence[ExperimentRuns], metric: str) -> Iterator[str]:
    """Say how experiments that were chosen on held-out images rank on the test images."""
    for best, *others in best_by_images(members, metric):
        on_test = best_first([best, *others], "test_accuracy")
        if best in on_test and others:
            yield (
                f"Chosen on {images_of(best)}: {code(best.name)}. On the test images it has rank "
                f"{on_test.index(best) + 1} of {len(on_test)}."
            )


def _variance(evidence: Evidence, group: Group) -> Table | None:
    effects = evidence.effects_of(group.title)
    rows = []
    for component in evidence.shares.get(group.title, ()):
        effect = effects.get(component.source)
        rows.append(
            {
                "source": code(component.source) if effect else component.source,
                "share of variance": f"{component.share:.1%}",
                "p": bold_if(effect.is_significant, show_p(effect.p)) if effect else "",
            }
        )
    return table("Shares in the variance of the results; p as in the table of all settings", rows)


def _metric_section(metric: str, pairs: Sequence[PublishedFigure]) -> Section:
    judged = sum(pair.prediction is not None for pair in pairs)
    outside = [pair.name for pair in pairs if pair.is_outside]
    gaps = [abs(pair.published - pair.ours.mean) for pair in pairs]
    rows = []
    for pair in pairs:
        difference = show_difference(pair.published - pair.ours.mean, metric)
        bounds = [show_value(bound, metric) for bound in pair.prediction or ()]
        is_held_out = pair.experiment.settings.get("validation") not in ("test", None)
        rows.append(
            {
                "experiment": code(pair.name),
                "published": bold_if(pair.is_outside, show_value(pair.published, metric)),
                "our mean": show_value(pair.ours.mean, metric),
                "prediction interval": f"[{', '.join(bounds)}]" if bounds else "",
                f"difference ({unit_of(metric)})": difference,
                "seeds": str(pair.ours.n),
                "ours are scored on": images_of(pair.experiment) if is_held_out else "",
            }
        )
    label = metric_of(metric).label
    return section(
        label.capitalize(),
        f"Outside the prediction interval: {some(outside) or 'none'} ({len(outside)} of {judged}; "
        f"expected by chance: {ALPHA * judged:.1f}). Median difference: "
        f"{show_size(median(gaps), metric)}; largest: {show_size(max(gaps), metric)}.",
        table(f"Published {label} beside ours", rows),
        level=3,
    )
