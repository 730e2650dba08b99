"""A study -> a report that one would hand in: what was asked, what came of it, how sure that is.

Every sentence is made from figures, and where there are none it isn't said. Each module writes
some of the sections, and `pages` makes a page of them.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from fmgrid import __version__
from fmgrid.analysis.effects import find_effects, find_gains
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import judge
from fmgrid.pages.document import Document, Picture, plain
from fmgrid.report.behaviour import overfitting_section, returns_section
from fmgrid.report.closing import left_out_section, reproduce_section
from fmgrid.report.evidence import Evidence
from fmgrid.report.findings import impact_section, luck_section, summary_section
from fmgrid.report.hypotheses import hypotheses_section
from fmgrid.report.published import published_section
from fmgrid.report.reference import Reference, read_reference
from fmgrid.report.results import design_section, results_section
from fmgrid.report.suggestions import next_section
from fmgrid.words import printable

__all__ = ["MARK", "Evidence", "Reference", "read_reference", "to_document", "weigh"]

MARK = "Made by fmgrid"  # stands in every page, by which it is known for one


def weigh(study: Study, reference: Reference | None = None) -> Evidence:
    """Return everything that a report says, as figures. The study has at least one scored run."""
    has_accuracy = any(one.series("accuracy") for one in study.scored.values())
    metric = "accuracy" if has_accuracy else "valid_loss"
    verdicts = [one for asked in study.asked for one in judge(asked.hypotheses, study)]
    return Evidence(
        study=study,
        metric=metric,
        effects=tuple(find_effects(study, metric)),
        gains=tuple(find_gains(study, metric)),
        verdicts=tuple(verdicts),
        noise=study.noise(metric),
        reference=reference,
    )


def to_document(
    evidence: Evidence, pictures: Sequence[tuple[str | None, Picture]], logdir: Path, command: str
) -> Document:
    """Return the report on the runs in *logdir*, which *command* makes.

    With each picture comes the title of the group that it is of, None if it is of all.
    """
    shown = {picture.name: picture for group, picture in pictures if group is None}
    of_groups: dict[str, list[Picture]] = defaultdict(list)
    for group, picture in pictures:
        if group is not None:
            of_groups[group].append(picture)
    sections = [
        summary_section(evidence),
        design_section(evidence),
        results_section(evidence, shown, of_groups),
        hypotheses_section(evidence),
        impact_section(evidence, shown),
        luck_section(evidence, shown),
        overfitting_section(evidence, shown),
        returns_section(evidence),
        published_section(evidence),
        next_section(evidence, logdir),
        reproduce_section(evidence, command),
        left_out_section(evidence, logdir),
    ]
    return Document(
        title=f"Which settings matter: {printable(logdir.resolve().name)}",
        lead=_lead(evidence),
        sections=tuple(section for section in sections if section),
        footer=f"{MARK} {__version__}.",
    )


def _lead(evidence: Evidence) -> str:
    questions = [group.question for group in evidence.study.groups if group.question]
    return plain(questions[0]) if len(questions) == 1 else ""
