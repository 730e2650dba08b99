"""A study -> a report: the answer first, then the results of each group, then how to go on.

Each module writes some of the sections from the same analysis; `pages` makes pages of them.
"""

from collections.abc import Sequence
from pathlib import Path

from fmgrid import __version__
from fmgrid.pages.document import Document, Picture, plain
from fmgrid.report.closing import left_out_section, next_section, reproduce_section
from fmgrid.report.evidence import Evidence, Reference, read_reference, weigh
from fmgrid.report.overview import (
    hypotheses_section,
    luck_section,
    settings_section,
    summary_section,
)
from fmgrid.report.results import (
    design_section,
    overfitting_section,
    published_section,
    results_section,
    returns_section,
)
from fmgrid.words import printable

__all__ = ["MARK", "Evidence", "Reference", "read_reference", "to_document", "weigh"]

MARK = "Made by fmgrid"  # in every page, which is recognized by it


def to_document(
    evidence: Evidence, pictures: Sequence[tuple[str | None, Picture]], logdir: Path, command: str
) -> Document:
    """Return the report on the runs in *logdir*, which *command* makes.

    Each picture comes with the title of its group, None if it is of all experiments.
    """
    of_all = {picture.name: picture for group, picture in pictures if group is None}
    sections = (
        summary_section(evidence, of_all),
        settings_section(evidence),
        hypotheses_section(evidence),
        design_section(evidence),
        results_section(evidence, of_all, pictures),
        luck_section(evidence, of_all),
        overfitting_section(evidence, of_all),
        returns_section(evidence),
        published_section(evidence),
        next_section(evidence, logdir),
        reproduce_section(evidence, command),
        left_out_section(evidence, logdir),
    )
    questions = [group.question for group in evidence.study.groups if group.question]
    return Document(
        title=f"Which settings matter: {printable(logdir.resolve().name)}",
        lead=plain(questions[0]) if len(questions) == 1 else "",
        sections=tuple(filter(None, sections)),
        footer=f"{MARK} {__version__}.",
    )
