"""What was asked and what came of it: the design, and the results of every group."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from fmgrid.analysis.axes import Axis, Group, level_of
from fmgrid.analysis.comparisons import Against, compare_with
from fmgrid.analysis.effects import find_shares
from fmgrid.analysis.experiments import (
    ExperimentRuns,
    are_scored_alike,
    best_first,
    by_configuration,
    count_neighbours,
    images_of,
    scored_alike,
    without,
)
from fmgrid.analysis.statistics import ALPHA, Estimate
from fmgrid.analysis.study import Study
from fmgrid.pages.document import Cell, Column, Picture, Section, Table, Text, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    difference_with_interval,
    figure,
    listed,
    number,
    show_interval,
    show_p,
    show_size,
    show_value,
    some,
    unit_of,
    with_interval,
)
from fmgrid.settings import show

LARGE = 12  # experiments, beyond which a group shows its best and worst, and the rest on demand
SHOWN = 5


def design_section(evidence: Evidence) -> Section:
    """Say what was trained, and on what terms."""
    study = evidence.study
    rows = tuple(_design_row(group) for group in study.groups)
    columns = (
        *(Column("group"), Column("question"), Column("varies")),
        *(number("experiments"), number("runs")),
    )
    table = Table(columns, rows, "What each group asks, and the settings that it varies")
    blocks: list[Text | Table] = [_without_blanks(table)]
    if study.baseline:
        base = study.baseline
        told = ", ".join(
            f"{code(name)} {plain(show(value))}"
            for name, value in base.settings.items()
            if value not in (None, {})
        )
        blocks.append(
            Text(
                f"{_neighbours_of(base, study)} in one setting from {code(base.name)}: {told}. "
                "They are compared with it."
            )
        )
    blocks += [Text(text) for text in _terms(evidence)]
    return Section("Design", tuple(blocks))


def results_section(
    evidence: Evidence,
    pictures: Mapping[str, Picture],
    of_groups: Mapping[str, Sequence[Picture]],
) -> Section:
    """Show every group's results; *of_groups* are the pictures of each, by its title."""
    groups = [
        _group_section(evidence, group, of_groups.get(group.title, ()))
        for group in evidence.study.groups
    ]
    differences = (
        " Differences are paired by seed, over the seeds that both have; each has the interval "
        "that it would have alone, while p is Holm's over the group (against a best that was "
        "picked by these figures, corrected for all pairs), and what it tells apart is bold. Each "
        "table asks a question of its own: for a claim that was stated, its verdict counts."
    )
    blocks: tuple[Text | Picture, ...] = (
        Text(
            "Means over seeds, with Student's interval of 95%."
            f"{differences if len(evidence.study.scored) > 1 else ''} Images seen are training "
            "images until the end, repeats included."
        ),
    )
    if overview := pictures.get("configuration_summary"):
        blocks += (overview,)
    return Section("Results", blocks, tuple(groups))


def _design_row(group: Group) -> tuple[Cell, ...]:
    varies = "; ".join(f"{code(axis.name)} {_levels(axis)}" for axis in group.axes)
    runs = sum(len(member.runs) for member in group.members)
    missing = f" of {len(group.members) + len(group.missing)}" if group.missing else ""
    return (
        Cell(plain(group.title)),
        Cell(plain(group.question)),
        Cell(varies or "nothing"),
        figure(f"{len(group.members)}{missing}", len(group.members)),
        figure(f"{runs:,}", runs),
    )


def _neighbours_of(base: ExperimentRuns, study: Study) -> str:
    """Say how many experiments differ from the baseline in one setting."""
    counts = count_neighbours(study.configurations)
    near, others = counts[base], len(counts) - 1
    if 2 * near > others:
        return "Most experiments differ"
    return f"{near} of the other {others} experiments {'differs' if near == 1 else 'differ'}"


