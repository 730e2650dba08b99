"""The runs beside figures that somebody else printed, of one run per experiment."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from fmgrid.analysis.experiments import ExperimentRuns
from fmgrid.analysis.statistics import ALPHA, Estimate, interval_of_one_more
from fmgrid.metrics import METRICS as TABLE
from fmgrid.pages.document import Cell, Column, Section, Table, Text, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    figure,
    number,
    show_difference,
    show_size,
    show_value,
    some,
    unit_of,
)
from fmgrid.report.reference import METRICS, Reference
from fmgrid.results.summary import as_text
from fmgrid.words import counted

_TOLD = ("accuracy", "valid_loss")
_TWINS_SHOWN = 20


@dataclass(frozen=True)
class Beside:
    """A published figure beside the same of our runs."""

    name: str
    published: float
    ours: Estimate
    deviations: float | None  # of one run, for a run against a mean
    is_within: bool | None  # of what one more run of ours would show, 19 times in 20


def published_section(evidence: Evidence) -> Section | None:
    """Compare with published figures, None where none were given."""
    reference = evidence.reference
    if reference is None:
        return None
    sections = [
        section for metric in METRICS if (section := _metric_section(evidence, reference, metric))
    ]
    printed = set(reference.figures)
    strangers = sorted(printed - set(_by_name_in_tables(evidence)))
    unprinted = len(evidence.study.scored) - (len(printed) - len(strangers))
    lead = (
        f"{code(reference.path)} has figures for {counted(len(printed), 'experiment')}. A "
        "published figure is one run: it is set beside the interval that one more run of ours "
        "would fall into 19 times in 20. Differences are in standard deviations of such a run "
        "from our mean, sd x sqrt(1 + 1/seeds)."
    )
    told = [lead]
    if unprinted:
        told.append(f"It has none for {counted(unprinted, 'experiment')} of ours.")
    held_out = [
        one.name
        for name, one in evidence.study.scored.items()
        if name in printed and one.settings.get("validation") not in ("test", None)
    ]
    if held_out:
        told.append(
            f"Ours of {some(held_out)} are scored on images held out of the training set, which "
            "may be easier or harder than those that the published figures are of."
        )
    if strangers:
        told.append(f"Not among our runs: {some(strangers)}.")
    if not sections:
        told.append("None of its figures is of an experiment that was run.")
    return Section(
        "Beside the published figures",
        (Text(" ".join(told)), *(Text(text) for text in _twins(reference))),
        tuple(sections),
    )


def set_beside(evidence: Evidence, reference: Reference, metric: str) -> list[Beside]:
    """Return every published figure of a metric for which there are runs."""
    found = []
    scored = _by_name_in_tables(evidence)
    for name, figures in reference.figures.items():
        one = scored.get(name)
        ours = one.estimate(metric) if one else None
        if ours is None or metric not in figures:
            continue
        published = figures[metric]
        within = interval_of_one_more(ours)
        deviations = None
        if ours.sd:
            deviations = (published - ours.mean) / (ours.sd * sqrt(1 + 1 / ours.n))
        is_within = None if within is None else within[0] <= published <= within[1]
        found.append(Beside(name, published, ours, deviations, is_within))
    return found


def _by_name_in_tables(evidence: Evidence) -> dict[str, ExperimentRuns]:
    """Return the experiments by name, and by the name that a table has for one like a formula."""
    scored = evidence.study.scored
    return {as_text(name): one for name, one in scored.items()} | scored


def _metric_section(evidence: Evidence, reference: Reference, metric: str) -> Section | None:
    pairs = set_beside(evidence, reference, metric)
    if not pairs:
        return None
    columns = (
        *(Column("experiment"), number("published"), number("ours, mean"), number("seeds")),
        *(number(f"difference ({unit_of(metric)})"), number("sd of a run")),
        *(number("in standard deviations"), Column("within")),
    )
    rows = tuple(_row(pair, metric) for pair in pairs)
    told = []
    judged = [pair for pair in pairs if pair.is_within is not None]
    if judged:
        told.append(_within([pair.name for pair in judged if not pair.is_within], len(judged)))
    gaps = sorted(abs(pair.published - pair.ours.mean) for pair in pairs)
    told.append(
        f"The median difference is {show_size(median(gaps), metric)}, the largest "
        f"{show_size(gaps[-1], metric)}."
        if len(gaps) > 1
        else f"The difference is {show_size(gaps[0], metric)}."
    )
    label = TABLE[metric].label
    caption = f"Published {label} beside ours"
    table = Table(columns, rows, caption, folded=len(rows) > 15)  # noqa: PLR2004
    return Section(label[:1].upper() + label[1:], (Text(" ".join(told)), table))


def _within(outside: Sequence[str], judged: int) -> str:
    """Say how many of the published figures one more run could have given."""
    what = "what one more run of ours would show"
    if judged == 1:
        return f"The published figure is {'not ' if outside else ''}within {what}."
    if not outside:
        return f"All {judged} published figures are within {what}."
    chance = ALPHA * judged
    expected = f", of which chance alone explains {chance:.1f}" if chance >= 1 else ""
    within = judged - len(outside)
    return (
        f"{within} of {judged} published figures are within {what}; {some(outside)} "
        f"{'is' if len(outside) == 1 else 'are'} not{expected}."
    )


def _twins(reference: Reference) -> list[str]:
    """Say how far published figures for one configuration lie apart."""
    told = []
    noises = {metric: reference.noise(metric) for metric in _TOLD}
    for names in reference.twins[:_TWINS_SHOWN]:
        for metric, noise in noises.items():
            values = [reference.figures[name].get(metric) for name in names]
            printed = [value for value in values if value is not None]
            if len(printed) > 1 and noise:
                low, high = (show_value(bound, metric) for bound in (min(printed), max(printed)))
                told.append(
                    f"{some(names)} are one configuration, with a published {TABLE[metric].label} "
                    f"from {low} to {high}: runs that differ in nothing are "
                    f"{show_size(max(printed) - min(printed), metric)} apart, a standard deviation "
                    f"of {show_size(noise.sd, metric)}."
                )
    more = len(reference.twins) - _TWINS_SHOWN
    if more > 0:
        told.append(f"{more:,} more configurations have several published figures.")
    return told


def _row(pair: Beside, metric: str) -> tuple[Cell, ...]:
    difference = pair.published - pair.ours.mean
    sd = pair.ours.sd
    deviations = (
        "" if pair.deviations is None else f"{pair.deviations:+.1f}".replace("-", "\N{MINUS SIGN}")
    )
    within = {True: "yes", False: "**no**", None: ""}[pair.is_within]
    return (
        Cell(code(pair.name), pair.name),
        figure(show_value(pair.published, metric), pair.published),
        figure(show_value(pair.ours.mean, metric), pair.ours.mean),
        figure(str(pair.ours.n), pair.ours.n),
        figure(show_difference(difference, metric), difference),
        figure("" if sd is None else show_size(sd, metric).removesuffix(" points"), sd),
        figure(deviations, pair.deviations),
        Cell(plain(within) if within == "" else within),
    )
