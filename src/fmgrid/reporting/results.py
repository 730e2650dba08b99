"""Questions and measurements: the design, the results of every group, the learning curves.

Published figures stand beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from fmgrid.analysis.comparisons import (
    GroupComparison,
    PublishedFigure,
    by_name_in_tables,
    compare_published,
    compare_with,
)
from fmgrid.analysis.effects import GAP, find_gaps, find_loss_rises, find_nested, find_shares
from fmgrid.analysis.experiments import (
    ExperimentRuns,
    Group,
    are_scored_alike,
    best_by_images,
    best_first,
    by_configuration,
    images_of,
    level_of,
)
from fmgrid.analysis.statistics import ALPHA
from fmgrid.analysis.study import Study
from fmgrid.metrics import METRICS
from fmgrid.pages.document import Picture, Section, Table, code, plain
from fmgrid.reporting.evidence import PUBLISHED, Evidence
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
from fmgrid.words import first_few

LEVELS_SHOWN = 12
SETS_SHOWN = 5  # of experiments that are alike


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
    explanation = (
        "Means over seeds with 95 % confidence intervals (Student). Differences are paired by "
        "seed, as runs of one seed see the same images in the same order, and start from the same "
        "weights where their shapes match; each has the interval that it would have alone. p is "
        "corrected within each table (Holm); bold means p ≤ 0.05. A reference that is the table's "
        "own winner was picked for its mean, which is optimistic; p is corrected for all pairs."
    )
    return [
        section("Results", explanation, of_all.get("configuration_summary")),
        *(_group_section(evidence, group, pictures) for group in evidence.study.groups),
    ]


def overfitting_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section:
    """Show how far the validation loss is above the train loss."""
    gaps = find_gaps(evidence.study)
    if not gaps:
        return section("Overfitting", "No run has both a train loss and a validation loss.")
    alike = are_scored_alike(gap.experiment for gap in gaps)
    rows = [
        {
            "experiment": code(gap.experiment.name),
            "gap": bold_if(gap.sign != 0, with_interval(gap.estimate, GAP)),
            "train loss": show_value(gap.train_loss, "train_loss"),
            "valid loss": show_value(gap.experiment.mean("valid_loss"), "valid_loss"),
            "scored on": "" if alike else images_of(gap.experiment),
        }
        for gap in gaps
    ]
    signs = [gap.sign for gap in gaps]
    past = find_loss_rises(evidence.study)
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
        "Each gain has the 95 % confidence interval that it would have alone. p is corrected over "
        "all steps (Holm); bold means p ≤ 0.05."
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
    for metric in PUBLISHED:
        if pairs := compare_published(evidence.study, reference.figures, metric):
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
    against = compare_with(evidence.study, group, evidence.metric)
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
        others = ("test_accuracy", "valid_loss", "train_loss")
        rows.append(
            {
                "experiment": code(member.name),
                metric.replace("_", " "): with_interval(member.estimate(metric), metric),
                **difference_cells("difference", difference, p, metric),
                **{axis.name: _show(level_of(member, axis)) for axis in group.axes},
                **{name.replace("_", " "): show_value(member.mean(name), name) for name in others},
                "seeds": str(len(member.runs)),
                "images seen": f"{member.images_seen:,}" if member.images_seen else "",
            }
        )
    for column in ("seeds", "images seen"):  # which say nothing where all are alike
        if len({row[column] for row in rows}) == 1:
            rows[0].pop(column)
    return rows


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
    effects = {effect.setting: effect for effect in evidence.effects if effect.group == group.title}
    rows = []
    for component in find_shares(group, evidence.metric):
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
    label = METRICS[metric].label
    return section(
        label.capitalize(),
        f"Outside the prediction interval: {some(outside) or 'none'} ({len(outside)} of {judged}; "
        f"expected by chance: {ALPHA * judged:.1f}). Median difference: "
        f"{show_size(median(gaps), metric)}; largest: {show_size(max(gaps), metric)}.",
        table(f"Published {label} beside ours", rows),
        level=3,
    )