def _levels(axis: Axis) -> str:
    """Write an axis' levels, of many the first few and the last."""
    shown = [plain(show(level)) for level in axis.levels]
    if len(shown) > LARGE:
        shown = [*shown[:SHOWN], "…", f"{shown[-1]} ({len(shown)})"]
    return ", ".join(shown)


def _terms(evidence: Evidence) -> list[str]:
    """Say what the reader must know of how runs were scored and compared."""
    study = evidence.study
    told = []
    tested = [one for one in study.scored.values() if one.settings.get("validation") == "test"]
    if tested:
        every = len(tested) == len(study.scored)
        where = "" if every else f"In {len(tested)} of {len(study.scored)} experiments the "
        told.append(
            f"{where or 'The '}validation images are the test images: what is chosen by them is "
            "scored on what it was chosen by, and looks better than it is."
        )
    if len(scored_alike(study.scored.values())) > 1:
        told.append(
            "Not all experiments are scored on the same images, which may be easier or harder: "
            "figures of one kind are not compared with those of another."
        )
    if nested := _nested(study.scored.values()):
        told.append(
            f"Where experiments differ in `epochs` alone, the shorter is the beginning of the "
            f"longer, one training at several moments: {nested}."
        )
    twins = [same for same in by_configuration(study.scored.values()).values() if len(same) > 1]
    if twins:
        same = "; ".join(some([one.name for one in twin]) for twin in twins)
        told.append(f"One configuration by several names, trained once for each seed: {same}.")
    runs = sum(len(one.runs) for one in study.scored.values())
    if runs > len(study.seeds):
        told.append(
            "Experiments with the same seed see the same images in the same order and start from "
            "the same weights where their shapes match, so that they are compared seed by seed."
        )
    single = [one for one in study.scored.values() if len(one.runs) == 1]
    if single:
        what = (
            "There is one run only"
            if len(study.scored) == 1
            else "Every experiment was run once"
            if len(single) == len(study.scored)
            else f"Run once: {some([one.name for one in single])}"
        )
        told.append(
            f"{what}. **Nothing can be concluded** of that: another seed gives another figure."
        )
    return told


def _nested(experiments: Iterable[ExperimentRuns]) -> str:
    """Name the experiments of which one is the beginning of another."""
    alike: dict[Hashable, dict[Hashable, str]] = defaultdict(dict)
    for one in experiments:
        alike[without(one, "epochs")].setdefault(one.configuration, one.name)
    found = [some(list(names.values())) for names in alike.values() if len(names) > 1]
    more = len(found) - SHOWN
    return "; ".join([*found[:SHOWN], *([f"and {more} more such"] if more > 0 else [])])


def _group_section(evidence: Evidence, group: Group, pictures: Sequence[Picture]) -> Section:
    against = compare_with(evidence.study, group, evidence.metric)
    blocks: list[Text | Table | Picture] = []
    if group.question:
        blocks.append(Text(f"*{plain(group.question)}*"))
    blocks += [Text(text) for text in _told(evidence, group, against)]
    blocks += pictures
    ranked = group.ranked(evidence.metric)
    title = plain(group.title)
    reference = f", compared with {code(against.reference.name)}" if against else ""
    if len(ranked) > LARGE:
        shown = [*ranked[:SHOWN], *ranked[-SHOWN:]]
        caption = f"The {SHOWN} best and the {SHOWN} worst of {title}{reference}"
        blocks.append(_table(evidence, group, shown, against, caption, folded=False))
        caption = f"All {len(ranked)} of {title}{reference}"
        blocks.append(_table(evidence, group, ranked, against, caption, folded=True))
    elif ranked:
        caption = f"{title}, best first{reference}"
        blocks.append(_table(evidence, group, ranked, against, caption, folded=False))
    if shares := find_shares(group, evidence.metric):
        rows = tuple(
            (
                Cell(code(share.source) if share.p is not None else share.source),
                figure(f"{share.share:.1%}", share.share),
                figure(show_p(share.p), share.p),
            )
            for share in shares
        )
        columns = (Column("source"), number("share of variance"), number("p"))
        caption = (
            "Main effects and interactions: an analysis of variance, seeds as blocks; p is Holm's "
            "over the rows"
        )
        if len(group.axes) > 2:  # noqa: PLR2004
            caption += "; interactions of three settings and more count as noise"
        blocks.append(Table(columns, rows, caption))
    return Section(group.title, tuple(blocks))


