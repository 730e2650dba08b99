"""A study -> a report: the answer first, then the results of each group, then how to go on.

Each module writes some of the sections from the same analysis; `pages` makes pages of them.
"""

from collections.abc import Sequence
from pathlib import Path

from fmgrid import __version__
from fmgrid.analysis.comparisons import Reference
from fmgrid.analysis.evidence import Evidence, weigh
from fmgrid.pages.document import Document, Picture
from fmgrid.reporting import closing, overview, results
from fmgrid.reporting.phrases import folded
from fmgrid.reporting.reference import read_reference
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
        overview.summary_section(evidence, of_all),
        overview.settings_section(evidence),
        *results.results_sections(evidence, of_all, pictures),
        closing.next_section(evidence, logdir),
        *map(
            folded,
            (
                overview.hypotheses_section(evidence),
                results.design_section(evidence),
                *overview.luck_sections(evidence, of_all),
                results.overfitting_section(evidence, of_all),
                results.returns_section(evidence),
                *results.published_sections(evidence),
                closing.reproduce_section(evidence, command),
                closing.left_out_section(evidence, logdir),
            ),
        ),
    )
    return Document(
        title=f"Which settings matter: {printable(logdir.resolve().name)}",
        lead=overview.lead_of(evidence),
        sections=sections,
        footer=f"{MARK} {__version__}.",
    )
