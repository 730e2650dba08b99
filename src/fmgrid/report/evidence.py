"""What a report has to go by."""

from dataclasses import dataclass

from fmgrid.analysis.effects import Effect, StepEffect
from fmgrid.analysis.statistics import Noise
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import Verdict
from fmgrid.report.reference import Reference


@dataclass(frozen=True)
class Evidence:
    """A study with what was made of it."""

    study: Study
    metric: str  # what experiments are ranked by
    effects: tuple[Effect, ...]  # largest first
    gains: tuple[StepEffect, ...]
    verdicts: tuple[Verdict, ...]  # each corrected within its grid
    noise: Noise | None  # of one run
    reference: Reference | None = None