def _told(evidence: Evidence, group: Group, against: Against | None) -> list[str]:
    ranked = group.ranked(evidence.metric)
    if not ranked:
        return []
    sets = scored_alike(ranked)
    told = [
        (f"Scored on {images_of(same[0])}, " if len(sets) > 1 else "")
        + _best_and_worst(same, evidence.metric)
        for same in sets
    ]
    if against:
        told.append(_told_apart(against))
        if against.is_picked:
            told.append(
                f"{code(against.reference.name)} was picked for being best here, which flatters it."
            )
    best_of_each = _best_of_each(group, evidence.metric)
    return [" ".join(told), *best_of_each, *_confounded(group), *_held_out(sets)]


def _best_and_worst(ranked: Sequence[ExperimentRuns], metric: str) -> str:
    best, worst = (one.estimate(metric) for one in (ranked[0], ranked[-1]))
    first, last = code(ranked[0].name), code(ranked[-1].name)
    if len(ranked) == 1:
        return f"{first} has {with_interval(best, metric)}."
    if ranked[0].mean(metric) == ranked[-1].mean(metric):
        return f"All have {show_value(ranked[0].mean(metric), metric)} in the mean."
    return (
        f"{first} is best with {with_interval(best, metric)}, {last} worst with "
        f"{with_interval(worst, metric)}."
    )


def _told_apart(against: Against) -> str:
    """Say which of the others can be told from the one that they are compared with."""
    reference, others = code(against.reference.name), against.differences
    if all(difference.sd is None for difference, _ in others.values()):
        return "With one seed that both have, none can be told from another."
    apart = [name for name, (_, p) in others.items() if p <= ALPHA]
    if len(others) == 1:
        verb = "can" if apart else "cannot"
        return f"{code(next(iter(others)))} {verb} be told from {reference}."
    if not apart:
        none = "Neither" if len(others) == 2 else "None"  # noqa: PLR2004
        return f"{none} of the {len(others)} others can be told from {reference}."
    if len(apart) == len(others):
        every = "Both" if len(others) == 2 else f"All {len(others)}"  # noqa: PLR2004
        return f"{every} others can be told from {reference}."
    return f"{len(apart)} of the {len(others)} others can be told from {reference}: {some(apart)}."


def _confounded(group: Group) -> list[str]:
    return [
        (
            f"**Confounded**: experiments that differ in {code(name)} alone saw unequal numbers of "
            f"images, such as {low:,} and {high:,}, so that what differs may be due to either; "
            "`train_images` instead of `train_steps` fixes the images."
        )
        for name, (low, high) in group.confounded.items()
    ]


def _held_out(sets: Sequence[Sequence[ExperimentRuns]]) -> list[str]:
    """Say of each set of held-out images whether the choice by them holds on the test images."""
    scored = [same for same in sets if same[0].mean("test_accuracy") is not None]
    return [_on_test_images(same, of_several=len(sets) > 1) for same in scored]


def _on_test_images(ranked: Sequence[ExperimentRuns], *, of_several: bool) -> str:
    """Say what the best of experiments scores on the test images; *ranked* are scored alike."""
    best = ranked[0]
    told = with_interval(best.estimate("test_accuracy"), "test_accuracy")
    on_test = best_first(ranked, "test_accuracy")
    if len(on_test) == 1:
        return f"On the test images {code(best.name)} scores {told}."
    place = 1 + [one.name for one in on_test].index(best.name)
    rank = "is first, too" if place == 1 else f"has rank {place} of {len(on_test)}"
    chosen = images_of(best) if of_several else "held-out images"
    return (
        f"Chosen on {chosen}, {code(best.name)} was then scored on the test images: {told}, "
        f"where it {rank}."
    )


def _best_of_each(group: Group, metric: str) -> list[str]:
    """Name the best with each level of axes of words, where all vary together."""
    told = []
    if not are_scored_alike(group.members):
        return []
    for axis in group.axes if group.shape == "irregular" else ():
        ranked = {level: best_first(members, metric) for level, members in group.at(axis).items()}
        are_words = all(isinstance(level, str) for level in axis.levels)
        if not are_words or len(ranked) > SHOWN:
            continue
        shown = [
            f"{plain(show(level))} {show_value(members[0].mean(metric), metric)} "
            f"({code(members[0].name)})"
            for level, members in ranked.items()
            if members
        ]
        told.append(
            f"The best with each {code(axis.name)}, picked from what was tried with it: "
            f"{listed(shown)}."
        )
    return told


def _table(  # noqa: PLR0913 -- a table of what, and called what
    evidence: Evidence,
    group: Group,
    members: Sequence[ExperimentRuns],
    against: Against | None,
    caption: str,
    *,
    folded: bool,
) -> Table:
    """Return a row for each member: what came of it before its settings, which may be many."""
    metric = evidence.metric
    columns = (
        Column("experiment"),
        number(metric.replace("_", " ")),
        number("95% interval"),
        number(f"difference ({unit_of(metric)})"),
        number("p"),
        *(number(axis.name) if axis.is_numeric else Column(axis.name) for axis in group.axes),
        number("test accuracy"),
        number("valid loss"),
        number("train loss"),
        number("sd"),
        number("seeds"),
        number("images seen"),
    )
    rows = tuple(
        (
            Cell(code(one.name), one.name),
            figure(show_value(one.mean(metric), metric), one.mean(metric)),
            _interval_cell(one.estimate(metric), metric),
            *_difference_cells(one, against, metric),
            *(_level_cell(level_of(one, axis.name)) for axis in group.axes),
            *_further_figures(one, metric),
        )
        for one in members
    )
    return _without_blanks(Table(columns, rows, caption, folded))


def _without_blanks(table: Table) -> Table:
    """Return the table without the columns in which no cell says anything."""
    kept = [at for at in range(len(table.columns)) if any(row[at].text for row in table.rows)]
    return replace(
        table,
        columns=tuple(table.columns[at] for at in kept),
        rows=tuple(tuple(row[at] for at in kept) for row in table.rows),
    )


def _level_cell(level: object) -> Cell:
    order = float(level) if isinstance(level, int | float) else None
    return Cell(plain(show(level)), order)


def _interval_cell(found: Estimate | None, metric: str) -> Cell:
    return Cell(show_interval(found, metric), found.low if found else None)


def _further_figures(one: ExperimentRuns, metric: str) -> list[Cell]:
    means = [(other, one.mean(other)) for other in ("test_accuracy", "valid_loss", "train_loss")]
    found, seen = one.estimate(metric), one.images_seen
    sd = found.sd if found else None
    return [
        *(figure(show_value(mean, other), mean) for other, mean in means),
        figure("" if sd is None else show_size(sd, metric).removesuffix(" points"), sd),
        figure(str(len(one.runs)), len(one.runs)),
        figure("" if seen is None else f"{seen:,}", seen),
    ]


def _difference_cells(one: ExperimentRuns, against: Against | None, metric: str) -> list[Cell]:
    found = against.differences.get(one.name) if against else None
    if found is None:
        return [Cell(""), Cell("")]
    difference, p = found
    text = difference_with_interval(difference, metric)
    shown_p = show_p(p) if difference.sd is not None else ""
    return [
        figure(f"**{text}**" if p <= ALPHA else text, difference.mean),
        figure(f"**{shown_p}**" if p <= ALPHA else shown_p, p),
    ]
